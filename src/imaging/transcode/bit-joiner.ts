import type { Bytes } from '../../dicom/bytes.ts'

/** Puts frames of single bits one behind the other without padding between them (PS3.5 8.1.1). */
export class BitJoiner {
  #left = 0
  #count = 0

  /**
   * Takes the bits of a frame, the first in the lowest bit of a byte. Gives the bytes that are full; with `last` the
   * rest too.
   */
  join(frame: Bytes, bits: number, last: boolean): Bytes {
    const shift = this.#count
    const total = shift + bits
    const out = Buffer.alloc(Math.ceil(total / 8))
    out[0] = this.#left
    for (let n = 0; n < Math.ceil(bits / 8); n++) {
      // Bits behind the end of the frame are padding.
      const used = Math.min(bits - 8 * n, 8)
      const byte = frame[n]! & ((1 << used) - 1)
      out[n]! |= (byte << shift) & 0xff
      if (n + 1 < out.length) out[n + 1]! |= byte >> (8 - shift)
    }
    this.#count = total % 8
    const isWhole = this.#count === 0
    this.#left = isWhole ? 0 : out.at(-1)!
    return last || isWhole ? out : out.subarray(0, -1)
  }
}
