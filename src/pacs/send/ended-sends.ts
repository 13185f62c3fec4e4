import { LRUCache } from 'lru-cache'
import type { Send } from './send.ts'

/** Sends that are over and can still be asked about. */
export const MAX_ENDED = 10_000
/** Those of one client: its own oldest make room. */
export const MAX_ENDED_OF_CLIENT = 1_000

/** Sends that are over, for a time. */
export class EndedSends {
  readonly #all: LRUCache<string, Send>
  readonly #keys = new Map<string, Set<string>>()
  readonly #ofClient: number

  constructor(keep: number, ofClient = MAX_ENDED_OF_CLIENT) {
    this.#ofClient = ofClient
    this.#all = new LRUCache({
      max: MAX_ENDED,
      ttl: keep,
      dispose: ({ request: { client } }, key) => {
        const keys = this.#keys.get(client)
        keys?.delete(key)
        if (keys?.size === 0) this.#keys.delete(client)
      },
    })
  }

  set(key: string, send: Send): void {
    const { client } = send.request
    this.#all.set(key, send)
    const keys = this.#keys.get(client) ?? new Set()
    keys.add(key)
    this.#keys.set(client, keys)
    const [oldest] = keys
    if (keys.size > this.#ofClient && oldest !== undefined) this.#all.delete(oldest)
  }

  get(key: string): Send | undefined {
    return this.#all.get(key)
  }

  delete(key: string): void {
    this.#all.delete(key)
  }
}
