import { channel } from 'node:diagnostics_channel'

/** Socket reads go into buffers of this size, each filled by several reads before the next is taken. */
const READ_BUFFER_BYTES = 512 * 1024
/** A read is given at least this much room. */
const MIN_READ_BYTES = 128 * 1024

/** Bytes of each buffer that is taken, for who collects by them: src/memory.ts. */
const buffersMade = channel('dimsegate:buffers-made')

/**
 * Memory that a socket is read into. A buffer is never filled twice: views of it may be kept for as long as needed, and
 * the collector, not a count kept by hand, says when it is free (docs/decisions/0008).
 */
export class ReadBuffers {
  #buffer = Buffer.alloc(0)
  #used = 0

  /** Room for the next read: what is left of a buffer until too little is left, so that small messages share one. */
  next(): Uint8Array {
    if (this.#buffer.length - this.#used < MIN_READ_BYTES) {
      this.#buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
      this.#used = 0
      buffersMade.publish(READ_BUFFER_BYTES)
    }
    return this.#buffer.subarray(this.#used)
  }

  used(count: number): void {
    this.#used += count
  }
}
