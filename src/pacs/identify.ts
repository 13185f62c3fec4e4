import type { Identity } from '../instance/instance-index.ts'
import type { Selection } from '../instance/uids.ts'

/** Whether an instance belongs to what was selected: all the UIDs that were named are its own. */
export function belongsTo(identity: Identity, selection: Selection): boolean {
  return (
    identity.study === selection.study &&
    (selection.series === undefined || identity.series === selection.series) &&
    (selection.instance === undefined || identity.sopInstance === selection.instance)
  )
}
