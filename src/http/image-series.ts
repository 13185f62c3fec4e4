import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { isNameable, type Uid } from '../dicom/uids.ts'

/** Modalities whose instances have no pixels (PS3.3 C.7.3.1.1.1). */
export const WITHOUT_IMAGES: readonly string[] = [
  ...['SR', 'KO', 'PR', 'DOC', 'REG', 'RTSTRUCT', 'RTPLAN', 'RTRECORD', 'AU', 'ECG', 'HD', 'EPS', 'PLAN', 'FID', 'RWV'],
  ...['SMR', 'STAIN', 'TEXTUREMAP', 'M3D', 'ASMT', 'RESP', 'EEG', 'EMG', 'EOG', 'POS', 'ANN'],
]

/** Whether what an archive lists has to be fetched from elsewhere (PS3.3 C.4.23.1.1); not where it does not say. */
export function isFarAway(listed: Dataset): boolean {
  return ['NEARLINE', 'OFFLINE', 'UNAVAILABLE'].includes(listed.string(Attribute.InstanceAvailability) ?? '')
}

/** Of the series that an archive lists those that have images, in the order of their numbers, as viewers show them. */
export function imageSeries(listed: readonly Dataset[]): Uid[] {
  const images = listed.filter((match) => !WITHOUT_IMAGES.includes(match.string(Attribute.Modality) ?? ''))
  return inOrder(images, Attribute.SeriesNumber, Attribute.SeriesInstanceUID)
}

/** UIDs by a number that their matches have; those without one come last, in the order of the archive. */
export function inOrder(matches: readonly Dataset[], number: number, uid: number): Uid[] {
  const at = (match: Dataset): number => match.number(number) ?? Infinity
  return matches
    .toSorted((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)))
    .flatMap((match) => match.string(uid) ?? [])
    .filter(isNameable)
}
