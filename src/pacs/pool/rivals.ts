import { LRUCache } from 'lru-cache'
import { WaitingLine, type Patience } from '../../dicom/waiting-line.ts'
import type { Association } from '../../network/association.ts'
import type { Call } from '../call.ts'
import { paused } from './after-pauses.ts'
import type { Proposal } from './proposal.ts'
import type { Holder, Slot, Slots } from './slot.ts'

/** How long it is remembered that an archive accepts nothing of a proposal, whoever else is there, in ms. */
const REFUSED_MS = 10 * 60_000
const MAX_REFUSED = 100
/** Pauses before an archive is asked again that takes what it is offered in one association at a time, in ms. */
const RIVAL_PAUSES_MS = [0, 250, 750, 2_000]

/** How long a peer may take to answer a release, in ms. */
export const RELEASE_TIMEOUT_MS = 3_000

/** The archive has accepted none of the presentation contexts. */
export function isBarren({ contexts, requested }: Association): boolean {
  return contexts.size === 0 && requested.contexts.length > 0
}

/** Whether an association has some of what is proposed: some archives take storage contexts in one at a time. */
function isRival({ contexts }: Association, proposal: Proposal): boolean {
  const accepted = new Set([...contexts.values()].map((one) => `${one.abstractSyntax} ${one.transferSyntax}`))
  return proposal.contexts.some(({ abstractSyntax, transferSyntaxes }) =>
    transferSyntaxes.some((syntax) => accepted.has(`${abstractSyntax} ${syntax}`)),
  )
}

/** What an association is opened for, and by whom. */
interface Wish {
  readonly proposal: Proposal
  readonly key: string
  readonly call: Call
}

/** Associations that keep an archive from accepting another. */
export class Rivals {
  readonly #slots: Slots
  readonly #retire: (slot: Slot) => void
  /** Keys of proposals of which the archive accepts nothing, without a rival neither. */
  readonly #refused = new LRUCache<string, true>({ max: MAX_REFUSED, ttl: REFUSED_MS })

  /** @param retire releases one that is idle */
  constructor(slots: Slots, retire: (slot: Slot) => void) {
    this.#slots = slots
    this.#retire = retire
  }

  /** Who has an association that is a rival of a proposal. */
  inUse(proposal: Proposal): Holder[] {
    const leased = this.#slots.of('leased').filter(({ state }) => isRival(state.standing.association, proposal))
    return leased.map(({ state }) => state.holder)
  }

  /**
   * In place of an association of which nothing is accepted, one that is opened when idle ones are released; that one where
   * it is refused for good. 'blocked', and none stands, where one in use is a rival.
   * @throws what `open` throws; the signal's reason
   */
  async cleared(
    barren: Association,
    open: () => Promise<Association>,
    { proposal, key, call }: Wish,
  ): Promise<Association | 'blocked'> {
    const idle = this.#slots.of('idle')
    const others = idle.length + this.#slots.count('closing') + this.#slots.count('opening') - 1
    // One that is being opened may turn out to be a rival.
    const hasRival = idle.some(({ state }) => isRival(state.standing.association, proposal))
    const isKnown = !hasRival && this.#refused.has(key)
    const mayBeRival = hasRival || this.#slots.count('opening') > 1
    const isBlocked = (): boolean => this.inUse(proposal).length > 0
    let association = barren
    for (const pause of mayBeRival && !isKnown ? RIVAL_PAUSES_MS : [0]) {
      if (isBlocked()) break
      if (others === 0 || isKnown) return association
      await association.release(RELEASE_TIMEOUT_MS)
      // It counts those that ended until it has looked.
      if (pause > 0) await paused(pause, call.signal)
      for (const slot of this.#slots.of('idle')) this.#retire(slot)
      await Promise.all(this.#slots.of('closing').map(({ state }) => state.gone))
      association = await open()
      if (isBarren(association)) continue
      this.#refused.delete(key)
      return association
    }
    if (isBlocked()) {
      await association.release(RELEASE_TIMEOUT_MS)
      return 'blocked'
    }
    this.#refused.set(key, true)
    return association
  }
}

/**
 * Calls whose proposals an archive refuses as long as an association in use is their rival. They wait here without a place
 * in the pool; one at a time tries again.
 */
export class Blocked {
  readonly #line = new WaitingLine<Proposal>()
  readonly #isInTheWay: (proposal: Proposal) => boolean
  #isTrying = false

  /** @param isInTheWay whether a proposal has a rival in use */
  constructor(isInTheWay: (proposal: Proposal) => boolean) {
    this.#isInTheWay = isInTheWay
  }

  get size(): number {
    return this.#line.size
  }

  /**
   * Waits for the turn to try again, which ends with `tried`. `isBack`: it has tried before, and keeps its place.
   * @throws as WaitingLine
   */
  async join(proposal: Proposal, patience: Omit<Patience<Proposal>, 'before'>, isBack: boolean): Promise<void> {
    const served = this.#line.join(proposal, { ...patience, ...(isBack && { before: () => true }) })
    this.look()
    await served
  }

  /** An association was given back, or is gone. */
  look(): void {
    const { first } = this.#line
    if (this.#isTrying || !first || this.#isInTheWay(first)) return
    this.#isTrying = true
    this.#line.serve(undefined)
  }

  /** The one whose turn it was has an association, or none. */
  tried(): void {
    this.#isTrying = false
    this.look()
  }

  /** Sends all of them away. */
  refuse(error: Error): void {
    this.#line.refuse(error)
  }
}
