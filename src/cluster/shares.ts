import { randomUUID } from 'node:crypto'
import type { Need, Share } from '../pacs/pool/share.ts'
import type { ControlPlane } from './control-plane.ts'
import { SHARE } from './share-script.ts'

/** How long a share is kept for a replica that says nothing any more, in ms. */
export const SHARE_LEASE_MS = 15_000
const RENEWAL_MS = 3_000
/** Where the shared server was not there yet, nobody knows how many replicas there are. */
const ASSUMED_REPLICAS = 3

const NOTHING: Need = { held: 0, transfers: 0, interactive: 0, bulk: 0, background: 0 }

/** The shares of this replica, one for each archive. */
export class Shares {
  readonly #plane: ControlPlane
  readonly #prefix: string
  /** Of this replica, among the others. */
  readonly #id = randomUUID()
  readonly #shares: ReplicaShare[] = []
  readonly #timer: NodeJS.Timeout

  /** `prefix`: of keys. */
  constructor(plane: ControlPlane, prefix: string) {
    this.#plane = plane
    this.#prefix = prefix
    this.#timer = setInterval(() => this.#shares.forEach((share) => share.renew()), RENEWAL_MS).unref()
    plane.onFound(() => this.#shares.forEach((share) => share.renew()))
    plane.onLost(() => this.#shares.forEach((share) => share.lost()))
  }

  /** Of the associations to an archive. */
  of(archive: string, limit: number): Share {
    const channel = `${this.#prefix}share:${archive}`
    const ask = async (need: Need, { size, transfers }: Sizes, isLeaving: boolean): Promise<Answer> => {
      const { held, interactive, bulk, background } = need
      const needed = [isLeaving ? -1 : held, need.transfers, interactive, bulk, background]
      const keys = [`${this.#prefix}needs:${archive}`, `${this.#prefix}need-leases:${archive}`]
      const args = [this.#id, limit, SHARE_LEASE_MS, channel, ...needed, size, transfers]
      const answer = ((await this.#plane.run(SHARE, keys, args)) as unknown[]).map(Number)
      return {
        size: Math.min(answer[0]!, answer[2]!),
        transfers: Math.min(answer[1]!, answer[3]!),
        replicas: answer[4]!,
        isAnotherShort: answer[5] === 1,
        isLess: answer[2]! < answer[0]! || answer[3]! < answer[1]!,
      }
    }
    const share = new ReplicaShare(limit, ask)
    this.#shares.push(share)
    this.#plane.subscribe(channel, (by) => {
      if (by !== this.#id) share.renew()
    })
    return share
  }

  /** Lets the others have what this replica had. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#shares.map((share) => share.leave()))
  }
}

type Sizes = Pick<Share, 'size' | 'transfers'>

interface Answer extends Sizes {
  readonly replicas: number
  readonly isAnotherShort: boolean
  /** It is less than the others believe. */
  readonly isLess: boolean
}

type Ask = (need: Need, sizes: Sizes, isLeaving: boolean) => Promise<Answer>

class ReplicaShare implements Share {
  readonly #limit: number
  readonly #ask: Ask
  #changed: () => void = () => undefined
  #need = NOTHING
  #answer: Answer
  /** What was told last; undefined where nothing was, or the server may have lost it. */
  #told: Need | undefined
  #asking: Promise<void> | undefined
  /** It is to be asked once more, since what is asked now may be out of date. */
  #isStale = false
  #isOver = false
  /** The server divides them; when it did last, by performance.now(). */
  #isAnswered = false
  #answeredAt = 0
  #sinceLost: NodeJS.Timeout | undefined

  constructor(limit: number, ask: Ask) {
    this.#limit = limit
    this.#ask = ask
    this.#answer = { size: 0, transfers: 0, replicas: 0, isAnotherShort: false, isLess: false }
  }

  get size(): number {
    return this.#valid.size
  }

  get transfers(): number {
    return this.#valid.transfers
  }

  onChange(changed: () => void): void {
    this.#changed = changed
  }

  report(need: Need): void {
    this.#need = need
    if (this.#isShort(need) ? this.#isWorse(need) : this.#isOwed(need)) this.renew()
  }

  /** Says anew what is needed. */
  renew(): void {
    if (this.#isOver) return
    if (this.#asking) this.#isStale = true
    else this.#asking = this.#askAgain().finally(() => (this.#asking = undefined))
  }

  /**
   * Nobody tells any more who has what: each has an even part of it, less at once where it had more, and more only when
   * the others have found out too.
   */
  lost(): void {
    this.#told = undefined
    this.#isAnswered = false
    const { replicas } = this.#answer
    if (replicas === 0) return this.#set(this.#evenly(ASSUMED_REPLICAS))
    const even = this.#evenly(replicas)
    this.#set({ size: Math.min(even.size, this.size), transfers: Math.min(even.transfers, this.transfers) })
    this.#sinceLost ??= setTimeout(() => this.#set(even), SHARE_LEASE_MS).unref()
  }

  /** Who was stopped for long has had his share given to others. */
  get #valid(): Sizes {
    const { size, transfers, replicas } = this.#answer
    if (!this.#isAnswered || performance.now() - this.#answeredAt < SHARE_LEASE_MS) return { size, transfers }
    const even = this.#evenly(replicas)
    return { size: Math.min(even.size, size), transfers: Math.min(even.transfers, transfers) }
  }

  async leave(): Promise<void> {
    this.#isOver = true
    clearTimeout(this.#sinceLost)
    await this.#asking
    await this.#ask(NOTHING, this, true).catch(() => undefined)
  }

  async #askAgain(): Promise<void> {
    do {
      this.#isStale = false
      const need = this.#need
      this.#told = need
      let answer: Answer
      try {
        answer = await this.#ask(need, this, false)
      } catch {
        this.lost()
        return
      }
      clearTimeout(this.#sinceLost)
      this.#sinceLost = undefined
      this.#answeredAt = performance.now()
      this.#isAnswered = true
      this.#set(answer)
      if (answer.isLess || (this.#isShort(this.#need) && this.#isWorse(this.#need))) this.#isStale = true
    } while (this.#isStale && !this.#isOver)
  }

  #set(answer: Partial<Answer>): void {
    const before = this.#answer
    this.#answer = { ...before, ...answer }
    if (before.size !== this.size || before.transfers !== this.transfers) this.#changed()
  }

  #isShort({ interactive, bulk, background }: Need): boolean {
    const transfers = bulk + background
    return interactive + transfers > this.size || transfers > this.transfers
  }

  /** More is needed than was told. */
  #isWorse(need: Need): boolean {
    const told = this.#told
    return !told || need.interactive > told.interactive || need.bulk > told.bulk || need.background > told.background
  }

  /** Another needs what was given back here. */
  #isOwed(need: Need): boolean {
    const told = this.#told
    if (!this.#answer.isAnotherShort || !told) return false
    return need.held < told.held || need.transfers < told.transfers || sumOf(need) < sumOf(told)
  }

  #evenly(replicas: number): Pick<Answer, 'size' | 'transfers'> {
    const size = Math.max(1, Math.floor(this.#limit / Math.max(1, replicas)))
    return { size, transfers: Math.max(1, Math.min(size, Math.floor((this.#limit - 1) / Math.max(1, replicas)))) }
  }
}

function sumOf({ interactive, bulk, background }: Need): number {
  return interactive + bulk + background
}
