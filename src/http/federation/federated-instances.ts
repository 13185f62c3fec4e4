import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import type { Copy } from '../../pacs/federation/copies.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import { passedOn, type Instances } from '../instances.ts'
import { listingOf } from './listing.ts'

export interface FederatedOptions {
  readonly cache: Instances
  /** Of one patient, the best first. */
  readonly copies: readonly Copy[]
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
export function federatedInstances({ cache, copies, timeout }: FederatedOptions): Instances {
  const sources = new WeakMap<CachedInstance, Archive>()
  const archives = copies.map(({ archive }) => archive)
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
      const holding = archives.find((archive) => cache.arrivalOf(archive, uids) !== undefined)
      const failures: unknown[] = []
      for (const archive of inOrder(archives, holding)) {
        try {
          return found(await cache.instance(archive, uids, options, call), archive)
        } catch (error) {
          call.signal.throwIfAborted()
          failures.push(error)
        }
      }
      throw worst(failures)
    },
    async *retrieve(_, selection, options, call) {
      const one = { cache, selection, options, call, timeout }
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
  readonly timeout: number
}

/** An instance, and who has sent it. */
interface Given {
  readonly instance: CachedInstance
  readonly archive: Archive
}

async function* ofOne(archive: Archive, { cache, selection, options, call }: Retrieval): AsyncGenerator<Given> {
  for await (const instance of cache.retrieve(archive, selection, options, call)) yield { instance, archive }
}

/** @throws IncompleteRetrieveError, or what failed, where some of what any archive holds has come from none */
async function* ofSeveral(copies: readonly Copy[], retrieval: Retrieval): AsyncGenerator<Given> {
  const { selection, call, timeout } = retrieval
  const given = new Set<string>()
  const failures: unknown[] = []
  const stop = new AbortController()
  const signal = AbortSignal.any([call.signal, stop.signal])
  const isSet = selection.instance === undefined
  const listings = new Map<Copy, Promise<readonly InstanceUids[] | undefined>>()
  const listing = (copy: Copy): Promise<readonly InstanceUids[] | undefined> => {
    const known = listings.get(copy)
    if (known) return known
    const asked = listingOf(copy.archive, selection, { timeout, signal })
    asked.catch(() => undefined)
    listings.set(copy, asked)
    return asked
  }
  /** Copies all of which has come. */
  const whole = new Set<Copy>()
  try {
    // While the best copy comes, the others say what they hold.
    if (isSet) for (const copy of copies.slice(1)) void listing(copy)
    for (const copy of copies) {
      try {
        yield* fresh(ofOne(copy.archive, retrieval), given)
        whole.add(copy)
        if (given.size > 0) break
      } catch (error) {
        call.signal.throwIfAborted()
        failures.push(error)
        if (given.size > 0) break
      }
    }
    if (given.size === 0 && failures.length > 0) throw worst(failures)
    if (!isSet || given.size === 0) return
    for (const copy of copies) {
      if (whole.has(copy)) continue
      for (const part of lacking((await listing(copy)) ?? [], given)) {
        try {
          yield* fresh(ofOne(copy.archive, { ...retrieval, selection: part }), given)
        } catch (error) {
          call.signal.throwIfAborted()
          failures.push(error)
        }
      }
    }
    const silent: Copy[] = []
    for (const copy of copies.filter((one) => !whole.has(one))) {
      const listed = await listing(copy)
      const missing = listed?.filter((uids) => !given.has(keyOf(uids))).length
      if (missing === undefined) silent.push(copy)
      else if (missing > 0) throw shortfall(failures, given.size, missing)
      else whole.add(copy)
    }
    for (const { instances = 0 } of silent) {
      // What of it is missing nobody knows, unless it is as another that came whole: a mirror.
      const isMirrored = instances > 0 && [...whole].some((other) => other.instances === instances)
      if (!isMirrored) throw shortfall(failures, given.size, Math.max(1, instances - given.size))
    }
  } finally {
    stop.abort()
  }
}

/** Those that had not come before; one that is damaged may come whole from elsewhere. */
async function* fresh(coming: AsyncIterable<Given>, given: Set<string>): AsyncGenerator<Given> {
  for await (const one of coming) {
    const { instance } = one
    if (given.has(keyOf(instance))) continue
    yield one
    if (instance.isServed || !instance.isDamaged) given.add(keyOf(instance))
  }
}

/** Of what is listed what has not come: a series of which nothing has, as such; else one instance after the other. */
function lacking(listed: readonly InstanceUids[], given: ReadonlySet<string>): Selection[] {
  const bySeries = Map.groupBy(listed, ({ series }) => series)
  return [...bySeries].flatMap(([series, instances]): Selection[] => {
    const missing = instances.filter((uids) => !given.has(keyOf(uids)))
    const { study } = instances[0]!
    if (missing.length > 1 && missing.length === instances.length) return [{ study, series }]
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

function inOrder(archives: readonly Archive[], before: Archive | undefined): Archive[] {
  return before ? [before, ...archives.filter((one) => one !== before)] : [...archives]
}

function first<T>(archives: readonly Archive[], find: (archive: Archive) => T | undefined): T | undefined {
  for (const archive of archives) {
    const found = find(archive)
    if (found !== undefined) return found
  }
  return undefined
}

function keyOf({ series, sopInstance }: Pick<InstanceUids, 'series' | 'sopInstance'>): string {
  return `${series} ${sopInstance}`
}
