import { Attribute } from '../../dicom/attributes.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { isAskable, returnKey, selectionKeys, type Key, type Query } from '../search/query.ts'
import { NoSuchInstanceError } from './errors.ts'
import { foresee } from './foresee.ts'
import { classesOfModality } from './modality-classes.ts'
import type { Retrieval } from './retrieval.ts'
import { told } from './told.ts'

/** Of an instance whose class the archive does not tell, or tells by what is no UID: any context may fit. */
const UNTOLD = ''

/** The SOP class of the selected instance; none where it is not told. @throws NoSuchInstanceError */
export async function classOfInstance(retrieval: Retrieval): Promise<Uid[]> {
  const { study, series, instance } = retrieval.selection
  const sopClass = await classOf(retrieval, selectionKeys(study, series, [instance!]))
  if (sopClass === undefined) throw new NoSuchInstanceError()
  return sopClass === UNTOLD ? [] : [sopClass]
}

/**
 * The SOP classes of the selected series, as far as small queries tell: those that their modalities are made of, or where a
 * modality says too little, the class of one of its instances.
 * @throws NoSuchInstanceError
 */
export async function classesOfSeries(retrieval: Retrieval): Promise<Uid[]> {
  const { study } = retrieval.selection
  const { series, isAll } = await foresee(retrieval, true)
  if (series.length === 0 && isAll) throw new NoSuchInstanceError()
  // A series of each modality.
  const byModality = new Map(series.map(({ uid, modality }) => [modality ?? '', uid]))
  const classes = new Set<Uid>()
  for (const [modality, uid] of byModality) {
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

/** The SOP class of the first instance that matches; the query is ended behind it. Undefined where there is none. */
async function classOf(retrieval: Retrieval, keys: readonly Key[]): Promise<Uid | undefined> {
  const query: Query = { level: 'IMAGE', keys: [returnKey(Attribute.SOPClassUID, 'UI'), ...keys] }
  let found: Uid | undefined
  const isTold = await told(
    retrieval,
    query,
    (match) => {
      const sopClass = match.string(Attribute.SOPClassUID)
      found = sopClass !== undefined && isUid(sopClass) ? sopClass : UNTOLD
      return false
    },
    true,
  )
  return found ?? (isTold ? undefined : UNTOLD)
}
