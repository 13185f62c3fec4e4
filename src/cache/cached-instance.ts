import { createHash, type Hash } from 'node:crypto'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { Described } from '../instance/description.ts'
import type { Fragment } from '../instance/frame-table.ts'
import { hasHead } from '../instance/head.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'
import type { ReadableDataSet } from '../instance/readable-instance.ts'
import type { HeadStore } from './head-store.ts'
import { NoLongerHeldError, type Boarded, type Pin } from './kept-instance.ts'

const GIVEN_HASH = 'sha256'

/**
 * An instance for one request: read from any byte, while it comes or after. Where it passes, since it is not kept, its head
 * stays and the rest is there in the order of its bytes; what is no longer held is fetched anew. To be disposed of when it
 * was read.
 */
export class CachedInstance extends Described implements ReadableDataSet, Disposable {
  /** Set by who has given of it what is wanted: then it need not come once more, though it is damaged. */
  isServed = false
  #boarded: Boarded
  /** What this request may yet read, so that it stays: until its last reading all from the start, as the window allows. */
  readonly #pin: Pin = { position: 0, isOfRequest: true }
  readonly #heads: HeadStore
  readonly #signal: AbortSignal
  readonly #again: (from: number, to: number) => Promise<Boarded>
  readonly #told: InstanceIndex | undefined
  #isMixed = false

  /**
   * `again` boards what has the bytes from a position up to another, when the first does not have them any more. `told`:
   * the index of an earlier retrieval.
   */
  constructor(
    boarded: Boarded,
    heads: HeadStore,
    signal: AbortSignal,
    again: (from: number, to: number) => Promise<Boarded>,
    told?: InstanceIndex,
  ) {
    super(boarded.instance)
    this.#boarded = boarded
    this.#heads = heads
    this.#signal = signal
    this.#again = again
    this.#told = told
    boarded.instance.pin(this.#pin)
  }

  /**
   * Attributes of the head that are wanted again and again, by one frame after another: `read` once, and kept in HeadStore.
   * @throws what reading throws
   */
  head(read: () => Promise<Dataset>): Promise<Dataset> {
    return this.#heads.of(this.index, read)
  }

  /** It has come to its end, and is not whole. */
  get isDamaged(): boolean {
    return this.#boarded.instance.isDamaged
  }

  /** Which arrival it is; see KeptInstance. */
  get arrival(): number {
    return this.#boarded.instance.arrival
  }

  /** When it was asked for, by performance.now(). */
  get askedAt(): number {
    return this.#boarded.instance.askedAt
  }

  /** What was read of it may be of several arrivals, alike as far as that is known. */
  get isMixed(): boolean {
    return this.#isMixed
  }

  /** All of it is of one arrival, and will be as long as there is room. */
  get isOfOneArrival(): boolean {
    return !this.#isMixed && !this.#boarded.instance.passing
  }

  get index(): InstanceIndex {
    return this.#boarded.instance.index
  }

  /** The whole data set, for the last time: where it passes, nothing stays behind the reader. */
  get body(): ByteStream {
    return this.#read(0, Infinity, true)
  }

  /** Its head for the last time; where its end is not known yet, what comes behind it too. */
  get headBody(): ByteStream {
    return this.#read(0, this.index.headBytes ?? Infinity, true)
  }

  /** @throws NoLongerHeldError in the middle, for who is far slower than another; what failed the retrieval */
  bytes(from = 0, to = Infinity): ByteStream {
    return this.#read(from, to, false)
  }

  async *#read(from: number, to: number, isLast: boolean): AsyncGenerator<Bytes> {
    const { instance } = this.#boarded
    // What is given, in short: to go on with another retrieval only if that has given the same.
    const given = instance.isLosable ? createHash(GIVEN_HASH) : undefined
    let position = from
    try {
      for await (const chunk of instance.bytes(from, to, this.#signal)) {
        position += chunk.length
        given?.update(chunk)
        // From here on the reading itself holds what it needs.
        if (isLast) this.#pin.position = Infinity
        yield chunk
      }
      return
    } catch (error) {
      // In the middle it would be joining the bytes of two retrievals.
      if ((position > from && !given) || !(error instanceof NoLongerHeldError)) throw error
    }
    await this.#board(from, to)
    const again = this.#boarded.instance.bytes(from, to, this.#signal)
    yield* position > from && given ? behind(again, position - from, given) : again
  }

  async until(ready: (index: InstanceIndex) => boolean, needs?: () => number | undefined): Promise<void> {
    await this.#boarded.instance.until(ready, this.#pin, needs ?? (() => this.#pin.position), this.#signal)
  }

  async told(frame: number): Promise<readonly Fragment[] | undefined> {
    const told = this.#told
    if (told?.frames === undefined || this.index.frames?.ended === true) return undefined
    const fragments = told.frames.located(frame)
    const [first, last] = [fragments?.[0], fragments?.at(-1)]
    if (!first || !last) return undefined
    return (await this.#hasPlacesOf(told, first.offset, last.offset + last.length)) ? fragments : undefined
  }

  [Symbol.dispose](): void {
    this.#boarded.instance.unpin(this.#pin)
    this.#boarded.leave()
  }

  /** @throws NoLongerHeldError where the archive has sent another data set now: places in the first are none in it */
  async #board(from: number, to: number): Promise<void> {
    const { index, arrival } = this
    const { isOutdated } = this.#boarded.instance
    this[Symbol.dispose]()
    this.#boarded = await this.#again(from, to)
    const { instance } = this.#boarded
    this.#isMixed ||= instance.arrival !== arrival
    instance.pin(this.#pin)
    const isOther = instance.syntax.uid !== this.syntax.uid || instance.received.uid !== this.received.uid
    if (isOutdated || isOther || !(await this.#hasPlacesOf(index, from, to))) throw new NoLongerHeldError()
  }

  /** Whether what was learnt of the first index is true of the one that was boarded, where it matters to a reading. */
  async #hasPlacesOf(first: InstanceIndex, from: number, to: number): Promise<boolean> {
    const { index } = this
    const pinned = (): number => from
    if (first.headBytes !== undefined) {
      await this.until(hasHead, pinned)
      if (index.headBytes !== first.headBytes) return false
      if (index.layout?.length !== first.layout?.length || index.layout?.frames !== first.layout?.frames) return false
    }
    for (const position of from > 0 && first.frames ? [from, to - 1] : []) {
      const fragment = first.frames!.around(position)
      if (!fragment) continue
      await this.until(({ frames }) => frames?.around(position) !== undefined || frames?.ended === true, pinned)
      const same = index.frames?.around(position)
      if (same?.offset !== fragment.offset || same.length !== fragment.length) return false
    }
    return true
  }
}

/**
 * What comes behind so many bytes.
 * @throws NoLongerHeldError unless those are the ones that were given
 */
async function* behind(bytes: ByteStream, count: number, given: Hash): AsyncGenerator<Bytes> {
  const same = createHash(GIVEN_HASH)
  let left = count
  for await (const chunk of bytes) {
    const known = chunk.subarray(0, left)
    if (left > 0) {
      same.update(known)
      left -= known.length
      if (left === 0 && !same.digest().equals(given.digest())) throw new NoLongerHeldError()
    }
    if (known.length < chunk.length) yield chunk.subarray(known.length)
  }
  if (left > 0) throw new NoLongerHeldError()
}
