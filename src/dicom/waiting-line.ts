/** How long one waits, and for whom no more. */
export interface Patience<T> {
  readonly signal: AbortSignal
  /** By performance.now(); for ever where it is absent. */
  readonly until?: number
  /** Asked when `until` has come: an error ends the wait, a number is the next `until`. */
  readonly late?: () => Error | number
  /** Who comes back to a place stands before the first for whom this holds; at the end where it is absent. */
  readonly before?: (other: T) => boolean
}

interface Entry<T, R> {
  readonly what: T
  readonly settled: PromiseWithResolvers<R>
  readonly patience: Patience<T>
  readonly aborted: () => void
  timer: NodeJS.Timeout | undefined
  isOver: boolean
  previous: Entry<T, R> | undefined
  next: Entry<T, R> | undefined
}

/**
 * Those who wait for something, served in the order they came. To join, to be served and to give up costs the same
 * however many wait. `left` is told of each that is in the line no more, however that came about.
 */
export class WaitingLine<T, R = undefined> {
  #first: Entry<T, R> | undefined
  #last: Entry<T, R> | undefined
  #size = 0
  readonly #left: (what: T) => void

  constructor(left: (what: T) => void = () => undefined) {
    this.#left = left
  }

  get size(): number {
    return this.#size
  }

  /** What the first waits for. */
  get first(): T | undefined {
    return this.#first?.what
  }

  /** Waits to be served. @throws the signal's reason, what `late` returns, what `refuse` was given */
  async join(what: T, patience: Patience<T>): Promise<R> {
    patience.signal.throwIfAborted()
    const aborted = (): void => this.#end(entry)?.reject(patience.signal.reason)
    const settled = Promise.withResolvers<R>()
    const links = { timer: undefined, isOver: false, previous: undefined, next: undefined }
    const entry: Entry<T, R> = { what, settled, patience, aborted, ...links }
    this.#insert(entry)
    patience.signal.addEventListener('abort', aborted)
    if (patience.until !== undefined) this.#arm(entry, patience.until)
    return settled.promise
  }

  /** Serves the first, who must be there. */
  serve(result: R): void {
    this.#end(this.#first!)?.resolve(result)
  }

  /** Sends them away: all, or those for whom `whom` holds. */
  refuse(error: Error, whom: (what: T) => boolean = () => true): void {
    for (let entry = this.#first; entry; entry = entry.next) {
      if (whom(entry.what)) this.#end(entry)?.reject(error)
    }
  }

  #arm(entry: Entry<T, R>, until: number): void {
    // Timers leave out what is less than a millisecond.
    entry.timer = setTimeout(() => this.#late(entry, until), Math.ceil(until - performance.now()))
  }

  #late(entry: Entry<T, R>, until: number): void {
    const verdict = entry.patience.late?.() ?? until
    if (verdict instanceof Error) this.#end(entry)?.reject(verdict)
    else this.#arm(entry, verdict)
  }

  #insert(entry: Entry<T, R>): void {
    let next: Entry<T, R> | undefined
    if (entry.patience.before) {
      next = this.#first
      while (next && !entry.patience.before(next.what)) next = next.next
    }
    const previous = next ? next.previous : this.#last
    entry.previous = previous
    entry.next = next
    if (previous) previous.next = entry
    else this.#first = entry
    if (next) next.previous = entry
    else this.#last = entry
    this.#size++
  }

  /** Takes one out; undefined where it is out already. */
  #end(entry: Entry<T, R>): PromiseWithResolvers<R> | undefined {
    if (entry.isOver) return undefined
    entry.isOver = true
    clearTimeout(entry.timer)
    entry.patience.signal.removeEventListener('abort', entry.aborted)
    if (entry.previous) entry.previous.next = entry.next
    else this.#first = entry.next
    if (entry.next) entry.next.previous = entry.previous
    else this.#last = entry.previous
    this.#size--
    this.#left(entry.what)
    return entry.settled
  }
}
