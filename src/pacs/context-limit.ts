import { channel } from 'node:diagnostics_channel'
import { Intolerance, isDropped, isRejection } from './intolerance.ts'
import type { AssociationEvent, Proposal } from './pool.ts'

/** How long it is remembered that an archive bears few presentation contexts, in ms. */
export const LIMITED_MS = 4 * 60 * 60_000
/** Contexts that are tried where more are not borne. */
const SMALLER = [64, 32, 16]

const associations = channel('dimsegate:association')

/** Presentation contexts that an archive bears in one association: as configured, or fewer as it shows. */
export class ContextLimit {
  readonly #archive: string
  readonly #configured: number
  #found = Infinity
  readonly #intolerance = new Intolerance(LIMITED_MS)

  constructor(archive: string, configured: number) {
    this.#archive = archive
    this.#configured = configured
  }

  get size(): number {
    return this.#intolerance.known ? Math.min(this.#found, this.#configured) : this.#configured
  }

  /**
   * Opens an association for as many contexts as the archive bears; `plan` proposes at most so many.
   * @throws what `open` threw for the most contexts
   */
  async open<T>(plan: (maxContexts: number) => Proposal, open: (proposal: Proposal) => Promise<T>): Promise<T> {
    let first: unknown
    let proposed = Infinity
    for (const size of [this.size, ...SMALLER]) {
      if (size >= proposed) continue
      const proposal = plan(size)
      proposed = proposal.contexts.length
      try {
        const opened = await open(proposal)
        this.#learn(size, first)
        return opened
      } catch (error) {
        first ??= error
        if (!isDropped(error) && !isRejection(error)) throw first
      }
    }
    throw first
  }

  #learn(size: number, error: unknown): void {
    if (error === undefined || !this.#intolerance.suspect(error)) return
    this.#found = size
    associations.publish({ archive: this.#archive, event: 'fewer-contexts', error } satisfies AssociationEvent)
  }
}
