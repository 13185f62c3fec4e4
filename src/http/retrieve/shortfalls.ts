import { LRUCache } from 'lru-cache'

/** How long it is remembered that an answer lacked something, in ms: the archive may have it again by then. */
export const SHORTFALL_TTL_MS = 10 * 60_000
const MAX_SHORTFALLS = 10_000
/** Instances of one answer that are left out at once; what else is damaged cuts it. */
const MAX_LEFT_OUT = 1_000

/** What an answer lacked. */
export interface Shortfall {
  readonly reason: Error
  /**
   * Instances that were damaged behind what is held back, each by a key of its own: until when they are left out, on the
   * clock of performance.now. Then they are tried again.
   */
  readonly damaged: ReadonlyMap<string, number>
}

/**
 * Answers that were cut since something was missing, or could not be given, behind a status line that had not said so: when
 * the same is asked for again its answer is a 206 from the start, and ends in order.
 */
export class Shortfalls {
  readonly #known = new LRUCache<string, Shortfall>({ max: MAX_SHORTFALLS, ttl: SHORTFALL_TTL_MS })

  /** What the answer to a request lacked, by its key; undefined where it was whole, or nobody knows. */
  of(key: string): Shortfall | undefined {
    return this.#known.get(key)
  }

  /** `damaged`: one instance that is to be left out. */
  note(key: string, reason: Error, damaged?: string): void {
    const now = performance.now()
    const all = new Map([...(this.of(key)?.damaged ?? [])].filter(([, until]) => until > now))
    if (damaged !== undefined && all.size < MAX_LEFT_OUT) all.set(damaged, now + SHORTFALL_TTL_MS)
    this.#known.set(key, { reason, damaged: all })
  }

  /** The answer was whole. */
  forget(key: string): void {
    this.#known.delete(key)
  }
}
