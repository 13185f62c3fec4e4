import { Attribute } from '../dicom/attributes.ts'
import { dictionaryVr } from '../dicom/dictionary.ts'
import type { ElementHeader } from '../dicom/element-reader.ts'
import { groupOf, type Tag } from '../dicom/tag.ts'
import { representation } from '../dicom/vr.ts'

/** Binary values above this size are given by a BulkDataURI, at or below it inline. */
export const INLINE_BYTES = 1024

const OVERLAY_DATA = 0x3000

/** Pixel data in its three forms (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25). */
export function isPixelData(t: Tag): boolean {
  return t === Attribute.PixelData || t === Attribute.FloatPixelData || t === Attribute.DoubleFloatPixelData
}

/** Whether metadata gives an element by a BulkDataURI (PS3.18 10.4.3.3.5); strings and sequences never. */
export function isBulkData({ tag: t, vr, length }: ElementHeader): boolean {
  // Items written as UN are items (PS3.5 6.2.2).
  if (representation(vr).kind !== 'binary' || (vr === 'UN' && dictionaryVr(t) === 'SQ')) return false
  if (length === undefined) return true
  return length > INLINE_BYTES || (length > 0 && isAlwaysBulk(t))
}

function isAlwaysBulk(t: Tag): boolean {
  const group = groupOf(t)
  // PS3.5 7.6: overlays are in the even groups 6000 to 601E.
  const isOverlay = group >= 0x6000 && group <= 0x601e && (t & 0xffff) === OVERLAY_DATA
  return isPixelData(t) || isOverlay || t === Attribute.WaveformData || t === Attribute.EncapsulatedDocument
}
