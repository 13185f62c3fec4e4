import type { Bytes } from '../../dicom/bytes.ts'

/** Codes have 12 bits at most. */
const MOST_CODES = 4096
/** Places of the table of strings: more than twice as many as there are strings. */
const PLACES = 8192 * 2
const BLOCK_BYTES = 255

/** Variable-length-code LZW of GIF89a (Appendix F): values of `depth` bits in blocks of 255 bytes, without the last. */
export function encodeLzw(values: Bytes, depth: number): Bytes {
  const [clear, end] = [1 << depth, (1 << depth) + 1]
  const out = new Blocks(values.length)
  const keys = new Int32Array(PLACES).fill(-1)
  const codes = new Uint16Array(PLACES)
  let [next, bits] = [end + 1, depth + 1]
  out.put(clear, bits)
  let prefix = values[0] ?? 0
  for (let n = 1; n < values.length; n++) {
    const value = values[n]!
    const key = (prefix << 8) | value
    let place = (Math.imul(key, 0x9e3779b1) >>> 18) & (PLACES - 1)
    while (keys[place] !== key && keys[place] !== -1) place = (place + 1) & (PLACES - 1)
    if (keys[place] === key) {
      prefix = codes[place]!
      continue
    }
    out.put(prefix, bits)
    prefix = value
    if (next < MOST_CODES) {
      keys[place] = key
      codes[place] = next
      // The reader is a string behind.
      if (next++ === 1 << bits) bits++
      continue
    }
    out.put(clear, bits)
    keys.fill(-1)
    next = end + 1
    bits = depth + 1
  }
  out.put(prefix, bits)
  // The reader adds a string for that code too.
  if (next === 1 << bits && bits < 12) bits++
  out.put(end, bits)
  return out.take()
}

/** Bits, the lowest first, in blocks with their length in front. */
class Blocks {
  #bytes: Uint8Array
  #at = 1
  #block = 0
  #held = 0
  #count = 0

  constructor(values: number) {
    this.#bytes = new Uint8Array(1024 + Math.ceil(values / 2))
  }

  put(code: number, bits: number): void {
    this.#held |= code << this.#count
    this.#count += bits
    while (this.#count >= 8) this.#byte()
  }

  take(): Bytes {
    if (this.#count > 0) this.#byte()
    const length = this.#at - this.#block - 1
    this.#bytes[this.#block] = length
    return this.#bytes.subarray(0, length === 0 ? this.#block : this.#at)
  }

  #byte(): void {
    this.#bytes[this.#at++] = this.#held & 0xff
    this.#held >>>= 8
    this.#count -= 8
    if (this.#at - this.#block - 1 === BLOCK_BYTES) {
      this.#bytes[this.#block] = BLOCK_BYTES
      this.#block = this.#at++
    }
    if (this.#at + 2 > this.#bytes.length) this.#grow()
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#bytes.length)
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}
