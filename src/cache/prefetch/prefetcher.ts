import { channel } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import { newUid } from '../../dicom/new-uid.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { InstanceUids } from '../../instance/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import { PoolClosedError } from '../../pacs/errors.ts'
import type { Prior, Priors } from '../../pacs/priors/find-priors.ts'
import { selectionKeys } from '../../pacs/search/query.ts'
import type { InstanceCache } from '../instance-cache.ts'
import { Budget, givingWay, servesPeople } from './giving-way.ts'
import { Lanes } from './lanes.ts'

/** As configured. */
export interface PrefetchOptions {
  /** Most priors of one study. */
  readonly maxStudies: number
  /** Most bytes that are fetched for one study. */
  readonly maxBytes: number
  /** What a prior has to be worth. */
  readonly minScore: number
  /** Most priors that are fetched of an archive at once. */
  readonly maxAssociations: number
  /** Milliseconds in which a study is not fetched once more. */
  readonly again: number
  /** AE title that archives send to, in place of here. */
  readonly destination: string | null
  /** Milliseconds that what was fetched is kept, as the cache has it. */
  readonly ttl: number
}

/** What has become of priors so far, in studies. */
export interface PrefetchStats {
  /** Came here. */
  readonly fetched: number
  /** Were then looked at. */
  readonly used: number
  /** Were let go without. */
  readonly wasted: number
  /** Were sent elsewhere. */
  readonly moved: number
  /** Could not be had. */
  readonly failed: number
  /** Are not at hand at their archive, which says so. */
  readonly offline: number
  readonly bytes: number
  /** Opened studies that have priors. */
  readonly opened: number
  /** Those of them whose priors were here by then. */
  readonly ready: number
}

/** Published when priors of a study are offline: somebody has to fetch them. */
export interface OfflinePriorsEvent {
  readonly archive: string
  readonly studies: number
}

const offline = channel('dimsegate:offline-priors')

/** What becomes of a prior. */
export type PriorState = 'queued' | 'here' | 'offline'

/** A prior that was chosen. */
export interface Chosen {
  readonly prior: Prior
  readonly state: PriorState
}

/** How priors are found. */
export type Find = (call: Call) => Promise<Pick<Priors, 'found' | 'failures'> | undefined>

/** Studies whose priors are looked for at once, and that wait for it. */
const MAX_FINDING = 1
const MAX_WAITING = 2_000
/** The same of those that somebody waits for to be told. */
const MAX_ASKED = 20
/** Studies that wait to be fetched of one archive. */
const MAX_WAITING_OF_ARCHIVE = 2_000
const MAX_KNOWN = 10_000
/** How often one is tried that had to give way to people, and how long it waits before, in ms. */
const TRIES = 10
const GIVEN_WAY_MS = 2_000
/** After what has failed it is looked anew, not at once, in ms. */
const AGAIN_SOON_MS = 60_000

/** Somebody wants the association by which priors are looked for. */
class GivenWayError extends Error {
  readonly code = 'GIVEN_WAY'
  constructor() {
    super('The archive is wanted by people')
    this.name = 'GivenWayError'
  }
}

/** Fetches priors in the background: nobody has asked for them, so everybody goes before. */
export class Prefetcher implements AsyncDisposable {
  readonly #options: PrefetchOptions
  readonly #cache: InstanceCache
  readonly #finding = new Lanes<'find'>(MAX_FINDING, MAX_WAITING)
  readonly #asking = new Lanes<'find'>(MAX_FINDING, MAX_ASKED)
  readonly #fetching: Lanes<Archive>
  /** Studies whose priors were looked for, and studies that were fetched. */
  readonly #asked: LRUCache<string, true>
  readonly #taken: LRUCache<string, true>
  /** What was fetched, and nobody has looked at. */
  readonly #unused: LRUCache<string, object>
  /** What came of each. */
  readonly #here: LRUCache<string, readonly InstanceUids[]>
  readonly #counts = { fetched: 0, used: 0, wasted: 0, moved: 0, failed: 0, offline: 0, bytes: 0, opened: 0, ready: 0 }
  readonly #stop = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #purging: NodeJS.Timeout

  constructor(cache: InstanceCache, options: PrefetchOptions) {
    this.#cache = cache
    this.#options = options
    this.#fetching = new Lanes(options.maxAssociations, MAX_WAITING_OF_ARCHIVE)
    const { again: ttl } = options
    this.#asked = new LRUCache({ max: MAX_KNOWN, ttl })
    this.#taken = new LRUCache({ max: MAX_KNOWN, ttl })
    this.#here = new LRUCache({ max: MAX_KNOWN, ttl: options.ttl })
    this.#unused = new LRUCache({
      max: MAX_KNOWN,
      ttl: options.ttl,
      dispose: (_, __, reason) => {
        if (reason !== 'delete') this.#counts.wasted++
      },
    })
    this.#purging = setInterval(() => this.#unused.purgeStale(), Math.min(options.ttl, PURGE_MS))
    this.#purging.unref()
  }

  get stats(): PrefetchStats {
    return { ...this.#counts }
  }

  /** Somebody has opened a study; `key` names it. What he opens next may be of its priors. */
  opened(key: string, find: Find): void {
    this.#once(key, find, (chosen) => {
      if (chosen.length === 0) return
      this.#counts.opened++
      if (chosen.every(({ state }) => state === 'here')) this.#counts.ready++
    })
  }

  /** A study will be made, `key` names it: who reads it will want priors. */
  expected(key: string, find: Find): void {
    this.#once(key, find, () => undefined)
  }

  #once(key: string, find: Find, note: (chosen: readonly Chosen[]) => void): void {
    if (this.#asked.has(key) || this.#stop.signal.aborted) return
    this.#asked.set(key, true)
    // It may go better the next time.
    const again = (): void => void this.#asked.set(key, true, { ttl: Math.min(AGAIN_SOON_MS, this.#options.again) })
    const look = async (): Promise<true> => {
      const { chosen, isWhole } = await this.#patiently(find)
      if (!isWhole) again()
      note(chosen)
      this.#take(chosen, again)
      return true
    }
    const work = this.#finding.run('find', look).then((done) => {
      if (!done) again()
    }, again)
    this.#follow(work)
  }

  /**
   * Somebody will want priors, of a study that may not be there yet: which will be fetched; undefined where too many others
   * are looked for. @throws what finding throws
   */
  async wanted(find: Find): Promise<readonly Chosen[] | undefined> {
    const { signal } = this.#stop
    const found = await this.#asking.run('find', () => this.#chosen(find, { signal }))
    if (found) this.#take(found.chosen, () => undefined, true)
    return found?.chosen
  }

  /** A study is read: if it was fetched ahead, that was of use. */
  used(archive: Archive, study: Uid): void {
    if (this.#unused.delete(keyOf(archive, study))) this.#counts.used++
  }

  /** What was fetched ahead of a study, where all of that is still here. */
  brought(archive: Archive, study: Uid): readonly InstanceUids[] | undefined {
    const key = keyOf(archive, study)
    const all = this.#here.get(key)
    if (!all) return undefined
    if (all.every((uids) => this.#cache.arrivalOf(archive, uids) !== undefined)) return all
    if (this.#unused.delete(key)) this.#counts.wasted++
    this.forget(archive, study)
    return undefined
  }

  /** It has changed, or is not here any more. */
  forget(archive: Archive, study: Uid): void {
    this.#here.delete(keyOf(archive, study))
    this.#taken.delete(keyOf(archive, study))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#purging)
    this.#stop.abort(new PoolClosedError())
    await Promise.all(this.#underWay)
  }

  /** Looks for priors, and anew where somebody wanted the association meanwhile. */
  async #patiently(find: Find): Promise<{ chosen: Chosen[]; isWhole: boolean }> {
    for (let tries = 0; ; tries++) {
      const own = new AbortController()
      const signal = AbortSignal.any([this.#stop.signal, own.signal])
      const wanted = (): void => own.abort(new GivenWayError())
      try {
        return await this.#chosen(find, { signal, priority: 'background', wanted })
      } catch (error) {
        if (!own.signal.aborted || tries >= TRIES) throw error
        await delay(GIVEN_WAY_MS * (tries + 1), undefined, { signal: this.#stop.signal, ref: false })
      }
    }
  }

  /** The best that are worth it; those that an archive has to fetch first come first, so that it begins. */
  async #chosen(find: Find, call: Call): Promise<{ chosen: Chosen[]; isWhole: boolean }> {
    const priors = await find(call)
    const worth = (priors?.found ?? []).filter(({ score }) => score.value >= this.#options.minScore)
    const chosen = worth.slice(0, this.#options.maxStudies).map((prior) => ({ prior, state: this.#stateOf(prior) }))
    const far = chosen.filter(({ prior }) => availabilityOf(prior) === 'NEARLINE')
    return {
      chosen: [...far, ...chosen.filter((one) => !far.includes(one))],
      isWhole: (priors?.failures ?? []).length === 0,
    }
  }

  #stateOf(prior: Prior): PriorState {
    const { archive, row } = prior.told
    if (this.brought(archive, row.string(Attribute.StudyInstanceUID) ?? '')) return 'here'
    return ['OFFLINE', 'UNAVAILABLE'].includes(availabilityOf(prior)) ? 'offline' : 'queued'
  }

  /** `failed`: one could not be had. `isAnew`: also what was tried of late. */
  #take(chosen: readonly Chosen[], failed: () => void, isAnew = false): void {
    const budget = new Budget(this.#options.maxBytes)
    for (const { prior, state } of chosen) {
      const { archive, row } = prior.told
      const study = row.string(Attribute.StudyInstanceUID)
      if (study === undefined || state === 'here') continue
      if (state === 'offline') {
        this.#counts.offline++
        offline.publish({ archive: archive.config.name, studies: 1 } satisfies OfflinePriorsEvent)
        continue
      }
      const key = keyOf(archive, study)
      if (this.#taken.has(key) && !isAnew) continue
      this.#taken.set(key, true)
      const { destination } = this.#options
      const work = (): Promise<boolean | 'too-large'> =>
        destination === null ? this.#fetch(archive, study, budget) : this.#move(archive, study, destination)
      const over = this.#fetching.run(archive, work).catch(() => false)
      this.#follow(
        over.then((isDone) => {
          if (isDone === true) return
          this.#counts.failed++
          // It will be as large the next time.
          if (isDone === 'too-large') return
          this.#taken.delete(key)
          failed()
        }),
      )
    }
  }

  async #fetch(archive: Archive, study: Uid, budget: Budget): Promise<boolean | 'too-large'> {
    const { signal } = this.#stop
    const key = keyOf(archive, study)
    for (let tries = 0; tries < TRIES; tries++) {
      if (tries > 0) await delay(GIVEN_WAY_MS * tries, undefined, { signal, ref: false })
      if (budget.isSpent) return 'too-large'
      if (signal.aborted || archive.breaker !== 'closed') return false
      if (servesPeople(archive)) continue
      const own = budget.part()
      const came = await this.#cache.fetchAhead(givingWay(archive, own), { study }, signal)
      const bytes = own.used
      this.#counts.bytes += bytes
      const held = came === 'dropped' ? undefined : this.#cache.held(archive, { study })
      // Somebody else fetches it, or it had to give way.
      if (!held) continue
      this.#here.set(
        key,
        held.map((one) => ({ study: one.study, series: one.series, sopInstance: one.sopInstance })),
      )
      if (bytes === 0) return true
      this.#counts.fetched++
      // One of its own: what is replaced by the same is not told of.
      this.#unused.set(key, {})
      return true
    }
    return false
  }

  async #move(archive: Archive, study: Uid, aeTitle: string): Promise<boolean> {
    const query = { level: 'STUDY', keys: selectionKeys(study, undefined) } as const
    const who = { owner: 'prefetch', client: 'prefetch' }
    const send = await archive.sends.request({ uid: newUid(), ...who, destination: { name: aeTitle, aeTitle }, query })
    await send.over
    if (send.status !== 'complete') return false
    this.#counts.moved++
    return true
  }

  /** What fails in the background is counted, and told by who has failed. */
  #follow(work: Promise<unknown>): void {
    const over = work.catch(() => undefined).finally(() => this.#underWay.delete(over))
    this.#underWay.add(over)
  }
}

const PURGE_MS = 60_000

function availabilityOf({ told: { row } }: Prior): string {
  return row.string(Attribute.InstanceAvailability) ?? ''
}

function keyOf({ config }: Archive, study: Uid): string {
  return `${config.name} ${study}`
}
