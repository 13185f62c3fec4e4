import type { Uid } from '../../dicom/uids.ts'
import type { ByteStream } from '../../dicom/bytes.ts'
import { Status } from '../../dimse/status.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Selection } from '../../instance/uids.ts'
import type { Call } from '../call.ts'
import { PoolBusyError, PoolFullError } from '../errors.ts'
import type { Instance } from '../instance.ts'
import type { PoolStats } from '../pool/pool-stats.ts'
import { isAskable, returnKey, selectionKeys } from '../search/query.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from './errors.ts'
import { merged } from './merged.ts'
import type { RetrieveSource } from './retrieval.ts'
import type { Retriever } from './retriever.ts'
import { timed, Waits } from './waits.ts'
import { told } from './told.ts'

/** Associations that one study comes over at once, at most. */
export const MAX_LANES = 3
/** Instances from which on there is something to learn, and to win. */
export const MIN_INSTANCES = 40
/** It is tried where the archive is waited for between instances for so much of the time. */
export const WAITING_SHARE = 0.4
/** It is kept to where each instance is waited for so much of the time that it was before, or less. */
export const GAIN = 0.8
/** How long it is remembered that it does not help, in ms. */
export const REMEMBERED_MS = 4 * 60 * 60 * 1000

/** Fetches over one association. */
type Single = Pick<Retriever, 'retrieve' | 'isMoving'>

/** What is asked of the archive beside. */
type Source = Pick<RetrieveSource, 'find' | 'habits' | 'wrongCounts'> & { readonly pool: { readonly stats: PoolStats } }

/** A series, and how many instances the archive says it has. */
interface Counted {
  readonly uid: Uid
  readonly instances: number
}

/** How a study is to come. */
interface Plan {
  readonly series: readonly Counted[]
  readonly lanes: number
}

/**
 * Fetches the series of a study at once, over as many associations as are free, where that was found to be faster: what takes
 * the time of small instances is that each is answered before the next is sent (PS3.7 9.3.3). What makes up the study is
 * believed only where the archive's numbers agree on it; each series is then checked as any.
 */
export class Splitter {
  readonly #source: Source
  readonly #single: Single
  /** Milliseconds that each instance of the last retrieval over one association was waited for. */
  #pace: number | undefined
  #isWorthIt = false
  #vainUntil = 0

  constructor(source: Source, single: Single) {
    this.#source = source
    this.#single = single
  }

  /** As Retriever.retrieve; of a study that is split the order of its instances is that in which they come. */
  async *retrieve(selection: Selection, compressed: boolean, call: Call): AsyncGenerator<Instance> {
    const plan = this.#isDue && selection.series === undefined ? await this.#plan(selection.study, call) : undefined
    const waits = new Waits()
    if (!plan) {
      yield* timed(this.#single.retrieve(selection, compressed, call), waits)
      if (waits.instances >= MIN_INSTANCES) this.#learn(waits)
      return
    }
    const state = newSplitting(plan)
    try {
      yield* timed(this.#split(selection.study, plan, state, compressed, call), waits)
      // Where associations were wanted elsewhere it is not known what they would have brought.
      const isFair = !state.isWanted && !state.isBusy && !state.hasFailed
      if (isFair && waits.instances >= MIN_INSTANCES) this.#learnOfSplit(waits)
    } finally {
      // It may be that the archive bears no more than one at a time.
      if (state.hasFailed && !call.signal.aborted) this.#isInVain()
    }
  }

  get #isDue(): boolean {
    if (!this.#isWorthIt || performance.now() < this.#vainUntil) return false
    return !this.#source.wrongCounts && !this.#single.isMoving
  }

  #learn({ perInstance, share }: Waits): void {
    this.#pace = perInstance
    this.#isWorthIt = share >= WAITING_SHARE
  }

  #learnOfSplit({ perInstance }: Waits): void {
    if (perInstance > GAIN * (this.#pace ?? 0)) this.#isInVain()
    else this.#source.habits.learn('faster-split')
  }

  #isInVain(): void {
    this.#vainUntil = performance.now() + REMEMBERED_MS
  }

  /** Undefined where there is nothing to win, or the archive does not say in so many numbers what there is. */
  async #plan(study: Uid, call: Call): Promise<Plan | undefined> {
    const series: Counted[] = []
    const keys = [
      returnKey(Attribute.NumberOfSeriesRelatedInstances, 'IS'),
      ...selectionKeys(study, undefined),
      returnKey(Attribute.SeriesInstanceUID, 'UI'),
    ]
    const isAll = await told({ source: this.#source, call }, { level: 'SERIES', keys }, (match) => {
      const uid = match.string(Attribute.SeriesInstanceUID) ?? ''
      series.push({ uid, instances: match.number(Attribute.NumberOfSeriesRelatedInstances) ?? NaN })
      return undefined
    })
    const { limit, leased, waiting } = this.#source.pool.stats
    // One is left to queries.
    const lanes = Math.min(MAX_LANES, series.length, waiting > 0 ? 1 : limit - 1 - leased)
    const sum = series.reduce((all, { instances }) => all + instances, 0)
    const isNamed =
      new Set(series.map(({ uid }) => uid)).size === series.length && series.every((one) => isAskable(one.uid))
    // A series is listed when something of it is there: of one with a number of 0 more is counted later.
    const isCounted = series.every(({ instances }) => instances > 0)
    if (!isAll || !isNamed || !isCounted || lanes < 2 || !(sum >= MIN_INSTANCES)) return undefined
    return (await this.#numberOf(study, call)) === sum ? { series, lanes } : undefined
  }

  async #numberOf(study: Uid, call: Call): Promise<number | undefined> {
    let number: number | undefined
    const keys = [returnKey(Attribute.NumberOfStudyRelatedInstances, 'IS'), ...selectionKeys(study, undefined)]
    await told({ source: this.#source, call }, { level: 'STUDY', keys }, (match) => {
      number = match.number(Attribute.NumberOfStudyRelatedInstances)
      return undefined
    })
    return number
  }

  /** @throws IncompleteRetrieveError behind what did come; as the retrieval of a series */
  async *#split(
    study: Uid,
    { lanes }: Plan,
    state: Splitting,
    compressed: boolean,
    call: Call,
  ): AsyncGenerator<Instance> {
    const own = new AbortController()
    const wanted = (): void => {
      state.isWanted = true
      call.wanted?.()
    }
    const mine = { ...call, signal: AbortSignal.any([call.signal, own.signal]), wanted }
    const laneOf = (n: number, count: number): AsyncGenerator<Instance> =>
      lane(state, { isFirst: n === 0, isAlone: count === 1 }, (series, begun) => {
        // What has begun is a download as any: it need not starve in the midst.
        const its: Call = n === 0 ? mine : { ...mine, priority: 'background', promoted: begun }
        return this.#single.retrieve({ study, series }, compressed, its)
      })
    const end = (): void => own.abort(new Error('The study is not fetched any further'))
    // What several could not bring comes by one.
    for (let count = lanes; state.left.length > 0; count = 1) {
      yield* merged(
        Array.from({ length: count }, (_, n) => laneOf(n, count)),
        end,
      )
    }
    if (state.lacks.length > 0) throw together(state.given, state.lacks)
  }
}

/** A series that a lane is to bring. */
interface Assigned extends Counted {
  /** What came whole of it over associations that then failed. */
  readonly given: ReadonlySet<Uid>
}

/** What the lanes of one study share. */
interface Splitting {
  /** Series that nobody has begun, or could not bring. */
  readonly left: Assigned[]
  readonly lacks: IncompleteRetrieveError[]
  /** To be aborted, of lanes that wait for a first instance: they wait as a download does then. */
  readonly waiting: Set<AbortController>
  /** Somebody else waits for an association. */
  isWanted: boolean
  /** An association could not be had. */
  isBusy: boolean
  /** An association has failed. */
  hasFailed: boolean
  given: number
}

function newSplitting({ series }: Plan): Splitting {
  const left = series.map((one) => ({ ...one, given: new Set<Uid>() }))
  return { left, lacks: [], waiting: new Set(), isWanted: false, isBusy: false, hasFailed: false, given: 0 }
}

/**
 * One series after the other over one association. But for the first, a lane ends where somebody else waits for one; where
 * its association fails, unless it is alone, it leaves its series to others. `begun` is aborted when the first instance of a series has come, or the first lane has no more to do.
 */
async function* lane(
  state: Splitting,
  { isFirst, isAlone }: { readonly isFirst: boolean; readonly isAlone: boolean },
  retrieve: (series: Uid, begun: AbortSignal) => AsyncGenerator<Instance>,
): AsyncGenerator<Instance> {
  while (isFirst || !state.isWanted) {
    const series = state.left.shift()
    if (!series) break
    const begun = new AbortController()
    const given = new Set(series.given)
    if (!isFirst) state.waiting.add(begun)
    try {
      for await (const instance of retrieve(series.uid, begun.signal)) {
        begun.abort()
        state.waiting.delete(begun)
        const { sopInstance, index } = instance
        const passed = watched(instance.body, {
          failed: () => (state.hasFailed = true),
          ended: () => index.damage ?? given.add(sopInstance),
        })
        if (series.given.has(sopInstance)) await passOver(passed)
        else {
          state.given++
          yield { ...instance, body: passed }
        }
      }
    } catch (error) {
      if (error instanceof IncompleteRetrieveError) state.lacks.push(error)
      // It is listed, with so many.
      else if (error instanceof NoSuchInstanceError) {
        state.lacks.push(new IncompleteRetrieveError(0, series.instances, Status.subOperationsWithFailures))
      } else {
        if (error instanceof PoolBusyError || error instanceof PoolFullError) state.isBusy = true
        else state.hasFailed = true
        if (isAlone) throw error
        state.left.unshift({ ...series, given })
        return
      }
    } finally {
      state.waiting.delete(begun)
    }
  }
  if (isFirst) for (const begun of state.waiting) begun.abort()
}

async function* watched(
  body: ByteStream,
  { failed, ended }: { readonly failed: () => void; readonly ended: () => void },
): ByteStream {
  try {
    yield* body
  } catch (error) {
    failed()
    throw error
  }
  ended()
}

async function passOver(body: ByteStream): Promise<void> {
  for await (const _ of body);
}

function together(given: number, lacks: readonly IncompleteRetrieveError[]): IncompleteRetrieveError {
  const [first] = lacks
  const missing = lacks.reduce((sum, one) => sum + one.missing, 0)
  const damaged = lacks.every(({ isDamageOnly }) => isDamageOnly) ? missing : 0
  return new IncompleteRetrieveError(given, missing, first!.status, { cause: first!.cause, damaged })
}
