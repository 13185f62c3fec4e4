import type { Bytes } from '../../dicom/bytes.ts'
import type { ImageDescription } from '../image-description.ts'
import type { Picture } from '../picture/picture.ts'
import type { Overlay } from './overlay.ts'
import { rawSamples } from './stored-values.ts'

const WHITE = 255

/** Draws overlays in white, over a picture that was drawn of a native frame. */
export function drawOverlays(
  picture: Picture,
  overlays: readonly Overlay[],
  frame: Bytes,
  image: ImageDescription,
): void {
  for (const overlay of overlays) {
    if (overlay.plane.kind === 'bits') drawBits(picture, overlay, overlay.plane)
    else drawSamples(picture, overlay, overlay.plane.position, rawSamples(frame, image, image.rows * image.columns))
  }
}

function drawBits(
  picture: Picture,
  { rows, columns, top, left }: Overlay,
  { bits, skip }: { readonly bits: Bytes; readonly skip: number },
): void {
  const { data, width, height, channels } = picture
  const from = Math.max(0, -left)
  const count = Math.min(columns, width - left) - from
  for (let row = Math.max(0, -top); row < Math.min(rows, height - top); row++) {
    let bit = skip + row * columns + from
    // Bits that are missing at the end count as 0.
    const end = Math.min(bit + count, bits.length * 8)
    let at = ((row + top) * width + left + from) * channels
    while (bit < end) {
      const byte = bits[bit >>> 3]!
      if (byte === 0) {
        const empty = 8 - (bit & 7)
        bit += empty
        at += empty * channels
        continue
      }
      if (((byte >> (bit & 7)) & 1) === 1) {
        for (let channel = 0; channel < channels; channel++) data[at + channel] = WHITE
      }
      bit++
      at += channels
    }
  }
}

function drawSamples(
  { data, width, height, channels }: Picture,
  { rows, columns, top, left }: Overlay,
  position: number,
  samples: ArrayLike<number>,
): void {
  for (let row = Math.max(0, -top); row < Math.min(rows, height - top); row++) {
    for (let column = Math.max(0, -left); column < Math.min(columns, width - left); column++) {
      if (((samples[row * width + column]! >>> position) & 1) === 0) continue
      const at = ((row + top) * width + column + left) * channels
      for (let channel = 0; channel < channels; channel++) data[at + channel] = WHITE
    }
  }
}
