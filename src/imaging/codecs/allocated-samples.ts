import type { Bytes } from '../../dicom/bytes.ts'
import type { ImageDescription } from '../image-description.ts'
import { CodestreamError } from './codec-error.ts'
import type { Samples } from './wasm-codec.ts'

/**
 * Samples of a codec as those of a native frame: interleaved, in the bytes that the image allocates, which may be more
 * than its codestream needs.
 * @throws CodestreamError where they do not fit
 */
export function allocated(samples: Samples, image: ImageDescription): Bytes {
  const data = samples.planar ? interleaved(samples, image) : samples.data
  const given = samples.bits > 8 ? 16 : 8
  if (image.bitsAllocated === given) return data
  if (image.bitsAllocated === 1) return packed(data)
  if (image.bitsAllocated < given) throw new CodestreamError(`its samples do not fit ${image.bitsAllocated} bits`)
  return widened(data, { from: given, to: image.bitsAllocated, signed: samples.signed })
}

function interleaved({ bits, data }: Samples, { samplesPerPixel, rows, columns }: ImageDescription): Bytes {
  const size = bits > 8 ? 2 : 1
  const pixels = rows * columns
  const out = Buffer.alloc(data.length)
  for (let sample = 0; sample < samplesPerPixel; sample++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const from = (sample * pixels + pixel) * size
      const to = (pixel * samplesPerPixel + sample) * size
      for (let byte = 0; byte < size; byte++) out[to + byte] = data[from + byte]!
    }
  }
  return out
}

/** One bit each, the first in the lowest (PS3.5 8.1.1). */
function packed(data: Bytes): Bytes {
  const out = Buffer.alloc(Math.ceil(data.length / 8))
  for (let n = 0; n < data.length; n++) if (data[n] !== 0) out[n >> 3]! |= 1 << (n & 7)
  return out
}

function widened(data: Bytes, { from, to, signed }: { from: 8 | 16; to: number; signed: boolean }): Bytes {
  const count = data.length / (from / 8)
  const size = to / 8
  const out = Buffer.alloc(count * size)
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  for (let n = 0; n < count; n++) {
    const narrow = from === 8 ? view.getUint8(n) : view.getUint16(2 * n, true)
    const value = signed ? (narrow << (32 - from)) >> (32 - from) : narrow
    for (let byte = 0; byte < size; byte++) out[n * size + byte] = value >> Math.min(8 * byte, 31)
  }
  return out
}
