import { Attribute } from '../dicom/attributes.ts'
import { Dataset } from '../dicom/dataset.ts'
import type { ElementHeader } from '../dicom/element-reader.ts'
import { photometricInterpretationOf, sharesChrominance } from '../dicom/photometric-interpretation.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Vr } from '../dicom/vr.ts'
import { MAX_FRAMES, type ExtendedOffsets } from './frame-table.ts'

/** Where the pixel data of an instance is, and how it is cut into frames. */
export interface PixelLayout {
  readonly tag: Tag
  readonly vr: Vr
  /** The attributes that describe the samples (PS3.3 C.7.6.3). */
  readonly header: Dataset
  /** Of its value in the data set; of its first item where it is encapsulated. */
  readonly offset: number
  /** Undefined: encapsulated (PS3.5 A.4). */
  readonly length: number | undefined
  /** At least 1. */
  readonly frames: number
  /** 0 where it does not say. */
  readonly rows: number
  readonly columns: number
  /** Of one frame of native pixel data: 1 bit a pixel makes frames that begin within a byte (PS3.5 8.1.1). */
  readonly frameBits: number
  /** Extended Offset Table, where there is one for each frame (PS3.3 C.7.6.3.1.8). */
  readonly extended: ExtendedOffsets | undefined
}

/** The attributes that a layout is made of. */
export const LAYOUT: readonly Tag[] = [
  Attribute.SamplesPerPixel,
  Attribute.PhotometricInterpretation,
  Attribute.PlanarConfiguration,
  Attribute.NumberOfFrames,
  Attribute.Rows,
  Attribute.Columns,
  Attribute.BitsAllocated,
  Attribute.BitsStored,
  Attribute.HighBit,
  Attribute.PixelRepresentation,
  Attribute.ExtendedOffsetTable,
  Attribute.ExtendedOffsetTableLengths,
]

/** The layout by the attributes in front of an element of pixel data, whose value or first item is at an offset. */
export function pixelLayout(told: Dataset, { tag, vr, length }: ElementHeader, offset: number): PixelLayout {
  const frames = frameCount(told)
  const attributes = asLong(told, tag, length, frames)
  return {
    tag,
    vr,
    header: attributes,
    offset,
    length,
    frames,
    rows: whole(attributes, Attribute.Rows),
    columns: whole(attributes, Attribute.Columns),
    frameBits: frameBitsOf(attributes, tag),
    extended: length === undefined ? extendedOffsets(attributes, frames) : undefined,
  }
}

/**
 * The attributes as the length has it: some writers say that pixels share their chrominance, and write all the samples.
 */
function asLong(told: Dataset, tag: Tag, length: number | undefined, frames: number): Dataset {
  if (length === undefined || !sharesChrominance(photometricInterpretationOf(told))) return told
  const whole = new Dataset()
  for (const [t, element] of told.entries()) whole.put(t, element)
  whole.set(Attribute.PhotometricInterpretation, 'YBR_FULL')
  const bytes = Math.ceil((frameBitsOf(whole, tag) * frames) / 8)
  // Of even length (PS3.5 7.1.1).
  return length === bytes || length === bytes + (bytes & 1) ? whole : told
}

/** From 1 to MAX_FRAMES: 1 where it is not told (PS3.3 C.7.6.6), or by no number of frames. */
export function frameCount(attributes: Dataset): number {
  const stated = attributes.number(Attribute.NumberOfFrames) ?? 1
  return Number.isInteger(stated) && stated > 0 ? Math.min(stated, MAX_FRAMES) : 1
}

/** 0 where there is no whole number. */
function whole(attributes: Dataset, tag: Tag): number {
  const value = attributes.number(tag) ?? 0
  return Number.isInteger(value) ? value : 0
}

function frameBitsOf(attributes: Dataset, tag: Tag): number {
  const rows = whole(attributes, Attribute.Rows)
  const columns = whole(attributes, Attribute.Columns)
  if (tag === Attribute.FloatPixelData) return rows * columns * 32
  if (tag === Attribute.DoubleFloatPixelData) return rows * columns * 64
  const bits = attributes.number(Attribute.BitsAllocated) ?? 8
  if (sharesChrominance(photometricInterpretationOf(attributes))) return rows * columns * 2 * bits
  return rows * columns * (attributes.number(Attribute.SamplesPerPixel) ?? 1) * bits
}

function extendedOffsets(attributes: Dataset, frames: number): ExtendedOffsets | undefined {
  const offsets = uint64s(attributes, Attribute.ExtendedOffsetTable, frames)
  const lengths = uint64s(attributes, Attribute.ExtendedOffsetTableLengths, frames)
  if (!offsets || !lengths) return undefined
  return { offsets, lengths }
}

/** No place in a data set needs more than the 53 bits of a number. */
function uint64s(attributes: Dataset, t: Tag, count: number): Float64Array | undefined {
  const value = attributes.get(t)?.value
  if (!(value instanceof Uint8Array) || value.length !== 8 * count) return undefined
  const view = new DataView(value.buffer, value.byteOffset, value.length)
  const numbers = new Float64Array(count)
  for (let n = 0; n < count; n++) numbers[n] = view.getUint32(8 * n, true) + view.getUint32(8 * n + 4, true) * 2 ** 32
  return numbers
}
