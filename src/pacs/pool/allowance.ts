import { priorityOf } from '../call.ts'
import type { Queue } from './queue.ts'
import type { Share } from './share.ts'
import type { Slot, Slots } from './slot.ts'

/** How long a limit of the archive's own, found by a rejection, is kept to, in ms. */
export const CEILING_MS = 60_000

/** How many associations there may be at once: as configured, or as the archive has lately taken, or as a share allows. */
export class Allowance {
  readonly #configured: number
  readonly #share: Share | undefined
  /** What the archive takes at once, found by a rejection. */
  #ceiling = { size: Infinity, until: 0 }

  /** `share`: of `maxAssociations`; undefined where that is all of them. `changed`: it has. */
  constructor(maxAssociations: number, share: Share | undefined, changed: () => void) {
    this.#configured = maxAssociations
    this.#share = share
    share?.onChange(changed)
  }

  get limit(): number {
    const ours = Math.min(this.#share?.size ?? Infinity, this.#configured)
    return performance.now() < this.#ceiling.until ? Math.min(this.#ceiling.size, ours) : ours
  }

  /** How many transfers there may be: one association is left to the others, by all replicas together. */
  get transfers(): number {
    const { limit } = this
    return this.#share ? Math.min(this.#share.transfers, limit) : Math.max(1, limit - 1)
  }

  /** The archive takes no more than so many. */
  capAt(size: number): void {
    this.#ceiling = { size, until: performance.now() + CEILING_MS }
  }

  /** What others should have is among so many. */
  isOver(size: number): boolean {
    return this.#share !== undefined && size > this.#share.size
  }

  /** Says what is in use and waited for, to who divides them. */
  report(slots: Slots, queue: Queue<Slot>): void {
    if (!this.#share) return
    const transfers = slots.transferCount
    const background = slots.transfers.filter(({ call }) => priorityOf(call) === 'background').length
    const inUse = slots.size - slots.count('idle') - slots.count('closing')
    this.#share.report({
      held: slots.size,
      transfers,
      interactive: inUse - transfers + queue.waiting('interactive'),
      bulk: transfers - background + queue.waiting('bulk'),
      background: background + queue.waiting('background'),
    })
  }
}
