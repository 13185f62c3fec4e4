import type { Archive } from '../pacs/archive.ts'
import type { components } from './openapi.d.ts'
import { problemOf } from './problem.ts'

export type Readiness = components['schemas']['Readiness']

/** Asks each archive by C-ECHO; answers are kept `cacheMs`, and one question is under way at a time. */
export class ReadinessCheck {
  readonly #archives: readonly Archive[]
  readonly #cacheMs: number
  #stopping = false
  #pending: Promise<Readiness> | undefined
  #answer: { readonly at: number; readonly readiness: Readiness } | undefined
  readonly #reached = new Set<Archive>()

  constructor(archives: readonly Archive[], cacheMs: number) {
    this.#archives = archives
    this.#cacheMs = cacheMs
  }

  /** From now on the service is not ready: it is stopping. */
  stop(): void {
    this.#stopping = true
  }

  /** Ready when at least one archive answers: those that do can be served. */
  async ask(): Promise<Readiness> {
    if (this.#stopping) return { status: 'unready', archives: [] }
    if (this.#answer && performance.now() - this.#answer.at <= this.#cacheMs) return this.#answer.readiness
    this.#pending ??= this.#ask().finally(() => (this.#pending = undefined))
    return this.#pending
  }

  /** Its answer is as old as its end: an archive that is slow to answer is not asked all the time. */
  async #ask(): Promise<Readiness> {
    const archives = await Promise.all(this.#archives.map(async (archive) => this.#one(archive)))
    const readiness: Readiness = { status: archives.some(({ ready }) => ready) ? 'ready' : 'unready', archives }
    this.#answer = { at: performance.now(), readiness }
    return readiness
  }

  async #one(archive: Archive): Promise<Readiness['archives'][number]> {
    const { name, aeTitle, timeouts, maxAssociations } = archive.config
    // With every association at work a C-ECHO would wait for one of them: what was found last holds.
    const isBusy = archive.stats.leased >= maxAssociations
    if (isBusy && this.#reached.has(archive)) return { name, aeTitle, ready: true }
    try {
      await archive.echo({ signal: AbortSignal.timeout(timeouts.connect + timeouts.associate) })
      this.#reached.add(archive)
      return { name, aeTitle, ready: true }
    } catch (error) {
      this.#reached.delete(archive)
      return { name, aeTitle, ready: false, error: codeOf(error) }
    }
  }
}

function codeOf(error: unknown): string {
  // Our own patience, as AbortSignal.timeout tells of it.
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'PEER_TIMEOUT'
  return problemOf(error, '/readyz').problem.code
}
