import { WaitingLine, type Patience } from '../../dicom/waiting-line.ts'
import type { Call, Priority } from '../call.ts'

/** Calls of one priority that may wait at once: what a client can make us hold is bounded. */
export const MAX_WAITERS = 1_000
/** So many interactive calls may be served while a transfer waits; then it is its turn. */
export const MAX_OVERTAKES = 8

/** A call that waits for an association. */
export interface Waiter {
  readonly key: string
  /** An idle association is none for it. */
  readonly fresh: boolean
  /** An association of the pool, or only a place for one. */
  readonly wants: 'association' | 'place'
  readonly call: Call
  /** The line it waits in. */
  readonly priority: Priority
  /** It asks whether or not the archive counts as down. */
  readonly anyway: boolean
  /** Counts those who came before. */
  readonly arrival: number
}

type Line<S> = WaitingLine<Waiter, S>

/**
 * Who waits for associations, in a line for each priority. Interactive calls are served first; behind MAX_OVERTAKES of
 * them a transfer is, so that neither waits for ever. Background calls are served when nobody else waits.
 */
export class Queue<S> {
  readonly #lines: Readonly<Record<Priority, Line<S>>>
  /** How often each key is waited for, by who takes an idle association. */
  readonly #keys = new Map<string, number>()
  #overtakes = 0

  constructor() {
    const left = (waiter: Waiter): void => this.#count(waiter, -1)
    this.#lines = { interactive: new WaitingLine(left), bulk: new WaitingLine(left), background: new WaitingLine(left) }
  }

  get size(): number {
    const { interactive, bulk, background } = this.#lines
    return interactive.size + bulk.size + background.size
  }

  waiting(priority: Priority): number {
    return this.#lines[priority].size
  }

  /** Somebody waits for an idle association of the key. */
  isWanted(key: string): boolean {
    return this.#keys.has(key)
  }

  isFull(priority: Priority): boolean {
    return this.#lines[priority].size >= MAX_WAITERS
  }

  /** Waits to be served. @throws as WaitingLine */
  join(waiter: Waiter, patience: Patience<Waiter>): Promise<S> {
    const joined = this.#lines[waiter.priority].join(waiter, patience)
    if (!patience.signal.aborted) this.#count(waiter, 1)
    return joined
  }

  /** Whose turn it is, where a transfer may be served or not; nobody overtakes him. */
  next(transfersToo: boolean): Waiter | undefined {
    const { interactive, bulk, background } = this.#lines
    if (transfersToo && bulk.first && (!interactive.first || this.#overtakes >= MAX_OVERTAKES)) return bulk.first
    if (interactive.first) return interactive.first
    return transfersToo ? background.first : undefined
  }

  /** Serves who is first in his line. */
  serve({ priority }: Waiter, served: S): void {
    this.#overtakes = priority === 'interactive' && this.#lines.bulk.size > 0 ? this.#overtakes + 1 : 0
    this.#lines[priority].serve(served)
  }

  /** Sends them away: all, or those for whom `whom` holds. */
  refuse(error: Error, whom?: (waiter: Waiter) => boolean): void {
    for (const line of Object.values(this.#lines)) line.refuse(error, whom)
  }

  #count({ key, fresh }: Waiter, by: 1 | -1): void {
    if (fresh) return
    const count = (this.#keys.get(key) ?? 0) + by
    if (count === 0) this.#keys.delete(key)
    else this.#keys.set(key, count)
  }
}
