import type { Bytes, ByteStream } from '../../dicom/bytes.ts'

/** How much of the next chunk is copied behind held-back bytes; more than any delimiter line without padding. */
const joinBytes = 256

/**
 * A window on a stream of bytes that moves forward: what lies between `position` and the end of `bytes` is being looked
 * at. It is the incoming chunk itself; only where bytes were held back at the end of the chunk before are they joined with
 * the beginning of the next one, by copying.
 */
export class ByteWindow {
  readonly #source: AsyncIterator<Bytes>
  /** Bytes up to `position` are consumed. */
  bytes: Buffer = Buffer.alloc(0)
  position = 0
  /** Offset in the whole stream of bytes[0]. */
  base = 0
  /** The last chunk to come; its bytes from #chunkUsed on are not in the window yet. */
  #chunk: Buffer = Buffer.alloc(0)
  #chunkUsed = 0
  /** How many bytes at the end of the window are copies from #chunk. */
  #copied = 0
  /** Backing of joined bytes, filled up to #scratchUsed; room behind it is appended to in place. */
  #scratch: Buffer | undefined
  #scratchUsed = 0
  #sourceDone = false

  constructor(stream: ByteStream) {
    this.#source = stream[Symbol.asyncIterator]()
  }

  /** Offset in the whole stream of what is looked at. */
  get offset(): number {
    return this.base + this.position
  }

  async close(): Promise<void> {
    if (this.#sourceDone) return
    this.#sourceDone = true
    await this.#source.return?.()
  }

  /** Brings in bytes behind the unconsumed ones; false at the end of the stream. */
  async more(): Promise<boolean> {
    while (this.#chunkUsed === this.#chunk.length) {
      if (this.#sourceDone) return false
      const result = await this.#pull()
      if (result.done === true) {
        this.#sourceDone = true
        return false
      }
      const chunk = result.value
      this.#chunk = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      this.#chunkUsed = 0
      this.#copied = 0
    }
    const rest = this.bytes.length - this.position
    this.base += this.position
    if (rest <= this.#copied) {
      // What was held back is dealt with: on in the chunk itself, or a chunk full of candidates is copied piece by piece.
      this.bytes = this.#chunk.subarray(this.#chunkUsed - rest)
      this.#chunkUsed = this.#chunk.length
      this.#copied = 0
      this.#scratch = undefined
    } else {
      const head = this.#chunk.subarray(this.#chunkUsed, this.#chunkUsed + joinBytes)
      this.#chunkUsed += head.length
      this.#copied += head.length
      this.bytes = this.#join(rest, head)
    }
    this.position = 0
    return true
  }

  async #pull(): Promise<IteratorResult<Bytes, unknown>> {
    try {
      return await this.#source.next()
    } catch (error) {
      this.#sourceDone = true
      throw error
    }
  }

  /** Appends in place while there is room, so that bytes coming singly are not copied over and over. */
  #join(rest: number, head: Buffer): Buffer {
    let scratch = this.#scratch
    if (scratch === undefined || this.#scratchUsed + head.length > scratch.length) {
      // Not from Buffer's shared pool: views handed out pin this and nothing else.
      scratch = Buffer.allocUnsafeSlow(Math.max(1024, 2 * (rest + head.length)))
      this.bytes.copy(scratch, 0, this.position)
      this.#scratch = scratch
      this.#scratchUsed = rest
    }
    head.copy(scratch, this.#scratchUsed)
    this.#scratchUsed += head.length
    return scratch.subarray(this.#scratchUsed - rest - head.length, this.#scratchUsed)
  }
}
