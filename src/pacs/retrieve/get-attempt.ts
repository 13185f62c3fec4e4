import { dimsePriority } from '../call.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import type { Lease } from '../pool/lease.ts'
import type { Proposal } from '../pool/proposal.ts'
import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import { InflateError } from '../../dicom/inflater.ts'
import { transferSyntax } from '../../dicom/transfer-syntax.ts'
import { SopClass, type Uid } from '../../dicom/uids.ts'
import { Scu, type RetrieveEnd, type SubOperation } from '../../dimse/scu.ts'
import { Status, statusClass } from '../../dimse/status.ts'
import { ProtocolError } from '../../network/errors.ts'
import type { AcceptedContext } from '../../network/negotiation.ts'
import { contextOf, getProposal, storedSyntaxes, type GetPlan } from '../contexts.ts'
import { Arrival, FROM_ARCHIVE, HeadTooLargeError } from '../../instance/arrival.ts'
import { belongsTo } from '../identify.ts'
import { arriving, type Instance } from '../instance.ts'
import { streamedOnFresh } from '../pool/on-fresh.ts'
import { askIdentifier, isNamed, type Ask } from './ask.ts'
import type { Received } from './received.ts'
import type { Malformed } from './malformed.ts'
import type { Retrieval } from './retrieval.ts'

/** Instances in a row that are not wanted, or have come already, behind which an archive is taken to send without end. */
export const MAX_USELESS = 10_000

/** Which contexts are proposed for a C-GET. */
export type Offer = Omit<GetPlan, 'maxContexts' | 'roles'>

/** How a C-GET ended, and what had come. */
export interface GetEnd extends RetrieveEnd {
  /** Instances that came and belong to what was asked for, those that had come before included. */
  readonly arrived: number
  /** Instances that came and do not. */
  readonly foreign: number
  /** Instances that came and cannot be read, or not to their end. */
  readonly malformed: number
  /** Encapsulated syntaxes the archive accepted, for any class. */
  readonly accepted: readonly Uid[]
}

/**
 * The instances that one C-GET brings and that had not come before; a pooled association that proves dead before the
 * first answer is replaced, once.
 * @throws NotSupportedByArchiveError, and whatever ends an association
 */
export async function* attemptGet(retrieval: Retrieval, ask: Ask, offer: Offer): AsyncGenerator<Instance, GetEnd> {
  const { pool, contexts, roles, ownSyntaxes } = retrieval.source
  const plan = { syntaxes: storedSyntaxes(ownSyntaxes), ...offer, roles }
  const propose = (maxContexts: number): Proposal => getProposal({ ...plan, maxContexts })
  const take = (fresh: boolean): Promise<Lease> => {
    const open = (proposal: Proposal): Promise<Lease> => pool.lease(proposal, retrieval.call, { fresh })
    return contexts.open(propose, open, retrieval.call)
  }
  // Ended early, the operation was cancelled to its final response, or the association is no longer fit for reuse.
  return yield* streamedOnFresh(take, (lease, answered) => getOver(lease, retrieval, ask, answered))
}

/** `answered` is called when the archive has answered, however the C-GET ends. */
async function* getOver(
  lease: Lease,
  { source, received, malformed, call }: Retrieval,
  ask: Ask,
  answered: () => void,
): AsyncGenerator<Instance, GetEnd> {
  const { association } = lease
  const context = contextOf(association, SopClass.studyRootGet, source.archive, 'C-GET')
  const operation = { timeout: source.timeout, signal: call.signal, priority: dimsePriority(call) }
  const count = { arrived: 0, foreign: 0, malformed: 0 }
  let useless = 0
  for await (const event of new Scu(association).get(context, askIdentifier(ask), operation)) {
    answered()
    if (event.kind === 'end') return { ...event, ...count, accepted: encapsulatedOf(association.contexts.values()) }
    if (++useless > MAX_USELESS) {
      association.abort()
      throw new ProtocolError('Instances without end that were not asked for, or had come')
    }
    const arrival = await begun(event, malformed)
    // What is left of one that is not passed on is passed over when the next event is asked for.
    if (!arrival) {
      count.malformed++
      continue
    }
    const { identity } = arrival.index
    // The data set is right where it differs from the command; what was not selected is never passed on.
    const sopInstance = identity.sopInstance ?? event.sopInstance
    const isAsked = belongsTo(identity, ask.selection) && isNamed(ask, sopInstance)
    if (isAsked) count.arrived++
    else count.foreign++
    const { study } = ask.selection
    const series = identity.series ?? ask.selection.series ?? ''
    if (!isAsked || received.has({ series, sopInstance })) {
      await arrival.return()
      continue
    }
    const sopClass = identity.sopClass ?? event.sopClass
    const reading = { complete: false }
    const body = counted(arrival, () => (reading.complete = true))
    yield arriving({ sopClass, sopInstance, study, series }, arrival, body)
    useless = 0
    if (!reading.complete) continue
    const { damage } = arrival.index
    if (!damage) received.add({ series, sopInstance })
    else {
      malformed.add({ series, sopInstance }, damage)
      count.arrived--
      count.malformed++
    }
  }
  throw new NotSupportedByArchiveError(source.archive, 'C-GET')
}

/** An instance, read so far that it is known who it is. Undefined when it is malformed, which is then noted. */
async function begun({ sopInstance, body, syntax }: SubOperation, malformed: Malformed): Promise<Arrival | undefined> {
  try {
    return await Arrival.begin(body, syntax, FROM_ARCHIVE)
  } catch (error) {
    const isMalformed =
      error instanceof MalformedDataSetError || error instanceof InflateError || error instanceof HeadTooLargeError
    if (!isMalformed) throw error
    malformed.add({ series: undefined, sopInstance }, error)
    return undefined
  }
}

function encapsulatedOf(contexts: Iterable<AcceptedContext>): Uid[] {
  const uids = [...contexts].map((context) => context.transferSyntax)
  return [...new Set(uids)].filter((uid) => transferSyntax(uid).encapsulated)
}

async function* counted<T>(source: AsyncIterable<T>, done: () => void): AsyncGenerator<T> {
  yield* source
  done()
}

/** Whether the C-GET of a whole selection brought all there is, as far as the archive tells. */
export function isComplete(end: GetEnd, received: Received): boolean {
  const kind = statusClass(end.status)
  // We did not cancel it.
  if (kind === 'failure' || kind === 'cancel' || end.malformed > 0 || received.size === 0) return false
  // It counts more than it sent, or sent something else instead.
  if ((end.completed ?? 0) > end.arrived + end.foreign || end.foreign > 0) return false
  if (end.status === Status.subOperationsWithFailures) return (end.failed ?? 1) === 0
  return (end.failed ?? 0) === 0
}
