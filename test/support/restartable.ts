import type { RunningProcess } from './process.ts'

/** A program that may be killed, frozen, and started again over what it keeps. */
export class Restartable implements AsyncDisposable {
  readonly #start: () => Promise<RunningProcess>
  #running: RunningProcess

  private constructor(start: () => Promise<RunningProcess>, running: RunningProcess) {
    this.#start = start
    this.#running = running
  }

  static async start(start: () => Promise<RunningProcess>): Promise<Restartable> {
    return new Restartable(start, await start())
  }

  get pid(): number {
    return this.#running.pid
  }

  /** Of the process that was started last. */
  log(): string {
    return this.#running.log()
  }

  /** SIGKILL to it and what it forked; resolves when they are gone. */
  async kill(): Promise<void> {
    this.#running.signal('SIGKILL')
    await this.#running.stop()
  }

  /** Resolves when it listens again. Only after `kill`. */
  async restart(): Promise<void> {
    this.#running = await this.#start()
  }

  /** SIGSTOP: its connections stay, and nothing answers. */
  freeze(): void {
    this.#running.signal('SIGSTOP')
  }

  thaw(): void {
    this.#running.signal('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is frozen ends by SIGKILL only.
    this.thaw()
    await this.#running.stop()
  }
}
