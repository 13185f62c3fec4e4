import type { ArchiveConfig } from '../config/config.ts'
import type { TlsOptions } from '../network/transport.ts'
import { departmentProposal } from './contexts.ts'
import { AssociationPool } from './pool/pool.ts'
import { requestOptions } from './request-options.ts'
import { trial } from './trial.ts'

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
    trial: (signal) => trial(pool, departmentProposal([]), { name, timeouts: config.timeouts }, signal),
  })
  return { name, pool }
}
