import type { ArchiveConfig } from '../config/config.ts'
import { SopClass } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import type { TlsOptions } from '../network/transport.ts'
import { contextOf, departmentProposal } from './contexts.ts'
import { onFresh } from './pool/on-fresh.ts'
import { AssociationPool } from './pool/pool.ts'
import { requestOptions } from './request-options.ts'

/** A system beside an archive, for one of its services. */
export interface System extends NonNullable<ArchiveConfig['worklist']> {
  readonly service: string
}

/** Associations to a system beside an archive. */
export interface Beside {
  /** Of the archive and the service, for metrics and logs. */
  readonly name: string
  readonly pool: AssociationPool
}

/** The configuration of an archive as that of a system beside it: who we are at the archive is not told to another. */
export function besideConfig(config: ArchiveConfig, { aeTitle, host, port }: Omit<System, 'service'>): ArchiveConfig {
  return { ...config, aeTitle, host, port, identity: null }
}

/** A pool of its own; like that of the archive it finds out, and says, where the system is down. */
export function openBeside(config: ArchiveConfig, system: System, tls: () => TlsOptions | undefined): Beside {
  const name = `${config.name}/${system.service}`
  const { connect, associate, response: timeout } = config.timeouts
  const trial = async (stop: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(connect + associate)])
    const call = { signal, deadline: performance.now() + connect }
    const proposal = departmentProposal([])
    await onFresh(
      () => pool.lease(proposal, call, { fresh: true, anyway: true }),
      async ({ association }) => {
        const context = contextOf(association, SopClass.verification, name, 'C-ECHO')
        await new Scu(association).echo(context, { timeout, signal })
      },
    )
  }
  const pool: AssociationPool = new AssociationPool({
    archive: name,
    maxAssociations: config.maxAssociations,
    timeouts: config.timeouts,
    request: {
      ...requestOptions(besideConfig(config, system), undefined),
      // As it is when an association is opened.
      get tls() {
        return tls()
      },
    },
    trial,
  })
  return { name, pool }
}
