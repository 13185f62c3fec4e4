/** Association Request/Reject/Release Timer (PS3.8 9.1.5). */
export class Artim {
  readonly #milliseconds: number
  readonly #expired: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(milliseconds: number, expired: () => void) {
    this.#milliseconds = milliseconds
    this.#expired = expired
  }

  /** Starts, or starts again. */
  start(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#expired, this.#milliseconds)
    this.#timer.unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
