import { Attribute } from '../../dicom/attributes.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Call } from '../call.ts'
import type { Selection } from '../instance.ts'
import { classesOfModality } from './modality-classes.ts'
import { returnKey, selectionKeys } from '../search/query.ts'
import type { Received } from './received.ts'
import type { RetrieveSource } from './errors.ts'

/** What has not come of a series: its instances with their classes, and those likely for one whose class is not told. */
export interface MissingOfSeries {
  readonly likely: readonly Uid[]
  readonly instances: ReadonlyMap<Uid, Uid | undefined>
}

/** Of all that the archive lists, what has not come, by series. */
export async function listMissing(
  selection: Selection,
  received: Received,
  source: Pick<RetrieveSource, 'find'>,
  call: Call,
): Promise<Map<Uid, MissingOfSeries>> {
  const keys = [returnKey(Attribute.Modality, 'CS'), ...selectionKeys(selection.study, selection.series)]
  if (selection.series === undefined) keys.push(returnKey(Attribute.SeriesInstanceUID, 'UI'))
  const modalities = new Map<Uid, string | undefined>()
  for await (const match of source.find({ level: 'SERIES', keys }, call)) {
    const uid = match.string(Attribute.SeriesInstanceUID) ?? selection.series
    if (uid !== undefined) modalities.set(uid, match.string(Attribute.Modality))
  }
  const missing = new Map<Uid, MissingOfSeries>()
  for (const [uid, modality] of modalities) {
    const named = selection.instance === undefined ? [] : [selection.instance]
    const inner = [returnKey(Attribute.SOPClassUID, 'UI'), ...selectionKeys(selection.study, uid, named)]
    if (selection.instance === undefined) inner.push(returnKey(Attribute.SOPInstanceUID, 'UI'))
    const instances = new Map<Uid, Uid | undefined>()
    for await (const match of source.find({ level: 'IMAGE', keys: inner }, call)) {
      const instance = match.string(Attribute.SOPInstanceUID)
      if (instance !== undefined && !received.has({ series: uid, sopInstance: instance }))
        instances.set(instance, match.string(Attribute.SOPClassUID))
    }
    if (instances.size > 0)
      missing.set(uid, { likely: classesOfModality(modality) ?? classesOfModality('OT')!, instances })
  }
  return missing
}
