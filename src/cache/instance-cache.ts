import { PoolClosedError } from '../pacs/errors.ts'
import { channel } from 'node:diagnostics_channel'
import { LRUCache } from 'lru-cache'
import { isNative } from '../dicom/transfer-syntax.ts'
import { type Call } from '../pacs/call.ts'
import type { InstanceUids, Selection } from '../instance/uids.ts'
import { NoSuchInstanceError } from '../pacs/retrieve/errors.ts'
import type { Allowance } from './allowance.ts'
import { CachedInstance } from './cached-instance.ts'
import type { DiskStats, DiskTier } from './disk/disk-tier.ts'
import { Experience } from './experience.ts'
import { Flight } from './flight.ts'
import { Flights } from './flights.ts'
import type { Keeper } from './keeper.ts'
import { HeadStore } from './head-store.ts'
import type { HeldInstance } from './held-instance.ts'
import type { Boarded, KeptInstance } from './kept-instance.ts'
import { instanceKey, type Mode, type Route, type Source } from './route.ts'

/** Bytes that were kept for long and are let go, for who collects by them: src/memory.ts. */
const buffersLetGo = channel('dimsegate:buffers-let-go')

export interface CacheOptions {
  /** 0 keeps nothing: every request is a retrieval of its own. */
  readonly maxBytes: number
  /** Milliseconds an instance is kept. */
  readonly ttl: number
}

/** How the cache has served so far, and what it holds. */
export interface CacheStats {
  /** Served from memory, or from disk. */
  hits: number
  /** Served by a retrieval that was under way for somebody else. */
  joins: number
  /** Retrievals begun. */
  misses: number
  /** Retrievals begun before anybody asked. */
  ahead: number
  /** Instances that had to make room for others. */
  evictions: number
  readonly bytes: number
  readonly instances: number
  /** Where there is a disk. */
  readonly disk: DiskStats | undefined
}

/** What a retrieval for a viewer may take of the budget: what is larger passes through, and leaves the rest alone. */
export const VIEWER_SHARE = 1 / 2
/** The same of one instance that is read in parts: a loop is asked for frame by frame, again and again. */
export const PARTS_SHARE = 1
/** The same for a download, which is seldom wanted twice. */
export const DOWNLOAD_SHARE = 1 / 32
const PURGE_MS = 60_000
/** How long one is kept that came damaged: for the frames that are whole, which are asked for one by one. */
export const DAMAGED_TTL_MS = 60_000

/** How a retrieval is begun. */
interface Start {
  readonly lingers: boolean
  readonly shared: boolean
  /** Before anybody asks for it. */
  readonly isAhead?: boolean
  readonly call: Call
}

/**
 * Instances that were fetched lately, and retrievals under way, so that an archive is asked once for what many want.
 * Nothing is kept above `maxBytes`; what is being read stays alive until its readers are done.
 */
export class InstanceCache implements AsyncDisposable {
  readonly #options: CacheOptions
  readonly #held: LRUCache<string, HeldInstance> | undefined
  readonly #disk: DiskTier | undefined
  readonly #experience: Experience
  readonly #flights = new Flights()
  /** Bytes of instances that are coming, and are to be kept. */
  #coming = 0
  readonly #heads = new HeadStore()
  readonly #counters = { hits: 0, joins: 0, misses: 0, ahead: 0, evictions: 0 }
  readonly #purging: NodeJS.Timeout | undefined

  /** `disk`: where what memory cannot hold is kept; it ends with the cache. */
  constructor(options: CacheOptions, disk?: DiskTier) {
    const { maxBytes, ttl } = options
    this.#options = options
    this.#disk = disk
    this.#experience = new Experience(ttl)
    if (maxBytes === 0) return
    this.#held = new LRUCache({
      maxSize: maxBytes,
      ttl,
      sizeCalculation: ({ heldBytes }) => Math.max(heldBytes, 1),
      dispose: (instance, key, reason) => {
        if (reason === 'evict') {
          this.#counters.evictions++
          this.#disk?.take(key, instance)
        }
        buffersLetGo.publish(instance.heldBytes)
      },
    })
    // Expired entries would stay until somebody asks for them.
    this.#purging = setInterval(() => this.#held?.purgeStale(), Math.min(ttl, PURGE_MS))
    this.#purging.unref()
  }

  get stats(): CacheStats {
    return {
      ...this.#counters,
      bytes: (this.#held?.calculatedSize ?? 0) + this.#coming,
      instances: this.#held?.size ?? 0,
      disk: this.#disk?.stats,
    }
  }

  /**
   * The instances of a selection, each once, from memory, from a retrieval under way, or from the archive; their order
   * is the archive's. `lingers`: what is left when the caller stops early is still fetched, for who comes next; not
   * when its client has gone.
   * @throws as Archive.retrieve
   */
  async *retrieve(
    source: Source,
    selection: Selection,
    { compressed, lingers }: { readonly compressed: boolean; readonly lingers: boolean },
    call: Call,
  ): AsyncGenerator<CachedInstance> {
    const route: Route = { source, mode: compressed ? 'stored' : 'native' }
    const given = new Set<string>()
    const known = this.#known(route, selection)
    if (known) this.#counters.hits++
    let flight = known ? undefined : this.#flight(route, selection, lingers, call)
    for (;;) {
      const coming = flight?.instances(selection, () => lingers && !call.signal.aborted, call.signal)
      let behind = false as boolean
      /** Nobody waits for an association while holding one: it is let go before anything is fetched anew. */
      const leave = async (): Promise<void> => {
        behind = true
        await coming?.return(undefined)
      }
      for await (const one of coming ?? known!) {
        const key = instanceKey(route, one)
        if (given.has(key)) continue
        const held = isKept(one) ? one : this.#find(route, one)
        if (!held) {
          await leave()
          break
        }
        using instance = this.#served(route, aboard(held), call, leave)
        yield instance
        // One that is damaged may come whole yet.
        if (instance.isServed || !instance.isDamaged) given.add(key)
      }
      if (!behind) return
      // What it was too slow for is not held any more: what is left comes by a retrieval that waits for nobody else.
      flight = this.#start(route, selection, { lingers: false, shared: false, call })
    }
  }

  /**
   * One instance, to be disposed of. `part`: only some of it is wanted, a frame for example; more of its series will
   * then be wanted soon, and a second such miss of a series has all of it fetched.
   * @throws NoSuchInstanceError, and as Archive.retrieve
   */
  async instance(
    source: Source,
    uids: InstanceUids,
    { compressed, part }: { readonly compressed: boolean; readonly part: boolean },
    call: Call,
  ): Promise<CachedInstance> {
    const route: Route = { source, mode: compressed ? 'stored' : 'native' }
    const held = this.#find(route, uids)
    if (held) {
      this.#counters.hits++
      return this.#served(route, aboard(held), call)
    }
    const { study, series, sopInstance } = uids
    const around =
      this.#flights.under(route, { study, series, instance: sopInstance }) ?? this.#flights.carrier(route, uids, 0)
    if (around) this.#counters.joins++
    const wantsSeries = !around && part && this.#held !== undefined && this.#experience.missed(route, uids)
    const flight = wantsSeries ? this.#flight(route, { study, series }, true, call) : around
    return this.#served(route, await this.#boarded(route, uids, flight, call), call)
  }

  /**
   * Fetches a series that nobody has asked for yet, at the lowest priority; who asks for it joins, and it is dropped where an
   * association is wanted, or by the signal, before anybody does. Resolves when it is over, with the bytes that came; 0 where
   * it is here or on its way already.
   */
  async fetchAhead(source: Source, selection: Selection, signal: AbortSignal): Promise<number | 'dropped'> {
    const route: Route = { source, mode: 'stored' }
    if (!this.#held || signal.aborted || this.#experience.isTooLarge(route, selection)) return 'dropped'
    if (this.#known(route, selection) || this.#flights.under(route, selection)) return 0
    const call = { signal, priority: 'background' } as const
    const flight = this.#start(route, selection, { lingers: true, shared: true, isAhead: true, call })
    const drop = (): void => flight.dropAhead()
    signal.addEventListener('abort', drop, { once: true })
    await flight.over
    signal.removeEventListener('abort', drop)
    // So much of it was left that nobody has asked for.
    if (flight.failure && flight.total >= this.#options.maxBytes * VIEWER_SHARE) {
      this.#experience.wasTooLarge(route, selection)
    }
    return flight.failure ? 'dropped' : flight.total
  }

  /**
   * The archive has just said what a study or series holds: whether all of it is here, and then is given without asking once
   * more.
   */
  renew(source: Source, selection: Selection, listed: readonly InstanceUids[]): boolean {
    const route: Route = { source, mode: 'stored' }
    if (listed.length === 0 || !listed.every((uids) => this.#find(route, uids) !== undefined)) return false
    this.#experience.brought(route, selection, listed)
    return true
  }

  /** Which arrival of an instance is here, see KeptInstance; as stored before any other. Undefined where none is. */
  arrivalOf(source: Source, uids: InstanceUids): number | undefined {
    return (this.#find({ source, mode: 'stored' }, uids) ?? this.#find({ source, mode: 'native' }, uids))?.arrival
  }

  /** What there is of a selection as stored, where that is known and all of it is here. */
  held(source: Source, selection: Selection): readonly KeptInstance[] | undefined {
    const route: Route = { source, mode: 'stored' }
    const found = this.#known(route, selection)?.map((uids) => this.#find(route, uids))
    return found?.every((one) => one !== undefined) ? found : undefined
  }

  /** The archive has just said how many instances a series has: see Experience. */
  confirm(source: Source, series: Required<Pick<Selection, 'study' | 'series'>>, count: number): void {
    for (const mode of ['stored', 'native'] as const) this.#experience.confirm({ source, mode }, series, count)
  }

  /** An instance was stored: what is held of it, and what is known of its study and series, is out of date. */
  forget(source: Source, stored: InstanceUids): void {
    for (const mode of ['stored', 'native'] as const) {
      const route: Route = { source, mode }
      this.#held?.delete(instanceKey(route, stored))
      this.#disk?.delete(instanceKey(route, stored))
      this.#experience.forget(route, stored)
      this.#flights.outdate(route, stored)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#purging)
    const flights = this.#flights.all
    for (const flight of flights) flight.abort(new PoolClosedError())
    await Promise.all(flights.map(({ over }) => over))
    this.#held?.clear()
    await this.#disk?.[Symbol.asyncDispose]()
  }

  #served(route: Route, boarded: Boarded, call: Call, leave?: () => Promise<void>): CachedInstance {
    const told = this.#experience.indexOf(route, boarded.instance)
    const again = async (from: number, to: number): Promise<Boarded> => {
      await leave?.()
      const flight = this.#flights.carrier(route, boarded.instance, from, to)
      return this.#boarded(route, boarded.instance, flight, call)
    }
    return new CachedInstance(boarded, this.#heads, call.signal, again, told)
  }

  /** An instance of a flight, or by a retrieval of its own: under way at once, so that who asks at the same time joins it. */
  async #boarded(route: Route, uids: InstanceUids, flight: Flight | undefined, call: Call): Promise<Boarded> {
    const found = flight && (await flight.instance(uids, call.signal))
    return found ?? this.#alone(route, uids, call)
  }

  /** An instance by a retrieval of its own. */
  async #alone(route: Route, uids: InstanceUids, call: Call): Promise<Boarded> {
    const { study, series, sopInstance } = uids
    const selection = { study, series, instance: sopInstance }
    const flight = this.#start(route, selection, { lingers: true, shared: true, call })
    const boarded = await flight.instance(uids, call.signal)
    if (boarded) return boarded
    await flight.over
    throw flight.failure ?? new NoSuchInstanceError()
  }

  /** A retrieval under way that brings a selection, or a new one. */
  #flight(route: Route, selection: Selection, lingers: boolean, call: Call): Flight {
    const under = this.#flights.under(route, selection)
    if (!under) return this.#start(route, selection, { lingers, shared: true, call })
    this.#counters.joins++
    if (lingers) under.allow(this.#allowance(under.selection, lingers))
    return under
  }

  /** What a retrieval may put into the cache, for a viewer that is likely to come for more of it, or a download. */
  #allowance({ instance }: Selection, lingers: boolean): Allowance {
    const { maxBytes } = this.#options
    const share = !lingers ? DOWNLOAD_SHARE : instance === undefined ? VIEWER_SHARE : PARTS_SHARE
    return {
      isForParts: lingers && instance !== undefined,
      maxBytes: maxBytes * share,
      lingeringBytes: maxBytes * VIEWER_SHARE,
      hurriedBytes: maxBytes * VIEWER_SHARE,
    }
  }

  #start(route: Route, selection: Selection, { lingers, shared, isAhead = false, call }: Start): Flight {
    if (isAhead) this.#counters.ahead++
    else this.#counters.misses++
    this.#flights.dropAhead(route, selection)
    const { source, mode } = route
    // A download goes on for as long as its client takes; a part of an instance is waited for by a person.
    const { priority = selection.instance === undefined || !lingers ? 'bulk' : 'interactive' } = call
    const open = (own: Call) => source.retrieve(selection, mode === 'stored', { ...own, priority })
    const flight = new Flight(selection, open, this.#keeper(route), this.#allowance(selection, lingers), isAhead)
    this.#flights.add(flight, route, shared)
    void flight.over.then(() => {
      if (selection.instance !== undefined) return
      if (flight.passed && lingers) this.#experience.wasTooLarge(route, selection)
      if (!flight.isOutdated && flight.complete) this.#experience.brought(route, selection, flight.brought)
    })
    return flight
  }

  #keeper(route: Route): Keeper {
    return {
      admit: (bytes) => this.#admit(bytes),
      dismiss: (bytes) => {
        this.#coming -= bytes
      },
      keep: (instance) => {
        // Another try may bring it whole.
        const ttl = instance.isDamaged ? Math.min(this.#options.ttl, DAMAGED_TTL_MS) : this.#options.ttl
        this.#held?.set(instanceKey(route, instance), instance, { ttl })
      },
      passed: (instance) => this.#experience.passed(route, instance),
      spill: (instance) => this.#disk?.spill(instanceKey(route, instance), instance),
      held: (uids) => this.#find(route, uids),
    }
  }

  #admit(bytes: number): boolean {
    const { maxBytes } = this.#options
    if (!this.#held) return false
    while (this.#held.calculatedSize + this.#coming + bytes > maxBytes) {
      if (this.#held.size === 0) return false
      this.#held.pop()
    }
    this.#coming += bytes
    return true
  }

  #find(route: Route, uids: InstanceUids): KeptInstance | undefined {
    const own = this.#kept(instanceKey(route, uids))
    if (own || route.mode === 'stored') return own
    // What is stored without compression needs no archive to decompress it.
    const stored = this.#kept(instanceKey({ ...route, mode: 'stored' }, uids))
    return stored && isNative(stored.syntax) ? stored : undefined
  }

  #kept(key: string): KeptInstance | undefined {
    return this.#held?.get(key) ?? this.#disk?.find(key)
  }

  /** What a selection holds, if that is known and all of it is here. */
  #known(route: Route, selection: Selection): readonly InstanceUids[] | undefined {
    const { study, series, instance } = selection
    if (series !== undefined && instance !== undefined) {
      const uids = { study, series, sopInstance: instance }
      return this.#find(route, uids) && [uids]
    }
    const modes: readonly Mode[] = route.mode === 'stored' ? ['stored'] : ['native', 'stored']
    for (const mode of modes) {
      const list = this.#experience.listOf({ ...route, mode }, selection)
      if (list && list.length > 0 && list.every((uids) => this.#find(route, uids) !== undefined)) return list
    }
    return undefined
  }
}

function aboard(instance: KeptInstance): Boarded {
  return { instance, leave: () => undefined }
}

function isKept(one: KeptInstance | InstanceUids): one is KeptInstance {
  return 'index' in one
}
