import { setImmediate } from 'node:timers/promises'

/** Milliseconds that work goes on before others have their turn: some of these are not noticed. */
export const BREATH_MS = 10

/** For long work on the one thread that serves all: between its steps it lets others go first, every so often. */
export class Breather {
  #since = performance.now()

  /** It is time to `breathe`; asked between steps, so that most of them cost no promise. */
  get isDue(): boolean {
    return performance.now() - this.#since >= BREATH_MS
  }

  /** Resolves when whatever else was ready has been done. */
  async breathe(): Promise<void> {
    await setImmediate()
    this.#since = performance.now()
  }
}
