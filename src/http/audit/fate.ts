import type { Config } from '../../config/config.ts'
import type { Delivery } from '../../routing/delivery.ts'
import type { AuditedArchive, Fate } from './trail.ts'

/** Us, where it is we that have an instance. */
export function ownNode({ aeTitle, host }: Config['dimse']): AuditedArchive {
  return { name: aeTitle, aeTitle, host }
}

/** Where an instance is that was sent on. What is in the spool is with us: it is told again when it has left that. */
export function fateOf({ node, isSpooled, outcome }: Delivery, dimse: Config['dimse']): Fate {
  if (outcome.kind !== 'stored') return { archive: node, refusal: 'NOT_DELIVERED' }
  return { archive: isSpooled ? ownNode(dimse) : node }
}
