import { WaitingLine } from '../../dicom/waiting-line.ts'

/** Who wants a place, and for whom no more. */
export interface Applicant {
  readonly client: string
  readonly signal: AbortSignal
}

export interface TurnsOptions {
  readonly places: number
  /** Milliseconds that one waits for a place; for ever where it is absent. */
  readonly patience?: number
  /** All that wait, and those of one client. */
  readonly waiting?: number
  readonly waitingOfClient?: number
  /** Made for who may not wait, or has waited too long. */
  readonly busy?: () => Error
}

interface Client {
  running: number
  readonly line: WaitingLine<undefined>
}

/**
 * So many places for work. Clients that wait have their turns one after the other, each its own in the order they came;
 * of several places one client has all but one at most.
 */
export class Turns {
  readonly #options: Required<TurnsOptions>
  readonly #ofClient: number
  #running = 0
  #waiting = 0
  /** Those that have work or wait for it; who was served last comes last. */
  readonly #clients = new Map<string, Client>()

  constructor({ patience = Infinity, waiting = Infinity, waitingOfClient = waiting, ...options }: TurnsOptions) {
    const busy = (): Error => new Error('There is no place')
    this.#options = { patience, waiting, waitingOfClient, busy, ...options }
    this.#ofClient = Math.max(1, options.places - 1)
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting }
  }

  /** What comes now of a client has to wait. */
  isFull(client: string): boolean {
    return this.#running >= this.#options.places || (this.#clients.get(client)?.running ?? 0) >= this.#ofClient
  }

  /** Works when there is a place. @throws the signal's reason while it waits, `busy`, and what the work throws */
  async run<T>(work: () => Promise<T>, { client, signal }: Applicant): Promise<T> {
    signal.throwIfAborted()
    const own = this.#clients.get(client) ?? { running: 0, line: new WaitingLine(() => this.#waiting--) }
    this.#clients.set(client, own)
    try {
      if (this.isFull(client)) await this.#wait(own, signal)
      else this.#take(own)
    } catch (error) {
      this.#forget(client, own)
      throw error
    }
    try {
      return await work()
    } finally {
      own.running--
      this.#running--
      this.#forget(client, own)
      this.#serve()
    }
  }

  #take(own: Client): void {
    own.running++
    this.#running++
  }

  async #wait({ line }: Client, signal: AbortSignal): Promise<void> {
    const { patience, waiting, waitingOfClient, busy } = this.#options
    if (this.#waiting >= waiting || line.size >= waitingOfClient) throw busy()
    this.#waiting++
    const limit = patience === Infinity ? {} : { until: performance.now() + patience, late: busy }
    await line.join(undefined, { signal, ...limit })
  }

  /** Hands free places to who waits: the place is taken before the one who waits goes on, so that nobody overtakes. */
  #serve(): void {
    for (const [client, own] of this.#clients) {
      if (this.#running >= this.#options.places) return
      if (own.line.size === 0 || own.running >= this.#ofClient) continue
      this.#clients.delete(client)
      this.#clients.set(client, own)
      this.#take(own)
      own.line.serve(undefined)
    }
  }

  #forget(client: string, { running, line }: Client): void {
    if (running === 0 && line.size === 0) this.#clients.delete(client)
  }
}
