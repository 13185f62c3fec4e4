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
  /** The frame is native, its samples as they were stored: what is no value in them may be overlay. */
  readonly inSamples: boolean
}

/** Reads bytes of an Overlay Data, from an offset to another or the end. */
export type OverlayDataReader = (tag: Tag, from: number, to: number) => Promise<Bytes>

/** Of the planes over one frame, together. */
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

/** The attributes that overlays are made of, of all groups, but for their data. */
export const OVERLAYS: readonly Tag[] = GROUPS.flatMap((group) => READ.map((tag) => tag + group))
export const OVERLAY_DATA: ReadonlySet<Tag> = new Set(GROUPS.map((group) => Attribute.OverlayData + group))

/**
 * The overlays of a frame. Not those that say where something is and would hide it: regions of interest, and the area
 * that is active.
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
    // In a buffer of their own: the other thread is sent all of it.
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
  /** The bit of its data that its plane begins with. */
  readonly first: number
}

/** An overlay that is over the frame; of its rows those that are above the lower edge of the image. */
function describeOverlay(header: Dataset, group: number, { frame, image }: OverlayRequest): FoundOverlay | undefined {
  const whole = (value: unknown): number => (Number.isInteger(value) ? (value as number) : 0)
  const number = (tag: Tag): number => whole(header.number(tag + group))
  const [rows, columns] = [number(Attribute.OverlayRows), number(Attribute.OverlayColumns)]
  const index = indexOf(number(Attribute.ImageFrameOrigin), number(Attribute.NumberOfFramesInOverlay), frame)
  const isArea =
    header.string(Attribute.OverlayType + group) === 'R' ||
    header.string(Attribute.OverlaySubtype + group) === 'ACTIVE IMAGE AREA'
  if (rows < 1 || columns < 1 || index === undefined || isArea) return undefined
  // What is no number is no place either: it begins in the first pixel, as one without an origin.
  const [top = 1, left = 1] = header
    .values(Attribute.OverlayOrigin + group)
    .map(Number)
    .map((value) => (Number.isInteger(value) ? value : 1))
  const shownRows = Math.min(rows, image.rows - (top - 1))
  if (shownRows < 1) return undefined
  return { rows: shownRows, columns, top: top - 1, left: left - 1, first: index * rows * columns }
}

/** Which plane of an overlay is over a frame (PS3.3 C.9.3); one without a count is over all of them, or the one it names. */
function indexOf(origin: number, count: number, frame: number): number | undefined {
  if (count < 1) return origin <= 1 || frame === origin ? 0 : undefined
  const index = frame - Math.max(origin, 1)
  return index >= 0 && index < count ? index : undefined
}

/** Above the values of signed samples there are their signs, which are none (PS3.3 C.11.7). */
function positionInSamples(header: Dataset, group: number, { image, inSamples }: OverlayRequest): number | undefined {
  const { bitsAllocated, bitsStored, highBit, samplesPerPixel, signed } = image
  const position = header.number(Attribute.OverlayBitPosition + group) ?? 0
  const isOfValue = position > highBit - bitsStored && (position <= highBit || signed)
  const isTold = header.number(Attribute.OverlayBitsAllocated + group) === bitsAllocated
  const isThere = inSamples && samplesPerPixel === 1 && position < bitsAllocated
  return isThere && isTold && !isOfValue ? position : undefined
}
