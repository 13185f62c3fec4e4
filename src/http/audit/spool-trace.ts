import type { Audit } from '../../audit/audit.ts'
import type { Config } from '../../config/config.ts'
import type { SpoolSurroundings } from '../../routing/spool/spool.ts'
import { fateOf } from './fate.ts'
import { DONE, Trail } from './trail.ts'

/** What leaves the spool is told in the audit trail as of who had brought it, an event for each instance. */
export function spoolTrace(audit: Audit, dimse: Config['dimse']): SpoolSurroundings['told'] {
  return ({ kind, name, address = '' }, instance, delivery) => {
    if (audit.isOff) return
    const of = { address, verb: 'store', archive: delivery.node, resource: 'spool' } as const
    const trail = new Trail(audit, { principal: { kind, name }, ...of, study: undefined, query: '' })
    trail.note(instance, fateOf(delivery, dimse))
    trail.end(DONE)
  }
}
