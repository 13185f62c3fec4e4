import { LRUCache } from 'lru-cache'
import type { Uid } from '../../dicom/uids.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Archive } from '../archive.ts'

/** Instances of all listings that are remembered. */
export const MAX_REMEMBERED = 200_000
/** How long one is, in ms: it tells what an archive had that cannot be asked any more. */
const REMEMBERED_MS = 24 * 60 * 60_000

/** What is known of a study at one archive. */
interface Known {
  /** All its series are. */
  readonly isWhole: boolean
  readonly series: ReadonlyMap<Uid, readonly InstanceUids[]>
}

/** What archives have listed of studies and series, or sent of them as all there is. */
export class KnownListings {
  readonly #known = new LRUCache<string, Known>({
    maxSize: MAX_REMEMBERED,
    ttl: REMEMBERED_MS,
    sizeCalculation: ({ series }) => [...series.values()].reduce((sum, { length }) => sum + length, 1),
  })

  /** What is told of a study takes the place of all that was; of a series, of what was of that. */
  remember(archive: Archive, { study, series }: Selection, listed: readonly InstanceUids[]): void {
    const key = keyOf(archive, study)
    if (series === undefined) {
      this.#known.set(key, { isWhole: true, series: Map.groupBy(listed, (one) => one.series) })
      return
    }
    const before = this.#known.get(key)
    const all = new Map(before?.series).set(series, listed)
    this.#known.set(key, { isWhole: before?.isWhole ?? false, series: all })
  }

  /** Undefined where it is not known what all of it was. */
  of(archive: Archive, { study, series }: Selection): readonly InstanceUids[] | undefined {
    const known = this.#known.get(keyOf(archive, study))
    if (!known) return undefined
    if (series !== undefined) return known.series.get(series) ?? (known.isWhole ? [] : undefined)
    return known.isWhole ? [...known.series.values()].flat() : undefined
  }
}

function keyOf({ config }: Archive, study: Uid): string {
  return `${config.name} ${study}`
}
