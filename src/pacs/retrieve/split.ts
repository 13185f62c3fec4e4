import type { Selection } from '../../instance/uids.ts'
import type { Call } from '../call.ts'
import type { Instance } from '../instance.ts'
import type { PoolStats } from '../pool/pool-stats.ts'
import { isAskable } from '../search/query.ts'
import { foresee, numberStudy, type ForeseenSeries, type Foreseeing } from './foresee.ts'
import { Lanes, MEASURED } from './lanes.ts'
import { Ledger } from './ledger.ts'
import { Received } from './received.ts'
import type { RetrieveSource } from './retrieval.ts'
import type { Retriever } from './retriever.ts'
import { timed, Waits } from './waits.ts'

/** Associations that one study comes over at once, at most. */
export const MAX_LANES = 3
/** Instances from which on there is something to learn, and to win. */
export const MIN_INSTANCES = 40
/** It is tried where the archive is waited for between instances for so much of the time. */
export const WAITING_SHARE = 0.4
/** It is kept to where each instance is waited for so much of the time that it was over one association, or less. */
export const GAIN = 0.8
/** Studies one after the other by which it does not help: one alone may be of another kind in its other series. */
export const VAIN_STUDIES = 2
/** How long it is remembered that it does not help, or fails, in ms. */
export const REMEMBERED_MS = 4 * 60 * 60 * 1000

/** Fetches over one association. */
type Single = Pick<Retriever, 'retrieve' | 'isMoving'>

/** What is asked of the archive beside. */
type Source = Pick<RetrieveSource, 'find' | 'habits' | 'wrongCounts'> & { readonly pool: { readonly stats: PoolStats } }

/** A study that is split, and what has come of it. */
type Splitting = Foreseeing & { readonly received: Received }

/** How a study is to come. */
interface Plan {
  readonly series: readonly ForeseenSeries[]
  readonly lanes: number
}

/**
 * Fetches the series of a study at once, over as many associations as are free, where that was found to be faster: what takes
 * the time of small instances is that each is answered before the next is sent (PS3.7 9.3.3). It is tried where the archive's
 * numbers agree on what makes up the study. What came is then held against all that the archive says, before and behind, and
 * what lacks is fetched as that of any retrieve.
 */
export class Splitter {
  readonly #source: Source
  readonly #single: Single
  #isWorthIt = false
  #vainStudies = 0
  #vainUntil = 0

  constructor(source: Source, single: Single) {
    this.#source = source
    this.#single = single
  }

  /** As Retriever.retrieve; of a study that is split the order of its instances is that in which they come. */
  async *retrieve(selection: Selection, compressed: boolean, call: Call): AsyncGenerator<Instance> {
    const received = new Received()
    const ledger = new Ledger(received)
    const retrieval = { selection, source: this.#source, received, ledger, call }
    const plan = this.#isDue && selection.series === undefined ? await this.#plan(retrieval) : undefined
    if (plan) {
      const isTold = yield* this.#split(plan, compressed, retrieval)
      if (isTold && (await isWhole(retrieval))) return
      yield* this.#single.retrieve(selection, compressed, call, { received, ledger })
      return
    }
    const waits = new Waits()
    yield* timed(this.#single.retrieve(selection, compressed, call), waits)
    if (waits.instances >= MIN_INSTANCES) this.#isWorthIt = waits.share >= WAITING_SHARE
  }

  get #isDue(): boolean {
    if (!this.#isWorthIt || performance.now() < this.#vainUntil) return false
    return !this.#source.wrongCounts && !this.#single.isMoving && this.#lanes > 1
  }

  /** Associations that are free, but for one that is left to queries. */
  get #lanes(): number {
    const { limit, leased, waiting } = this.#source.pool.stats
    return waiting > 0 ? 1 : Math.min(MAX_LANES, limit - 1 - leased)
  }

  /** Undefined where there is nothing to win, or the archive does not say in so many numbers what there is. */
  async #plan(retrieval: Foreseeing): Promise<Plan | undefined> {
    const { series, isAll } = await foresee(retrieval)
    // A series is listed when something of it is there: of one with a number of 0 more is counted later.
    const isCounted = series.every(({ uid, instances = 0 }) => instances > 0 && isAskable(uid))
    const sum = series.reduce((all, { instances = 0 }) => all + instances, 0)
    if (!isAll || !isCounted || sum < MIN_INSTANCES || (await numberStudy(retrieval)) !== sum) return undefined
    const lanes = Math.min(this.#lanes, series.length)
    return lanes > 1 ? { series, lanes } : undefined
  }

  /** Returns whether it is known what there is of each series. */
  async *#split(
    { series, lanes: most }: Plan,
    compressed: boolean,
    study: Splitting,
  ): AsyncGenerator<Instance, boolean> {
    const { selection, received, ledger, call } = study
    const lanes = new Lanes({
      ...{ series: series.map(({ uid }) => uid), most, call, received },
      retrieve: (one, own) => this.#single.retrieve({ study: selection.study, series: one }, compressed, own),
      lacks: (one, instances) => ledger.seriesHas(one, instances),
      isWorthIt: ({ share }) => (this.#isWorthIt = share >= WAITING_SHARE),
    })
    try {
      yield* lanes.instances()
      return !lanes.hasLost
    } finally {
      if (!call.signal.aborted) this.#learn(lanes)
    }
  }

  #learn({ alone, together, isHindered, hasFailed }: Lanes): void {
    const isVain = together.perInstance > GAIN * alone.perInstance
    if (!hasFailed && (isHindered || together.instances < MEASURED)) return
    this.#vainStudies = isVain ? this.#vainStudies + 1 : 0
    // It may be that the archive bears no more than one at a time.
    if (hasFailed || this.#vainStudies >= VAIN_STUDIES) this.#vainUntil = performance.now() + REMEMBERED_MS
    else if (!isVain) this.#source.habits.learn('faster-split')
  }
}

/** Whether all has come that the archive said there is, and says now. @throws the signal's reason */
async function isWhole(retrieval: Foreseeing): Promise<boolean> {
  const { ledger, call } = retrieval
  try {
    await foresee(retrieval)
    await numberStudy(retrieval)
  } catch {
    call.signal.throwIfAborted()
    return false
  }
  return ledger.isNumbered && ledger.outstanding === 0
}
