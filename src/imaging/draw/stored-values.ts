import type { Bytes } from '../../dicom/bytes.ts'
import { UnusableImageError, type ImageDescription } from '../image-description.ts'

/** Samples as unsigned numbers, with all allocated bits, in their order. */
export type RawSamples = Uint8Array | Uint16Array | Uint32Array

/** Reads the samples of a native frame. @throws UnusableImageError where it is too short */
export function rawSamples(frame: Bytes, image: ImageDescription, count: number): RawSamples {
  const { bitsAllocated } = image
  if (frame.length * 8 < count * bitsAllocated) throw new UnusableImageError('its frame is too short')
  if (bitsAllocated === 1) {
    const bits = new Uint8Array(count)
    for (let n = 0; n < count; n++) bits[n] = (frame[n >> 3]! >> (n & 7)) & 1
    return bits
  }
  if (bitsAllocated === 8) return frame.subarray(0, count)
  // Typed arrays begin at a multiple of their size.
  const bytes = frame.byteOffset % (bitsAllocated / 8) === 0 ? frame : Uint8Array.from(frame)
  if (bitsAllocated === 16) return new Uint16Array(bytes.buffer, bytes.byteOffset, count)
  if (bitsAllocated === 32) return new Uint32Array(bytes.buffer, bytes.byteOffset, count)
  throw new UnusableImageError(`it has ${bitsAllocated} bits a sample`)
}

/** The stored value in a sample: its stored bits, with their sign (PS3.5 8.1.1). */
export function storedValue({ bitsStored, highBit, signed }: ImageDescription): (raw: number) => number {
  const shift = highBit + 1 - bitsStored
  const unused = 32 - bitsStored
  if (signed) return (raw) => ((raw >>> shift) << unused) >> unused
  return (raw) => ((raw >>> shift) << unused) >>> unused
}
