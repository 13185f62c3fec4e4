import type { AuditEvent } from './event.ts'
import { RepositoryError } from './repository-error.ts'

/** Events that are refused one after another before the repository is taken to refuse everything. */
export const MAX_SET_ASIDE = 10
/** The same, after it was taken to do so again and again: a run of events that it never takes ends some time. */
export const MAX_SET_ASIDE_LATER = 1_000

/**
 * Events that a repository refused, until it is known whose fault that is: that of the events, if it accepts another, or
 * its own, if it refuses all.
 */
export class SetAside {
  readonly #events: AuditEvent[] = []
  #error: unknown
  #limit = MAX_SET_ASIDE

  get size(): number {
    return this.#events.length
  }

  /**
   * Takes the first of those that wait, if the error says that it was refused, and whether there is another to be tried.
   * Where there is none, all that are here go back to the head of those that wait.
   */
  take(waiting: AuditEvent[], error: unknown): boolean {
    if (error instanceof RepositoryError && error.code === 'AUDIT_EVENT_REFUSED') {
      this.#events.push(...waiting.splice(0, 1))
      this.#error = error
      if (this.size < this.#limit && waiting.length > 0) return true
      if (this.size >= this.#limit) this.#limit = Math.min(2 * this.#limit, MAX_SET_ASIDE_LATER)
    }
    waiting.unshift(...this.#events.splice(0))
    return false
  }

  /** Lets go of all. */
  clear(): { readonly events: number; readonly error: unknown } {
    this.#limit = MAX_SET_ASIDE
    return { events: this.#events.splice(0).length, error: this.#error }
  }
}
