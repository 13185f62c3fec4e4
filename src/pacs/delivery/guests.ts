import { setTimeout as delay } from 'node:timers/promises'
import type { Association } from '../../network/association.ts'

/** How long an association is at rest before it makes room for another, in ms: one that delivers pauses too. */
export const REST_MS = 1_000

/** How long the answer to an instance may take to be on its way, in ms. */
const ANSWERED_MS = 50

interface Named {
  readonly callingAeTitle: string
  readonly address: string | undefined
  /** It brings what nobody has asked for. */
  readonly isDevice?: boolean
}

/** An association that stands, at our listener. */
export interface Guest {
  /** A store is under way over it for as long as this lasts. */
  during<T>(store: () => Promise<T>): Promise<T>
  /** The same, for as long as this is iterated. */
  throughout<T>(answers: AsyncIterable<T>): AsyncIterable<T>
}

interface Entry {
  readonly association: Association
  readonly named: Named
  readonly isDevice: boolean
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

  add(association: Association, { callingAeTitle, address, isDevice = false }: Named): Guest {
    const named = { callingAeTitle, address }
    const entry: Entry = { association, named, isDevice, stores: 0, since: performance.now() }
    this.#entries.add(entry)
    void association.closed.then(() => this.#entries.delete(entry))
    const ended = (): void => {
      entry.stores--
      entry.since = performance.now()
    }
    return {
      during: async (store) => {
        entry.stores++
        try {
          return await store()
        } finally {
          ended()
        }
      },
      throughout: async function* (answers) {
        entry.stores++
        try {
          yield* answers
        } finally {
          ended()
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

  /** Ends the associations of devices, each when it is at rest; what lasts longer is left. `grace` in ms. */
  async endDevices(grace: number): Promise<void> {
    const until = performance.now() + grace
    for (;;) {
      const devices = [...this.#entries].filter(({ isDevice }) => isDevice)
      for (const { association, stores, since } of devices) {
        const isAnswered = performance.now() - since >= ANSWERED_MS
        if (stores === 0 && isAnswered && !association.pending) association.abort()
      }
      if (devices.length === 0 || performance.now() >= until) return
      await delay(ANSWERED_MS)
    }
  }

  /** Aborts all of them. */
  abort(): void {
    for (const { association } of this.#entries) association.abort()
  }
}
