import { PeerTimeoutError } from './errors.ts'

/** How long to wait for the peer, and for whom no more. */
export interface Wait {
  /** Milliseconds. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  /** Names what is awaited in PeerTimeoutError. */
  readonly what: string
  /** When the peer was last seen at work elsewhere, by performance.now(): the time runs from there. */
  readonly alive?: (() => number) | undefined
}

interface Waiter {
  readonly ready: () => boolean
  readonly resolve: (value: undefined) => void
  readonly reject: (error: unknown) => void
  readonly wait: Wait | undefined
  readonly deadline: number
}

/**
 * Those who wait for something to happen on one association. A retrieve waits thousands of times a second: so there is
 * one timer, left running from wait to wait, and one listener on the signal of the operation under way.
 */
export class Waiters {
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined
  #fires = Infinity
  #signal: AbortSignal | undefined

  /**
   * Waits until `ready`; without `wait` for as long as it takes.
   * @throws PeerTimeoutError, the signal's reason
   */
  async until(ready: () => boolean, wait: Wait | undefined): Promise<void> {
    if (ready()) return
    wait?.signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const deadline = wait === undefined ? Infinity : performance.now() + wait.timeout
    const waiter: Waiter = { ready, resolve, reject, wait, deadline }
    this.#waiters.add(waiter)
    if (wait) {
      this.#arm(deadline, wait.timeout)
      this.#listen(wait.signal)
    }
    try {
      await promise
    } finally {
      this.#waiters.delete(waiter)
    }
  }

  /** Something has happened: each looks whether it was what it waits for. */
  wake(): void {
    for (const { ready, resolve } of this.#waiters) if (ready()) resolve(undefined)
  }

  /** Nothing more will happen: lets go of the timer and the signal. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#fires = Infinity
    this.#listen(undefined)
  }

  #arm(deadline: number, delay: number): void {
    if (deadline >= this.#fires) return
    clearTimeout(this.#timer)
    this.#fires = deadline
    this.#timer = setTimeout(() => this.#expire(), delay)
    this.#timer.unref()
  }

  #expire(): void {
    this.#fires = Infinity
    const now = performance.now()
    let earliest = Infinity
    for (const { deadline: first, wait, reject } of this.#waiters) {
      const deadline = wait?.alive ? Math.max(first, wait.alive() + wait.timeout) : first
      // Timers may fire a fraction of a millisecond early.
      if (deadline <= now + 1) reject(new PeerTimeoutError(wait!.what, wait!.timeout))
      else earliest = Math.min(earliest, deadline)
    }
    if (earliest !== Infinity) this.#arm(earliest, earliest - now)
  }

  #listen(signal: AbortSignal | undefined): void {
    if (signal === this.#signal) return
    // Somebody else may still wait under the signal before: it then keeps its listener, which goes with it.
    const inUse = [...this.#waiters].some(({ wait }) => wait !== undefined && wait.signal === this.#signal)
    if (!inUse) this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    for (const { wait, reject } of this.#waiters) if (wait?.signal?.aborted) reject(wait.signal.reason)
  }
}
