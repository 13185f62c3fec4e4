import { setTimeout as delay } from 'node:timers/promises'
import { Association, type RequestOptions } from '../../network/association.ts'
import { AssociationRejectedError } from '../../network/errors.ts'
import { PoolBusyError, PoolClosedError } from '../errors.ts'
import type { Call } from '../call.ts'
import { publishAssociation, type AssociationEvent } from './association-event.ts'
import { Concessions, type Wanted } from './concessions.ts'
import type { Lease } from './lease.ts'
import { keyOf, type Proposal } from './proposal.ts'

export interface PoolStats {
  readonly open: number
  readonly leased: number
  readonly idle: number
  readonly waiting: number
}

export interface PoolOptions {
  readonly archive: string
  readonly maxAssociations: number
  /** Milliseconds an unused association is kept, and that a caller waits for one. */
  readonly timeouts: { readonly idle: number; readonly queue: number }
  readonly request: Omit<RequestOptions, keyof Proposal>
}

/** How long a peer may take to answer a release, or to close after an abort, in ms. */
const RELEASE_TIMEOUT_MS = 3_000
/** Pauses before another try when the peer rejects for want of resources, in ms (PS3.8 9.3.4, result 2). */
const BACKOFF_MS = [250, 750, 2_000]

/** How long a limit of the archive's own, found by a rejection, is kept to, in ms. */
export const CEILING_MS = 60_000

interface Slot {
  readonly key: string
  state: 'opening' | 'leased' | 'idle' | 'closing' | 'reserved'
  proposal?: Proposal
  association?: Association
  timer?: NodeJS.Timeout
  uses: number
  /** Resolves when an association that is closing has left its place. */
  gone?: Promise<void>
}

interface Waiter {
  readonly key: string
  readonly fresh: boolean
  readonly resolve: (slot: Slot) => void
  readonly reject: (error: Error) => void
}

/** The associations to one archive: never more than `maxAssociations`, waiters served in the order they came. */
export class AssociationPool {
  readonly #options: PoolOptions
  readonly #slots = new Set<Slot>()
  readonly #waiters: Waiter[] = []
  #closed = false
  /** What the archive takes at once, found by a rejection. */
  #ceiling = { size: Infinity, until: 0 }
  readonly #concessions = new Concessions((what, error) =>
    this.#publish(what === 'extended' ? 'plain' : 'anonymous', error),
  )

  constructor(options: PoolOptions) {
    this.#options = options
  }

  get stats(): PoolStats {
    const slots = [...this.#slots]
    return {
      open: slots.length,
      leased: slots.filter(({ state }) => state === 'leased' || state === 'opening').length,
      idle: slots.filter(({ state }) => state === 'idle').length,
      waiting: this.#waiters.length,
    }
  }

  /**
   * An association for a proposal, idle or new. `fresh`: new in any case, when an idle one proved dead; what else was
   * idle then is let go, since it was most likely forgotten with it.
   * @throws PoolBusyError, PoolClosedError, what Association.request throws, the signal's reason
   */
  async lease(proposal: Proposal, call: Call, { fresh = false } = {}): Promise<Lease> {
    const key = keyOf(proposal)
    if (fresh) for (const slot of this.#slots) if (slot.state === 'idle') this.#retire(slot)
    for (;;) {
      const slot = await this.#slot(key, fresh, call)
      if (slot.association) return this.#lease(slot)
      try {
        slot.association = await this.#open(proposal, call)
        slot.proposal = proposal
      } catch (error) {
        const others = this.#slots.size - 1
        const isFull = error instanceof AssociationRejectedError && error.transient && others > 0
        // It takes no more of us: one of those that are open will serve, when its turn is over.
        if (isFull) this.#ceiling = { size: others, until: performance.now() + CEILING_MS }
        this.#drop(slot)
        this.#publish('failed', error)
        if (isFull) continue
        throw error
      }
      this.#publish('opened')
      slot.state = 'leased'
      void slot.association.closed.then(() => this.#onClosed(slot))
      return this.#lease(slot)
    }
  }

  /**
   * A place for an association that somebody opens by himself; what is returned gives it back.
   * @throws PoolBusyError, PoolClosedError, the signal's reason
   */
  async reserve(call: Call): Promise<() => void> {
    const slot = await this.#slot('', true, call)
    slot.state = 'reserved'
    return () => this.#drop(slot)
  }

  /** As many as configured, or as the archive has lately taken. */
  get #limit(): number {
    const { maxAssociations } = this.#options
    return performance.now() < this.#ceiling.until ? Math.min(this.#ceiling.size, maxAssociations) : maxAssociations
  }

  /** Releases what is idle and refuses what is new; leased associations end with their operations. */
  async close(): Promise<void> {
    this.#closed = true
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new PoolClosedError())
    for (const slot of this.#slots) if (slot.state === 'idle') this.#retire(slot)
    await Promise.all([...this.#slots].map(({ gone }) => gone ?? Promise.resolve()))
  }

  /** An idle slot of the key, or a fresh one in state `opening`; waits its turn when there is neither. */
  async #slot(key: string, fresh: boolean, call: Call): Promise<Slot> {
    call.signal.throwIfAborted()
    if (this.#closed) throw new PoolClosedError()
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    const waiter: Waiter = { key, fresh, resolve, reject }
    const giveUp = (error: Error): void => {
      const at = this.#waiters.indexOf(waiter)
      if (at >= 0) this.#waiters.splice(at, 1)
      reject(error)
      this.#serve()
    }
    const { queue } = this.#options.timeouts
    const timer = setTimeout(() => giveUp(new PoolBusyError(this.#options.archive, queue)), queue)
    const aborted = (): void => giveUp(call.signal.reason as Error)
    call.signal.addEventListener('abort', aborted)
    this.#waiters.push(waiter)
    this.#serve()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      call.signal.removeEventListener('abort', aborted)
    }
  }

  /** Hands out what can be had, in the order of arrival: nobody overtakes the first. */
  #serve(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const slot = this.#take(waiter)
      if (!slot) return this.#makeRoom()
      this.#waiters.shift()
      waiter.resolve(slot)
    }
  }

  #take({ key, fresh }: Waiter): Slot | undefined {
    for (const slot of this.#slots) {
      if (slot.state !== 'idle' || slot.key !== key || fresh) continue
      clearTimeout(slot.timer)
      if (slot.association!.idle) {
        slot.state = 'leased'
        return slot
      }
      this.#abandon(slot)
    }
    if (this.#slots.size >= this.#limit) return undefined
    const slot: Slot = { key, state: 'opening', uses: 0 }
    this.#slots.add(slot)
    return slot
  }

  /** Releases idle associations so that those who wait find a place; the ones that somebody waits for come last. */
  #makeRoom(): void {
    const slots = [...this.#slots]
    const wanted = new Set(this.#waiters.filter(({ fresh }) => !fresh).map(({ key }) => key))
    let closing = slots.filter(({ state }) => state === 'closing').length
    for (const slot of slots) {
      if (closing >= this.#waiters.length) return
      if (slot.state !== 'idle' || wanted.has(slot.key)) continue
      this.#retire(slot)
      closing++
    }
    const last = slots.find(({ state }) => state === 'idle')
    if (closing === 0 && last) this.#retire(last)
  }

  #lease(slot: Slot): Lease {
    let over = false
    const once = (action: () => void) => () => {
      if (over) return
      over = true
      action()
    }
    const association = slot.association!
    const reused = slot.uses++ > 0
    const release = once(() => this.#giveBack(slot))
    const discard = once(() => this.#abandon(slot))
    const dispose = async (): Promise<void> => release()
    return { association, reused, release, discard, [Symbol.asyncDispose]: dispose }
  }

  #giveBack(slot: Slot): void {
    if (!slot.association!.idle) return this.#abandon(slot)
    // Opened without something that another try may bring: not for who comes next.
    if (this.#concessions.isLess(slot.association!.requested, this.#wanted(slot.proposal!))) return this.#retire(slot)
    slot.state = 'idle'
    if (this.#closed) return this.#retire(slot)
    slot.timer = setTimeout(() => this.#retire(slot), this.#options.timeouts.idle)
    slot.timer.unref()
    this.#serve()
  }

  #retire(slot: Slot): void {
    clearTimeout(slot.timer)
    slot.state = 'closing'
    slot.gone = slot.association!.release(RELEASE_TIMEOUT_MS).then(() => this.#drop(slot))
  }

  /** Aborts. The place is free when the connection is gone, since the archive counts it until then; or in good time. */
  #abandon(slot: Slot): void {
    slot.state = 'closing'
    slot.association!.abort()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => resolve(undefined), RELEASE_TIMEOUT_MS)
    slot.gone = Promise.race([slot.association!.closed, promise]).then(() => {
      clearTimeout(timer)
      this.#drop(slot)
    })
  }

  #publish(event: AssociationEvent['event'], error?: unknown): void {
    publishAssociation({ archive: this.#options.archive, event, error })
  }

  #onClosed(slot: Slot): void {
    this.#publish('closed')
    if (slot.state !== 'idle') return
    clearTimeout(slot.timer)
    this.#drop(slot)
  }

  #drop(slot: Slot): void {
    if (this.#slots.delete(slot)) this.#serve()
  }

  #open(proposal: Proposal, call: Call): Promise<Association> {
    return this.#concessions.open(this.#wanted(proposal), (one) => this.#request(one, call), call)
  }

  #wanted(proposal: Proposal): Wanted {
    const { identity } = this.#options.request
    return { ...proposal, ...(identity && { identity }) }
  }

  async #request(wanted: Wanted, call: Call): Promise<Association> {
    const { identity: _, ...request } = this.#options.request
    // With others of ours open there is something better to wait for.
    for (const pause of [...(this.#slots.size > 1 ? [] : BACKOFF_MS), undefined]) {
      try {
        return await Association.request({ ...request, ...wanted }, call.signal)
      } catch (error) {
        const again = error instanceof AssociationRejectedError && error.transient && pause !== undefined
        if (!again) throw error
        // Its own error on abort is not the signal's reason.
        await delay(pause, undefined, { signal: call.signal }).catch(() => call.signal.throwIfAborted())
      }
    }
    throw new PoolClosedError()
  }
}
