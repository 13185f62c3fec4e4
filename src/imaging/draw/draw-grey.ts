import type { Bytes } from '../../dicom/bytes.ts'
import type { DrawingPlan } from './drawing-plan.ts'
import { UnusableImageError } from '../image-description.ts'
import { measurement } from './modality.ts'
import { rawSamples, storedValue, type RawSamples } from './stored-values.ts'
import { windowed, type Range } from './voi.ts'

const WHITE = 255
/** Up to so many bits a shade is worked out once for each value that occurs, not for each pixel. */
const TABLE_BITS = 16

/** Modality transformation, values of interest, presentation, in this order (PS3.4 N.2.1). */
export function drawGrey(frame: Bytes, plan: DrawingPlan): Bytes {
  const { image, float } = plan
  const count = image.rows * image.columns
  if (float !== undefined) return drawValues(floatValues(frame, float, count), plan)
  const samples = rawSamples(frame, image, count)
  const stored = storedValue(image)
  if (image.bitsAllocated <= TABLE_BITS) return drawByTable(samples, stored, plan)
  return drawValues(Float64Array.from(samples, stored), plan)
}

function drawByTable(samples: RawSamples, stored: (raw: number) => number, plan: DrawingPlan): Bytes {
  const { bitsAllocated } = plan.image
  const occurs = new Uint8Array(2 ** Math.max(bitsAllocated, 8))
  for (const raw of samples) occurs[raw] = 1
  const measured = measurement(plan.modality)
  const range = rangeOf(valuesOf(occurs, stored), plan)
  const shade = shading(plan, range)
  const table = new Uint8Array(occurs.length)
  occurs.forEach((isThere, raw) => {
    if (isThere === 1) table[raw] = shade(measured(stored(raw)))
  })
  const out = Buffer.allocUnsafe(samples.length)
  for (let n = 0; n < samples.length; n++) out[n] = table[samples[n]!]!
  return out
}

function* valuesOf(occurs: Uint8Array, stored: (raw: number) => number): Generator<number> {
  for (let raw = 0; raw < occurs.length; raw++) if (occurs[raw] === 1) yield stored(raw)
}

function drawValues(values: Float64Array | Float32Array, plan: DrawingPlan): Bytes {
  const measured = measurement(plan.modality)
  const shade = shading(plan, rangeOf(values, plan))
  const out = Buffer.allocUnsafe(values.length)
  for (let n = 0; n < values.length; n++) out[n] = shade(measured(values[n]!))
  return out
}

/** The least and the greatest value that occur, but for padding. */
function rangeOf(stored: Iterable<number>, { modality, padding }: DrawingPlan): Range {
  const measured = measurement(modality)
  let [least, most] = [Infinity, -Infinity]
  for (const value of stored) {
    if (padding && value >= padding.from && value <= padding.to) continue
    const one = measured(value)
    if (one < least) least = one
    if (one > most) most = one
  }
  return least <= most ? { least, most } : { least: 0, most: 0 }
}

function shading({ voi, inverse }: DrawingPlan, range: Range): (value: number) => number {
  const fraction = windowed(voi, range)
  // NaN is black.
  return (value) => {
    const shade = Math.round(fraction(value) * WHITE) || 0
    return inverse ? WHITE - shade : shade
  }
}

function floatValues(frame: Bytes, bits: 32 | 64, count: number): Float32Array | Float64Array {
  if (frame.length * 8 < count * bits) throw new UnusableImageError('its frame is too short')
  const bytes = frame.byteOffset % 8 === 0 ? frame : Uint8Array.from(frame)
  return bits === 32
    ? new Float32Array(bytes.buffer, bytes.byteOffset, count)
    : new Float64Array(bytes.buffer, bytes.byteOffset, count)
}
