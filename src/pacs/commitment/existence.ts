import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import { Status } from '../../dimse/status.ts'
import type { Call } from '../call.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import { returnKey, selectionKeys, type Query } from '../search/query.ts'
import { CLASS_INSTANCE_CONFLICT } from './report.ts'
import type { CommitmentResult, FailedReference, Reference } from './transactions.ts'

/** UIDs in one identifier: some archives bound its length. */
export const UIDS_PER_QUERY = 100

/** Series that are looked at for one request: each is a C-FIND. */
export const MAX_SERIES = 200

/** The instances of a request are of more series than are looked at. */
export class TooManySeriesError extends Error {
  readonly code = 'TOO_MANY_REFERENCES'
  constructor() {
    super(
      `The archive has no storage commitment, and is asked about up to ${MAX_SERIES} series at once: make several requests`,
    )
    this.name = 'TooManySeriesError'
  }
}

/** What is asked whether it has instances. */
export interface Searched {
  readonly archive: string
  /** It finds instances though their study and series are not told (PS3.4 C.4.1.3.2.2). */
  readonly relational: boolean
  readonly find: (query: Query, call: Call) => AsyncIterable<Dataset>
}

/**
 * Whether an archive that has no storage commitment lists the instances, with their classes: it says nothing of how safe
 * they are.
 * @throws TooManySeriesError; NotSupportedByArchiveError where it finds instances by their study and series alone, and those are not told; what
 *   `find` throws
 */
export async function existing(
  references: readonly Reference[],
  { archive, relational, find }: Searched,
  call: Call,
): Promise<CommitmentResult> {
  const isPlaced = ({ study, series }: Reference): boolean => study !== undefined && series !== undefined
  if (!relational && !references.every(isPlaced)) {
    throw new NotSupportedByArchiveError(
      archive,
      'storage commitment, and finds instances by their study and series only: name them by Referenced Study Sequence',
    )
  }
  const wanted = new Set(references.map(({ sopInstance }) => sopInstance))
  const found = new Map<Uid, Uid | undefined>()
  const groups = groupsOf(references)
  if (groups.size > MAX_SERIES) throw new TooManySeriesError()
  for (const [first, uids] of groups.values()) {
    for (let at = 0; at < uids.length; at += UIDS_PER_QUERY) {
      const named = uids.slice(at, at + UIDS_PER_QUERY)
      const keys = [returnKey(Attribute.SOPClassUID, 'UI'), ...selectionKeys(first.study, first.series, named)]
      for await (const match of find({ level: 'IMAGE', keys }, { ...call, priority: 'bulk' })) {
        const uid = match.string(Attribute.SOPInstanceUID)
        if (uid === undefined || !wanted.has(uid) || !isOf(match, first)) continue
        const sopClass = match.string(Attribute.SOPClassUID)
        // Some archives do not tell it. Listed with two it is of neither.
        const before = found.get(uid)
        found.set(
          uid,
          before !== undefined && sopClass !== undefined && before !== sopClass ? 'two' : (sopClass ?? before),
        )
      }
    }
  }
  const committed: Reference[] = []
  const failed: FailedReference[] = []
  for (const reference of references) {
    const { sopClass, sopInstance } = reference
    if (!found.has(sopInstance)) failed.push({ ...reference, reason: Status.noSuchSopInstance })
    else if ((found.get(sopInstance) ?? sopClass) !== sopClass)
      failed.push({ ...reference, reason: CLASS_INSTANCE_CONFLICT })
    else committed.push(reference)
  }
  return { committed, failed }
}

/** UIDs by their series; the first of each says which that is. */
function groupsOf(references: readonly Reference[]): ReadonlyMap<string, readonly [Reference, Uid[]]> {
  const groups = new Map<string, [Reference, Uid[]]>()
  for (const one of references) {
    const key = `${one.study ?? ''} ${one.series ?? ''}`
    const group = groups.get(key)
    if (group) group[1].push(one.sopInstance)
    else groups.set(key, [one, [one.sopInstance]])
  }
  return groups
}

/** Some archives pass over keys: what a match itself says that it is decides. */
function isOf(match: Dataset, { study, series }: Reference): boolean {
  const isAs = (tag: number, uid: Uid | undefined): boolean => uid === undefined || (match.string(tag) ?? uid) === uid
  return isAs(Attribute.StudyInstanceUID, study) && isAs(Attribute.SeriesInstanceUID, series)
}
