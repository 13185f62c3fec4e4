import { LRUCache } from 'lru-cache'
import type { Dataset } from '../dicom/dataset.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'

/** What the attributes that were read of heads may take in memory, in bytes, of all instances together. */
export const MAX_HEADS_BYTES = 128 * 1024 * 1024
/** A data set takes some ten times the bytes that it is read from. */
const BYTES_A_BYTE = 10
/** Values are views of the buffers that the socket was read into, and keep them alive. */
const LEAST_BYTES = 512 * 1024

/**
 * The attributes that were read of the heads of instances lately, so that each head is read once for all the frames that
 * are drawn of it, also by requests at the same time. One that is larger than all there is room for is kept alone.
 */
export class HeadStore {
  readonly #heads: LRUCache<InstanceIndex, Dataset>
  readonly #reading = new Map<InstanceIndex, Promise<Dataset>>()

  constructor(maxBytes = MAX_HEADS_BYTES) {
    this.#heads = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (_, { headBytes = 0 }) => Math.min(LEAST_BYTES + BYTES_A_BYTE * headBytes, maxBytes),
    })
  }

  /** The attributes of an instance, by its index, or as they are read now. @throws what reading throws */
  async of(index: InstanceIndex, read: () => Promise<Dataset>): Promise<Dataset> {
    const known = this.#heads.get(index)
    if (known) return known
    const other = this.#reading.get(index)
    if (other) {
      try {
        return await other
      } catch {
        // Who read it may have left in the middle.
      }
    }
    const reading = read()
    this.#reading.set(index, reading)
    try {
      const head = await reading
      this.#heads.set(index, head)
      return head
    } finally {
      if (this.#reading.get(index) === reading) this.#reading.delete(index)
    }
  }
}
