import type { Uid } from '../dicom/uids.ts'

/** The UIDs that an instance is found by. */
export interface InstanceUids {
  readonly study: Uid
  readonly series: Uid
  readonly sopInstance: Uid
}

/** What to retrieve: a study, one of its series, or one instance of that (PS3.18 10.4.1). */
export interface Selection {
  readonly study: Uid
  readonly series?: Uid
  readonly instance?: Uid
}

/** Whether all that a selection names is in another. */
export function covers(outer: Selection, inner: Selection): boolean {
  return (
    outer.study === inner.study &&
    (outer.series === undefined || outer.series === inner.series) &&
    (outer.instance === undefined || outer.instance === inner.instance)
  )
}
