import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { KeptInstance } from '../../cache/kept-instance.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import type { Copy } from '../../pacs/federation/copies.ts'
import type { KnownListings } from '../../pacs/federation/known-listings.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import { passedOn, type Instances } from '../instances.ts'
import { listingOf, type Listing } from '../../pacs/federation/listing.ts'

export interface FederatedOptions {
  readonly cache: Instances
  /** Of one patient, the best first. */
  readonly copies: readonly Copy[]
  readonly listings: KnownListings
  /** Milliseconds that an archive has to list what it holds. */
  readonly timeout: number
}

/** How a retrieval is made. */
type Options = Parameters<Instances['retrieve']>[2]

/**
 * The cache, for a study that one or several archives of a federation hold: whatever archive it is asked for, the best copy is
 * read, another where that fails, and what the others hold besides comes from them. An instance is what its UID names,
 * wherever it is.
 */
export function federatedInstances({ cache, copies, ...rest }: FederatedOptions): Instances {
  const sources = new WeakMap<CachedInstance, Archive>()
  const archives = [...new Set(copies.map(({ archive }) => archive))]
  const found = (instance: CachedInstance, archive: Archive): CachedInstance => {
    sources.set(instance, archive)
    return instance
  }
  return {
    ...passedOn(cache),
    archiveOf: (instance) => sources.get(instance)?.config,
    arrivalOf: (_, uids) => first(archives, (archive) => cache.arrivalOf(archive, uids)),
    // Of several it is not known whether one has more by now.
    held: (_, selection) =>
      archives.length === 1 || selection.instance !== undefined
        ? first(archives, (archive) => cache.held(archive, selection))
        : undefined,
    async instance(_, uids, options, call) {
      const failures: unknown[] = []
      let damaged: CachedInstance | undefined
      for (const archive of preferred(cache, archives, uids)) {
        try {
          const instance = await cache.instance(archive, uids, options, call)
          found(instance, archive)
          if (!instance.isDamaged) {
            damaged?.[Symbol.dispose]()
            return instance
          }
          // Another may have it whole.
          if (damaged) instance[Symbol.dispose]()
          else damaged = instance
        } catch (error) {
          call.signal.throwIfAborted()
          failures.push(error)
        }
      }
      if (damaged) return damaged
      throw worst(failures)
    },
    async *retrieve(_, selection, options, call) {
      const one = { cache, selection, options, call, ...rest }
      const given = archives.length === 1 ? ofOne(archives[0]!, one) : ofSeveral(copies, one)
      for await (const { instance, archive } of given) yield found(instance, archive)
    },
  }
}

/** What is retrieved, on whose behalf. */
interface Retrieval {
  readonly cache: Instances
  readonly selection: Selection
  readonly options: Options
  readonly call: Call
  readonly listings: KnownListings
  readonly timeout: number
}

/** An instance, and who sends it. */
interface Coming {
  readonly instance: CachedInstance
  readonly archive: Archive
}

async function* ofOne(archive: Archive, { cache, selection, options, call }: Retrieval): AsyncGenerator<Coming> {
  for await (const instance of cache.retrieve(archive, selection, options, call)) yield { instance, archive }
}

/** @throws IncompleteRetrieveError, or what failed, where some of what any archive holds has come from none */
async function* ofSeveral(copies: readonly Copy[], retrieval: Retrieval): AsyncGenerator<Coming> {
  const { selection, call, listings } = retrieval
  const given = new Given()
  const failures = new Map<Copy, unknown>()
  const stop = new AbortController()
  const signal = AbortSignal.any([call.signal, stop.signal])
  const lists = new Lists(retrieval, signal)
  /** Copies all of which has come. */
  const whole = new Set<Copy>()
  async function* from(copy: Copy, part: Selection): AsyncGenerator<Coming, boolean> {
    try {
      yield* fresh(ofOne(copy.archive, { ...retrieval, selection: part }), given)
      return true
    } catch (error) {
      call.signal.throwIfAborted()
      failures.set(copy, error)
      return false
    }
  }
  try {
    // While the best copy comes, the others say what they hold.
    if (selection.instance === undefined) for (const copy of copies.slice(1)) void lists.of(copy)
    for (const copy of copies) {
      const isAll = yield* from(copy, selection)
      // One instance says nothing of its series.
      if (isAll && selection.instance === undefined) listings.remember(copy.archive, selection, given.sent)
      // Of a study it is told how many there are: where fewer came, they are listed.
      const isFewer = selection.series === undefined && given.sent.length < (copy.instances ?? 0)
      if (isAll && !isFewer) whole.add(copy)
      if (given.size > 0) break
    }
    if (given.size === 0 && failures.size > 0) throw worst([...failures.values()])
    if (selection.instance !== undefined || given.size === 0) return
    // Who has failed is asked for what nobody else has.
    for (const copy of [...copies].sort((one, other) => Number(failures.has(one)) - Number(failures.has(other)))) {
      if (whole.has(copy)) continue
      const listing = await lists.of(copy)
      if (listing === 'silent') continue
      // One that does not list what it holds may give it all the same.
      const parts = listing === 'in part' ? [selection] : lacking(listing, given)
      let isAll = true
      for (const part of parts) {
        isAll = yield* from(copy, part)
        if (!isAll && isGone(failures.get(copy))) break
      }
      if (listing === 'in part' && isAll) whole.add(copy)
    }
    for (const copy of copies) {
      if (whole.has(copy)) continue
      const listing = await lists.of(copy)
      const listed = typeof listing === 'string' ? listings.of(copy.archive, selection) : listing
      const missing = listed ? listed.filter((uids) => !given.has(uids)).length : unlisted(copy, selection, whole)
      if (missing > 0) throw shortfall([...failures.values()], given.size, missing)
      whole.add(copy)
    }
  } finally {
    stop.abort()
  }
}

/** What archives list of a selection, each asked once. */
class Lists {
  readonly #asked = new Map<Copy, Promise<Listing>>()
  readonly #retrieval: Retrieval
  readonly #signal: AbortSignal

  constructor(retrieval: Retrieval, signal: AbortSignal) {
    this.#retrieval = retrieval
    this.#signal = signal
  }

  /** @throws the signal's reason */
  of(copy: Copy): Promise<Listing> {
    const known = this.#asked.get(copy)
    if (known) return known
    const { selection, listings, timeout } = this.#retrieval
    const asked = listingOf(copy.archive, selection, { timeout, signal: this.#signal }).then((listed) => {
      if (typeof listed !== 'string') listings.remember(copy.archive, selection, listed)
      return listed
    })
    asked.catch(() => undefined)
    this.#asked.set(copy, asked)
    return asked
  }
}

/** Of a copy that nobody can list any more it is not known what is missing, unless it is as another that came whole: a mirror. */
function unlisted({ instances = 0 }: Copy, { series }: Selection, whole: ReadonlySet<Copy>): number {
  // Of a series nobody has said how many there are.
  const isMirrored = series === undefined && [...whole].some((other) => other.instances === instances)
  return instances > 0 && isMirrored ? 0 : 1
}

/** Whether there is no sense in asking an archive for more. */
function isGone(error: unknown): boolean {
  return !(error instanceof NoSuchInstanceError || error instanceof IncompleteRetrieveError)
}

/** Those that had not come before; one that is damaged may come whole from elsewhere. */
async function* fresh(coming: AsyncIterable<Coming>, given: Given): AsyncGenerator<Coming> {
  for await (const one of coming) {
    const { instance } = one
    given.note(instance)
    if (given.has(instance)) continue
    yield one
    if (instance.isServed || !instance.isDamaged) given.add(instance)
  }
}

/** Instances of a series that are retrieved one by one, at most. */
const MOST_SINGLE = 10

/** Of what is listed what has not come: a series of which nothing has, as such; else one instance after the other. */
function lacking(listed: readonly InstanceUids[], given: Given): Selection[] {
  const bySeries = Map.groupBy(listed, ({ series }) => series)
  return [...bySeries].flatMap(([series, instances]): Selection[] => {
    const missing = instances.filter((uids) => !given.has(uids))
    const { study } = instances[0]!
    // What comes twice is passed over; many single retrievals cost more.
    if (missing.length > MOST_SINGLE || (missing.length > 1 && missing.length === instances.length))
      return [{ study, series }]
    return missing.map(({ sopInstance }) => ({ study, series, instance: sopInstance }))
  })
}

/** Why an answer is not whole. */
function shortfall(failures: readonly unknown[], given: number, missing: number): Error {
  const told = failures.find((error) => error instanceof IncompleteRetrieveError)
  return told ?? new IncompleteRetrieveError(given, missing, 0, { cause: worst(failures) })
}

/** Why nothing came: that one archive has nothing says less than that another has failed. */
function worst(failures: readonly unknown[]): unknown {
  return failures.find((error) => !(error instanceof NoSuchInstanceError)) ?? failures[0]
}

/** First one that has it here, and whole, as the best copy has been read; then in their order. */
function preferred(cache: Instances, archives: readonly Archive[], uids: InstanceUids): Archive[] {
  const { study, series, sopInstance } = uids
  const held = (archive: Archive): KeptInstance | undefined =>
    cache.held(archive, { study, series, instance: sopInstance })?.[0]
  const holding = archives.find((archive) => held(archive)?.isDamaged === false)
  const damaged = archives.filter((archive) => held(archive)?.isDamaged === true)
  const others = archives.filter((archive) => archive !== holding && !damaged.includes(archive))
  return [...(holding ? [holding] : []), ...others, ...damaged]
}

function first<T>(archives: readonly Archive[], find: (archive: Archive) => T | undefined): T | undefined {
  for (const archive of archives) {
    const found = find(archive)
    if (found !== undefined) return found
  }
  return undefined
}

/** Instances that were given, each once. */
class Given {
  readonly #all = new Set<string>()
  readonly #sent = new Map<string, InstanceUids>()

  get size(): number {
    return this.#all.size
  }

  /** Also what came damaged. */
  get sent(): readonly InstanceUids[] {
    return [...this.#sent.values()]
  }

  has({ series, sopInstance }: InstanceUids): boolean {
    return this.#all.has(`${series} ${sopInstance}`)
  }

  add({ series, sopInstance }: InstanceUids): void {
    this.#all.add(`${series} ${sopInstance}`)
  }

  /** It came, for the first time or again. */
  note({ study, series, sopInstance }: InstanceUids): void {
    this.#sent.set(`${series} ${sopInstance}`, { study, series, sopInstance })
  }
}
