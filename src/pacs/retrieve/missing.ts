import { Attribute } from '../../dicom/attributes.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { isAskable, returnKey, selectionKeys } from '../search/query.ts'
import { classesOfModality } from './modality-classes.ts'
import type { Retrieval } from './retrieval.ts'

/** UIDs in one identifier: some archives bound its length, and a miss costs a whole try. */
export const UIDS_PER_RETRY = 100

/** What has not come of a series: its instances with their classes, and those likely for one whose class is not told. */
export interface MissingOfSeries {
  readonly series: Uid
  readonly likely: readonly Uid[]
  /** Each with its class, where that is told. */
  readonly instances: ReadonlyMap<Uid, Uid | undefined>
}

/** Of all that the archive lists, what has not come. */
export interface Missing {
  readonly series: readonly MissingOfSeries[]
  /** Series that cannot be asked for, by their UIDs: nobody knows whether all of them has come. */
  readonly unlisted: readonly Uid[]
}

/** What of one series is asked for together. */
export interface Batch {
  readonly of: MissingOfSeries
  readonly instances: readonly Uid[]
}

export async function listMissing(retrieval: Retrieval): Promise<Missing> {
  const series: MissingOfSeries[] = []
  const unlisted: Uid[] = []
  for (const [uid, modality] of await modalitiesOfSeries(retrieval)) {
    if (!isAskable(uid)) {
      unlisted.push(uid)
      continue
    }
    const instances = await missingInstances(retrieval, uid)
    if (instances.size === 0) continue
    series.push({ series: uid, likely: classesOfModality(modality) ?? classesOfModality('OT')!, instances })
  }
  return { series, unlisted }
}

async function modalitiesOfSeries({ selection, source, call }: Retrieval): Promise<Map<Uid, string | undefined>> {
  const keys = [returnKey(Attribute.Modality, 'CS'), ...selectionKeys(selection.study, selection.series)]
  if (selection.series === undefined) keys.push(returnKey(Attribute.SeriesInstanceUID, 'UI'))
  const modalities = new Map<Uid, string | undefined>()
  for await (const match of source.find({ level: 'SERIES', keys }, call)) {
    const uid = match.string(Attribute.SeriesInstanceUID) ?? selection.series
    if (uid !== undefined) modalities.set(uid, match.string(Attribute.Modality))
  }
  return modalities
}

async function missingInstances(
  { selection, source, received, call }: Retrieval,
  series: Uid,
): Promise<Map<Uid, Uid | undefined>> {
  const named = selection.instance === undefined ? [] : [selection.instance]
  const keys = [returnKey(Attribute.SOPClassUID, 'UI'), ...selectionKeys(selection.study, series, named)]
  if (selection.instance === undefined) keys.push(returnKey(Attribute.SOPInstanceUID, 'UI'))
  const instances = new Map<Uid, Uid | undefined>()
  for await (const match of source.find({ level: 'IMAGE', keys }, call)) {
    const sopInstance = match.string(Attribute.SOPInstanceUID)
    if (sopInstance === undefined || received.has({ series, sopInstance })) continue
    const sopClass = match.string(Attribute.SOPClassUID)
    instances.set(sopInstance, sopClass !== undefined && isUid(sopClass) ? sopClass : undefined)
  }
  return instances
}

/** Whether an instance that was missing still is. What came malformed too often has been given up. */
export function isLeft({ received, malformed }: Retrieval, series: Uid, sopInstance: Uid): boolean {
  return !received.has({ series, sopInstance }) && !malformed.isGivenUp(sopInstance)
}

/** What can be asked for, series by series: UIDS_PER_RETRY at a time, or one where the archive cannot match lists. */
export function* batchesOf(missing: Missing, retrieval: Retrieval): Generator<Batch> {
  const size = retrieval.source.singleUidLists ? 1 : UIDS_PER_RETRY
  for (const of of missing.series) {
    const left = [...of.instances.keys()].filter((uid) => isAskable(uid) && isLeft(retrieval, of.series, uid))
    for (let at = 0; at < left.length; at += size) yield { of, instances: left.slice(at, at + size) }
  }
}

/**
 * What has not come after all, by SOP Instance UID; a series that cannot be listed counts for one. What came malformed
 * was there, listed or not.
 */
export function absentOf(missing: Missing, { received, malformed }: Retrieval): Uid[] {
  const listed = missing.series.flatMap(({ series, instances }) =>
    [...instances.keys()].filter((sopInstance) => !received.has({ series, sopInstance })),
  )
  const known = new Set(listed)
  const unread = malformed.instances.filter((uid) => !received.hasInstance(uid) && !known.has(uid))
  return [...listed, ...unread, ...missing.unlisted]
}
