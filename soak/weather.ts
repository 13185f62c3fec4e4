/** Behind a fault, what an archive, a pool or a connection may still suffer from it. */
export const RECOVERY_MS = 12_000

/** Whether an archive, the way to it or the gateway is being disturbed. */
export class Weather {
  readonly name: string
  #faults = 0
  #lastEnd = -Infinity

  constructor(name: string) {
    this.name = name
  }

  /** A fault begins; it ends when what is given back is called. */
  begin(): () => void {
    this.#faults++
    return () => {
      this.#faults--
      this.#lastEnd = performance.now()
    }
  }

  /** Whether nothing was the matter from a time (of performance.now) until now, nor shortly before. */
  isCalmSince(time: number): boolean {
    return this.#faults === 0 && this.#lastEnd + RECOVERY_MS < time
  }

  get isStormy(): boolean {
    return this.#faults > 0
  }
}
