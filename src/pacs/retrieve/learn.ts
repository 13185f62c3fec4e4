import { Attribute } from '../../dicom/attributes.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { isAskable, returnKey, selectionKeys, type Key, type Query } from '../search/query.ts'
import { NoSuchInstanceError } from './errors.ts'
import { classesOfModality } from './modality-classes.ts'
import type { Retrieval } from './retrieval.ts'

/** Of an instance whose class the archive does not tell, or tells by what is no UID: any context may fit. */
const UNTOLD = ''

/**
 * The SOP classes of a selection, as far as a small query tells: of an instance its own; of series those that their
 * modalities are made of, or where a modality says too little, the class of one of its instances.
 * @throws NoSuchInstanceError
 */
export async function learnClasses(retrieval: Retrieval): Promise<Uid[]> {
  const { study, series, instance } = retrieval.selection
  if (instance !== undefined) {
    const sopClass = await classOf(retrieval, selectionKeys(study, series, [instance]))
    if (sopClass === undefined) throw new NoSuchInstanceError()
    return sopClass === UNTOLD ? [] : [sopClass]
  }
  const classes = new Set<Uid>()
  for (const [modality, uid] of await seriesByModality(retrieval)) {
    const likely = classesOfModality(modality)
    if (likely) for (const sopClass of likely) classes.add(sopClass)
    else if (isAskable(uid)) {
      const keys = [...selectionKeys(study, uid), returnKey(Attribute.SOPInstanceUID, 'UI')]
      const sopClass = await classOf(retrieval, keys)
      if (sopClass !== undefined && sopClass !== UNTOLD) classes.add(sopClass)
    }
  }
  return [...classes]
}

/** A series of each modality. @throws NoSuchInstanceError where there is none */
async function seriesByModality({ selection, source, call }: Retrieval): Promise<Map<string, Uid>> {
  const { study, series } = selection
  const found = new Map<string, Uid>()
  const keys = [returnKey(Attribute.Modality, 'CS'), ...selectionKeys(study, series)]
  if (series === undefined) keys.push(returnKey(Attribute.SeriesInstanceUID, 'UI'))
  for await (const match of source.find({ level: 'SERIES', keys }, call)) {
    found.set(match.string(Attribute.Modality) ?? '', match.string(Attribute.SeriesInstanceUID) ?? series ?? '')
  }
  if (found.size === 0) throw new NoSuchInstanceError()
  return found
}

/** The SOP class of the first instance that matches; the query is ended behind it. */
async function classOf({ source, call }: Retrieval, keys: readonly Key[]): Promise<Uid | undefined> {
  const query: Query = { level: 'IMAGE', keys: [returnKey(Attribute.SOPClassUID, 'UI'), ...keys] }
  for await (const match of source.find(query, call)) {
    const told = match.string(Attribute.SOPClassUID)
    return told !== undefined && isUid(told) ? told : UNTOLD
  }
  return undefined
}
