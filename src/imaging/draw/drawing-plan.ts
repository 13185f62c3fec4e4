import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { describeImage, DESCRIBING, UnusableImageError, type ImageDescription } from '../image-description.ts'
import { readDescriptor, readEntries, type Lut } from './lut.ts'
import type { Modality } from './modality.ts'
import type { Overlay } from './overlay.ts'
import { PALETTE, readPalette, type Palette } from './palette.ts'
import { OVERLAYS } from './read-overlays.ts'
import type { Voi, WindowFunction } from './voi.ts'

/** Pixels of a picture: one of single bits would have 8 times as many bytes as its frame. */
export const MAX_DRAWN_PIXELS = 128 * 1024 * 1024

/** How a frame is drawn: all values that drawFrame needs, in a form that can be sent to another thread. */
export interface DrawingPlan {
  readonly image: ImageDescription
  /** Samples are floating-point numbers of so many bits (PS3.3 C.7.6.24). */
  readonly float: 32 | 64 | undefined
  readonly modality: Modality
  readonly voi: Voi
  /** The least value is white. */
  readonly inverse: boolean
  /** Stored values outside of the picture. */
  readonly padding: { readonly from: number; readonly to: number } | undefined
  readonly palette: Palette | undefined
  readonly overlays: readonly Overlay[]
}

/** The attributes that planDrawing reads. */
export const DRAWING_ATTRIBUTES: ReadonlySet<number> = new Set([
  ...DESCRIBING,
  ...PALETTE,
  ...OVERLAYS,
  Attribute.NumberOfFrames,
  Attribute.PixelPaddingValue,
  Attribute.PixelPaddingRangeLimit,
  Attribute.WindowCenter,
  Attribute.WindowWidth,
  Attribute.VOILUTFunction,
  Attribute.RescaleIntercept,
  Attribute.RescaleSlope,
  Attribute.ModalityLUTSequence,
  Attribute.VOILUTSequence,
  Attribute.PresentationLUTShape,
  Attribute.SharedFunctionalGroupsSequence,
  Attribute.PerFrameFunctionalGroupsSequence,
])

/**
 * Plans how a frame, counted from 1, is drawn, from the header of its instance. The frame's own functional groups go
 * before the shared ones, and those before the attributes of the instance. Overlays are read apart, by readOverlays:
 * their data is not in the header.
 * @throws UnusableImageError
 */
export function planDrawing(header: Dataset, frame: number, float: 32 | 64 | undefined): DrawingPlan {
  const image = describeImage(header)
  const groups = [
    header.items(Attribute.PerFrameFunctionalGroupsSequence)[frame - 1],
    header.items(Attribute.SharedFunctionalGroupsSequence)[0],
  ].filter((group) => group !== undefined)
  const inGroups = (tag: number): Dataset =>
    groups.map((group) => group.items(tag)[0]).find((item) => item !== undefined) ?? header
  const transformation = inGroups(Attribute.PixelValueTransformationSequence)
  if (image.rows * image.columns > MAX_DRAWN_PIXELS) {
    throw new UnusableImageError(`a picture has at most ${MAX_DRAWN_PIXELS} pixels`)
  }
  const modality = readModality(transformation, image)
  const interpretation = image.photometricInterpretation
  return {
    image,
    float,
    modality,
    voi: readVoi(inGroups(Attribute.FrameVOILUTSequence), mayBeNegative(modality, image)),
    inverse:
      interpretation === 'MONOCHROME1' ||
      (interpretation === 'MONOCHROME2' && header.string(Attribute.PresentationLUTShape) === 'INVERSE'),
    padding: readPadding(header, image),
    palette: interpretation === 'PALETTE COLOR' ? paletteOf(header, image) : undefined,
    overlays: [],
  }
}

/** Palettes by the header they were read from: its frames are drawn one by one. */
const palettes = new WeakMap<Dataset, Palette>()

function paletteOf(header: Dataset, { signed }: ImageDescription): Palette {
  const palette = palettes.get(header) ?? readPalette(header, signed)
  if (!palette) throw new UnusableImageError('it has no palette')
  palettes.set(header, palette)
  return palette
}

function readModality(source: Dataset, { signed }: ImageDescription): Modality {
  const lut = readLut(source.items(Attribute.ModalityLUTSequence)[0], signed)
  if (lut) return { kind: 'lut', lut }
  const slope = source.number(Attribute.RescaleSlope) ?? 1
  return {
    kind: 'rescale',
    slope: slope === 0 ? 1 : slope,
    intercept: source.number(Attribute.RescaleIntercept) ?? 0,
  }
}

/** Whether values behind the modality transformation are signed, as a VOI LUT has to know (PS3.3 C.11.2.1.1). */
function mayBeNegative(modality: Modality, { signed }: ImageDescription): boolean {
  return signed || (modality.kind === 'rescale' && (modality.intercept < 0 || modality.slope < 0))
}

function readVoi(source: Dataset, signed: boolean): Voi {
  const center = source.number(Attribute.WindowCenter)
  const width = source.number(Attribute.WindowWidth)
  const kind = functionOf(source.string(Attribute.VOILUTFunction))
  if (center !== undefined && width !== undefined && (width >= 1 || (width > 0 && kind !== 'linear'))) {
    return { kind: 'window', center, width, function: kind }
  }
  const lut = readLut(source.items(Attribute.VOILUTSequence)[0], signed)
  return lut ? { kind: 'lut', lut } : { kind: 'range' }
}

function functionOf(name: string | undefined): WindowFunction {
  if (name === 'LINEAR_EXACT') return 'linear-exact'
  return name === 'SIGMOID' ? 'sigmoid' : 'linear'
}

function readLut(item: Dataset | undefined, signed: boolean): Lut | undefined {
  const descriptor = item && readDescriptor(item, Attribute.LUTDescriptor, signed)
  return item && descriptor ? readEntries(item, Attribute.LUTData, descriptor) : undefined
}

function readPadding(header: Dataset, { signed, bitsAllocated }: ImageDescription): DrawingPlan['padding'] {
  const value = header.number(Attribute.PixelPaddingValue)
  if (value === undefined) return undefined
  const limit = header.number(Attribute.PixelPaddingRangeLimit) ?? value
  // Some write it in the VR of the other sign.
  const [a, b] = [value, limit].map((one) => (signed && bitsAllocated === 16 ? (one << 16) >> 16 : one))
  return { from: Math.min(a!, b!), to: Math.max(a!, b!) }
}
