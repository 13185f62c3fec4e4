import { JITTER, LONGEST_PAUSE_MS } from '../src/pacs/pool/breaker.ts'

/** Behind a fault, what an archive, a pool or a connection may still suffer from it. */
export const RECOVERY_MS = 12_000

/** The same for an archive that counts as down until it is tried again, which takes up to 10 s more. */
export const FOUND_AGAIN_MS = LONGEST_PAUSE_MS * (1 + JITTER) + 10_000

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

  /** Whether nothing was the matter from a time (of performance.now) until now, nor so many ms before. */
  isCalmSince(time: number, recovery = RECOVERY_MS): boolean {
    return this.#faults === 0 && this.#lastEnd + recovery < time
  }

  get isStormy(): boolean {
    return this.#faults > 0
  }
}
