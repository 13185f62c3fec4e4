import { SopClass } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import { contextOf } from './contexts.ts'
import type { Lease } from './pool/lease.ts'
import { onFresh } from './pool/on-fresh.ts'
import type { AssociationPool } from './pool/pool.ts'
import type { Proposal } from './pool/proposal.ts'

/** An archive, or a system beside one, that can be asked whether it is there. */
export interface Tried {
  readonly name: string
  /** In ms. */
  readonly timeouts: { readonly connect: number; readonly associate: number; readonly response: number }
}

/** C-ECHO. @throws StatusError, and what ends an association */
export async function echo({ association }: Lease, { name, timeouts }: Tried, signal: AbortSignal): Promise<void> {
  const context = contextOf(association, SopClass.verification, name, 'C-ECHO')
  await new Scu(association).echo(context, { timeout: timeouts.response, signal })
}

/** C-ECHO over a new association, whether or not it counts as down. @throws as `echo`, and what opening one throws */
export async function trial(
  pool: Pick<AssociationPool, 'lease'>,
  proposal: Proposal,
  tried: Tried,
  stop: AbortSignal,
): Promise<void> {
  const { connect, associate } = tried.timeouts
  const signal = AbortSignal.any([stop, AbortSignal.timeout(connect + associate)])
  const call = { signal, deadline: performance.now() + connect }
  await onFresh(
    () => pool.lease(proposal, call, { fresh: true, anyway: true }),
    (lease) => echo(lease, tried, signal),
  )
}
