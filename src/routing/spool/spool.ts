import { channel } from 'node:diagnostics_channel'
import type { Config } from '../../config/config.ts'
import { Status } from '../../dimse/status.ts'
import type { Instance } from '../../pacs/instance.ts'
import type { StoreOutcome } from '../../pacs/store.ts'
import { publishDelivery, type Delivery } from '../delivery.ts'
import type { Target } from '../target.ts'
import type { Done, ListedEntry, Meant, SpoolDesk } from './desk.ts'
import type { DeskServer } from './desk-server.ts'
import { newEntryId, sinceOf, type Sender, type SpooledInstance } from './entry.ts'
import { fateOf, isOfDestination, reasonOf } from './fate.ts'
import { SpoolFolderError, takeFolder, unusable } from './lock.ts'
import { FIRST_PAUSE_MS, SpoolQueue, type Entry } from './queue.ts'
import { isGone, SpoolDiskError } from './sealed-file.ts'
import { sendEntry, type Sent } from './send-entry.ts'
import { folderName, MAX_NAME_BYTES, SpoolFolder, SpoolFullError } from './spool-folder.ts'

export type SpoolConfig = NonNullable<Config['spool']>

/** How long nothing is put into a spool whose disk has failed, or had no room for an instance, and how long until what the disk did not let be done is tried again, in ms. */
const DISK_REST_MS = 10_000
/** How long nothing is sent where it could not be written down, in ms. */
const BLOCKED_MS = 10_000
/** How long an instance waits that was not tried, since others were, in ms. */
const AGAIN_MS = 1_000
/** How long until a folder that could not be opened is tried again, in ms. */
const REOPEN_MS = 30_000
/** An instance that is old is tried for so long at least, in ms: nobody may have tried it so far. */
const LEAST_TRIED_MS = 60 * 60_000

/** Published when a destination does not take what is in the spool, and when it does again. */
export interface SpoolEvent {
  /** Undefined where it is the folder of the spool that cannot be opened. */
  readonly destination: string | undefined
  readonly isPassing: boolean
  /** Why not: a code, a DIMSE status, or what the system says. */
  readonly reason: string | undefined
}

const events = channel('dimsegate:spool')

/** What the spool needs of the rest of the service. */
export interface SpoolSurroundings {
  /** By their names. */
  readonly targets: ReadonlyMap<string, Target>
  /** Told of each instance that a destination has got, or will not get. */
  readonly told: (sender: Sender, instance: Instance, delivery: Delivery) => void
  /** Nothing may be sent, since it could not be written down. */
  readonly isBlocked: () => boolean
}

/** Of one destination. */
export interface SpoolStats {
  readonly destination: string
  readonly waiting: number
  readonly givenUp: number
}

/** Instances that destinations which nobody waits for are to have, and have not yet: on disk until then. */
export class Spool implements SpoolDesk {
  readonly #config: SpoolConfig
  readonly #around: SpoolSurroundings
  #folder: SpoolFolder
  /** Undefined while the folder could not be opened. */
  #server: DeskServer | undefined
  /** Why it could not be opened. */
  #unopened: string | undefined
  readonly #queues = new Map<string, SpoolQueue>()
  readonly #stop = new AbortController()
  readonly #work = new Set<Promise<unknown>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** What gives files other names, or takes them away, as somebody has asked for: one after another. */
  #asked: Promise<unknown> = Promise.resolve()
  #hasBegun = false
  #isResting = false

  private constructor(config: SpoolConfig, around: SpoolSurroundings) {
    this.#config = config
    this.#around = around
    this.#folder = new SpoolFolder(config)
  }

  /** Takes up what is in the folder, for this process alone. @throws SpoolFolderError */
  static async open(config: SpoolConfig, around: SpoolSurroundings): Promise<Spool> {
    const spool = new Spool(config, around)
    await spool.#take()
    return spool
  }

  /** The same; but where the disk is full, read-only or broken there is no spool until that is over. @throws SpoolFolderError */
  static async openOrWait(config: SpoolConfig, around: SpoolSurroundings): Promise<Spool> {
    const spool = new Spool(config, around)
    try {
      await spool.#take()
    } catch (error) {
      if (!(error instanceof SpoolFolderError) || !error.isOfDisk) throw error
      spool.#unopened = error.reason
      spool.#takeLater()
    }
    return spool
  }

  /** Sends what is there, and what comes. */
  begin(): void {
    this.#hasBegun = true
    if (this.#unopened !== undefined) this.#tell(undefined, false, this.#unopened)
    for (const queue of this.#queues.values()) this.#send(queue)
  }

  get bytes(): number {
    return this.#folder.bytes
  }

  get stats(): readonly SpoolStats[] {
    return [...this.#queues.values()].map(({ destination, waiting, givenUp }) => ({ destination, waiting, givenUp }))
  }

  /** It has room, and a disk that works. */
  get isOpen(): boolean {
    return this.#server !== undefined && !this.#folder.isFull && !this.#isResting && !this.#stop.signal.aborted
  }

  /** What is stored there is on the disk, to be sent on to the target. */
  before(
    { node }: Target,
    { route, sender, isChanged }: Pick<SpooledInstance, 'route' | 'sender' | 'isChanged'>,
  ): Target {
    const { name: destination } = node
    const store = (instance: Instance): Promise<StoreOutcome> =>
      this.#follow(this.#put(instance, { destination, route, sender, isChanged }))
    const nothing = (): Promise<void> => Promise.resolve()
    return { node, open: () => ({ store, reach: nothing, [Symbol.asyncDispose]: nothing }) }
  }

  *list(): Generator<ListedEntry> {
    for (const isGivenUp of [true, false]) {
      for (const queue of this.#queues.values()) {
        for (const entry of queue.entries) if (entry.isGivenUp === isGivenUp) yield entry.listed
      }
    }
  }

  retry(meant: Meant): Promise<Done> {
    return this.#inTurn(async () => {
      const touched = new Set<SpoolQueue>()
      const done = await this.#each(meant, async (queue, entry) => {
        if (entry.named !== undefined) await this.#name(entry, undefined)
        queue.retry(entry)
        touched.add(queue)
      })
      for (const queue of touched) queue.rouse()
      return done
    })
  }

  drop(meant: Meant): Promise<Done> {
    return this.#inTurn(() =>
      this.#each(meant, async (queue, entry) => {
        await this.#folder.remove(entry.place)
        if (queue.remove(entry)) this.#folder.free(entry.found.bytes)
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The service stops'))
    for (const queue of this.#queues.values()) queue.close()
    for (const timer of this.#timers) clearTimeout(timer)
    await this.#asked
    await Promise.allSettled(this.#work)
    await this.#server?.[Symbol.asyncDispose]()
  }

  /** @throws SpoolFolderError */
  async #take(): Promise<void> {
    const { dir } = this.#config
    for (const name of this.#around.targets.keys()) {
      if (folderName(name).length <= MAX_NAME_BYTES) continue
      throw new SpoolFolderError(dir, `has no room for a name as long as ${name}`)
    }
    const server = await takeFolder(dir)
    try {
      this.#folder = new SpoolFolder(this.#config)
      this.#queues.clear()
      for await (const found of this.#folder.takeUp()) this.#queue(found.destination).add(found, true)
    } catch (cause) {
      await server[Symbol.asyncDispose]()
      throw unusable(dir, cause)
    }
    this.#server = server
    server.serve(this)
  }

  #takeLater(): void {
    this.#later(REOPEN_MS, () => {
      void this.#follow(this.#takeAgain())
    })
  }

  async #takeAgain(): Promise<void> {
    try {
      await this.#take()
    } catch {
      this.#takeLater()
      return
    }
    this.#unopened = undefined
    if (!this.#hasBegun) return
    this.#tell(undefined, true, undefined)
    this.begin()
  }

  async #put(
    { sopClass, sopInstance, study, series, syntax, body }: Instance,
    of: Pick<SpooledInstance, 'destination' | 'route' | 'sender' | 'isChanged'>,
  ): Promise<StoreOutcome> {
    const id = newEntryId()
    const { destination } = of
    try {
      const uids = { sopClass, sopInstance, study, series, syntax: syntax.uid }
      const bytes = await this.#folder.put({ id, ...of, ...uids }, body)
      const queue = this.#queue(destination)
      queue.add({ id, destination, bytes, reason: undefined })
      this.#send(queue)
      return { kind: 'stored', status: Status.success }
    } catch (error) {
      if (error instanceof SpoolDiskError || error instanceof SpoolFullError) this.#rest()
      return { kind: 'failed', error }
    }
  }

  /** An entry has one name at a time. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#asked.then(act)
    this.#asked = done.catch(() => undefined)
    return done
  }

  async #each(meant: Meant, act: (queue: SpoolQueue, entry: Entry) => Promise<void>): Promise<Done> {
    const queues = [...this.#queues.values()]
    const all = (): string[] =>
      queues.flatMap(({ entries }) => [...entries].flatMap(({ isGivenUp, found }) => (isGivenUp ? [found.id] : [])))
    const unknown: string[] = []
    let done = 0
    for (const id of meant === 'all' ? all() : meant) {
      if (this.#stop.signal.aborted) return { done, unknown, failure: 'The service stops' }
      const queue = queues.find((one) => one.get(id) !== undefined)
      const entry = queue?.get(id)
      if (!queue || !entry) {
        unknown.push(id)
        continue
      }
      try {
        await act(queue, entry)
      } catch (error) {
        return { done, unknown, failure: (error as Error).message }
      }
      done++
    }
    return { done, unknown }
  }

  #queue(destination: string): SpoolQueue {
    let queue = this.#queues.get(destination)
    if (!queue) {
      queue = new SpoolQueue(destination, () => this.#send(queue!))
      this.#queues.set(destination, queue)
    }
    return queue
  }

  /** What may be sent now. */
  #send(queue: SpoolQueue): void {
    // One that is not in the configuration any more is waited for.
    const target = this.#around.targets.get(queue.destination)
    if (!target || !this.#hasBegun) return
    for (;;) {
      if (this.#stop.signal.aborted) return
      if (this.#around.isBlocked()) {
        queue.pause(BLOCKED_MS)
        return
      }
      const entry = queue.take()
      if (!entry) return
      const work = this.#deliver(queue, entry, target).finally(() => {
        queue.over()
        this.#send(queue)
      })
      void this.#follow(work)
    }
  }

  async #deliver(queue: SpoolQueue, entry: Entry, target: Target): Promise<void> {
    entry.triedSince ??= performance.now()
    const sent = await sendEntry(this.#folder, entry.place, target, this.#stop.signal)
    const { outcome } = sent
    if (this.#stop.signal.aborted && outcome.kind !== 'stored') return
    const fate = fateOf(outcome, entry.mayBeThere)
    const isThere = outcome.kind === 'stored' || (outcome.kind === 'refused' && fate !== 'full')
    if (isThere && queue.passes()) this.#tell(queue.destination, true, undefined)
    if (fate === 'delivered') {
      const status = 'status' in outcome ? outcome.status : Status.success
      this.#end(sent, target, { kind: 'stored', status })
      await this.#remove(queue, entry)
      return
    }
    if (fate === 'again') {
      queue.pause(AGAIN_MS)
      queue.putBack(entry)
      return
    }
    if (fate === 'doubt') entry.mayBeThere = true
    entry.tries++
    entry.reason = reasonOf(outcome)
    if (isOfDestination(fate) && queue.rests(fate === 'doubt' ? FIRST_PAUSE_MS : undefined)) {
      this.#tell(queue.destination, false, entry.reason)
    }
    if (fate !== 'over' && !this.#isTooOld(entry)) {
      if (fate === 'rest') queue.putBack(entry)
      else if (isOfDestination(fate)) queue.putLast(entry)
      else queue.putOff(entry)
      return
    }
    queue.giveUp(entry, entry.reason)
    this.#end(sent, target, outcome)
    await this.#inTurn(() => this.#nameGivenUp(queue, entry))
  }

  /** It was tried for as long as is said, by somebody who could. */
  #isTooOld({ found, triedSince }: Entry): boolean {
    const { giveUpAfter } = this.#config
    const tried = performance.now() - (triedSince ?? Infinity)
    return Date.now() - sinceOf(found.id) >= giveUpAfter && tried >= Math.min(giveUpAfter, LEAST_TRIED_MS)
  }

  /** Tells what became of an instance. */
  #end({ head, instance }: Sent, { node }: Target, outcome: StoreOutcome): void {
    const { route = '', isChanged = false } = head ?? {}
    const delivery = { route, node, isRequired: false, isSpooled: false, outcome, isRenamed: false }
    publishDelivery(delivery, isChanged)
    if (head && instance) this.#around.told(head.sender, instance, delivery)
  }

  /** Where the disk does not let it go it is not sent again: that is tried until it does. */
  async #remove(queue: SpoolQueue, entry: Entry): Promise<void> {
    if (!queue.remove(entry)) return
    const remove = async (): Promise<void> => {
      try {
        await this.#folder.remove(entry.place)
        this.#folder.free(entry.found.bytes)
      } catch {
        this.#later(DISK_REST_MS, () => void remove())
      }
    }
    await remove()
  }

  /** The same: in this process it is given up, whatever its name says. */
  async #nameGivenUp(queue: SpoolQueue, entry: Entry): Promise<void> {
    const { reason } = entry
    if (queue.get(entry.found.id) !== entry || !entry.isGivenUp || entry.named === reason) return
    try {
      await this.#name(entry, reason)
    } catch (error) {
      // Somebody has taken it away.
      if (isGone(error)) await this.#remove(queue, entry)
      else this.#later(DISK_REST_MS, () => void this.#inTurn(() => this.#nameGivenUp(queue, entry)))
    }
  }

  /** @throws SpoolDiskError */
  async #name(entry: Entry, reason: string | undefined): Promise<void> {
    await this.#folder.note(entry.place, reason)
    entry.named = reason
  }

  #follow<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work)
    return work.finally(() => this.#work.delete(work))
  }

  #tell(destination: string | undefined, isPassing: boolean, reason: string | undefined): void {
    events.publish({ destination, isPassing, reason } satisfies SpoolEvent)
  }

  #rest(): void {
    if (this.#isResting) return
    this.#isResting = true
    this.#later(DISK_REST_MS, () => (this.#isResting = false))
  }

  #later(ms: number, act: () => void): void {
    if (this.#stop.signal.aborted) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms).unref()
    this.#timers.add(timer)
  }
}
