import { Attribute } from '../dicom/attributes.ts'
import type { Bytes } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Picture } from './draw-frame.ts'
import type { ImageDescription } from './image-description.ts'
import { rawSamples } from './stored-values.ts'

/** Graphics over a frame (PS3.3 C.9.2): a plane of single bits, where they are set. */
export interface Overlay {
  readonly rows: number
  readonly columns: number
  /** Of its first bit, in rows and columns of the image from 0; it may begin outside. */
  readonly top: number
  readonly left: number
  readonly plane:
    | {
        /** From the least bit of each byte on (PS3.5 8.1.2). */
        readonly kind: 'bits'
        readonly bits: Bytes
        /** Bits before the first one. */
        readonly skip: number
      }
    /** A bit of each sample of the image that is none of its value: retired, and there in old images. */
    | { readonly kind: 'samples'; readonly position: number }
}

const WHITE = 255
/** Groups 6000 to 601E (PS3.5 7.6). */
const GROUPS = Array.from({ length: 16 }, (_, n) => n * 0x0002_0000)

const READ: readonly Tag[] = [
  Attribute.OverlayRows,
  Attribute.OverlayColumns,
  Attribute.NumberOfFramesInOverlay,
  Attribute.OverlayType,
  Attribute.OverlayOrigin,
  Attribute.ImageFrameOrigin,
  Attribute.OverlayBitsAllocated,
  Attribute.OverlayBitPosition,
  Attribute.OverlayData,
]

/** The attributes that overlays are made of, of all groups. */
export const OVERLAYS: readonly Tag[] = GROUPS.flatMap((group) => READ.map((tag) => tag + group))

/** The overlays of a frame, counted from 1. Regions of interest are none: they say where, and are not drawn. */
export function readOverlays(header: Dataset, frame: number, image: ImageDescription): readonly Overlay[] {
  return GROUPS.flatMap((group) => readOverlay(header, group, frame, image) ?? [])
}

function readOverlay(header: Dataset, group: number, frame: number, image: ImageDescription): Overlay | undefined {
  const number = (tag: Tag): number | undefined => header.number(tag + group)
  const rows = number(Attribute.OverlayRows) ?? 0
  const columns = number(Attribute.OverlayColumns) ?? 0
  const index = indexOf(number(Attribute.ImageFrameOrigin), number(Attribute.NumberOfFramesInOverlay), frame)
  if (rows < 1 || columns < 1 || index === undefined) return undefined
  if (header.string(Attribute.OverlayType + group) === 'R') return undefined
  const [top = 1, left = 1] = header.values(Attribute.OverlayOrigin + group).map(Number)
  const place = { rows, columns, top: top - 1, left: left - 1 }
  const data = header.get(Attribute.OverlayData + group)?.value
  if (data instanceof Uint8Array && data.length > 0) {
    const first = index * rows * columns
    // A copy: the other thread would be sent all that is in its buffer.
    const bits = data.slice(Math.floor(first / 8), Math.ceil((first + rows * columns) / 8))
    return { ...place, plane: { kind: 'bits', bits, skip: first % 8 } }
  }
  const position = number(Attribute.OverlayBitPosition) ?? 0
  const { bitsAllocated, bitsStored, highBit, samplesPerPixel } = image
  const isOfValue = position <= highBit && position > highBit - bitsStored
  const isInSamples =
    samplesPerPixel === 1 && !isOfValue && position < bitsAllocated && rows === image.rows && columns === image.columns
  const isTold = number(Attribute.OverlayBitsAllocated) === bitsAllocated
  return isInSamples && isTold ? { ...place, plane: { kind: 'samples', position } } : undefined
}

/** Which plane of an overlay is over a frame; one without a count is over all of them (PS3.3 C.9.3). */
function indexOf(origin: number | undefined, count: number | undefined, frame: number): number | undefined {
  if (origin === undefined && count === undefined) return 0
  const index = frame - (origin ?? 1)
  return index >= 0 && index < (count ?? 1) ? index : undefined
}

/** Draws overlays in white, over a picture that was drawn of a native frame. */
export function drawOverlays(
  picture: Picture,
  overlays: readonly Overlay[],
  frame: Bytes,
  image: ImageDescription,
): void {
  for (const overlay of overlays) drawOverlay(picture, overlay, setIn(overlay, frame, image))
}

/** Whether the overlay is set at one of its bits, counted from the upper left row by row. */
function setIn({ plane }: Overlay, frame: Bytes, image: ImageDescription): (bit: number) => boolean {
  if (plane.kind === 'samples') {
    const samples = rawSamples(frame, image, image.rows * image.columns)
    return (bit) => ((samples[bit]! >>> plane.position) & 1) === 1
  }
  const { bits, skip } = plane
  // What is missing at the end is not set.
  return (bit) => (((bits[(bit + skip) >> 3] ?? 0) >> ((bit + skip) & 7)) & 1) === 1
}

function drawOverlay(
  { data, width, height, channels }: Picture,
  overlay: Overlay,
  isSet: (bit: number) => boolean,
): void {
  const { rows, columns, top, left } = overlay
  for (let row = Math.max(0, -top); row < Math.min(rows, height - top); row++) {
    for (let column = Math.max(0, -left); column < Math.min(columns, width - left); column++) {
      if (!isSet(row * columns + column)) continue
      const at = ((row + top) * width + column + left) * channels
      data.fill(WHITE, at, at + channels)
    }
  }
}
