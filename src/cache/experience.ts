import { LRUCache } from 'lru-cache'
import type { Uid } from '../dicom/uids.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'
import type { InstanceUids, Selection } from '../instance/uids.ts'
import { instanceKey, routeKey, type Route } from './route.ts'

/** How long the list of what a study or series holds is trusted: new instances may have arrived at the archive since. */
const LIST_TTL_MS = 60_000
/** The same where the archive has said meanwhile that there are as many: one may have come in the place of another. */
export const MAX_LIST_AGE_MS = 2 * LIST_TTL_MS
/** Two instances of a series that are asked for within this time, one by one, make the whole series worth fetching. */
const SERIES_INTEREST_MS = 10_000
/** What is known of the fragments of instances that passed, in bytes. */
const MAX_PASSED_BYTES = 32 * 1024 * 1024
/** Studies and series of which something is known. */
const MAX_LISTS = 10_000

/** What a study or series holds. */
interface List {
  readonly instances: readonly InstanceUids[]
  /** When it was brought, by performance.now(). */
  readonly broughtAt: number
}

/** What retrievals have told of studies and series, beside the instances that they brought. */
export class Experience {
  readonly #lists: LRUCache<string, List>
  readonly #interest: LRUCache<string, Uid>
  readonly #passed: LRUCache<string, InstanceIndex>
  /** Series and studies that do not fit: their instances are fetched one by one. */
  readonly #tooLarge: LRUCache<string, true>

  /** @param ttl of what is kept, in ms */
  constructor(ttl: number) {
    this.#lists = new LRUCache({ max: MAX_LISTS, ttl: Math.min(ttl, LIST_TTL_MS) })
    this.#interest = new LRUCache({ max: MAX_LISTS, ttl: SERIES_INTEREST_MS })
    this.#tooLarge = new LRUCache({ max: MAX_LISTS, ttl })
    this.#passed = new LRUCache({ maxSize: MAX_PASSED_BYTES, ttl, sizeCalculation: ({ heldBytes }) => heldBytes })
  }

  /** A retrieval of a study or series brought all there is. */
  brought(route: Route, selection: Selection, instances: readonly InstanceUids[]): void {
    // One that came damaged may have come once more.
    const distinct = new Map(instances.map((uids) => [`${uids.series} ${uids.sopInstance}`, uids]))
    this.#lists.set(routeKey(route, selection), { instances: [...distinct.values()], broughtAt: performance.now() })
  }

  /** A series has so many instances now: a list of as many is trusted for longer, one of fewer not any more. */
  confirm(route: Route, { study, series }: Required<Pick<Selection, 'study' | 'series'>>, count: number): void {
    const key = routeKey(route, { study, series })
    for (const one of [key, routeKey(route, { study })]) {
      if (ofSeries(this.#lists.get(one), series).length < count) this.#lists.delete(one)
    }
    const list = this.#latest(route, { study, series })
    if (!list) return
    const instances = ofSeries(list, series)
    const left = list.broughtAt + MAX_LIST_AGE_MS - performance.now()
    if (instances.length !== count || left <= 0) return
    this.#lists.set(key, { ...list, instances }, { ttl: Math.min(this.#lists.ttl, left) })
  }

  /** What a study or series holds; undefined where that is not known. */
  listOf(route: Route, selection: Selection): readonly InstanceUids[] | undefined {
    const { series } = selection
    return this.#latest(route, selection)?.instances.filter((uids) => series === undefined || uids.series === series)
  }

  /** A study or series was larger than what is kept of one. */
  wasTooLarge(route: Route, selection: Selection): void {
    this.#tooLarge.set(routeKey(route, selection), true)
  }

  isTooLarge(route: Route, selection: Selection): boolean {
    return this.#tooLarge.has(routeKey(route, selection))
  }

  /** An instance was missed; whether another of its series was a moment ago, and the series may be kept. */
  missed(route: Route, { study, series, sopInstance }: InstanceUids): boolean {
    const key = routeKey(route, { study, series })
    if (this.isTooLarge(route, { study, series })) return false
    const before = this.#interest.get(key)
    this.#interest.set(key, sopInstance)
    return before !== undefined && before !== sopInstance
  }

  /** An instance has come whole and was not kept. */
  passed(route: Route, instance: InstanceUids & { readonly index: InstanceIndex }): void {
    if (instance.index.frames) this.#passed.set(instanceKey(route, instance), instance.index)
  }

  /** The index of an instance that passed. */
  indexOf(route: Route, uids: InstanceUids): InstanceIndex | undefined {
    return this.#passed.get(instanceKey(route, uids))
  }

  /** An instance was stored: what is known of it, of its study and its series is out of date. */
  forget(route: Route, stored: InstanceUids): void {
    const { study, series } = stored
    this.#passed.delete(instanceKey(route, stored))
    this.#lists.delete(routeKey(route, { study }))
    this.#lists.delete(routeKey(route, { study, series }))
  }

  /** The later of what is known of a series by itself, and with its study. */
  #latest(route: Route, { study, series }: Selection): List | undefined {
    const own = this.#lists.get(routeKey(route, { study, ...(series !== undefined && { series }) }))
    const whole = this.#lists.get(routeKey(route, { study }))
    return own && whole ? (own.broughtAt > whole.broughtAt ? own : whole) : (own ?? whole)
  }
}

function ofSeries(list: List | undefined, series: Uid): readonly InstanceUids[] {
  return list?.instances.filter((uids) => uids.series === series) ?? []
}
