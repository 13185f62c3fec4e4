import { LRUCache } from 'lru-cache'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Archive } from '../archive.ts'

/** Instances of all listings that are remembered. */
export const MAX_REMEMBERED = 500_000
/** How long one is, in ms: it tells what an archive had that cannot be asked any more. */
const REMEMBERED_MS = 24 * 60 * 60_000

/** What archives have listed of studies and series, or sent of them as all there is. */
export class KnownListings {
  readonly #known = new LRUCache<string, readonly InstanceUids[]>({
    maxSize: MAX_REMEMBERED,
    ttl: REMEMBERED_MS,
    sizeCalculation: ({ length }) => Math.max(1, length),
  })

  remember(archive: Archive, selection: Selection, listed: readonly InstanceUids[]): void {
    this.#known.set(keyOf(archive, selection), listed)
  }

  /** Of a series also what is known of its study. */
  of(archive: Archive, { study, series }: Selection): readonly InstanceUids[] | undefined {
    const own = series === undefined ? undefined : this.#known.get(keyOf(archive, { study, series }))
    const all = this.#known.get(keyOf(archive, { study }))
    return own ?? all?.filter((uids) => series === undefined || uids.series === series)
  }
}

function keyOf({ config }: Archive, { study, series = '' }: Selection): string {
  return `${config.name} ${study} ${series}`
}
