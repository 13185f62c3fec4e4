import type { Bytes } from '../dicom/bytes.ts'

const EMPTY = Buffer.alloc(0)

/**
 * Bytes of a stream, in the chunks they come in. Bytes that are taken are views of a chunk. Only bytes that are peeked at
 * together and are cut by the end of a chunk are copied, and no further bytes of the next chunk with them.
 */
export class ChunkedBytes {
  /** The next bytes, contiguous. */
  #first: Buffer = EMPTY
  /** Chunks behind `#first`. */
  #behind: Buffer[] = []
  /** Memory of our own that `#first` ends in, filled up to `#ownEnd`; the room behind takes further bytes. */
  #own: Buffer | undefined
  #ownEnd = 0

  push(chunk: Bytes): void {
    if (chunk.length > 0) this.#behind.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }

  /** The next `count` bytes, which stay to be taken; undefined while so many are not there. */
  peek(count: number): Buffer | undefined {
    while (this.#first.length < count) {
      const chunk = this.#behind[0]
      if (!chunk) return undefined
      if (this.#first.length === 0) this.#advance()
      else this.#join(chunk.subarray(0, count - this.#first.length))
    }
    return this.#first.subarray(0, count)
  }

  /** Up to `most` of the next bytes, as many as lie together; undefined where there are none. */
  take(most: number): Buffer | undefined {
    if (this.#first.length === 0) this.#advance()
    if (this.#first.length === 0) return undefined
    const bytes = this.#first.subarray(0, most)
    this.skip(bytes.length)
    return bytes
  }

  /** Passes over bytes that were seen by `peek`. */
  skip(count: number): void {
    this.#first = this.#first.subarray(count)
  }

  #advance(): void {
    this.#first = this.#behind.shift() ?? EMPTY
    this.#own = undefined
  }

  #join(bytes: Buffer): void {
    const { length } = this.#first
    if (!this.#own || this.#own.length - this.#ownEnd < bytes.length) {
      // Twice what is there, so that what comes in tiny chunks is not copied once for each of them.
      this.#own = Buffer.allocUnsafeSlow(length + Math.max(bytes.length, length))
      this.#first.copy(this.#own)
      this.#ownEnd = length
    }
    bytes.copy(this.#own, this.#ownEnd)
    this.#ownEnd += bytes.length
    this.#first = this.#own.subarray(this.#ownEnd - length - bytes.length, this.#ownEnd)
    const chunk = this.#behind[0]!
    if (bytes.length === chunk.length) this.#behind.shift()
    else this.#behind[0] = chunk.subarray(bytes.length)
  }
}
