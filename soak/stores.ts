import { setTimeout as delay } from 'node:timers/promises'
import { related } from '../test/e2e/http.ts'
import type { SoakArchive } from './archives.ts'
import { storeOutcome } from './checks.ts'
import type { Manner } from './exchange.ts'
import { makeInstance, shapeOf, SIZES, SORTS, type MadeInstance, type Sort } from './instances.ts'
import type { Session } from './session.ts'

/** Bytes stored to one archive; behind them only the least size is stored. dcmqrscp drops what is above its quota. */
export const MAX_STORED_BYTES = 1.5 * 1024 ** 3
/** Then the next study begins. */
const STUDY_INSTANCES = 24
const STUDY_BYTES = 40 * 1024 * 1024
/** The larger, the slower is JPEG-LS. */
const MAX_CAPTURE_BYTES = 512 * 1024
const MOST_AT_ONCE = 4
/** Behind a store that went wrong, until an archive that takes one at a time has done with it. */
const ALONE_MS = 2_000

/** Of everything made for a soak. */
export const UID_ROOT = '1.2.826.0.1.3680043.10.1561.88'

/** Makes the instances of one archive, study by study. */
export class Source {
  readonly #archive: SoakArchive
  readonly #root: string
  readonly #seed: number
  #studies = 0
  #instances = 0
  #inStudy = 0
  #bytesInStudy = 0
  #bytes = 0
  #isBusy = false

  constructor(archive: SoakArchive, number: number, seed: number) {
    this.#archive = archive
    this.#root = `${UID_ROOT}.${seed}.${number}`
    this.#seed = seed * 1000 + number
  }

  /** Does a store if the archive can take one now. */
  async unlessBusy(store: () => Promise<boolean>): Promise<void> {
    if (!this.#archive.storesAlone) {
      await store()
      return
    }
    if (this.#isBusy) return
    this.#isBusy = true
    try {
      if (await store()) return
      // What was sent may still be on its way, or wait for a process that is frozen.
      do await delay(ALONE_MS)
      while (this.#archive.weather.isStormy)
    } finally {
      this.#isBusy = false
    }
  }

  async make(sort: Sort, size: number): Promise<MadeInstance> {
    if (this.#inStudy >= STUDY_INSTANCES || this.#bytesInStudy >= STUDY_BYTES || this.#studies === 0) {
      this.#studies++
      this.#inStudy = 0
      this.#bytesInStudy = 0
    }
    const most = sort === 'capture' ? MAX_CAPTURE_BYTES : Infinity
    const bytes = this.#bytes > MAX_STORED_BYTES ? SIZES[0]! : Math.min(size, most)
    const study = `${this.#root}.${this.#studies + 100}`
    const series = `${study}.${Object.keys(SORTS).indexOf(sort) + 1}`
    const number = ++this.#instances
    this.#inStudy++
    this.#bytesInStudy += bytes
    this.#bytes += bytes
    const patient = `${this.#archive.name.toUpperCase()}-${this.#studies + 100}`
    const uids = { study, series, instance: `${series}.${number}`, patient }
    return makeInstance(uids, shapeOf(sort, bytes), this.#seed * 100_000 + number)
  }
}

/** Stores one or several new instances; the answer says what the archive must have from then on. */
export function store(session: Session, source: Source): Promise<void> {
  return source.unlessBusy(() => storeSome(session, source))
}

/** Resolves to whether all went well. */
async function storeSome(session: Session, source: Source): Promise<boolean> {
  const { archive, next, ground } = session
  const sorts = Object.keys(SORTS) as Sort[]
  const count = next() < 0.5 ? 1 : 2 + Math.floor(next() * (MOST_AT_ONCE - 1))
  const made: MadeInstance[] = []
  for (let n = 0; n < count; n++) {
    // The greater ones are the fewer.
    const size = SIZES[Math.floor(next() ** 2 * SIZES.length)]!
    const sort = session.pick(sorts)
    // None twice: the name of a file that is given up may be that of the next of its class.
    if (archive.storesAlone) sorts.splice(sorts.indexOf(sort), 1)
    made.push(await source.make(sort, size))
  }
  const { type, body: bytes } = related(made.map(({ file }) => file))
  const instances = made.map(({ instance }) => instance)
  for (const instance of instances) archive.stock.sent(instance)
  const ask = { path: `${session.root}/studies`, body: { type, bytes }, ...manner(next, bytes.length) }
  const answer = await session.request('store', ask, (given) => {
    const { stored, failed, faults } = storeOutcome(given, instances)
    for (const uid of stored) archive.stock.stored(uid)
    for (const [, reason] of failed) ground.tally.refusal(reason)
    return faults
  })
  return answer !== undefined
}

function manner(next: () => number, bytes: number): { manner?: Manner } {
  return next() < 0.1 ? { manner: { leavesAfterBytes: Math.floor(next() * bytes) } } : {}
}
