import { Attribute } from '../../dicom/attributes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { returnKey, selectionKeys } from '../search/query.ts'
import type { Retrieval, RetrieveSource } from './retrieval.ts'
import { told } from './told.ts'

/** What is asked about, and of whom. */
export type Foreseeing = Pick<Retrieval, 'selection' | 'ledger' | 'call'> & {
  readonly source: Pick<RetrieveSource, 'find'>
}

/** A series as the archive lists it. */
export interface ForeseenSeries {
  readonly uid: Uid
  readonly modality: string | undefined
  /** Undefined where that is not told. */
  readonly instances: number | undefined
}

/**
 * The series of a selection by a small query, which tells how many instances they have too. `isAll`: it was answered.
 * `isNeeded` as in `told`.
 */
export async function foresee(
  retrieval: Foreseeing,
  isNeeded = false,
): Promise<{ readonly series: readonly ForeseenSeries[]; readonly isAll: boolean }> {
  const { selection, ledger } = retrieval
  const keys = [
    returnKey(Attribute.Modality, 'CS'),
    returnKey(Attribute.NumberOfSeriesRelatedInstances, 'IS'),
    ...selectionKeys(selection.study, selection.series),
  ]
  if (selection.series === undefined) keys.push(returnKey(Attribute.SeriesInstanceUID, 'UI'))
  const found = new Map<Uid, ForeseenSeries>()
  const isAll = await told(
    retrieval,
    { level: 'SERIES', keys },
    (match) => {
      const uid = match.string(Attribute.SeriesInstanceUID) ?? selection.series
      // Some archives pass over keys.
      if (uid === undefined || (selection.series !== undefined && uid !== selection.series)) return undefined
      const instances = match.number(Attribute.NumberOfSeriesRelatedInstances)
      found.set(uid, { uid, modality: match.string(Attribute.Modality), instances })
      if (selection.instance === undefined) ledger.seriesHas(uid, instances)
      return undefined
    },
    isNeeded,
  )
  if (!isAll) ledger.leavesSeriesOut()
  return { series: [...found.values()], isAll }
}

/** Asks how many instances the study has, where that is what is wanted; undefined where it is not told. */
export async function numberStudy(retrieval: Foreseeing): Promise<number | undefined> {
  const { selection, ledger } = retrieval
  if (selection.series !== undefined) return undefined
  let number: number | undefined
  const keys = [returnKey(Attribute.NumberOfStudyRelatedInstances, 'IS'), ...selectionKeys(selection.study, undefined)]
  await told(retrieval, { level: 'STUDY', keys }, (match) => {
    const instances = match.number(Attribute.NumberOfStudyRelatedInstances)
    if (instances !== undefined) ledger.allAre(instances)
    number = instances
    return undefined
  })
  return number
}
