import { LRUCache } from 'lru-cache'

/** Lines of one kind in a minute: who can cause them at will must not fill the disk by it. */
export const MAX_LINES_A_MINUTE = 60
/** Kinds that are told apart, those of which there was a line of late: addresses may be in them. */
export const MAX_KINDS = 10_000
const MINUTE_MS = 60_000

/** Keeps lines in bounds that strangers cause, of the log and of the audit trail. */
export class SparedLines {
  readonly #kinds = new LRUCache<string, { since: number; said: number; spared: number }>({ max: MAX_KINDS })

  /** Whether a line of a kind is to be written, and how many were not since the last; undefined where it is not. */
  next(kind: string, now = performance.now()): { readonly spared?: number } | undefined {
    const seen = this.#kinds.get(kind)
    const isOver = seen !== undefined && now - seen.since >= MINUTE_MS
    const state = seen && !isOver ? seen : { since: now, said: 0, spared: seen?.spared ?? 0 }
    this.#kinds.set(kind, state)
    if (state.said >= MAX_LINES_A_MINUTE) {
      state.spared++
      return undefined
    }
    state.said++
    const { spared } = state
    state.spared = 0
    return spared > 0 ? { spared } : {}
  }

  /** Kinds of which there were more since the last line, and how many: there may come none that tells it. */
  rest(): readonly { readonly kind: string; readonly spared: number }[] {
    const left = [...this.#kinds.entries()].flatMap(([kind, { spared }]) => (spared > 0 ? [{ kind, spared }] : []))
    this.#kinds.clear()
    return left
  }
}
