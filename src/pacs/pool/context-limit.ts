import type { Call } from '../call.ts'
import { Intolerance, isDropped, isRejection } from './intolerance.ts'
import type { Proposal } from './proposal.ts'

/** How long it is remembered that an archive bears few presentation contexts, in ms. */
export const LIMITED_MS = 4 * 60 * 60_000
/** Contexts that are tried where more are not borne. */
const SMALLER = [64, 32, 16]
const MOST_TRIED = 64

/** Presentation contexts that an archive bears in one association: as configured, or fewer as it shows. */
export class ContextLimit {
  readonly #configured: number
  readonly #limited: (error: unknown) => void
  #found = Infinity
  readonly #intolerance = new Intolerance(LIMITED_MS)

  /** `limited` is told when fewer are proposed from now on, and how the archive took more. */
  constructor(configured: number, limited: (error: unknown) => void = () => undefined) {
    this.#configured = configured
    this.#limited = limited
  }

  get size(): number {
    return this.#intolerance.known ? Math.min(this.#found, this.#configured) : this.#configured
  }

  /**
   * Opens an association for as many contexts as the archive bears; `plan` proposes at most so many.
   * @throws what `open` threw for the most contexts; the signal's reason
   */
  async open<T>(
    plan: (maxContexts: number) => Proposal,
    open: (proposal: Proposal) => Promise<T>,
    { signal }: Call,
  ): Promise<T> {
    const began = performance.now()
    let first: unknown
    let proposed = Infinity
    for (const size of [this.size, ...SMALLER]) {
      if (size >= proposed) continue
      const proposal = plan(size)
      proposed = proposal.contexts.length
      try {
        const opened = await open(proposal)
        this.#learn({ size, proposed, first, began })
        return opened
      } catch (error) {
        signal.throwIfAborted()
        first ??= error
        if (!isDropped(error) && !isRejection(error)) throw first
      }
    }
    throw first
  }

  #learn(stood: { size: number; proposed: number; first: unknown; began: number }): void {
    const { size, proposed, first, began } = stood
    if (first === undefined) {
      if (proposed > MOST_TRIED) this.#intolerance.disprove()
    } else if (this.#intolerance.suspect(first, began)) {
      this.#found = size
      this.#limited(first)
    }
  }
}
