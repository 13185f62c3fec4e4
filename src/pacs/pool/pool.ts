import type { Association } from '../../network/association.ts'
import { AssociationRejectedError } from '../../network/errors.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import { priorityOf, type Call, type Priority } from '../call.ts'
import { PoolBusyError, PoolClosedError, PoolFullError } from '../errors.ts'
import { Allowance } from './allowance.ts'
import { publishAssociation, type AssociationEvent } from './association-event.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import type { Lease } from './lease.ts'
import { GONE_MS, Opener, type Attempt } from './opener.ts'
import type { PoolOptions } from './pool-options.ts'
import type { PoolStats } from './pool-stats.ts'
import { proposalKey, type Proposal } from './proposal.ts'
import { MAX_WAITERS, Queue, type Waiter } from './queue.ts'
import { Blocked, isBarren, RELEASE_TIMEOUT_MS, Rivals } from './rivals.ts'
import { Holder, Slots, type Slot, type Standing, type StateOf } from './slot.ts'

/**
 * How long an interactive call waits where transfers hold every association, in ms: time for one to hurry through. What
 * does not end by then may take as long as its client likes.
 */
export const INTERACTIVE_WAIT_MS = 10_000

/** One call's way to an association. */
interface Turn {
  readonly waiter: Omit<Waiter, 'priority'>
  readonly proposal: Proposal
  /** Milliseconds it may still wait. */
  left: number
  /** It was served before, and comes back to its place. */
  isBack: boolean
}

/**
 * The associations to one archive: never more than `maxAssociations`, nor than the archive takes. Transfers, which last
 * as long as a client likes, leave one of them to the others.
 */
export class AssociationPool {
  readonly #options: PoolOptions
  readonly #slots = new Slots()
  readonly #queue = new Queue<Slot>()
  readonly #opener: Opener
  readonly #rivals = new Rivals(this.#slots, (slot) => this.#retire(slot))
  readonly #blocked = new Blocked((proposal) => this.#rivals.inUse(proposal).length > 0)
  readonly #breaker: Breaker | undefined
  readonly #allowance: Allowance
  #arrivals = 0
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#opener = new Opener(options.request, (what, error) =>
      this.#publish(what === 'extended' ? 'plain' : 'anonymous', error),
    )
    const { archive, trial } = options
    const opened = (error: Error): void => {
      this.#queue.refuse(error, ({ anyway }) => !anyway)
      this.#blocked.refuse(error)
    }
    this.#allowance = new Allowance(options.maxAssociations, options.share, () => this.#allowanceChanged())
    this.#breaker = trial && new Breaker({ archive, trial, opened })
  }

  get stats(): PoolStats {
    return {
      open: this.#slots.size,
      leased: this.#slots.count('leased') + this.#slots.count('opening'),
      opening: this.#slots.count('opening'),
      foreground: this.#slots.foreground,
      idle: this.#slots.count('idle'),
      waiting: this.#queue.size + this.#blocked.size,
      limit: this.#limit,
    }
  }

  get breaker(): BreakerState {
    return this.#breaker?.state ?? 'closed'
  }

  /**
   * An association for a proposal, idle or new. `fresh`: new in any case, when an idle one proved dead; what else was
   * idle then is let go, since it was most likely forgotten with it. `anyway`: of an archive that counts as down, too.
   * @throws ArchiveDownError, PoolBusyError, PoolFullError, PoolClosedError, what Association.request throws, the
   *   signal's reason
   */
  async lease(proposal: Proposal, call: Call, { fresh = false, anyway = false } = {}): Promise<Lease> {
    const turn = this.#turn({ key: proposalKey(proposal), fresh, wants: 'association', call, anyway }, proposal)
    if (fresh) for (const slot of this.#slots.of('idle')) this.#retire(slot)
    let isTrying = false
    try {
      for (;;) {
        const slot = await this.#served(turn)
        if (slot.state.kind === 'leased') return this.#lease(slot, slot.state)
        const opened = await this.#open(slot, proposal, turn)
        if (typeof opened !== 'string') return opened
        turn.isBack = true
        if (opened === 'full') continue
        const isBack = isTrying
        if (isTrying) this.#blocked.tried()
        isTrying = false
        await this.#unblocked(turn, isBack)
        isTrying = true
      }
    } finally {
      if (isTrying) this.#blocked.tried()
    }
  }

  /**
   * A place for an association that somebody opens by himself, of an archive that counts as down, too; what is returned
   * gives it back.
   * @throws PoolBusyError, PoolFullError, PoolClosedError, the signal's reason
   */
  async reserve(call: Call): Promise<() => void> {
    const waiter = { key: '', fresh: true, wants: 'place', call, anyway: true } as const
    const slot = await this.#served(this.#turn(waiter, { contexts: [] }))
    let isOver = false
    return () => {
      if (!isOver) this.#drop(slot)
      isOver = true
    }
  }

  /** Releases what is idle and refuses what is new; leased associations end with their operations. */
  async close(): Promise<void> {
    this.#closed = true
    this.#breaker?.close()
    this.#queue.refuse(new PoolClosedError())
    this.#blocked.refuse(new PoolClosedError())
    for (const slot of this.#slots.of('idle')) this.#retire(slot)
    await Promise.all(this.#slots.of('closing').map(({ state }) => state.gone))
  }

  get #limit(): number {
    return this.#allowance.limit
  }

  /** How many more transfers may begin. */
  get #transfersLeft(): number {
    return this.#allowance.transfers - this.#slots.transferCount
  }

  /** Nobody but transfers will free a place. */
  get #isHeldByTransfers(): boolean {
    return this.#limit > 0 && this.#slots.transferCount >= this.#limit
  }

  #turn(waiter: Omit<Waiter, 'arrival' | 'priority'>, proposal: Proposal): Turn {
    const { queue: left } = this.#options.timeouts
    return { waiter: { ...waiter, arrival: this.#arrivals++ }, proposal, left, isBack: false }
  }

  /** A slot that is the caller's: leased from what was idle, opening, or reserved. Who is promoted begins to wait. */
  async #served(turn: Turn): Promise<Slot> {
    const { signal, promoted } = turn.waiter.call
    if (!promoted || promoted.aborted) return this.#inLine(turn, signal)
    try {
      return await this.#inLine(turn, AbortSignal.any([signal, promoted]))
    } catch (error) {
      if (error !== promoted.reason) throw error
      turn.left = this.#options.timeouts.queue
      return this.#inLine(turn, signal)
    }
  }

  async #inLine(turn: Turn, signal: AbortSignal): Promise<Slot> {
    const { deadline = Infinity } = turn.waiter.call
    const priority = priorityOf(turn.waiter.call)
    const waiter: Waiter = { ...turn.waiter, priority }
    signal.throwIfAborted()
    if (this.#closed) throw new PoolClosedError()
    const refusal = waiter.anyway ? undefined : this.#breaker?.refusal
    if (refusal) throw refusal
    const waiting = this.#queue.waiting(priority)
    if (this.#queue.isFull(priority) && !turn.isBack) throw new PoolFullError(this.#options.archive, waiting)
    const began = performance.now()
    const until = Math.min(began + turn.left, deadline)
    const { interactiveWait = INTERACTIVE_WAIT_MS } = this.#options
    // Asked at each mark, since what holds the associations changes.
    const nextMark = (now: number): number =>
      priority === 'interactive' ? Math.min(until, now + interactiveWait) : until
    const late = (): Error | number => {
      const now = performance.now()
      // Timers may fire a fraction of a millisecond early.
      if (now < until - 1 && !this.#isHeldByTransfers) return nextMark(now)
      return this.#busy(turn.left - (now - began), priority)
    }
    const before = turn.isBack && ((other: Waiter): boolean => other.arrival > waiter.arrival)
    const served = this.#queue.join(waiter, { signal, until: nextMark(began), late, ...(before && { before }) })
    this.#serve()
    try {
      return await served
    } catch (error) {
      this.#serve()
      throw error
    } finally {
      turn.left -= performance.now() - began
    }
  }

  /** `left`: milliseconds of its time that the caller did not use. */
  #busy(left: number, priority: Priority): PoolBusyError {
    const { archive, timeouts } = this.#options
    const isHeld = priority === 'interactive' ? this.#isHeldByTransfers : this.#transfersLeft <= 0
    const why = isHeld ? 'transfers' : 'all'
    return new PoolBusyError(archive, timeouts.queue - Math.max(0, Math.floor(left)), { why, limit: this.#limit })
  }

  /** Hands out what can be had, in the order of the queue. */
  #serve(): void {
    for (;;) {
      const waiter = this.#queue.next(this.#transfersLeft > 0)
      if (!waiter) break
      const slot = this.#take(waiter)
      if (!slot) {
        this.#makeRoom()
        break
      }
      this.#queue.serve(waiter, slot)
    }
    this.#hurry()
    this.#allowance.report(this.#slots, this.#queue)
  }

  /** Gives up what is idle and more than its share, and hands out what has come. */
  #allowanceChanged(): void {
    let over = this.#slots.size - this.#slots.count('closing') - this.#limit
    for (const slot of this.#slots.of('idle')) {
      if (over-- <= 0) break
      this.#retire(slot)
    }
    this.#serve()
  }

  #take({ key, fresh, wants, call }: Waiter): Slot | undefined {
    const holder = new Holder(call)
    for (const slot of fresh ? [] : this.#slots.of('idle')) {
      const { standing } = slot.state
      if (standing.key !== key) continue
      if (standing.association.idle) {
        this.#slots.move(slot, { kind: 'leased', holder, standing, reused: true })
        return slot
      }
      this.#abandon(slot)
    }
    if (this.#slots.size >= this.#limit) return undefined
    return this.#slots.add({ kind: wants === 'place' ? 'reserved' : 'opening', holder })
  }

  /** Releases idle associations so that those who wait find a place; the ones that somebody waits for come last. */
  #makeRoom(): void {
    const transfers = this.#queue.size - this.#queue.waiting('interactive')
    const needed = this.#queue.waiting('interactive') + Math.min(transfers, Math.max(0, this.#transfersLeft))
    const idle = this.#slots.of('idle')
    let closing = this.#slots.count('closing')
    for (const slot of idle) {
      if (closing >= needed) return
      if (this.#queue.isWanted(slot.state.standing.key)) continue
      this.#retire(slot)
      closing++
    }
    if (closing === 0 && idle[0]) this.#retire(idle[0])
  }

  /** Tells those who hold what others wait for. */
  #hurry(): void {
    const waiting = this.#queue.size - this.#queue.waiting('background')
    if (waiting === 0) return
    const isHeld = this.#queue.waiting('interactive') > 0 && this.#isHeldByTransfers
    for (const holder of this.#slots.transfers) if (isHeld || priorityOf(holder.call) === 'background') holder.hurry()
    // One that is interactive may have come to rest: what is left of it waits for its viewer.
    if (this.#queue.waiting('interactive') === 0 || this.#slots.size < this.#limit) return
    for (const { state } of this.#slots.of('leased')) if (!state.holder.isTransfer) state.holder.hurry()
  }

  /**
   * 'full' where the archive takes no more of us: one of those that are open will serve, when its turn is over. 'blocked'
   * where it takes nothing of this while another is in use.
   */
  async #open(slot: Slot, proposal: Proposal, turn: Turn): Promise<Lease | 'full' | 'blocked'> {
    const attempt: Attempt = {}
    const { holder } = slot.state as StateOf<'opening'>
    const { key, call } = turn.waiter
    const began = performance.now()
    const open = (): Promise<Association> => this.#opener.open(proposal, attempt, () => this.#slots.size === 1, call)
    try {
      const first = await open()
      const association = isBarren(first) ? await this.#rivals.cleared(first, open, { proposal, key, call }) : first
      if (association === 'blocked') {
        this.#close(slot, true, settlesWithin(attempt.connection!, GONE_MS))
        return 'blocked'
      }
      this.#publish('opened')
      this.#breaker?.succeeded()
      const standing: Standing = { association, proposal, key }
      const state: StateOf<'leased'> = { kind: 'leased', holder, standing, reused: false }
      this.#slots.move(slot, state)
      void association.closed.then(() => this.#onClosed(slot))
      return this.#lease(slot, state)
    } catch (error) {
      const others = this.#slots.besides(slot)
      const isFull = error instanceof AssociationRejectedError && error.transient && others > 0
      if (isFull) this.#allowance.capAt(others)
      const alone = this.#slots.count('leased') + this.#slots.count('idle') === 0
      // Before its place is free: nobody who waits is to take it.
      this.#breaker?.failed(error, { began, alone })
      if (attempt.connection) this.#close(slot, false, settlesWithin(attempt.connection, GONE_MS))
      else this.#drop(slot)
      this.#publish(call.signal.aborted ? 'given-up' : 'failed', error)
      if (isFull) return 'full'
      throw error
    }
  }

  /** Waits, without a place, until no association in use is a rival. @throws as `lease` */
  async #unblocked(turn: Turn, isBack: boolean): Promise<void> {
    const { proposal, waiter } = turn
    const { signal, deadline = Infinity } = waiter.call
    if (this.#blocked.size >= MAX_WAITERS) throw new PoolFullError(this.#options.archive, this.#blocked.size)
    for (const holder of this.#rivals.inUse(proposal)) holder.hurry()
    const began = performance.now()
    const until = Math.min(began + Math.max(0, turn.left), deadline)
    const late = (): Error => this.#busy(turn.left - (performance.now() - began), priorityOf(waiter.call))
    try {
      await this.#blocked.join(proposal, { signal, until, late }, isBack)
    } finally {
      turn.left -= performance.now() - began
    }
  }

  #lease(slot: Slot, { standing: { association }, reused }: StateOf<'leased'>): Lease {
    let isOver = false
    const end = (action: () => void) => () => {
      if (isOver) return
      isOver = true
      action()
    }
    const release = end(() => this.#giveBack(slot))
    const retire = end(() => this.#retire(slot))
    const discard = end(() => this.#abandon(slot))
    return { association, reused, release, retire, discard }
  }

  #giveBack(slot: Slot): void {
    const { standing } = slot.state as StateOf<'leased'>
    if (!standing.association.idle) return this.#abandon(slot)
    const isOfUse = !isBarren(standing.association) && !this.#opener.isLess(standing.association, standing.proposal)
    if (this.#closed || !isOfUse || this.#allowance.isOver(this.#slots.size)) return this.#retire(slot)
    const timer = setTimeout(() => this.#retire(slot), this.#options.timeouts.idle)
    timer.unref()
    this.#slots.move(slot, { kind: 'idle', standing, timer })
    this.#serve()
    this.#blocked.look()
  }

  #retire(slot: Slot): void {
    const { association } = standingOf(slot)
    const released = association.release(RELEASE_TIMEOUT_MS)
    this.#close(
      slot,
      true,
      released.then(() => settlesWithin(association.closed, GONE_MS)),
    )
  }

  #abandon(slot: Slot): void {
    const { association } = standingOf(slot)
    association.abort()
    this.#close(slot, true, settlesWithin(association.closed, GONE_MS))
  }

  /** The place is free when the connection is gone, since the archive counts it until then; or in good time. */
  #close(slot: Slot, stood: boolean, closed: Promise<unknown>): void {
    const gone = closed.then(() => this.#drop(slot))
    this.#slots.move(slot, { kind: 'closing', stood, gone })
  }

  #publish(event: AssociationEvent['event'], error?: unknown): void {
    publishAssociation({ archive: this.#options.archive, event, error })
  }

  #onClosed(slot: Slot): void {
    this.#publish('closed')
    if (slot.state.kind === 'idle') this.#drop(slot)
  }

  #drop(slot: Slot): void {
    this.#slots.drop(slot)
    this.#serve()
    this.#blocked.look()
  }
}

function standingOf({ state }: Slot): Standing {
  if (state.kind !== 'leased' && state.kind !== 'idle') throw new Error(`No association stands that is ${state.kind}`)
  return state.standing
}
