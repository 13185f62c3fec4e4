import { channel } from 'node:diagnostics_channel'
import type { Config } from '../../config/config.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { transferSyntax } from '../../dicom/transfer-syntax.ts'
import { formatStatus, Status } from '../../dimse/status.ts'
import { Arrival, FROM_CLIENT } from '../../instance/arrival.ts'
import { arriving, type Instance } from '../../pacs/instance.ts'
import type { StoreOutcome } from '../../pacs/store.ts'
import { publishDelivery, type Delivery } from '../delivery.ts'
import type { Target } from '../target.ts'
import type { Done, ListedEntry, Meant, SpoolDesk } from './desk.ts'
import type { DeskServer } from './desk-server.ts'
import { newEntryId, sinceOf, type Sender, type SpooledInstance } from './entry.ts'
import { SpoolFolderError, takeFolder, unusable } from './lock.ts'
import { SpoolQueue, type Entry } from './queue.ts'
import { DamagedSpoolFileError, isGone, SpoolDiskError } from './sealed-file.ts'
import { MAX_NAME_BYTES, folderName, SpoolFolder, SpoolFullError, type Place } from './spool-folder.ts'

export type SpoolConfig = NonNullable<Config['spool']>

/** How long nothing is put into a spool whose disk has failed, or had no room for an instance, and how long until what the disk did not let be done is tried again, in ms. */
const DISK_REST_MS = 10_000
/** How long nothing is sent where it could not be written down, in ms. */
const BLOCKED_MS = 10_000

/** Published when a destination does not take what is in the spool, and when it does again. */
export interface SpoolEvent {
  readonly destination: string
  readonly isPassing: boolean
  /** Why not: a code, or a DIMSE status. */
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
  readonly #folder: SpoolFolder
  readonly #server: DeskServer
  readonly #giveUpAfter: number
  readonly #around: SpoolSurroundings
  readonly #queues = new Map<string, SpoolQueue>()
  readonly #stop = new AbortController()
  readonly #work = new Set<Promise<unknown>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** What a person has asked for. */
  #asked: Promise<unknown> = Promise.resolve()
  #hasBegun = false
  #isResting = false

  private constructor(folder: SpoolFolder, server: DeskServer, giveUpAfter: number, around: SpoolSurroundings) {
    this.#folder = folder
    this.#server = server
    this.#giveUpAfter = giveUpAfter
    this.#around = around
  }

  /** Takes up what is in the folder, for this process alone. @throws SpoolFolderError */
  static async open(config: SpoolConfig, around: SpoolSurroundings): Promise<Spool> {
    const { dir } = config
    for (const name of around.targets.keys()) {
      if (folderName(name).length > MAX_NAME_BYTES)
        throw new SpoolFolderError(dir, `has no room for a name as long as ${name}`)
    }
    const server = await takeFolder(dir)
    try {
      const folder = new SpoolFolder(config)
      const spool = new Spool(folder, server, config.giveUpAfter, around)
      for await (const found of folder.takeUp()) spool.#queue(found.destination).add(found)
      server.serve(spool)
      return spool
    } catch (cause) {
      await server[Symbol.asyncDispose]()
      throw unusable(dir, cause)
    }
  }

  /** Sends what is there, and what comes. */
  begin(): void {
    this.#hasBegun = true
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
    return !this.#folder.isFull && !this.#isResting && !this.#stop.signal.aborted
  }

  /** What is stored there is on the disk, to be sent on to the target. */
  before(
    { node }: Target,
    { route, sender, isChanged }: Pick<SpooledInstance, 'route' | 'sender' | 'isChanged'>,
  ): Target {
    const { name: destination } = node
    const store = async (instance: Instance): Promise<StoreOutcome> => {
      const { sopClass, sopInstance, study, series, syntax, body } = instance
      const id = newEntryId()
      const uids = { sopClass, sopInstance, study, series, syntax: syntax.uid }
      try {
        const bytes = await this.#folder.put({ id, destination, route, sender, isChanged, ...uids }, body)
        const queue = this.#queue(destination)
        queue.add({ id, destination, bytes, reason: undefined })
        this.#send(queue)
        return { kind: 'stored', status: Status.success }
      } catch (error) {
        if (error instanceof SpoolDiskError || error instanceof SpoolFullError) this.#rest()
        return { kind: 'failed', error }
      }
    }
    const nothing = (): Promise<void> => Promise.resolve()
    return { node, open: () => ({ store, reach: nothing, [Symbol.asyncDispose]: nothing }) }
  }

  *list(): Generator<ListedEntry> {
    for (const isGivenUp of [true, false]) {
      for (const queue of this.#queues.values()) {
        for (const entry of queue.entries) if (entry.isGivenUp === isGivenUp) yield listed(entry)
      }
    }
  }

  retry(meant: Meant): Promise<Done> {
    return this.#inTurn(meant, async (queue, entry) => {
      const { found, reason, isGivenUp } = entry
      if (isGivenUp) await this.#folder.note({ ...found, reason }, undefined)
      queue.retry(entry)
    })
  }

  drop(meant: Meant): Promise<Done> {
    return this.#inTurn(meant, (queue, entry) => this.#remove(queue, entry))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The service stops'))
    for (const queue of this.#queues.values()) queue.close()
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.allSettled(this.#work)
    await this.#server[Symbol.asyncDispose]()
  }

  /** One after another: an entry has one name at a time. */
  #inTurn(meant: Meant, act: (queue: SpoolQueue, entry: Entry) => Promise<void>): Promise<Done> {
    const done = this.#asked.then(() => this.#each(meant, act))
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
      const queue = queues.find((one) => one.get(id) !== undefined)
      const entry = queue?.get(id)
      if (!queue || !entry) unknown.push(id)
      else {
        await act(queue, entry)
        done++
      }
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
        this.#work.delete(work)
        queue.over()
        this.#send(queue)
      })
      this.#work.add(work)
    }
  }

  async #deliver(queue: SpoolQueue, entry: Entry, target: Target): Promise<void> {
    const sent = await this.#sent(placeOf(entry), target)
    if (this.#stop.signal.aborted && sent.outcome.kind !== 'stored') return
    const { outcome, head, instance } = sent
    const fate = fateOf(outcome)
    const isOver = fate === 'over' || Date.now() - sinceOf(entry.found.id) > this.#giveUpAfter
    const reason = outcome.kind === 'stored' ? undefined : reasonOf(outcome)
    if (outcome.kind === 'stored' || isOver) {
      const { route = '', isChanged = false } = head ?? {}
      const delivery = { route, node: target.node, isRequired: false, isSpooled: false, outcome, isRenamed: false }
      publishDelivery(delivery, isChanged)
      if (head && instance) this.#around.told(head.sender, instance, delivery)
    }
    const hasAnswered = outcome.kind === 'stored' || (outcome.kind === 'refused' && fate !== 'rest')
    if (hasAnswered && queue.passes()) this.#tell(queue, true, undefined)
    if (reason === undefined) {
      await this.#remove(queue, entry)
      return
    }
    entry.tries++
    entry.reason = reason
    if (fate === 'rest' && queue.rests()) this.#tell(queue, false, reason)
    if (isOver) await this.#giveUp(queue, entry, reason)
    else queue.putOff(entry, fate === 'rest')
  }

  async #sent(place: Place, target: Target): Promise<Sent> {
    const { signal } = this.#stop
    let head: SpooledInstance | undefined
    let instance: Instance | undefined
    let outcome: StoreOutcome
    /** Of the file itself, whatever else came of it. */
    let fault: unknown
    try {
      await using opened = await this.#folder.read(place)
      head = opened.instance
      const body = watched(opened.body, (error) => (fault = error))
      const arrival = await Arrival.begin(body, transferSyntax(head.syntax), FROM_CLIENT)
      instance = arriving(head, arrival)
      const outlet = target.open({ signal, priority: 'background' })
      try {
        await outlet.reach(instance)
        outcome = await outlet.store(instance)
      } finally {
        // What came of it stands, however its end goes.
        await Promise.resolve(outlet[Symbol.asyncDispose]()).catch(() => undefined)
        await arrival.return()
      }
    } catch (error) {
      outcome = { kind: 'failed', error }
    }
    return { outcome: fault === undefined ? outcome : { kind: 'failed', error: fault }, head, instance }
  }

  /** Where the disk does not let it go it is not sent again: that is tried until it does. */
  async #remove(queue: SpoolQueue, entry: Entry): Promise<void> {
    queue.remove(entry)
    const { found, reason, isGivenUp } = entry
    const remove = async (): Promise<void> => {
      try {
        await this.#folder.remove({ ...found, reason: isGivenUp ? reason : undefined })
      } catch {
        this.#later(DISK_REST_MS, () => void remove())
      }
    }
    await remove()
  }

  async #giveUp(queue: SpoolQueue, entry: Entry, reason: string): Promise<void> {
    try {
      await this.#folder.note({ ...entry.found, reason: undefined }, reason)
      if (queue.get(entry.found.id)) queue.giveUp(entry, reason)
      // Dropped meanwhile, under the name that it had.
      else await this.#folder.remove({ ...entry.found, bytes: 0, reason })
    } catch (error) {
      // Somebody has taken it away, or the disk does not let it be.
      if (isGone(error)) await this.#remove(queue, entry)
      else queue.putOff(entry, false)
    }
  }

  #tell({ destination }: SpoolQueue, isPassing: boolean, reason: string | undefined): void {
    events.publish({ destination, isPassing, reason } satisfies SpoolEvent)
  }

  #rest(): void {
    if (this.#isResting) return
    this.#isResting = true
    this.#later(DISK_REST_MS, () => (this.#isResting = false))
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms).unref()
    this.#timers.add(timer)
  }
}

interface Sent {
  readonly outcome: StoreOutcome
  readonly head: SpooledInstance | undefined
  readonly instance: Instance | undefined
}

function placeOf({ found, reason, isGivenUp }: Entry): Place {
  return { ...found, reason: isGivenUp ? reason : undefined }
}

function listed({ found: { id, destination, bytes }, tries, isGivenUp, reason }: Entry): ListedEntry {
  return { id, destination, since: new Date(sinceOf(id)).toISOString(), bytes, tries, isGivenUp, reason }
}

/** What to do after a try. `rest`: the destination is not there, or has no room; `later`: this instance, another time; `over`: to send it again would not help. */
function fateOf(outcome: StoreOutcome): 'rest' | 'later' | 'over' {
  switch (outcome.kind) {
    case 'stored':
      return 'over'
    case 'refused':
      if (outcome.status >>> 8 === 0xa7) return 'rest'
      return outcome.status === Status.processingFailure ? 'later' : 'over'
    case 'broken':
      return 'over'
    case 'failed':
      if (outcome.error instanceof SpoolDiskError) return 'later'
      return isUnreadable(outcome.error) ? 'over' : 'rest'
  }
}

/** What is in the file is no instance. */
function isUnreadable(error: unknown): boolean {
  if (error instanceof DamagedSpoolFileError) return true
  return error instanceof Error && 'code' in error && UNREADABLE.includes(String(error.code))
}

const UNREADABLE: readonly string[] = ['MALFORMED_DATA_SET', 'HEAD_TOO_LARGE']

async function* watched(body: ByteStream, failed: (error: unknown) => void): AsyncGenerator<Bytes> {
  try {
    yield* body
  } catch (error) {
    failed(error)
    throw error
  }
}

/** As the name of a file bears it. */
function reasonOf(outcome: StoreOutcome): string {
  if ('status' in outcome) return formatStatus(outcome.status)
  const { error } = outcome
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'UNKNOWN'
}
