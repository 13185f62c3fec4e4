import { photometricInterpretationOf } from '../dicom/photometric-interpretation.ts'
import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'

/** The Image Pixel Module of an instance (PS3.3 C.7.6.3), without what only drawing needs. */
export interface ImageDescription {
  readonly rows: number
  readonly columns: number
  readonly samplesPerPixel: number
  readonly photometricInterpretation: string
  /** 1: the samples of one colour follow each other, then those of the next (PS3.3 C.7.6.3.1.3). */
  readonly planarConfiguration: 0 | 1
  readonly bitsAllocated: number
  readonly bitsStored: number
  readonly highBit: number
  readonly signed: boolean
}

/** The attributes that describeImage reads. */
export const DESCRIBING = [
  Attribute.SamplesPerPixel,
  Attribute.PhotometricInterpretation,
  Attribute.PlanarConfiguration,
  Attribute.Rows,
  Attribute.Columns,
  Attribute.BitsAllocated,
  Attribute.BitsStored,
  Attribute.HighBit,
  Attribute.PixelRepresentation,
] as const

/** An image cannot be decoded or drawn: its attributes contradict each other, or ask for what is not supported. */
export class UnusableImageError extends Error {
  readonly code = 'UNUSABLE_IMAGE'
  readonly problem: string
  constructor(problem: string) {
    super(`The image cannot be read: ${problem}`)
    this.name = 'UnusableImageError'
    this.problem = problem
  }
}

/** Bytes of a decoded frame: a larger one is refused before anything is allocated for it. */
export const MAX_FRAME_BYTES = 256 * 1024 * 1024

/** Reads a description. @throws UnusableImageError */
export function describeImage(dataset: Dataset): ImageDescription {
  const rows = positive(dataset, Attribute.Rows, 'Rows')
  const columns = positive(dataset, Attribute.Columns, 'Columns')
  const samplesPerPixel = dataset.number(Attribute.SamplesPerPixel) ?? 1
  const bitsAllocated = dataset.number(Attribute.BitsAllocated) ?? 8
  if (![1, 3, 4].includes(samplesPerPixel)) throw new UnusableImageError('Samples per Pixel is neither 1 nor 3')
  if (![1, 8, 16, 32, 64].includes(bitsAllocated))
    throw new UnusableImageError('Bits Allocated is not 1 or whole bytes')
  const stated = dataset.number(Attribute.BitsStored) ?? bitsAllocated
  const bitsStored = Number.isInteger(stated) && stated >= 1 && stated <= bitsAllocated ? stated : bitsAllocated
  const high = dataset.number(Attribute.HighBit) ?? bitsStored - 1
  const image: ImageDescription = {
    rows,
    columns,
    samplesPerPixel,
    photometricInterpretation: photometricInterpretationOf(dataset) ?? (samplesPerPixel === 1 ? 'MONOCHROME2' : 'RGB'),
    // A single sample a pixel has no planes.
    planarConfiguration: samplesPerPixel > 1 && dataset.number(Attribute.PlanarConfiguration) === 1 ? 1 : 0,
    bitsAllocated,
    bitsStored,
    highBit: Number.isInteger(high) && high >= bitsStored - 1 && high < bitsAllocated ? high : bitsStored - 1,
    signed: dataset.number(Attribute.PixelRepresentation) === 1,
  }
  if (frameBits(image) > MAX_FRAME_BYTES * 8) throw new UnusableImageError(`a frame has over ${MAX_FRAME_BYTES} bytes`)
  return image
}

function positive(dataset: Dataset, tag: number, name: string): number {
  const value = dataset.number(tag)
  if (value === undefined || value < 1 || !Number.isInteger(value)) throw new UnusableImageError(`it has no ${name}`)
  return value
}

/** Bits of one frame with all its samples, as decoders give it. */
export function frameBits({ rows, columns, samplesPerPixel, bitsAllocated }: ImageDescription): number {
  return rows * columns * samplesPerPixel * bitsAllocated
}
