import type { Association } from '../../network/association.ts'
import { priorityOf, type Call } from '../call.ts'
import type { Proposal } from './proposal.ts'

/** Who has an association, or is to have it. */
export class Holder {
  readonly call: Call
  #isTold = false

  constructor(call: Call) {
    this.call = call
  }

  /** What it does may take as long as a web client likes. */
  get isTransfer(): boolean {
    return priorityOf(this.call) !== 'interactive'
  }

  /** Somebody has asked for what it does. */
  get isForeground(): boolean {
    return priorityOf(this.call) !== 'background'
  }

  /** Tells it once that others wait. Not from within the pool: it may give back what it has at once. */
  hurry(): void {
    if (this.#isTold || !this.call.wanted) return
    this.#isTold = true
    queueMicrotask(this.call.wanted)
  }
}

/** An association that stands, and what it was opened for. */
export interface Standing {
  readonly association: Association
  readonly proposal: Proposal
  readonly key: string
}

/**
 * Where a place among the associations is. Until it is dropped the archive may count it:
 * - `opening`: asked for, by who waits for it; it has been neither accepted nor refused.
 * - `leased`: stands, and is in use by one operation.
 * - `idle`: stands, in use by nobody, for as long as its timer runs.
 * - `closing`: released, aborted or refused; `gone` resolves when its connection is. It `stood` before, or never did.
 * - `reserved`: somebody's who opens an association by himself.
 */
export type SlotState =
  | { readonly kind: 'opening'; readonly holder: Holder }
  | { readonly kind: 'leased'; readonly holder: Holder; readonly standing: Standing; readonly reused: boolean }
  | { readonly kind: 'idle'; readonly standing: Standing; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'closing'; readonly stood: boolean; readonly gone: Promise<unknown> }
  | { readonly kind: 'reserved'; readonly holder: Holder }

type Kind = SlotState['kind']
export type StateOf<K extends Kind> = Extract<SlotState, { kind: K }>

/** A place; its state is changed by Slots alone. */
export interface Slot {
  readonly state: SlotState
}

type SlotIn<K extends Kind> = Slot & { readonly state: StateOf<K> }

/** Where each state leads. */
const NEXT: Readonly<Record<Kind, readonly (Kind | 'dropped')[]>> = {
  opening: ['leased', 'closing', 'dropped'],
  leased: ['idle', 'closing'],
  idle: ['leased', 'closing', 'dropped'],
  closing: ['dropped'],
  reserved: ['dropped'],
}

/** The places that are taken, by their state. */
export class Slots {
  readonly #in: { readonly [K in Kind]: Set<Slot> } = {
    opening: new Set(),
    leased: new Set(),
    idle: new Set(),
    closing: new Set(),
    reserved: new Set(),
  }
  /** Of them, those whose holder transfers. */
  readonly #transfers = new Map<Slot, Holder>()

  get size(): number {
    return Object.values(this.#in).reduce((sum, { size }) => sum + size, 0)
  }

  /** Places of those who do what somebody has asked for. */
  get foreground(): number {
    return [...this.of('leased'), ...this.of('opening')].filter(({ state }) => state.holder.isForeground).length
  }

  count(kind: Kind): number {
    return this.#in[kind].size
  }

  /** Those in a state, the one first that has been in it for longest. A copy: they may be moved meanwhile. */
  of<K extends Kind>(kind: K): SlotIn<K>[] {
    return [...this.#in[kind]] as SlotIn<K>[]
  }

  /** Who transfers. */
  get transfers(): readonly Holder[] {
    return [...this.#transfers.values()]
  }

  get transferCount(): number {
    return this.#transfers.size
  }

  /** What the archive has, or may have, taken of us, a slot left out. */
  besides(slot: Slot): number {
    const refused = this.of('closing').filter((one) => one !== slot && !one.state.stood).length
    return this.size - refused - 1
  }

  add(state: StateOf<'opening' | 'reserved'>): Slot {
    const slot: Slot = { state }
    this.#enter(slot)
    return slot
  }

  /** The one way from state to state. @throws Error where the one does not lead to the other */
  move(slot: Slot, state: SlotState): void {
    this.#leave(slot, state.kind)
    ;(slot as { state: SlotState }).state = state
    this.#enter(slot)
  }

  /** The place is free. @throws Error where that cannot be yet */
  drop(slot: Slot): void {
    this.#leave(slot, 'dropped')
  }

  #leave(slot: Slot, to: Kind | 'dropped'): void {
    const { state } = slot
    if (!NEXT[state.kind].includes(to) || !this.#in[state.kind].delete(slot)) {
      throw new Error(`A place that is ${state.kind} cannot be ${to}`)
    }
    if (state.kind === 'idle') clearTimeout(state.timer)
    this.#transfers.delete(slot)
  }

  #enter(slot: Slot): void {
    const { state } = slot
    this.#in[state.kind].add(slot)
    if ('holder' in state && state.holder.isTransfer) this.#transfers.set(slot, state.holder)
  }
}
