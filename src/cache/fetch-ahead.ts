import type { Uid } from '../dicom/uids.ts'
import { VIEWER_SHARE, type InstanceCache } from './instance-cache.ts'
import type { Source } from './route.ts'

/** Studies of which something is fetched ahead at once: what is not asked for may not take much. */
export const MAX_AHEAD = 4

/** One client's study, of which something is fetched. */
interface Run {
  readonly study: Uid
  readonly stop: AbortController
}

/**
 * Fetches what a client is likely to ask for next, one series after the other: of the study that it looked at last. What it
 * has asked for by then goes on; the rest ends when it looks at another.
 */
export class FetchAhead {
  readonly #cache: InstanceCache
  readonly #budget: number
  readonly #runs = new Map<string, Run>()

  /** @param maxBytes of the cache, of which a viewer's share is used for one study */
  constructor(cache: InstanceCache, maxBytes: number) {
    this.#cache = cache
    this.#budget = maxBytes * VIEWER_SHARE
  }

  /** Begins with the first of the series, unless that client's study is under way already, or too many are. */
  begin(client: string, source: Source, study: Uid, series: readonly Uid[]): void {
    const before = this.#runs.get(client)
    if (before?.study === study) return
    before?.stop.abort()
    this.#runs.delete(client)
    if (series.length === 0 || this.#runs.size >= MAX_AHEAD) return
    const run = { study, stop: new AbortController() }
    this.#runs.set(client, run)
    void this.#fetch(source, series, run).finally(() => {
      if (this.#runs.get(client) === run) this.#runs.delete(client)
    })
  }

  async #fetch(source: Source, all: readonly Uid[], { study, stop: { signal } }: Run): Promise<void> {
    let [left, largest] = [this.#budget, 0]
    for (const series of all) {
      // The next may be as large as any before.
      if (left < largest || signal.aborted) return
      const fetched = await this.#cache.fetchAhead(source, { study, series }, signal)
      if (fetched === 'dropped') return
      left -= fetched
      largest = Math.max(largest, fetched)
    }
  }
}
