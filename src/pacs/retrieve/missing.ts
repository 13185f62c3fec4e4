import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import type { Selection } from '../../instance/uids.ts'
import { isAskable, returnKey, selectionKeys } from '../search/query.ts'
import { foresee } from './foresee.ts'
import { classesOfModality } from './modality-classes.ts'
import type { Whereabouts } from './malformed.ts'
import type { Retrieval } from './retrieval.ts'
import { told } from './told.ts'

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
  /** The archive has answered that there is nothing of the selection, not even an empty series. */
  readonly isNothing: boolean
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
  const foreseen = await foresee(retrieval)
  let { isAll } = foreseen
  for (const { uid, modality } of foreseen.series) {
    if (!isAskable(uid)) {
      unlisted.push(uid)
      continue
    }
    const { instances, isTold } = await missingInstances(retrieval, uid)
    isAll &&= isTold
    if (instances.size === 0) continue
    series.push({ series: uid, likely: classesOfModality(modality) ?? classesOfModality('OT')!, instances })
  }
  const hasEmpty = retrieval.selection.instance === undefined && foreseen.series.length > 0
  return { series, unlisted, isNothing: isAll && series.length === 0 && !hasEmpty }
}

async function missingInstances(
  retrieval: Retrieval,
  series: Uid,
): Promise<{ readonly instances: ReadonlyMap<Uid, Uid | undefined>; readonly isTold: boolean }> {
  const { selection, received, ledger } = retrieval
  const named = selection.instance === undefined ? [] : [selection.instance]
  const keys = [returnKey(Attribute.SOPClassUID, 'UI'), ...selectionKeys(selection.study, series, named)]
  if (selection.instance === undefined) keys.push(returnKey(Attribute.SOPInstanceUID, 'UI'))
  const instances = new Map<Uid, Uid | undefined>()
  const listed = new Set<Uid>()
  let doubles = 0
  const isTold = await told(retrieval, { level: 'IMAGE', keys }, (match) => {
    const sopInstance = match.string(Attribute.SOPInstanceUID)
    if (sopInstance === undefined || !isOf(match, series, selection)) return undefined
    if (listed.has(sopInstance)) doubles++
    listed.add(sopInstance)
    ledger.lists({ series, sopInstance })
    if (received.has({ series, sopInstance })) return undefined
    const sopClass = match.string(Attribute.SOPClassUID)
    instances.set(sopInstance, sopClass !== undefined && isUid(sopClass) ? sopClass : undefined)
    return undefined
  })
  ledger.repeats(series, doubles)
  return { instances, isTold }
}

/** Some archives pass over keys: what a match itself says that it is decides. */
function isOf(match: Dataset, series: Uid, { instance }: Selection): boolean {
  if ((match.string(Attribute.SeriesInstanceUID) ?? series) !== series) return false
  return instance === undefined || match.string(Attribute.SOPInstanceUID) === instance
}

/** Whether an instance that was missing still is. What came malformed too often has been given up. */
export function isLeft({ received, malformed }: Retrieval, series: Uid, sopInstance: Uid): boolean {
  return !received.has({ series, sopInstance }) && !malformed.isGivenUp(series, sopInstance)
}

/** What can be asked for, series by series: UIDS_PER_RETRY at a time, or one where the archive cannot match lists. */
export function* batchesOf(missing: Missing, retrieval: Retrieval): Generator<Batch> {
  const { singleUidLists, habits } = retrieval.source
  const size = singleUidLists || habits.has('single-uids') ? 1 : UIDS_PER_RETRY
  for (const of of missing.series) {
    const left = [...of.instances.keys()].filter((uid) => isAskable(uid) && isLeft(retrieval, of.series, uid))
    for (let at = 0; at < left.length; at += size) yield { of, instances: left.slice(at, at + size) }
  }
}

/**
 * What was named and has not come after all; a series that cannot be listed counts for one. What came malformed was there,
 * listed or not.
 */
export function absentOf(missing: Missing, { received, malformed, ledger }: Retrieval): Whereabouts[] {
  const { absent } = ledger
  const named = new Set(absent.map(({ sopInstance }) => sopInstance))
  for (const { series, sopInstance } of malformed.instances) {
    const hasCome = series === undefined ? received.hasInstance(sopInstance) : received.has({ series, sopInstance })
    if (hasCome || named.has(sopInstance)) continue
    absent.push({ series, sopInstance })
    named.add(sopInstance)
  }
  return [...absent, ...missing.unlisted.map((series) => ({ series, sopInstance: '' }))]
}
