import type { Config } from '../config/config.ts'
import { Attribute } from '../dicom/attributes.ts'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { Status } from '../dimse/status.ts'
import { Arrival, FROM_CLIENT } from '../instance/arrival.ts'
import type { Call } from '../pacs/call.ts'
import { arriving, type Instance } from '../pacs/instance.ts'
import type { StoreOutcome } from '../pacs/store.ts'
import { Draft } from './change/draft.ts'
import type { AttributePath } from '../dicom/attribute-path.ts'
import { IDENTIFYING, noteOriginals } from './change/original-attributes.ts'
import { takeSteps, type Means } from './change/steps.ts'
import { meets } from './conditions.ts'
import { publishDelivery, worstOf, type Delivery } from './delivery.ts'
import { FanOut } from './fan-out.ts'
import { Front } from './front.ts'
import type { Origin } from './origin.ts'
import type { Sender } from './spool/entry.ts'
import type { Spool } from './spool/spool.ts'
import type { Outlet, Target } from './target.ts'

export type Route = Config['routes'][number]

/** Deliveries to one destination that go on after their senders were answered; with so many under way none that nobody waits for is begun. */
export const MAX_BEHIND = 16

/** How long a route that leads to nobody who is waited for may wait for a worklist, in ms. */
export const WORKLIST_MS = 5_000

/** Too much is still on its way to destinations that nobody waits for. */
class BehindError extends Error {
  readonly code = 'DESTINATIONS_BEHIND'
  constructor() {
    super(`${MAX_BEHIND} deliveries that nobody waits for are under way to the destination`)
    this.name = 'BehindError'
  }
}

/** The service stops. */
class RouterClosedError extends Error {
  readonly code = 'ROUTER_CLOSED'
  constructor() {
    super('The service stops')
    this.name = 'RouterClosedError'
  }
}

export interface RouterOptions {
  readonly routes: readonly Route[]
  /** By their names. */
  readonly targets: ReadonlyMap<string, Target>
  /** What keeps instances for destinations that nobody waits for; undefined where nothing does. */
  readonly spool?: Pick<Spool, 'before' | 'isOpen'> | undefined
  readonly means: Omit<Means, 'signal' | 'patience'>
  /** Our AE title. */
  readonly aeTitle: string
}

/** How an instance came, and who is told what becomes of it. */
export interface Sending {
  readonly origin: Omit<Origin, 'transferSyntax'>
  /** For the audit trail. */
  readonly sender: Sender
  readonly call: Call
  /** Takes what no route does, with what was read of it. */
  readonly unrouted: (instance: Instance) => Promise<StoreOutcome>
  /** Told of each delivery as it ends: some end when the sender has been answered. */
  readonly told: (delivery: Delivery) => void
}

/** What became of an instance. */
export interface Routed {
  /** What the sender is told. */
  readonly outcome: StoreOutcome
  /** To those that were waited for; none where no route takes it. */
  readonly deliveries: readonly Delivery[]
}

/** An instance on its way to one destination. */
interface Way {
  readonly route: Route
  readonly target: Target
  readonly isRequired: boolean
  /** It is put into the spool, and that is waited for. */
  readonly isSpooled: boolean
  readonly draft: Draft | undefined
  /** Why it is not sent there. */
  readonly refusal: StoreOutcome | undefined
}

/** What a route takes, and what it makes of it. */
export interface Taken {
  readonly route: Route
  /** Undefined where the route changes nothing, or refuses it. */
  readonly draft: Draft | undefined
  /** What keeps it from where the route leads. */
  readonly refusal: StoreOutcome | undefined
}

/** Sends instances on to where the routes lead, as they arrive. */
export class Router implements AsyncDisposable {
  readonly #options: RouterOptions
  /** What goes on behind the answer of its sender, by where it goes. */
  readonly #behind = new Map<Target, Set<Promise<unknown>>>()
  readonly #stop = new AbortController()

  constructor(options: RouterOptions) {
    this.#options = options
  }

  /** No route is configured. */
  get isIdle(): boolean {
    return this.#options.routes.length === 0
  }

  /** The routes that take an instance, and what they make of it. @throws the signal's reason */
  async take(front: Front, origin: Origin, signal: AbortSignal): Promise<Taken[]> {
    const taken: Taken[] = []
    for (const route of this.#options.routes) {
      try {
        if (!meets(route.when, origin, front)) continue
        taken.push({ route, draft: await this.#changed(route, front, origin, signal), refusal: undefined })
      } catch (error) {
        signal.throwIfAborted()
        // What goes wrong in one route is of those that it leads to.
        taken.push({ route, draft: undefined, refusal: outcomeOf(error) })
      }
      if (route.stop) break
    }
    return taken
  }

  /** @throws ChangeRefusedError, FrontTooLongError, InvalidValueError, and what asking a worklist throws */
  async #changed(route: Route, front: Front, origin: Origin, signal: AbortSignal): Promise<Draft | undefined> {
    if (route.set.length === 0) return undefined
    const { means, aeTitle } = this.#options
    const draft = new Draft(front)
    const isWaitedFor = route.to.some(({ delivery }) => delivery === 'required')
    await takeSteps(draft, route.set, { ...means, signal, patience: isWaitedFor ? undefined : WORKLIST_MS })
    if (isPrivacy(route)) draft.remove([Attribute.OriginalAttributesSequence])
    else noteOriginals(draft, { aeTitle, source: origin.callingAeTitle ?? origin.device })
    return draft
  }

  /**
   * Sends an instance on, and resolves when all destinations that are required have answered.
   * @throws the signal's reason
   */
  async deliver(instance: Instance, { origin, sender, call, unrouted, told }: Sending): Promise<Routed> {
    const rest = instance.body[Symbol.asyncIterator]() as AsyncIterator<Bytes, unknown>
    const from = { ...origin, transferSyntax: instance.received.uid }
    try {
      const front = await Front.read(rest, instance.syntax)
      const taken = await this.take(front, from, call.signal)
      if (taken.length === 0) {
        return { outcome: await unrouted({ ...instance, body: front.whole(rest) }), deliveries: [] }
      }
      return await this.#send(instance, { front, rest, told }, this.#waysOf(taken, sender), call)
    } catch (error) {
      await rest.return?.()
      call.signal.throwIfAborted()
      return { outcome: outcomeOf(error), deliveries: [] }
    }
  }

  /** Resolves when nothing goes on behind the answers of senders. */
  async quiet(): Promise<void> {
    await Promise.allSettled([...this.#behind.values()].flatMap((some) => [...some]))
  }

  /** Ends what nobody waits for. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new RouterClosedError())
    await this.quiet()
  }

  /** Each destination once, by the first route that leads to it; in the order in which they are waited for. */
  #waysOf(taken: readonly Taken[], sender: Sender): Way[] {
    const { targets, spool } = this.#options
    const ways = new Map<string, Way>()
    for (const { route, draft, refusal } of taken) {
      for (const { name, delivery } of route.to) {
        if (ways.has(name)) continue
        const own = targets.get(name)!
        const isRequired = delivery === 'required'
        const isSpooled = !isRequired && spool?.isOpen === true
        const isChanged = draft !== undefined
        const target = isSpooled ? spool.before(own, { route: route.name, sender, isChanged }) : own
        const isFull = !isRequired && !isSpooled && (this.#behind.get(target)?.size ?? 0) >= MAX_BEHIND
        const full: StoreOutcome | undefined = isFull ? { kind: 'failed', error: new BehindError() } : undefined
        ways.set(name, { route, draft, target, isRequired, isSpooled, refusal: refusal ?? full })
      }
    }
    // Two that wait for two destinations wait in the same order: none waits for ever.
    return [...ways.values()].sort((a, b) => (a.target.node.name < b.target.node.name ? -1 : 1))
  }

  async #send(
    instance: Instance,
    {
      front,
      rest,
      told,
    }: Pick<Sending, 'told'> & { readonly front: Front; readonly rest: AsyncIterator<Bytes, unknown> },
    ways: readonly Way[],
    call: Call,
  ): Promise<Routed> {
    const fan = new FanOut(rest)
    // Who waits for the next byte of an instance hears of nothing else.
    const ends = [call.signal, this.#stop.signal]
    const end = (): void => void fan.end().catch(() => undefined)
    for (const signal of ends) signal.addEventListener('abort', end, { once: true })
    const opened = ways.map((way): Opened => {
      const branch = fan.branch(isWaitedFor(way))
      const body = way.draft ? way.draft.stream(front.behind(branch)) : front.whole(branch)
      const signal = isWaitedFor(way) ? call.signal : this.#stop.signal
      return { way, branch, body, outlet: way.target.open({ ...call, signal }) }
    })
    try {
      await this.#reachAll(opened, instance)
      const work = opened.map(async (one) => {
        const delivery = await this.#one(one, instance)
        // Also of who has left: it is there.
        told(delivery)
        return delivery
      })
      const isSpare = ways.some((way) => way.isRequired)
      const isAwaited = (way: Way): boolean => isWaitedFor(way) || !isSpare
      const deliveries = await Promise.all(work.filter((_, index) => isAwaited(ways[index]!)))
      for (const [index, way] of ways.entries()) if (!isAwaited(way)) this.#follow(way.target, work[index]!)
      call.signal.throwIfAborted()
      return { outcome: worstOf(deliveries), deliveries }
    } finally {
      for (const signal of ends) signal.removeEventListener('abort', end)
      await fan.end()
    }
  }

  /** Those that are required, one after another: who waits for one of the others would hold these meanwhile. */
  async #reachAll(opened: readonly Opened[], instance: Instance): Promise<void> {
    try {
      for (const { way, outlet } of opened) {
        if (way.isRequired && !way.refusal) await reach(outlet, instance, way)
      }
    } catch (error) {
      for (const { branch, outlet } of opened) {
        await branch.return?.()
        await outlet[Symbol.asyncDispose]()
      }
      throw error
    }
  }

  async #one({ way, branch, body, outlet }: Opened, instance: Instance): Promise<Delivery> {
    const { route, target, isRequired, isSpooled, draft, refusal } = way
    let outcome: StoreOutcome
    try {
      outcome = refusal ?? (await stored(outlet, body, instance, draft !== undefined))
    } catch (error) {
      outcome = { kind: 'failed', error }
    } finally {
      await branch.return?.()
      await outlet[Symbol.asyncDispose]()
    }
    const isRenamed =
      draft !== undefined && UIDS.some((tag) => draft.dataset.string(tag) !== draft.front.dataset.string(tag))
    const delivery = { route: route.name, node: target.node, isRequired, isSpooled, outcome, isRenamed }
    publishDelivery(delivery, draft !== undefined)
    return delivery
  }

  /** What goes on behind the answer. */
  #follow(target: Target, work: Promise<unknown>): void {
    const others = this.#behind.get(target) ?? new Set()
    this.#behind.set(target, others)
    const over = work.finally(() => others.delete(over))
    others.add(over)
  }
}

/** The sender is not answered before. */
function isWaitedFor({ isRequired, isSpooled }: Way): boolean {
  return isRequired || isSpooled
}

/** By these it is found. */
const UIDS = [Attribute.StudyInstanceUID, Attribute.SeriesInstanceUID, Attribute.SOPInstanceUID]

interface Opened {
  readonly way: Way
  readonly branch: AsyncIterableIterator<Bytes>
  readonly body: ByteStream
  readonly outlet: Outlet
}

/** Has what it takes to store it; the class and syntax are those that it is sent with. */
async function reach(outlet: Outlet, instance: Instance, { draft }: Way): Promise<void> {
  const sopClass = draft?.dataset.string(Attribute.SOPClassUID) ?? instance.sopClass
  await outlet.reach({ sopClass, syntax: instance.syntax })
}

/** Read anew where it was changed: what it is sent as is what it says itself. */
async function stored(outlet: Outlet, body: ByteStream, instance: Instance, isChanged: boolean): Promise<StoreOutcome> {
  if (!isChanged) return outlet.store({ ...instance, body })
  let arrival: Arrival
  try {
    arrival = await Arrival.begin(body, instance.syntax, FROM_CLIENT)
  } catch (error) {
    return { kind: 'broken', error }
  }
  const { sopClass = instance.sopClass, sopInstance, study, series } = arrival.index.identity
  if (!sopInstance || !study || !series) return { kind: 'refused', status: Status.cannotUnderstand }
  return outlet.store(arriving({ sopClass, sopInstance, study, series }, arrival))
}

/** What was replaced or taken away for privacy is not told behind it. */
function isPrivacy({ set }: Route): boolean {
  return set.some(
    (change) =>
      ['hash', 'shiftDates', 'profile'].includes(change.kind) ||
      (change.kind === 'remove' && change.removed.some((removed) => !('path' in removed) || hides(removed.path))),
  )
}

function hides(path: AttributePath): boolean {
  return path.length === 1 && (path[0] === Attribute.OriginalAttributesSequence || IDENTIFYING.includes(path[0]!))
}

/** Of what could not be looked at, or changed. */
function outcomeOf(error: unknown): StoreOutcome {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  const status = code === undefined ? undefined : REFUSALS[code]
  if (status !== undefined) return { kind: 'refused', status, error }
  return { kind: code !== undefined && BROKEN.includes(code) ? 'broken' : 'failed', error }
}

/** Statuses by what did not let an instance pass: to send it again would not help. */
const REFUSALS: Readonly<Record<string, number>> = {
  NOT_IN_TABLE: Status.notAuthorized,
  NO_SCHEDULED_STEP: Status.notAuthorized,
  PIXELS_NOT_CLEAN: Status.notAuthorized,
  DOCUMENT_NOT_CLEAN: Status.notAuthorized,
  FRONT_TOO_LONG: Status.cannotUnderstand,
  UNREADABLE_ITEMS: Status.cannotUnderstand,
  VALUE_NOT_OF_VR: Status.cannotUnderstand,
  UNENCODABLE_TEXT: Status.cannotUnderstand,
}
const BROKEN: readonly string[] = [
  ...['MALFORMED_DATA_SET', 'MALFORMED_DEFLATED_DATA_SET', 'INFLATED_TOO_LARGE', 'HEAD_TOO_LARGE', 'MISPLACED_ELEMENT'],
]
