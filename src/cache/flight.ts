import { Notifier } from '../dicom/notifier.ts'
import { covers, type InstanceUids, type Selection } from '../instance/uids.ts'
import type { Call } from '../pacs/call.ts'
import type { Instance } from '../pacs/instance.ts'
import type { Allowance } from './allowance.ts'
import { HeldInstance } from './held-instance.ts'
import type { Keeper } from './keeper.ts'
import type { Boarded, KeptInstance } from './kept-instance.ts'
import { LEAD_BYTES, Pace } from './pace.ts'
import { LEFT_PATIENCE_MS, PARTS_PATIENCE_MS, Patience } from './patience.ts'

/**
 * An instance that is read in parts is written to disk as it comes from this size on: it may yet turn out to be larger
 * than what is kept, and so much is not written at once when memory lets it go.
 */
export const SPILL_FROM_BYTES = 16 * 1024 * 1024

/** Nobody waits for a retrieval any more. */
export class UnwantedError extends Error {
  readonly code = 'UNWANTED'
  constructor() {
    super('Nobody waits for the retrieval any more')
    this.name = 'UnwantedError'
  }
}

/** An instance of a flight: its UIDs, and itself as long as it is not left to the cache. */
interface Passenger extends InstanceUids {
  instance: HeldInstance | undefined
  /** Bytes of the flight up to its end, so far. */
  end: number
}

/**
 * Where a flight stands; it only ever goes on from one to one further down.
 * `keeping`: all that it brought is held or was kept, so that others may join.
 * `passing`: there was no room for all of it; its instances are dropped behind their readers.
 * `ending`: it was told to end, and has yet to.
 * `over`: nothing more comes; without a failure, and if it has not passed, the cache was given all that there is.
 */
type Phase =
  | { readonly kind: 'keeping' }
  | { readonly kind: 'passing' }
  | { readonly kind: 'ending'; readonly hasPassed: boolean }
  | { readonly kind: 'over'; readonly hasPassed: boolean; readonly failure: Error | undefined }

/**
 * One retrieval under way, for all who want what it brings. It goes at the pace of the fastest of them and does not
 * wait for the others; who falls behind finds the instances in the cache, or fetches them anew.
 */
export class Flight {
  readonly selection: Selection
  /** Bytes it has put into the cache. */
  #keptBytes = 0
  #allowance: Allowance
  readonly #isForParts: boolean
  readonly #keeper: Keeper
  readonly #controller = new AbortController()
  readonly #pace = new Pace()
  readonly #passengers: Passenger[] = []
  /** Bytes that came. */
  total = 0
  /** Passengers before this one are left to the cache. */
  #swept = 0
  #phase: Phase = { kind: 'keeping' }
  /** SOP Instance UIDs of what was replaced at the archive since it began. */
  readonly #replaced = new Set<string>()
  /** Nobody has asked for it yet. */
  #isAhead: boolean
  readonly #promotion = new AbortController()
  /** By performance.now(): what comes may be as old as that. */
  readonly #began = performance.now()
  /** Runs while nobody reads and nothing comes. */
  readonly #patience = new Patience(() => this.abort(new UnwantedError()))
  /** Something came, or it is over: for those who want it. */
  readonly #news = new Notifier()
  /** Resolves when it is over, whatever the end. */
  readonly over: Promise<void>

  constructor(
    selection: Selection,
    open: (call: Call) => AsyncIterable<Instance>,
    keeper: Keeper,
    allowance: Allowance,
    isAhead = false,
  ) {
    this.#allowance = allowance
    this.#isAhead = isAhead
    this.#isForParts = allowance.isForParts
    this.selection = selection
    this.#keeper = keeper
    const { signal } = this.#controller
    const promoted = isAhead && { promoted: this.#promotion.signal }
    this.over = this.#fly(open({ signal, wanted: () => this.#hurry(), ...promoted }))
  }

  /** Others may still join: all it brought is held, and more will come. */
  get open(): boolean {
    return this.#phase.kind === 'keeping'
  }

  /** It brought all there is, and everything was kept as it came. */
  get complete(): boolean {
    return this.#phase.kind === 'over' && !this.#phase.hasPassed && !this.#phase.failure
  }

  /** There was no room to keep all of it. */
  get passed(): boolean {
    return this.#phase.kind === 'passing' || ('hasPassed' in this.#phase && this.#phase.hasPassed)
  }

  get failure(): Error | undefined {
    return this.#phase.kind === 'over' ? this.#phase.failure : undefined
  }

  get isOutdated(): boolean {
    return this.#replaced.size > 0
  }

  /** Nobody has asked for what it brings yet. */
  get isAhead(): boolean {
    return this.#isAhead
  }

  /** An instance was replaced meanwhile: what it brings of it is for those who asked before, and is not kept. */
  outdate(sopInstance: string): void {
    this.#replaced.add(sopInstance)
  }

  /** UIDs of what it brought, and nothing else: who keeps them keeps no instance alive. */
  get brought(): readonly InstanceUids[] {
    return this.#passengers.map(({ study, series, sopInstance }) => ({ study, series, sopInstance }))
  }

  /** It ends, unless somebody has asked for what it brings meanwhile. */
  dropAhead(): void {
    if (this.#isAhead) this.abort(new UnwantedError())
  }

  /** It may put so much more into the cache, for somebody who has joined. */
  allow(allowance: Allowance): void {
    this.#allowance = allowance
  }

  /** Whether who wants parts of one instance, from a byte on, does better here than by a retrieval of his own. */
  carries(uids: InstanceUids, from: number, to?: number): boolean {
    if (this.open) return true
    const alone = this.#phase.kind === 'passing' && this.#isForParts ? this.#passengers[0] : undefined
    return alone !== undefined && isSame(alone, uids) && alone.instance?.holds(from, to) === true
  }

  /**
   * What it brings of a selection, from its start; of an instance that is no longer held only the UIDs. `lingers` is
   * asked when the caller leaves early: whether the flight then goes on filling the cache, though nobody else waits.
   * @throws what failed the retrieval, behind what came before; the signal's reason
   */
  async *instances(
    selection: Selection,
    lingers: () => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<KeptInstance | InstanceUids> {
    this.#join()
    let finished = false
    using _ = this.#news.following(signal)
    try {
      for (let index = 0; ; index++) {
        const passenger = await this.#passenger(index, signal)
        if (passenger === undefined) break
        if (isWanted(passenger, selection)) yield passenger.instance ?? this.#keeper.held(passenger) ?? passenger
        this.#consumed(passenger.end)
      }
      if (this.failure) throw this.failure
      finished = true
    } finally {
      this.#leave(finished || lingers())
    }
  }

  /**
   * One instance as soon as it comes; undefined when it does not come, or is no longer held. To be left when it was read.
   * @throws the signal's reason
   */
  async instance(uids: InstanceUids, signal: AbortSignal): Promise<Boarded | undefined> {
    this.#join()
    const calm = this.#pace.hurry()
    using _ = this.#news.following(signal)
    let left = false
    const leave = (): void => {
      // Of more than one instance: when the client of a part has gone, it is likely to ask for another.
      if (!left) this.#leave(!signal.aborted || !this.#isForParts)
      left = true
    }
    let instance: KeptInstance | undefined
    try {
      instance = await this.#named(uids, signal)
    } finally {
      calm()
      if (!instance) leave()
    }
    return instance && { instance, leave }
  }

  abort(reason: Error): void {
    this.#patience.stop()
    if (this.#phase.kind === 'keeping' || this.#phase.kind === 'passing')
      this.#move({ kind: 'ending', hasPassed: this.passed })
    this.#controller.abort(reason)
  }

  /** The one place where it goes on to another phase. */
  #move(phase: Phase): void {
    this.#phase = phase
    this.#news.notify()
    this.#pace.changed()
  }

  async #named(uids: InstanceUids, signal: AbortSignal): Promise<KeptInstance | undefined> {
    for (let index = 0; ; index++) {
      while (index >= this.#passengers.length && this.open) {
        await this.#news.changed
        signal.throwIfAborted()
      }
      const passenger = this.#passengers[index]
      if (passenger === undefined) return undefined
      if (isSame(passenger, uids)) return passenger.instance ?? this.#keeper.held(passenger)
    }
  }

  async #passenger(index: number, signal: AbortSignal): Promise<Passenger | undefined> {
    signal.throwIfAborted()
    while (index >= this.#passengers.length) {
      if (this.#phase.kind === 'over') return undefined
      this.#consumed(this.total)
      const calm = this.#pace.hurry()
      try {
        await this.#news.changed
      } finally {
        calm()
      }
      signal.throwIfAborted()
    }
    return this.#passengers[index]
  }

  async #fly(source: AsyncIterable<Instance>): Promise<void> {
    let current: HeldInstance | undefined
    let failure: Error | undefined
    try {
      for await (const instance of source) {
        const { study, series, sopInstance } = instance
        const held = this.#keeper.held(instance)
        current = held && !held.isDamaged ? undefined : this.#boardingOf(instance)
        const passenger: Passenger = { study, series, sopInstance, instance: current, end: this.total }
        this.#passengers.push(passenger)
        this.#news.notify()
        for await (const chunk of instance.body) {
          if (!current) continue
          this.#take(current, chunk)
          this.total += chunk.length
          passenger.end = this.total
          if (this.#pace.isHurried) this.#consumed(this.total)
          while (!this.#mayGoOn()) {
            // Asked for first: to give up changes it.
            const { change } = this.#pace
            if (this.#pace.readers === 0) this.#patience.run(PARTS_PATIENCE_MS)
            await change
          }
          this.#controller.signal.throwIfAborted()
        }
        if (current) this.#finish(current)
        current = undefined
      }
    } catch (error) {
      failure = error instanceof Error ? error : new Error('The retrieval failed', { cause: error })
      if (current) this.#fail(current, error)
    }
    this.#patience.stop()
    this.#move({ kind: 'over', hasPassed: this.passed, failure })
  }

  #boardingOf({ body: _, ...instance }: Instance): HeldInstance {
    const start = this.total
    const [pace, isForParts, began, replaced] = [this.#pace, this.#isForParts, this.#began, this.#replaced]
    return new HeldInstance(instance, {
      began,
      replaced,
      advanced: (position) => this.#consumed(start + position),
      hurry: () => pace.hurry(),
      get isShared() {
        return isForParts || pace.readers > 1
      },
      isForParts,
    })
  }

  #take(instance: HeldInstance, chunk: Uint8Array): void {
    if (this.open && !this.#admits(instance, chunk.length)) {
      // Who waits for a certain instance does better alone now.
      this.#move({ kind: 'passing' })
      if (this.#pace.readers === 0 && !this.#isForParts) this.abort(new UnwantedError())
    }
    // What comes before it has ended is for nobody, and was not admitted.
    if (this.#phase.kind === 'ending') return
    const isPassing = this.#phase.kind === 'passing'
    const isDue = isPassing ? !instance.passing : reaches(SPILL_FROM_BYTES, instance.size, chunk.length)
    if (this.#isForParts && !instance.isOutdated && isDue) this.#keeper.spill(instance)
    if (isPassing && !instance.passing) {
      this.#keeper.dismiss(instance.size)
      instance.pass()
    }
    if (isPassing && this.#pace.isHurried) instance.overtake()
    instance.append(chunk)
  }

  #admits({ index, size }: HeldInstance, bytes: number): boolean {
    const { maxBytes, hurriedBytes } = this.#allowance
    const allowed = this.#patience.isHurried ? Math.max(maxBytes, hurriedBytes) : maxBytes
    // What is known to be too large need not drive out what else is kept before it is seen to be.
    const foreseen = this.#keptBytes - size + index.foreseenBytes
    if (this.#keptBytes + bytes > allowed || foreseen > allowed) return false
    if (!this.#keeper.admit(bytes)) return false
    this.#keptBytes += bytes
    return true
  }

  #finish(instance: HeldInstance): void {
    const { size } = instance
    instance.finish()
    if (!instance.passing) this.#keeper.dismiss(size)
    if (!instance.isOutdated) {
      if (instance.passing && instance.whole) this.#keeper.passed(instance)
      else if (!instance.passing) this.#keeper.keep(instance)
    }
    this.#sweep()
  }

  #fail(instance: HeldInstance, error: unknown): void {
    instance.fail(error)
    if (!instance.passing) this.#keeper.dismiss(instance.size)
  }

  /** What the fastest is past is the cache's business, if it is kept. */
  #sweep(): void {
    // What is read in parts stays on board: the next request for one may be on its way.
    if (this.#isForParts) return
    for (let next = this.#passengers[this.#swept]; next; next = this.#passengers[this.#swept]) {
      if (next.end > this.#pace.consumed || next.instance?.isComing === true) return
      next.instance = undefined
      this.#swept++
    }
  }

  #mayGoOn(): boolean {
    if (this.#controller.signal.aborted || this.#pace.isHurried) return true
    const { lingeringBytes, hurriedBytes } = this.#allowance
    if (this.#pace.readers === 0) return this.open && this.#keptBytes < lingeringBytes
    const runsAhead = this.#patience.isHurried && this.open && this.#keptBytes + LEAD_BYTES < hurriedBytes
    return runsAhead || this.#pace.allows(this.total)
  }

  /** One that waits for readers lets the association go; one with slow readers reads ahead of them. */
  #hurry(): void {
    this.dropAhead()
    this.#patience.hurry()
    this.#pace.changed()
  }

  #consumed(position: number): void {
    if (this.#pace.advance(position)) this.#sweep()
  }

  #join(): void {
    if (this.#isAhead) this.#promotion.abort()
    this.#isAhead = false
    this.#patience.stop()
    this.#pace.join()
  }

  #leave(lingers: boolean): void {
    this.#pace.leave()
    if (this.#pace.readers > 0 || this.#phase.kind === 'over') return
    if (lingers) {
      if (this.#phase.kind === 'passing' && !this.#isForParts) this.abort(new UnwantedError())
    } else if (this.#isForParts) this.#patience.run(LEFT_PATIENCE_MS)
    else this.abort(new UnwantedError())
  }
}

function isWanted({ study, series, sopInstance }: InstanceUids, selection: Selection): boolean {
  return covers(selection, { study, series, instance: sopInstance })
}

/** The same SOP Instance UID in another series is another image, whatever PS3.3 says. */
function isSame(one: InstanceUids, other: InstanceUids): boolean {
  return one.sopInstance === other.sopInstance && one.series === other.series
}

function reaches(limit: number, size: number, more: number): boolean {
  return size < limit && size + more >= limit
}
