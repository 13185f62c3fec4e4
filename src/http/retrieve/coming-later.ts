import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { Selection } from '../../instance/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import { PoolBusyError, PoolFullError } from '../../pacs/errors.ts'
import { returnKey, selectionKeys } from '../../pacs/search/query.ts'
import { publicOrigin } from '../base-url.ts'
import type { HttpContext } from '../context.ts'
import { passedOn, type Instances } from '../instances.ts'

/** Retrievals that go on, at once, for clients who come back later: who comes beside them waits. */
export const MAX_LATER = 64
/** The same for one client. */
export const MAX_LATER_OF_CLIENT = 16
/** How long it is remembered that something has come, in ms: whatever the archive says, it is waited for then. */
const CAME_MS = 10 * 60_000
/** How long it is remembered why something has not come, in ms: it is told to who asks next. */
const FAILED_MS = 5 * 60_000
/** What has come, or has not, and is remembered. */
const MAX_ENDED = 10_000
/** Seconds after which a client is to come back. */
const RETRY_AFTER_S = '10'
/** Seconds that a client may say it waits. */
const MAX_WAIT_S = 60

/** Not a failure: what is asked for is on its way, and its client does not wait for it. */
class ComingLaterError extends Error {
  readonly code = 'COMING_LATER'
  constructor() {
    super('What is asked for is on its way')
    this.name = 'ComingLaterError'
  }
}

/**
 * How long the client of a request waits for a first instance, in ms; undefined where it waits for as long as it takes, since
 * it prefers to, or nothing is kept for when it comes back.
 */
export function patienceOf(c: HttpContext): number | undefined {
  if (c.var.config.cache.maxBytes === 0) return undefined
  // RFC 7240 2: preferences between commas, their parameters between semicolons.
  const all = (c.req.header('prefer') ?? '').toLowerCase().split(/[,;]/, 32)
  const preferences = all.map((one) => one.trim())
  if (!preferences.includes('respond-async')) return undefined
  const [wait] = preferences.flatMap((one) => /^wait\s*=\s*"?(\d{1,6})"?$/.exec(one)?.[1] ?? [])
  return wait === undefined ? c.var.config.http.asyncAfter : Math.min(Number(wait), MAX_WAIT_S) * 1000
}

/** 202 where what is asked for comes later. @throws what else has failed */
export function comingLater(c: HttpContext, error: unknown): Response {
  if (!(error instanceof ComingLaterError)) throw error
  const { pathname, search } = new URL(c.req.url)
  const headers = {
    Location: publicOrigin(c, c.var.config.http) + pathname + search,
    'Retry-After': RETRY_AFTER_S,
    'Preference-Applied': 'respond-async',
  }
  const detail = `It is on its way from the archive. Ask for the same again in ${RETRY_AFTER_S} seconds.`
  return c.json({ detail }, 202, headers)
}

/** Who waits, and for how many ms. */
interface Client {
  readonly name: string
  readonly patience: number
}

/** A retrieval whose client was told to come back. */
interface Going {
  readonly client: string
  /** The archive has said that it has to be fetched from elsewhere. */
  readonly isFar: boolean
  /** Until a first instance is here. */
  readonly over: Promise<unknown>
}

/** What is waited for, and how. */
interface Waiting<T> {
  readonly selection: Selection
  readonly call: Call
  /** Begins to fetch it: resolves when the first is there. */
  readonly begin: (own: Call) => Promise<T>
  /** Ends it when the first is there, and nobody waits any more. */
  readonly end: (first: T) => unknown
}

/** Retrievals for clients who prefer to come back when something is there (RFC 7240 4.1): they go on without them. */
export class ComingLater {
  readonly #going = new Map<string, Going>()
  readonly #came = new LRUCache<string, true>({ max: MAX_ENDED, ttl: CAME_MS })
  readonly #failed = new LRUCache<string, Error>({ max: MAX_ENDED, ttl: FAILED_MS })

  /**
   * The cache for a client who waits so long for a first instance, and not at all for what the archive says is nearline;
   * what it does is given up by an error for `comingLater` then.
   */
  for(archive: Archive, cache: Instances, client: Client): Instances {
    const wait = <T>(waiting: Waiting<T>): Promise<T> => this.#wait(archive, client, waiting)
    return {
      ...passedOn(cache),
      async *retrieve(source, selection, { compressed }, call) {
        const options = { compressed, lingers: true }
        if (cache.held(source, selection)) {
          yield* cache.retrieve(source, selection, options, call)
          return
        }
        let instances: AsyncGenerator<CachedInstance> | undefined
        const end = async (): Promise<void> => {
          await instances?.return(undefined)
        }
        const begin = (own: Call): Promise<IteratorResult<CachedInstance>> => {
          instances = cache.retrieve(source, selection, options, own)
          return instances.next()
        }
        const first = await wait({ selection, call, begin, end })
        try {
          if (first.done === true) return
          yield first.value
          yield* instances!
        } finally {
          await end()
        }
      },
      instance(source, uids, options, call) {
        if (cache.arrivalOf(source, uids) !== undefined) return cache.instance(source, uids, options, call)
        const { study, series, sopInstance } = uids
        const begin = (own: Call): Promise<CachedInstance> => cache.instance(source, uids, options, own)
        const end = (late: CachedInstance): void => late[Symbol.dispose]()
        return wait({ selection: { study, series, instance: sopInstance }, call, begin, end })
      },
    }
  }

  /** @throws ComingLaterError; what beginning throws, or threw after its client was told to come back */
  async #wait<T>(archive: Archive, client: Client, waiting: Waiting<T>): Promise<T> {
    const { selection, call, begin, end } = waiting
    const { study, series = '', instance = '' } = selection
    const key = [archive.config.name, study, series, instance].join(' ')
    const going = this.#going.get(key)
    if (going && (going.isFar || !(await settlesWithin(going.over, client.patience)))) throw new ComingLaterError()
    call.signal.throwIfAborted()
    // All who have waited are told why it failed.
    if (going) await going.over.finally(() => this.#failed.delete(key))
    const failed = this.#failed.get(key)
    this.#failed.delete(key)
    if (failed) throw failed
    if (this.#came.has(key)) return begin(call)
    const own = new AbortController()
    const follow = (): void => own.abort(call.signal.reason)
    call.signal.addEventListener('abort', follow, { once: true })
    const first = begin({ ...call, signal: own.signal })
    first.then(
      () => this.#came.set(key, true),
      () => undefined,
    )
    const { promise: isFar, resolve: far } = Promise.withResolvers<'far'>()
    void isNearline(archive, selection, own.signal).then((yes) => yes && far('far'))
    const isInTime = await Promise.race([settlesWithin(first, client.patience), isFar])
    const others = [...this.#going.values()].filter((one) => one.client === client.name)
    const isKnown = this.#going.has(key)
    const isFull = this.#going.size >= MAX_LATER || others.length >= MAX_LATER_OF_CLIENT
    if (isInTime === true || (!isKnown && isFull)) return first
    call.signal.removeEventListener('abort', follow)
    // It goes on for somebody who has asked at the same time.
    if (isKnown) own.abort(new ComingLaterError())
    const over = first.then(end)
    if (isKnown) over.catch(() => undefined)
    else this.#follow(key, { client: client.name, isFar: isInTime === 'far', over })
    throw new ComingLaterError()
  }

  /** Nobody waits for it until he asks again. */
  #follow(key: string, going: Going): void {
    this.#going.set(key, going)
    going.over.then(
      () => this.#going.delete(key),
      (error: unknown) => {
        this.#going.delete(key)
        // Who comes back may find an association.
        const isBusy = error instanceof PoolBusyError || error instanceof PoolFullError
        if (!isBusy) this.#failed.set(key, error as Error)
      },
    )
  }
}

/** Whether the archive says that some of it has to be fetched from elsewhere; not where it does not say. */
async function isNearline(
  archive: Archive,
  { study, series, instance }: Selection,
  signal: AbortSignal,
): Promise<boolean> {
  const level = instance === undefined ? 'SERIES' : 'IMAGE'
  const named = selectionKeys(study, series, instance === undefined ? [] : [instance])
  const unique = series === undefined ? [returnKey(Attribute.SeriesInstanceUID, 'UI')] : []
  const keys = [returnKey(Attribute.InstanceAvailability, 'CS'), ...named, ...unique]
  try {
    for await (const match of archive.find({ level, keys }, { signal })) {
      if (match.string(Attribute.InstanceAvailability) === 'NEARLINE') return true
    }
  } catch {
    // It is asked for all the same.
  }
  return false
}
