import { LRUCache } from 'lru-cache'
import type { AttributePath } from '../../dicom/attribute-path.ts'
import { datasetsAt } from '../../dicom/datasets-at.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { vrFor } from '../../dicom/dataset.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Key } from '../../pacs/search/query.ts'

/** How long what a worklist said is believed, in ms: the instances of a study come within it. */
const KEEP_MS = 30_000
const MAX_KEPT = 1_000
/** Steps of one order or patient that are looked at. */
const MAX_STEPS = 100

/** What of a worklist is asked for. */
export interface Lookup {
  /** Name of the archive whose worklist it is. */
  readonly archive: string
  readonly by: AttributePath
  readonly key: string
  readonly sources: readonly { readonly from: AttributePath }[]
}

/** Values of each source. */
type Found = readonly (readonly string[])[]

/** Asks worklists, the same but once in a while. */
export class WorklistLookup {
  readonly #archives: ReadonlyMap<string, Pick<Archive, 'worklist'>>
  readonly #known = new LRUCache<string, Promise<Found | undefined>>({ max: MAX_KEPT, ttl: KEEP_MS })
  /** Whoever leaves: others may wait for the same. */
  readonly #stop = new AbortController()

  constructor(archives: ReadonlyMap<string, Pick<Archive, 'worklist'>>) {
    this.#archives = archives
  }

  /** Undefined where there is no step, or several that do not agree. @throws as Worklist.find, the signal's reason */
  async find(lookup: Lookup, signal: AbortSignal): Promise<Found | undefined> {
    const key = JSON.stringify(lookup)
    const known = this.#known.get(key)
    const asked = known ?? this.#ask(lookup)
    if (!known) {
      this.#known.set(key, asked)
      asked.catch(() => {
        if (this.#known.get(key) === asked) this.#known.delete(key)
      })
    }
    const { promise: left, reject } = Promise.withResolvers<never>()
    const leave = (): void => reject(signal.reason as Error)
    signal.throwIfAborted()
    signal.addEventListener('abort', leave)
    try {
      return await Promise.race([asked, left])
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  close(reason: Error): void {
    this.#stop.abort(reason)
  }

  async #ask({ archive, by, key, sources }: Lookup): Promise<Found | undefined> {
    // It would ask for others too (PS3.4 C.2.2.2.4).
    if (/[*?\\]/.test(key)) return undefined
    const { worklist } = this.#archives.get(archive)!
    const request = { match: [keyOf(by, key)], include: sources.map(({ from }) => from), fuzzy: false }
    const call = { signal: this.#stop.signal, priority: 'interactive' } as const
    let found: Found | undefined
    let steps = 0
    const capped = { is: false }
    for await (const step of worklist.find(request, call, () => (capped.is = true))) {
      const told = sources.map(({ from }) => valuesOf(step, from))
      if (++steps > MAX_STEPS || (found && JSON.stringify(found) !== JSON.stringify(told))) return undefined
      found = told
    }
    return capped.is ? undefined : found
  }
}

function keyOf([tag, ...inner]: AttributePath, value: string): Key {
  if (inner.length > 0) return { tag: tag!, vr: 'SQ', values: [], item: [keyOf(inner, value)] }
  return { tag: tag!, vr: vrFor(tag!), values: [value] }
}

function valuesOf(step: Dataset, path: AttributePath): string[] {
  return datasetsAt(step, path).flatMap((dataset) => dataset.strings(path.at(-1)!))
}
