import type { Dataset } from '../../dicom/dataset.ts'
import { ResultsTooLargeError } from './errors.ts'

/** What one part of a search holds of what it has found: parents, a page, what is looked at again. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024
/** What an element, or a text, takes in memory beside its value. */
export const OVERHEAD_BYTES = 128

/** Counts what is held of the matches of a search: an archive may answer megabytes for each. */
export class Held {
  readonly #most: number
  #bytes = 0

  constructor(most = MAX_HELD_BYTES) {
    this.#most = most
  }

  /** @throws ResultsTooLargeError */
  row(row: Dataset): void {
    this.#add(weightOf(row))
  }

  /** @throws ResultsTooLargeError */
  text(text: string): void {
    this.#add(text.length + OVERHEAD_BYTES)
  }

  #add(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > this.#most) throw new ResultsTooLargeError(this.#most)
  }
}

/** Bytes that a data set takes in memory, items of sequences included. */
export function weightOf(dataset: Dataset): number {
  let bytes = OVERHEAD_BYTES
  for (const [, { value }] of dataset.entries()) {
    bytes += OVERHEAD_BYTES
    if (value instanceof Uint8Array) bytes += value.length
    else if ('fragments' in value) for (const fragment of value.fragments) bytes += OVERHEAD_BYTES + fragment.length
    else for (const item of value) bytes += weightOf(item)
  }
  return bytes
}
