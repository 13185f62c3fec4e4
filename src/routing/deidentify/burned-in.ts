import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { STORAGE_ROOT } from '../../dicom/uids.ts'

/** Classes of images that a detector makes, on which machines do not write: as suffixes of STORAGE_ROOT. */
const PLAIN: readonly string[] = [
  ...['1', '1.1', '1.1.1', '1.2', '1.2.1', '1.3', '1.3.1', '13.1.3', '2', '2.1', '4', '4.1', '4.3', '20', '128', '130'],
  ...['30', '66', '66.4', '481.1', '481.2', '481.3', '481.5', '481.8'],
]

/** Whether a person may be named in the pixels of an image, or in the text of a document: nothing looks at them. */
export type PixelRisk = 'none' | 'unknown' | 'burned-in' | 'document'

/**
 * What a data set says of its pixels (PS3.3 C.7.6.1.1.3), and where it says nothing, what its class makes likely.
 * Documents and reports hold text that nobody can clean here.
 */
export function pixelRisk(dataset: Dataset, hasPixels: boolean): PixelRisk {
  const suffix = (dataset.string(Attribute.SOPClassUID) ?? '').replace(STORAGE_ROOT, '')
  if (dataset.has(Attribute.EncapsulatedDocument) || /^(88|104)\./.test(suffix)) return 'document'
  if (!hasPixels && !dataset.has(PIXEL_DATA_PROVIDER_URL)) return 'none'
  const told = dataset.string(Attribute.BurnedInAnnotation)?.toUpperCase()
  if (told === 'YES') return 'burned-in'
  const isScreen = dataset.strings(Attribute.ImageType).some((value) => /SCREEN/i.test(value))
  if (isScreen || hasEmbeddedOverlay(dataset)) return 'burned-in'
  return told === 'NO' || PLAIN.includes(suffix) ? 'none' : 'unknown'
}

/** Overlays whose bits are among those of the pixel data (PS3.3 C.9.2, retired): they stay when their attributes go. */
function hasEmbeddedOverlay(dataset: Dataset): boolean {
  for (let group = 0x6000; group <= 0x601e; group += 2) {
    const tag = (element: number): number => group * 0x10000 + element
    const isThere = dataset.has(tag(OVERLAY_ROWS))
    if ((dataset.number(tag(OVERLAY_BIT_POSITION)) ?? 0) > 0 || (isThere && !dataset.has(tag(OVERLAY_DATA))))
      return true
  }
  return false
}

const PIXEL_DATA_PROVIDER_URL = 0x00287fe0
const OVERLAY_ROWS = 0x0010
const OVERLAY_BIT_POSITION = 0x0102
const OVERLAY_DATA = 0x3000
