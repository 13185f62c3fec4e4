import type { Bytes } from '../../dicom/bytes.ts'
import type { DrawingPlan } from './drawing-plan.ts'
import { UnusableImageError, type ImageDescription } from '../image-description.ts'
import { lookUp, type Lut } from './lut.ts'
import { rawSamples, storedValue } from './stored-values.ts'

/** Red, green and blue of each pixel. */
export function drawColour(frame: Bytes, { image, palette }: DrawingPlan): Bytes {
  if (palette) return drawPalette(frame, image, [palette.red, palette.green, palette.blue])
  const { photometricInterpretation: interpretation } = image
  const pixels = image.rows * image.columns
  switch (interpretation) {
    case 'RGB':
    case 'YBR_ICT':
    case 'YBR_RCT':
      return interleaved(frame, image, pixels)
    case 'YBR_FULL':
      return toRgb(interleaved(frame, image, pixels), FULL)
    case 'YBR_FULL_422':
      return toRgb(fullSize(frame, image, pixels), FULL)
    case 'YBR_PARTIAL_422':
      return toRgb(fullSize(frame, image, pixels), PARTIAL)
    default:
      throw new UnusableImageError('there is no way to draw its photometric interpretation')
  }
}

function drawPalette(frame: Bytes, image: ImageDescription, tables: readonly [Lut, Lut, Lut]): Bytes {
  const pixels = image.rows * image.columns
  const samples = rawSamples(frame, image, pixels)
  const stored = storedValue(image)
  // Some write 8 bits into entries of 16, or say 8 and write 16.
  const isInBytes = tables.every(({ entries }) => entries.every((entry) => entry < 256))
  const shown = tables.map((lut) => ({
    ...lut,
    entries: toBytes(lut, isInBytes ? 8 : lut.bits > 8 ? lut.bits : 16),
  })) as [Lut, Lut, Lut]
  const out = Buffer.allocUnsafe(3 * pixels)
  for (let n = 0; n < pixels; n++) {
    const index = stored(samples[n]!)
    out[3 * n] = lookUp(shown[0], index)
    out[3 * n + 1] = lookUp(shown[1], index)
    out[3 * n + 2] = lookUp(shown[2], index)
  }
  return out
}

/** The highest eight bits of each entry; entries may have more bits than their table says. */
function toBytes({ entries }: Lut, bits: number): Uint16Array {
  const shift = Math.max(bits - 8, 0)
  return entries.map((entry) => Math.min(entry >> shift, 255))
}

/** Three samples of 8 bits a pixel, colour by pixel. */
function interleaved(frame: Bytes, image: ImageDescription, pixels: number): Buffer {
  const samples = rawSamples(frame, image, 3 * pixels)
  const stored = storedValue({ ...image, signed: false })
  const scale = 255 / (2 ** image.bitsStored - 1)
  const out = Buffer.allocUnsafe(3 * pixels)
  const isPlanar = image.planarConfiguration === 1
  for (let n = 0; n < pixels; n++) {
    for (let colour = 0; colour < 3; colour++) {
      const raw = samples[isPlanar ? colour * pixels + n : 3 * n + colour]!
      out[3 * n + colour] = image.bitsStored === 8 ? stored(raw) : Math.round(stored(raw) * scale)
    }
  }
  return out
}

/** PS3.3 C.7.6.3.1.2: two luminances, then the two chrominances that both pixels have. */
function fullSize(frame: Bytes, { bitsAllocated }: ImageDescription, pixels: number): Buffer {
  if (bitsAllocated !== 8) throw new UnusableImageError('its colours are not of 8 bits')
  if (frame.length < 2 * pixels) {
    throw new UnusableImageError('its frame is too short')
  }
  const out = Buffer.allocUnsafe(3 * pixels)
  for (let n = 0; n < pixels; n++) {
    const pair = (n >> 1) * 4
    out[3 * n] = frame[pair + (n & 1)]!
    out[3 * n + 1] = frame[pair + 2]!
    out[3 * n + 2] = frame[pair + 3]!
  }
  return out
}

interface Luminance {
  readonly black: number
  readonly luminance: number
  readonly chrominance: number
}

/** PS3.3 C.7.6.3.1.2: over all of 8 bits, or from 16 to 235 and 240. */
const FULL: Luminance = { black: 0, luminance: 1, chrominance: 1 }
const PARTIAL: Luminance = { black: 16, luminance: 255 / 219, chrominance: 255 / 224 }

/** In place. The inverse of ITU-R BT.601. */
function toRgb(ycc: Buffer, { black, luminance, chrominance }: Luminance): Buffer {
  for (let n = 0; n + 2 < ycc.length; n += 3) {
    const y = (ycc[n]! - black) * luminance
    const cb = (ycc[n + 1]! - 128) * chrominance
    const cr = (ycc[n + 2]! - 128) * chrominance
    ycc[n] = bounded(y + 1.402 * cr)
    ycc[n + 1] = bounded(y - 0.344136 * cb - 0.714136 * cr)
    ycc[n + 2] = bounded(y + 1.772 * cb)
  }
  return ycc
}

function bounded(value: number): number {
  return Math.min(Math.max(Math.round(value), 0), 255)
}
