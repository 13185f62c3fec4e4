import type { Association } from '../../network/association.ts'

/** How long an association is at rest before it makes room for another, in ms: one that delivers pauses too. */
export const REST_MS = 1_000

interface Named {
  readonly callingAeTitle: string
  readonly address: string | undefined
}

/** An association that stands, at our listener. */
export interface Guest {
  /** A store is under way over it for as long as this lasts. */
  during<T>(store: () => Promise<T>): Promise<T>
}

interface Entry {
  readonly association: Association
  readonly named: Named
  stores: number
  /** Since when it is at rest, by performance.now(). */
  since: number
}

/** The associations at our listener; one at rest makes room for who has something to deliver. */
export class Guests {
  readonly #restMs: number
  readonly #entries = new Set<Entry>()

  constructor(restMs = REST_MS) {
    this.#restMs = restMs
  }

  get size(): number {
    return this.#entries.size
  }

  add(association: Association, { callingAeTitle, address }: Named): Guest {
    const entry: Entry = { association, named: { callingAeTitle, address }, stores: 0, since: performance.now() }
    this.#entries.add(entry)
    void association.closed.then(() => this.#entries.delete(entry))
    return {
      during: async (store) => {
        entry.stores++
        try {
          return await store()
        } finally {
          entry.stores--
          entry.since = performance.now()
        }
      },
    }
  }

  /** Aborts the one that has been at rest for longest, and says whose it was; undefined where none has for long enough. */
  makeRoom(): Named | undefined {
    let longest: Entry | undefined
    for (const entry of this.#entries) {
      if (entry.stores > 0 || entry.association.pending) continue
      if (!longest || entry.since < longest.since) longest = entry
    }
    if (!longest || performance.now() - longest.since < this.#restMs) return undefined
    this.#entries.delete(longest)
    longest.association.abort()
    return longest.named
  }

  /** Aborts all of them. */
  abort(): void {
    for (const { association } of this.#entries) association.abort()
  }
}
