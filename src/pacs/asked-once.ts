/** Stops when the last of those who want to know has left. */
interface Asking<T> {
  readonly answer: Promise<T>
  readonly stop: AbortController
  waiting: number
}

/** Questions that are asked once for all who want to know at a time. */
export class AskedOnce<T> {
  readonly #asking = new Map<string, Asking<T>>()

  /**
   * The answer to a question, which `ask` asks where nobody has: its signal is aborted when all who wait have left.
   * @throws what asking throws
   */
  async of(key: string, signal: AbortSignal, ask: (stop: AbortController) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const asking = this.#asking.get(key) ?? this.#begin(key, ask)
    asking.waiting++
    const leave = (): void => {
      if (--asking.waiting > 0) return
      // Who comes now is to ask anew.
      if (this.#asking.get(key) === asking) this.#asking.delete(key)
      asking.stop.abort(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await asking.answer
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  #begin(key: string, ask: (stop: AbortController) => Promise<T>): Asking<T> {
    const stop = new AbortController()
    const asking = { answer: ask(stop), stop, waiting: 0 }
    this.#asking.set(key, asking)
    const over = (): void => {
      if (this.#asking.get(key) === asking) this.#asking.delete(key)
    }
    asking.answer.then(over, over)
    return asking
  }
}
