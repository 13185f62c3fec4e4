import { Worker } from 'node:worker_threads'
import { MAX_INPUT_BYTES } from './target.ts'

/** Without an input for so long, something goes on for ever. */
const STUCK_MS = 60_000

/** What the thread that watches is given. */
export interface Watched {
  /** How many inputs there were, and the length of the last one. */
  readonly counts: Int32Array
  readonly input: Uint8Array
  readonly folder: string
  readonly stuckMs: number
}

/**
 * Watches from another thread whether inputs go on: a loop without an end lets nothing else run in its own. Then the
 * input is written to a folder, and the process is ended.
 */
export class Watchdog {
  readonly #counts = new Int32Array(new SharedArrayBuffer(8))
  readonly #input = new Uint8Array(new SharedArrayBuffer(MAX_INPUT_BYTES))
  readonly #worker: Worker

  constructor(folder: string, stuckMs = STUCK_MS) {
    const workerData: Watched = { counts: this.#counts, input: this.#input, folder, stuckMs }
    this.#worker = new Worker(new URL('./watchdog-thread.ts', import.meta.url), { workerData, execArgv: [] })
    this.#worker.unref()
  }

  seen(input: Uint8Array): void {
    this.#input.set(input)
    Atomics.store(this.#counts, 1, input.length)
    Atomics.add(this.#counts, 0, 1)
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}
