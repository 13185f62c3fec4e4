import { WaitingLine } from '../../dicom/waiting-line.ts'

/** So many places for work, given to those who wait in the order they came. */
export class Turns {
  readonly #places: number
  #running = 0
  readonly #waiters = new WaitingLine<undefined>()

  constructor(places: number) {
    this.#places = places
  }

  /** What comes now has to wait. */
  get isFull(): boolean {
    return this.#running >= this.#places
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiters.size }
  }

  /** Works when there is a place. @throws the signal's reason while it waits, and what the work throws */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#place(signal)
    try {
      return await work()
    } finally {
      // The place is handed on, not freed: nobody overtakes.
      if (this.#waiters.size > 0) this.#waiters.serve(undefined)
      else this.#running--
    }
  }

  async #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.isFull) {
      this.#running++
      return
    }
    await this.#waiters.join(undefined, { signal })
  }
}
