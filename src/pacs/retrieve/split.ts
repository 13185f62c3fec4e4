import type { Uid } from '../../dicom/uids.ts'
import { Status } from '../../dimse/status.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Selection } from '../../instance/uids.ts'
import type { Call } from '../call.ts'
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
    const instances = plan
      ? this.#split(selection.study, plan, compressed, call)
      : this.#single.retrieve(selection, compressed, call)
    yield* timed(instances, waits)
    if (waits.instances >= MIN_INSTANCES) this.#learn(waits, plan !== undefined)
  }

  get #isDue(): boolean {
    if (!this.#isWorthIt || performance.now() < this.#vainUntil) return false
    return !this.#source.wrongCounts && !this.#single.isMoving
  }

  #learn({ perInstance, share }: Waits, wasSplit: boolean): void {
    if (!wasSplit) {
      this.#pace = perInstance
      this.#isWorthIt = share >= WAITING_SHARE
    } else if (perInstance > GAIN * (this.#pace ?? 0)) this.#vainUntil = performance.now() + REMEMBERED_MS
    else this.#source.habits.learn('faster-split')
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
    if (!isAll || !isNamed || lanes < 2 || !(sum >= MIN_INSTANCES)) return undefined
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
  async *#split(study: Uid, { series, lanes }: Plan, compressed: boolean, call: Call): AsyncGenerator<Instance> {
    const own = new AbortController()
    const state: Splitting = {
      left: series.filter(({ instances }) => instances > 0),
      lacks: [],
      isWanted: false,
      given: 0,
    }
    const wanted = (): void => {
      state.isWanted = true
      call.wanted?.()
    }
    const mine = { ...call, signal: AbortSignal.any([call.signal, own.signal]), wanted }
    const laneOf = (n: number): AsyncGenerator<Instance> =>
      lane(state, n === 0, (series, begun) => {
        // What has begun is a download as any: it need not starve in the midst.
        const its: Call = n === 0 ? mine : { ...mine, priority: 'background', promoted: begun }
        return this.#single.retrieve({ study, series }, compressed, its)
      })
    const end = (): void => own.abort(new Error('The study is not fetched any further'))
    // What a lane could not begin comes by the first.
    for (let count = lanes; state.left.length > 0; count = 1) {
      yield* merged(
        Array.from({ length: count }, (_, n) => laneOf(n)),
        end,
      )
    }
    if (state.lacks.length > 0) throw together(state.given, state.lacks)
  }
}

/** What the lanes of one study share. */
interface Splitting {
  /** Series that nobody has begun. */
  readonly left: Counted[]
  readonly lacks: IncompleteRetrieveError[]
  /** Somebody else waits for an association. */
  isWanted: boolean
  given: number
}

/**
 * One series after the other over one association. But for the first, a lane ends where somebody else waits for one. `begun`
 * is aborted when the first instance of a series has come.
 */
async function* lane(
  state: Splitting,
  isFirst: boolean,
  retrieve: (series: Uid, begun: AbortSignal) => AsyncGenerator<Instance>,
): AsyncGenerator<Instance> {
  while (isFirst || !state.isWanted) {
    const series = state.left.shift()
    if (!series) return
    const begun = new AbortController()
    try {
      for await (const instance of retrieve(series.uid, begun.signal)) {
        begun.abort()
        state.given++
        yield instance
      }
    } catch (error) {
      if (error instanceof IncompleteRetrieveError) state.lacks.push(error)
      // It is listed, with so many.
      else if (error instanceof NoSuchInstanceError) {
        state.lacks.push(new IncompleteRetrieveError(0, series.instances, Status.subOperationsWithFailures))
      } else if (isFirst || begun.signal.aborted) throw error
      else {
        state.left.unshift(series)
        return
      }
    }
  }
}

function together(given: number, lacks: readonly IncompleteRetrieveError[]): IncompleteRetrieveError {
  const [first] = lacks
  const missing = lacks.reduce((sum, one) => sum + one.missing, 0)
  const damaged = lacks.every(({ isDamageOnly }) => isDamageOnly) ? missing : 0
  return new IncompleteRetrieveError(given, missing, first!.status, { cause: first!.cause, damaged })
}
