import { Notifier } from '../dicom/notifier.ts'
import type { Uid } from '../dicom/uids.ts'
import { covers, type Instance, type InstanceUids, type Selection } from '../pacs/instance.ts'
import { HeldInstance } from './held-instance.ts'

/** How far a retrieval runs ahead of the request that is farthest: its pace is felt by the archive. */
export const LEAD_BYTES = 1024 * 1024

/** Nobody waits for a retrieval any more. */
export class UnwantedError extends Error {
  readonly code = 'UNWANTED'
  constructor() {
    super('Nobody waits for the retrieval any more')
    this.name = 'UnwantedError'
  }
}

/** What a flight asks of the cache that it fills. */
export interface Keeper {
  /** Whether there is room for so many more bytes of it; if so they count. */
  admit(flight: Flight, bytes: number): boolean
  /** The bytes do not count any more: the instance is not kept, or counts by itself from here on. */
  dismiss(bytes: number): void
  /** Takes a whole instance. */
  keep(instance: HeldInstance): void
  /** What is held already. */
  held(uids: InstanceUids): HeldInstance | undefined
}

/** An instance that somebody reads while it comes, or after. */
export interface Boarded {
  readonly instance: HeldInstance
  /** It was read, or is not wanted any more; counts once. */
  leave(): void
}

/** An instance of a flight: its UIDs, and itself as long as it is not left to the cache. */
interface Passenger extends InstanceUids {
  instance: HeldInstance | undefined
  /** Bytes of the flight up to its end, so far. */
  end: number
}

/**
 * One retrieval under way, for all who want what it brings. It goes at the pace of the fastest of them and does not
 * wait for the others; who falls behind finds the instances in the cache, or fetches them anew.
 */
export class Flight {
  readonly selection: Selection
  /** Bytes it has put into the cache, and may put there. */
  keptBytes = 0
  maxBytes: number
  readonly #keeper: Keeper
  readonly #controller = new AbortController()
  readonly #passengers: Passenger[] = []
  #total = 0
  #consumed = 0
  /** Passengers before this one are left to the cache. */
  #swept = 0
  #interest = 0
  /** Who wants the next instance, and who a certain one. */
  #hungry = 0
  #waiting = 0
  #passing = false
  #ended = false
  #failure: Error | undefined
  /** Something came, or it is over: for those who want it. */
  readonly #news = new Notifier()
  /** Somebody is further, or has left: for the retrieval itself. */
  readonly #room = new Notifier()
  /** Resolves when it is over, whatever the end. */
  readonly over: Promise<void>

  constructor(
    selection: Selection,
    open: (signal: AbortSignal) => AsyncIterable<Instance>,
    keeper: Keeper,
    maxBytes: number,
  ) {
    this.maxBytes = maxBytes
    this.selection = selection
    this.#keeper = keeper
    this.over = this.#fly(open(this.#controller.signal))
  }

  /** Others may still join: all it brought is held, and more will come. */
  get open(): boolean {
    return !this.#passing && !this.#ended && !this.#controller.signal.aborted
  }

  /** It brought all there is, and everything was kept as it came. */
  get complete(): boolean {
    return this.#ended && this.#failure === undefined && !this.#passing
  }

  /** There was no room to keep all of it. */
  get passed(): boolean {
    return this.#passing
  }

  get failure(): Error | undefined {
    return this.#failure
  }

  /** UIDs of what it brought, and nothing else: who keeps them keeps no instance alive. */
  get brought(): readonly InstanceUids[] {
    return this.#passengers.map(({ study, series, sopInstance }) => ({ study, series, sopInstance }))
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
  ): AsyncGenerator<HeldInstance | InstanceUids> {
    this.#interest++
    let finished = false
    const onAbort = (): void => this.#tell()
    signal.addEventListener('abort', onAbort)
    try {
      for (let index = 0; ; index++) {
        const passenger = await this.#passenger(index, signal)
        if (passenger === undefined) break
        if (isWanted(passenger, selection)) yield passenger.instance ?? this.#keeper.held(passenger) ?? passenger
        this.#consume(passenger.end)
      }
      if (this.#failure !== undefined) throw this.#failure
      finished = true
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#leave(finished || lingers())
    }
  }

  /**
   * One instance as soon as it comes; undefined when it does not come, or is no longer held. To be left when it was read.
   * @throws the signal's reason
   */
  async instance(sopInstance: Uid, signal: AbortSignal): Promise<Boarded | undefined> {
    this.#interest++
    this.#waiting++
    const onAbort = (): void => this.#tell()
    signal.addEventListener('abort', onAbort)
    let left = false
    const leave = (): void => {
      if (!left) this.#leave(!signal.aborted || this.#isWide)
      left = true
    }
    let instance: HeldInstance | undefined
    try {
      instance = await this.#named(sopInstance, signal)
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#waiting--
      if (!instance) leave()
    }
    return instance && { instance, leave }
  }

  /** Of more than one instance: when the client of a part has gone, it is likely to ask for another. */
  get #isWide(): boolean {
    return this.selection.instance === undefined
  }

  abort(reason: Error): void {
    this.#controller.abort(reason)
    this.#goOn()
  }

  async #named(sopInstance: Uid, signal: AbortSignal): Promise<HeldInstance | undefined> {
    this.#goOn()
    for (let index = 0; ; index++) {
      while (index >= this.#passengers.length && this.open) {
        await this.#news.changed
        signal.throwIfAborted()
      }
      const passenger = this.#passengers[index]
      if (passenger === undefined) return undefined
      if (passenger.sopInstance === sopInstance) return passenger.instance ?? this.#keeper.held(passenger)
    }
  }

  async #passenger(index: number, signal: AbortSignal): Promise<Passenger | undefined> {
    signal.throwIfAborted()
    while (index >= this.#passengers.length) {
      if (this.#ended) return undefined
      this.#hungry++
      this.#consume(this.#total)
      this.#goOn()
      await this.#news.changed
      this.#hungry--
      signal.throwIfAborted()
    }
    return this.#passengers[index]
  }

  async #fly(source: AsyncIterable<Instance>): Promise<void> {
    let current: HeldInstance | undefined
    try {
      for await (const { body, ...about } of source) {
        const held = this.#keeper.held(about)
        const start = this.#total
        const instance =
          held ??
          new HeldInstance(about, (position) => {
            this.#consume(start + position)
            return this.#interest > 1
          })
        current = held ? undefined : instance
        const { study, series, sopInstance } = about
        const passenger: Passenger = { study, series, sopInstance, instance: current, end: start }
        this.#passengers.push(passenger)
        this.#tell()
        for await (const chunk of body) {
          if (held) continue
          this.#take(instance, chunk)
          this.#total += chunk.length
          passenger.end = this.#total
          if (this.#hungry > 0) this.#consume(this.#total)
          while (!this.#mayGoOn()) await this.#room.changed
          this.#controller.signal.throwIfAborted()
        }
        if (!held) this.#finish(instance)
        current = undefined
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error('The retrieval failed', { cause: error })
      if (current) {
        current.fail(error)
        if (!current.passing) this.#keeper.dismiss(current.size)
      }
    }
    this.#ended = true
    this.#tell()
  }

  #take(instance: HeldInstance, chunk: Uint8Array): void {
    if (!this.#passing && !this.#keeper.admit(this, chunk.length)) {
      this.#passing = true
      // Who waits for a certain instance does better alone now.
      this.#tell()
      // Nobody listens, and it is not kept either.
      if (this.#interest === 0) this.abort(new UnwantedError())
    }
    if (this.#passing && !instance.passing) {
      this.#keeper.dismiss(instance.size)
      instance.pass()
    }
    if (this.#passing && this.#hungry > 0) instance.overtake()
    instance.append(chunk)
  }

  #finish(instance: HeldInstance): void {
    const { size } = instance
    instance.finish()
    if (!instance.passing) {
      this.#keeper.dismiss(size)
      this.#keeper.keep(instance)
    }
    this.#sweep()
  }

  /** What the fastest is past is the cache's business, if it is kept. */
  #sweep(): void {
    for (let next = this.#passengers[this.#swept]; next; next = this.#passengers[this.#swept]) {
      if (next.end > this.#consumed || next.instance?.whole === false) return
      next.instance = undefined
      this.#swept++
    }
  }

  #mayGoOn(): boolean {
    if (this.#controller.signal.aborted) return true
    if (this.#hungry > 0 || (this.#waiting > 0 && !this.#passing) || this.#interest === 0) return true
    return this.#total - this.#consumed <= LEAD_BYTES
  }

  #consume(position: number): void {
    if (position <= this.#consumed) return
    this.#consumed = position
    this.#sweep()
    this.#goOn()
  }

  #leave(lingers: boolean): void {
    this.#interest--
    if (this.#interest === 0 && !this.#ended && (!lingers || this.#passing)) this.abort(new UnwantedError())
    this.#goOn()
  }

  #tell(): void {
    this.#news.notify()
  }

  #goOn(): void {
    this.#room.notify()
  }
}

function isWanted({ study, series, sopInstance }: InstanceUids, selection: Selection): boolean {
  return covers(selection, { study, series, instance: sopInstance })
}
