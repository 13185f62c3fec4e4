/** So many places for work, given to those who wait in the order they came. */
export class Turns {
  readonly #places: number
  #running = 0
  readonly #waiters: (() => void)[] = []

  constructor(places: number) {
    this.#places = places
  }

  /** What comes now has to wait. */
  get isFull(): boolean {
    return this.#running >= this.#places
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiters.length }
  }

  /** Works when there is a place. @throws the signal's reason while it waits, and what the work throws */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#place(signal)
    try {
      return await work()
    } finally {
      const next = this.#waiters.shift()
      // The place is handed on, not freed: nobody overtakes.
      if (next) next()
      else this.#running--
    }
  }

  async #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.isFull) {
      this.#running++
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const waiter = (): void => resolve(undefined)
    const aborted = (): void => {
      const at = this.#waiters.indexOf(waiter)
      if (at < 0) return
      this.#waiters.splice(at, 1)
      reject(signal.reason as Error)
    }
    this.#waiters.push(waiter)
    signal.addEventListener('abort', aborted)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', aborted)
    }
  }
}
