import type { ReceivedPart } from '../../dicomweb/multipart/reader.ts'

/** The parts of a message one by one; one that was looked at can be given back. */
export class PartReader {
  readonly #parts: AsyncIterator<ReceivedPart, unknown>
  #back: ReceivedPart | undefined

  constructor(parts: AsyncIterable<ReceivedPart>) {
    this.#parts = parts[Symbol.asyncIterator]()
  }

  async next(): Promise<ReceivedPart | undefined> {
    const back = this.#back
    this.#back = undefined
    if (back) return back
    const { value, done } = await this.#parts.next()
    return done ? undefined : value
  }

  giveBack(part: ReceivedPart): void {
    this.#back = part
  }

  async close(): Promise<void> {
    await this.#parts.return?.()
  }
}
