import type { Bytes } from '../../dicom/bytes.ts'

/**
 * A body whose first reader may be followed by another, who is given all of it: what was read until then is held, by
 * reference, so `keep` is called as soon as the first reader is the one for all of it.
 */
export class Recorded implements AsyncIterableIterator<Bytes> {
  readonly #source: AsyncIterator<Bytes, unknown>
  #read: Bytes[] | undefined = []
  #isPassedOn = false

  constructor(body: AsyncIterable<Bytes>) {
    this.#source = body[Symbol.asyncIterator]()
  }

  async next(): Promise<IteratorResult<Bytes>> {
    if (this.#isPassedOn) return { done: true, value: undefined }
    const { done, value } = await this.#source.next()
    if (done) return { done: true, value: undefined }
    this.#read?.push(value)
    return { done: false, value }
  }

  async return(): Promise<IteratorResult<Bytes>> {
    if (!this.#isPassedOn) await this.#source.return?.()
    return { done: true, value: undefined }
  }

  /** The first reader goes on: nothing is held any more. */
  keep(): void {
    this.#read = undefined
  }

  /** The body from its beginning; who has read of it until now is at its end. */
  async *again(): AsyncGenerator<Bytes> {
    this.#isPassedOn = true
    const source = this.#source
    const read = this.#read ?? []
    try {
      yield* read.splice(0)
      for (let next = await source.next(); !next.done; next = await source.next()) yield next.value
    } finally {
      await source.return?.()
    }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
