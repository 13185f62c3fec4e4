import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { UnusableImageError, type ImageDescription } from '../image-description.ts'
import type { Overlay } from './overlay.ts'

export interface OverlayRequest {
  /** Counted from 1. */
  readonly frame: number
  readonly image: ImageDescription
  /** The frame is native, its samples as they were stored: their unused bits may hold overlays. */
  readonly inSamples: boolean
}

/** Reads bytes of an Overlay Data, from an offset to another or the end. */
export type OverlayDataReader = (tag: Tag, from: number, to: number) => Promise<Bytes>

/** Bytes of all planes over one frame together. */
export const MAX_OVERLAY_BYTES = 64 * 1024 * 1024
/** Groups 6000 to 601E (PS3.5 7.6). */
const GROUPS = Array.from({ length: 16 }, (_, n) => n * 0x0002_0000)

const READ: readonly Tag[] = [
  Attribute.OverlayRows,
  Attribute.OverlayColumns,
  Attribute.NumberOfFramesInOverlay,
  Attribute.OverlayType,
  Attribute.OverlaySubtype,
  Attribute.OverlayOrigin,
  Attribute.ImageFrameOrigin,
  Attribute.OverlayBitsAllocated,
  Attribute.OverlayBitPosition,
]

/** The attributes of all groups that describe overlays, without Overlay Data. */
export const OVERLAYS: readonly Tag[] = GROUPS.flatMap((group) => READ.map((tag) => tag + group))

/**
 * The overlays of a frame. Left out are regions of interest and active image areas, which would hide what they mark.
 * @throws UnusableImageError, and what reading their data throws
 */
export async function readOverlays(
  header: Dataset,
  request: OverlayRequest,
  read: OverlayDataReader,
): Promise<readonly Overlay[]> {
  const overlays: Overlay[] = []
  let held = 0
  for (const group of GROUPS) {
    const found = describeOverlay(header, group, request)
    if (!found) continue
    const { first, ...place } = found
    const from = Math.floor(first / 8)
    const to = Math.ceil((first + place.rows * place.columns) / 8)
    held += to - from
    if (held > MAX_OVERLAY_BYTES) throw new UnusableImageError(`its overlays have over ${MAX_OVERLAY_BYTES} bytes`)
    // In a buffer of its own: a buffer is sent to the other thread as a whole.
    const bits = Uint8Array.from(await read(Attribute.OverlayData + group, from, to))
    if (bits.length > 0) overlays.push({ ...place, plane: { kind: 'bits', bits, skip: first % 8 } })
    else {
      const position = positionInSamples(header, group, request)
      const isWithin = place.rows <= request.image.rows && place.columns <= request.image.columns
      if (position !== undefined && isWithin) overlays.push({ ...place, plane: { kind: 'samples', position } })
    }
  }
  return overlays
}

interface FoundOverlay extends Pick<Overlay, 'rows' | 'columns' | 'top' | 'left'> {
  /** Which bit of Overlay Data the plane begins with. */
  readonly first: number
}

/** Place and data of an overlay of the frame, without rows below the image; undefined where the group has none. */
function describeOverlay(header: Dataset, group: number, { frame, image }: OverlayRequest): FoundOverlay | undefined {
  const whole = (value: unknown): number => (Number.isInteger(value) ? (value as number) : 0)
  const number = (tag: Tag): number => whole(header.number(tag + group))
  const [rows, columns] = [number(Attribute.OverlayRows), number(Attribute.OverlayColumns)]
  const index = indexOf(number(Attribute.ImageFrameOrigin), number(Attribute.NumberOfFramesInOverlay), frame)
  const isArea =
    header.string(Attribute.OverlayType + group) === 'R' ||
    header.string(Attribute.OverlaySubtype + group) === 'ACTIVE IMAGE AREA'
  if (rows < 1 || columns < 1 || index === undefined || isArea) return undefined
  // Without an origin, or with one that is no number, it begins in the first pixel.
  const [top = 1, left = 1] = header
    .values(Attribute.OverlayOrigin + group)
    .map(Number)
    .map((value) => (Number.isInteger(value) ? value : 1))
  const shownRows = Math.min(rows, image.rows - (top - 1))
  if (shownRows < 1) return undefined
  return { rows: shownRows, columns, top: top - 1, left: left - 1, first: index * rows * columns }
}

/**
 * Which plane of an overlay, from 0, belongs to a frame (PS3.3 C.9.3). An overlay without a number of frames belongs to
 * all frames, or to the one it names.
 */
function indexOf(origin: number, count: number, frame: number): number | undefined {
  if (count < 1) return origin <= 1 || frame === origin ? 0 : undefined
  const index = frame - Math.max(origin, 1)
  return index >= 0 && index < count ? index : undefined
}

/** The unused bit of the samples that holds an overlay; above the value of a signed sample there is only its sign. */
function positionInSamples(header: Dataset, group: number, { image, inSamples }: OverlayRequest): number | undefined {
  const { bitsAllocated, bitsStored, highBit, samplesPerPixel, signed } = image
  const position = header.number(Attribute.OverlayBitPosition + group) ?? 0
  const isOfValue = position > highBit - bitsStored && (position <= highBit || signed)
  const isTold = header.number(Attribute.OverlayBitsAllocated + group) === bitsAllocated
  const isThere = inSamples && samplesPerPixel === 1 && position < bitsAllocated
  return isThere && isTold && !isOfValue ? position : undefined
}
