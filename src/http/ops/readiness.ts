import { PoolClosedError } from '../../pacs/errors.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { components } from '../openapi.d.ts'
import { problemOf } from '../problem.ts'
import { PoolBusyError, PoolFullError } from '../../pacs/errors.ts'

export type Readiness = components['schemas']['Readiness']
export type Examination = components['schemas']['Examination']

/** How long examinations are kept, in ms: each moves an instance or two. */
export const EXAMINED_MS = 10 * 60_000

/** The code of what an examination left out, since the service had no association to spare. */
const BUSY = 'NOT_TRIED_BUSY'

export interface ReadinessOptions {
  readonly archives: readonly Archive[]
  /** Milliseconds. */
  readonly cache: number
  /** Looks at one archive step by step. */
  readonly examine: (archive: Archive, signal: AbortSignal) => Promise<Examination>
}

/** Asks each archive by C-ECHO; answers are kept `cacheMs`, and one question is under way at a time. */
export class ReadinessCheck {
  readonly #archives: readonly Archive[]
  readonly #cacheMs: number
  readonly #examine: ReadinessOptions['examine']
  readonly #stop = new AbortController()
  #examining: Promise<void> | undefined
  #examined: { readonly at: number; readonly examinations: ReadonlyMap<Archive, Examination> } | undefined
  #pending: Promise<Readiness> | undefined
  #answer: { readonly at: number; readonly readiness: Readiness } | undefined
  readonly #reached = new Set<Archive>()

  constructor({ archives, cache, examine }: ReadinessOptions) {
    this.#archives = archives
    this.#cacheMs = cache
    this.#examine = examine
  }

  /** From now on the service is not ready: it is stopping. */
  stop(): void {
    this.#stop.abort(new PoolClosedError())
  }

  /** Ready when at least one archive answers: those that do can be served. */
  async ask(): Promise<Readiness> {
    if (this.#stop.signal.aborted) return { status: 'unready', archives: [] }
    if (this.#answer && performance.now() - this.#answer.at <= this.#cacheMs) return this.#answer.readiness
    this.#pending ??= this.#ask().finally(() => (this.#pending = undefined))
    return this.#pending
  }

  /** The same, with what was found at each archive: one examination is under way at a time, and kept EXAMINED_MS. */
  async askInDetail(): Promise<Readiness> {
    if (!this.#examined || performance.now() - this.#examined.at > EXAMINED_MS) {
      this.#examining ??= this.#examineAll().finally(() => (this.#examining = undefined))
      await this.#examining
    }
    const { status, archives } = await this.ask()
    const detailed = archives.map((archive, index) => {
      const { habits } = this.#archives[index]!
      const examination = this.#examined?.examinations.get(this.#archives[index]!)
      return { ...archive, ...(habits.length > 0 && { habits: [...habits] }), ...(examination && { examination }) }
    })
    return { status, archives: detailed }
  }

  /** One after another: they share our listener. */
  async #examineAll(): Promise<void> {
    const examinations = new Map<Archive, Examination>()
    for (const archive of this.#archives) {
      const examination = await this.#examine(archive, this.#stop.signal).catch(() => undefined)
      if (examination) examinations.set(archive, examination)
    }
    const isBusy = [...examinations.values()].some(({ findings }) => findings.some(({ code }) => code === BUSY))
    // What was not tried since there was too much to do is tried the next time.
    this.#examined = { at: isBusy ? -Infinity : performance.now(), examinations }
  }

  /** Its answer is as old as its end: an archive that is slow to answer is not asked all the time. */
  async #ask(): Promise<Readiness> {
    const archives = await Promise.all(this.#archives.map(async (archive) => this.#one(archive)))
    const readiness: Readiness = { status: archives.some(({ ready }) => ready) ? 'ready' : 'unready', archives }
    this.#answer = { at: performance.now(), readiness }
    return readiness
  }

  async #one(archive: Archive): Promise<Readiness['archives'][number]> {
    const { name, aeTitle, timeouts } = archive.config
    // With every association at work a C-ECHO would wait for one of them: that one stands, or what was found last, holds.
    const isBusy = archive.breaker === 'closed' && archive.stats.leased >= archive.stats.limit
    if (isBusy && (isAtWork(archive) || this.#reached.has(archive))) return { name, aeTitle, ready: true }
    try {
      const signal = AbortSignal.timeout(timeouts.connect + timeouts.associate)
      await archive.echo({ signal, deadline: performance.now() + timeouts.connect })
      this.#reached.add(archive)
      return { name, aeTitle, ready: true }
    } catch (error) {
      const isOurs = error instanceof PoolBusyError || error instanceof PoolFullError
      if (isOurs && isAtWork(archive)) return { name, aeTitle, ready: true }
      this.#reached.delete(archive)
      return { name, aeTitle, ready: false, error: codeOf(error) }
    }
  }
}

/** An association to it that stands is in use: it answers. */
function isAtWork({ stats: { leased, opening } }: Archive): boolean {
  return leased > opening
}

function codeOf(error: unknown): string {
  // Our own patience, as AbortSignal.timeout tells of it.
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'PEER_TIMEOUT'
  return problemOf(error, '/readyz').problem.code
}
