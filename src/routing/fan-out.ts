import type { Bytes } from '../dicom/bytes.ts'
import { Notifier } from '../dicom/notifier.ts'

/** Bytes that the fastest destination may be ahead of the slowest that has to be waited for. */
export const WINDOW_BYTES = 1024 * 1024
/** Bytes that one which nobody waits for may be behind; then it is given up. */
export const MAX_LAG_BYTES = 16 * WINDOW_BYTES

/** How long the others wait for one that nobody waits for, and that has not begun, where it would be given up otherwise, in ms. */
export const START_MS = 1_000

/** A destination that nobody waits for did not keep up. */
export class TooSlowError extends Error {
  readonly code = 'DESTINATION_TOO_SLOW'
  constructor() {
    super(`The destination was more than ${MAX_LAG_BYTES} bytes behind the others`)
    this.name = 'TooSlowError'
  }
}

/** Who read it for all of them has stopped: what there is of it is not whole. */
class AbandonedError extends Error {
  readonly code = 'DELIVERY_ABANDONED'
  constructor() {
    super('The instance was not read to its end')
    this.name = 'AbandonedError'
  }
}

interface Branch {
  readonly isWaitedFor: boolean
  /** Number of its next chunk. */
  next: number
  /** Bytes before that. */
  passed: number
  /** Until when it may not have begun, by performance.now(). */
  until: number
  fault: Error | undefined
}

/** One stream for several readers: each byte is read once, and kept until all have had it. */
export class FanOut {
  readonly #source: AsyncIterator<Bytes, unknown>
  readonly #branches = new Set<Branch>()
  readonly #chunks: Bytes[] = []
  /** Number of the first chunk that is kept. */
  #first = 0
  /** Bytes that were read. */
  #read = 0
  #isReading = false
  #end: { readonly failure: Error | undefined } | undefined
  readonly #changed = new Notifier()
  /** Until one that has not begun is waited for no longer. */
  #late: NodeJS.Timeout | undefined

  constructor(source: AsyncIterator<Bytes, unknown>) {
    this.#source = source
  }

  /** All are taken before any is read. `isWaitedFor`: the others keep its pace. */
  branch(isWaitedFor: boolean): AsyncIterableIterator<Bytes> {
    const branch: Branch = { isWaitedFor, next: 0, passed: 0, until: performance.now() + START_MS, fault: undefined }
    this.#branches.add(branch)
    const iterator: AsyncIterableIterator<Bytes> = {
      next: () => this.#next(branch),
      return: () => {
        this.#leave(branch)
        return Promise.resolve({ done: true, value: undefined })
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** Reads no more. Who has not had all by then is told so: a part is never taken for the whole. */
  async end(): Promise<void> {
    clearTimeout(this.#late)
    this.#end ??= { failure: new AbandonedError() }
    this.#changed.notify()
    await this.#source.return?.()
  }

  async #next(branch: Branch): Promise<IteratorResult<Bytes>> {
    for (;;) {
      if (branch.fault) throw branch.fault
      if (!this.#branches.has(branch)) return { done: true, value: undefined }
      const chunk = this.#chunks[branch.next - this.#first]
      if (chunk) {
        branch.next++
        branch.passed += chunk.length
        this.#drop()
        this.#changed.notify()
        return { done: false, value: chunk }
      }
      if (this.#end) {
        this.#branches.delete(branch)
        if (this.#end.failure) throw this.#end.failure
        return { done: true, value: undefined }
      }
      const { changed } = this.#changed
      if (!this.#isReading && this.#mayRead()) void this.#more()
      await changed
    }
  }

  /** Nobody who is waited for is too far behind; who is not waited for, and is, has to go. */
  #mayRead(): boolean {
    for (const branch of this.#branches) {
      const behind = this.#read - branch.passed
      if (branch.isWaitedFor) {
        if (behind >= WINDOW_BYTES) return false
      } else if (behind >= MAX_LAG_BYTES) {
        if (branch.passed === 0 && this.#mayBegin(branch)) return false
        branch.fault = new TooSlowError()
        this.#leave(branch)
      }
    }
    return true
  }

  /** It is still to be waited for, since it has to be reached first. */
  #mayBegin({ until }: Branch): boolean {
    const left = until - performance.now()
    if (left <= 0) return false
    this.#late ??= setTimeout(() => {
      this.#late = undefined
      this.#changed.notify()
    }, left)
    return true
  }

  async #more(): Promise<void> {
    this.#isReading = true
    try {
      const { value, done } = await this.#source.next()
      if (this.#end) return
      if (done) this.#end = { failure: undefined }
      else {
        this.#chunks.push(value)
        this.#read += value.length
      }
    } catch (error) {
      this.#end ??= { failure: error as Error }
    } finally {
      this.#isReading = false
      this.#changed.notify()
    }
  }

  #leave(branch: Branch): void {
    this.#branches.delete(branch)
    this.#drop()
    this.#changed.notify()
  }

  /** What all have had. */
  #drop(): void {
    let least = Infinity
    for (const { next } of this.#branches) least = Math.min(least, next)
    if (least === Infinity) least = this.#first + this.#chunks.length
    if (least > this.#first) {
      this.#chunks.splice(0, least - this.#first)
      this.#first = least
    }
  }
}
