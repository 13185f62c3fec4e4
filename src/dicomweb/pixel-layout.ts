import { Attribute } from '../dicom/attributes.ts'
import type { DataSetSource } from '../dicom/data-set-source.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { DatasetReader } from '../dicom/dataset-codec.ts'
import { sharesChrominance } from '../dicom/photometric-interpretation.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Vr } from '../dicom/vr.ts'
import { isPixelData } from './bulk-attributes.ts'

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
  readonly extended: readonly { readonly offset: number; readonly length: number }[] | undefined
}

const WANTED: ReadonlySet<Tag> = new Set([
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
])

/** Its frames need a table of some size; more than this is no image. */
export const MAX_FRAMES = 1_000_000

/**
 * Reads a data set up to its pixel data; undefined where it has none. The source is in Little Endian and not deflated.
 * @throws MalformedDataSetError, and what the source throws
 */
export async function readPixelLayout(source: DataSetSource): Promise<PixelLayout | undefined> {
  const reader = new DatasetReader(source.syntax, {
    until: isPixelData,
    only: WANTED,
    // A longer table is none of these frames.
    omit: ({ length }) => (length ?? 0) > 8 * MAX_FRAMES,
  })
  for await (const chunk of source.bytes()) {
    reader.push(chunk)
    if (reader.complete) break
  }
  if (!reader.complete) reader.end()
  const at = reader.stoppedAt
  if (!at) return undefined
  const { tag, vr, length } = at.header
  const { dataset } = reader
  const stated = dataset.number(Attribute.NumberOfFrames) ?? 1
  const frames = Number.isInteger(stated) && stated > 0 ? Math.min(stated, MAX_FRAMES) : 1
  return {
    tag,
    vr,
    header: dataset,
    offset: at.offset,
    length,
    frames,
    rows: whole(dataset, Attribute.Rows),
    columns: whole(dataset, Attribute.Columns),
    frameBits: frameBitsOf(dataset, tag),
    extended: length === undefined ? extendedTable(dataset, frames) : undefined,
  }
}

/** 0 where there is no whole number. */
function whole(dataset: Dataset, tag: Tag): number {
  const value = dataset.number(tag) ?? 0
  return Number.isInteger(value) ? value : 0
}

function frameBitsOf(dataset: Dataset, tag: Tag): number {
  const rows = whole(dataset, Attribute.Rows)
  const columns = whole(dataset, Attribute.Columns)
  if (tag === Attribute.FloatPixelData) return rows * columns * 32
  if (tag === Attribute.DoubleFloatPixelData) return rows * columns * 64
  const bits = dataset.number(Attribute.BitsAllocated) ?? 8
  if (sharesChrominance(dataset.string(Attribute.PhotometricInterpretation))) return rows * columns * 2 * bits
  return rows * columns * (dataset.number(Attribute.SamplesPerPixel) ?? 1) * bits
}

function extendedTable(dataset: Dataset, frames: number): PixelLayout['extended'] {
  const offsets = uint64s(dataset, Attribute.ExtendedOffsetTable, frames)
  const lengths = uint64s(dataset, Attribute.ExtendedOffsetTableLengths, frames)
  if (!offsets || !lengths) return undefined
  return offsets.map((offset, index) => ({ offset, length: lengths[index]! }))
}

function uint64s(dataset: Dataset, t: Tag, count: number): number[] | undefined {
  const value = dataset.get(t)?.value
  if (!(value instanceof Uint8Array) || value.length !== 8 * count) return undefined
  const view = new DataView(value.buffer, value.byteOffset, value.length)
  return Array.from({ length: count }, (_, index) => Number(view.getBigUint64(8 * index, true)))
}
