import { randomInt, randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Selection } from '../instance/uids.ts'
import { parsedJson } from '../network/parsed-json.ts'
import type { ExpectedMove } from '../pacs/delivery/match.ts'
import { script, type ControlPlane } from './control-plane.ts'

/** How long a wait is known of whose replica says nothing of it any more, in ms. */
export const WAIT_LEASE_MS = 15_000
const RENEWAL_MS = 5_000
/** How long what was found is used for instances that it fits, in ms. */
const FRESH_MS = 1_000
/** Message ids that are taken from the server at once. */
const MESSAGE_ID_BLOCK = 64
const MESSAGE_IDS = 65_535

/** A move of another replica. */
export interface Wait {
  /** Of the replica, as the others reach it. */
  readonly replica: string
  readonly callingAeTitle: string
  readonly selection: Selection
  readonly messageIds: ReadonlySet<number>
}

/** What is being asked of the server, and what is asked when that is answered. */
interface Look {
  readonly answer: Promise<readonly Wait[]>
  next: Promise<readonly Wait[]> | undefined
}

interface Found {
  /** By performance.now(). */
  readonly at: number
  readonly waits: readonly Wait[]
}

interface Seen {
  readonly wait: Wait
  readonly at: number
}

// Time is the server's: clocks of replicas may differ.
const NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)"

/** KEYS: waits, leases. ARGV: lease in ms, then id and wait, for each. */
const ANNOUNCE = script(`${NOW}
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], now + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[1])
redis.call('PEXPIRE', KEYS[2], 2 * ARGV[1])`)

/** KEYS: waits, leases. ARGV: id. */
const WITHDRAW = script(`redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])`)

/** KEYS: waits, leases. Returns the waits. */
const LOOK = script(`${NOW}
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
for _, id in ipairs(over) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
return redis.call('HVALS', KEYS[1])`)

/** KEYS: count. ARGV: how many, where to begin. Returns the last. */
const TAKE_MESSAGE_IDS = script(`redis.call('SET', KEYS[1], ARGV[2], 'NX')
return redis.call('INCRBY', KEYS[1], ARGV[1])`)

/** Which replica waits for what of which archive, as all of them know it. */
export class Waits {
  readonly #plane: ControlPlane
  readonly #prefix: string
  readonly #self: () => string
  readonly #ours = new Map<ExpectedMove, string>()
  readonly #found = new Map<string, Found>()
  /** Of each archive, by their ids. */
  readonly #seen = new Map<string, ReadonlyMap<string, Seen>>()
  readonly #looks = new Map<string, Look>()
  readonly #timer: NodeJS.Timeout
  /** When the server was found last. */
  #foundAt = -Infinity
  #nextId = 0
  #idsLeft = 0
  #taking: Promise<void> | undefined

  /** `prefix`: of keys; `self`: how others reach this replica. */
  constructor(plane: ControlPlane, { prefix, self }: { prefix: string; self: () => string }) {
    this.#plane = plane
    this.#prefix = prefix
    this.#self = self
    this.#timer = setInterval(() => void this.#renew(), RENEWAL_MS).unref()
    plane.onFound(() => {
      this.#foundAt = performance.now()
      void this.#renew()
    })
  }

  /** @throws ClusterUnavailableError */
  async messageId(): Promise<number> {
    while (this.#idsLeft === 0) await (this.#taking ??= this.#takeIds().finally(() => (this.#taking = undefined)))
    this.#idsLeft--
    return (this.#nextId++ % MESSAGE_IDS) + 1
  }

  /** @throws ClusterUnavailableError */
  async announce(move: ExpectedMove): Promise<void> {
    const id = this.#ours.get(move) ?? randomUUID()
    this.#ours.set(move, id)
    await this.#announce(move.archiveAeTitle, [[id, move]])
  }

  withdraw(move: ExpectedMove): void {
    const id = this.#ours.get(move)
    if (id === undefined) return
    this.#ours.delete(move)
    // Where it cannot be said, the lease ends.
    this.#plane.run(WITHDRAW, this.#keys(move.archiveAeTitle), [id]).catch(() => undefined)
  }

  /** Those of other replicas that are known of: the last that were found, and none where that was never asked. */
  known(archive: string): Found | undefined {
    return this.#found.get(archive)
  }

  /** All replicas have had the time to tell the server of theirs. */
  get isComplete(): boolean {
    return performance.now() - this.#foundAt > WAIT_LEASE_MS
  }

  isFresh({ at }: Found): boolean {
    return performance.now() - at < FRESH_MS
  }

  /**
   * Those of other replicas as the server has them, asked from now on: an answer under way may be older than a wait that
   * was told of just now.
   * @throws ClusterUnavailableError
   */
  look(archive: string): Promise<readonly Wait[]> {
    const under = this.#looks.get(archive)
    if (!under) return this.#look(archive)
    return (under.next ??= under.answer.then(
      () => this.#look(archive),
      () => this.#look(archive),
    ))
  }

  close(): void {
    clearInterval(this.#timer)
    for (const move of [...this.#ours.keys()]) this.withdraw(move)
  }

  #look(archive: string): Promise<readonly Wait[]> {
    const answer = this.#ask(archive)
    const look: Look = { answer, next: undefined }
    this.#looks.set(archive, look)
    const over = (): void => {
      if (this.#looks.get(archive) === look) this.#looks.delete(archive)
    }
    answer.then(over, over)
    return answer
  }

  async #ask(archive: string): Promise<readonly Wait[]> {
    const at = performance.now()
    const answer = await this.#plane.run(LOOK, this.#keys(archive), [])
    const seen = new Map<string, Seen>()
    // The server may have lost one, or been asked before all have told it again; whose it is knows whether it is over.
    for (const [id, before] of this.#seen.get(archive) ?? []) if (at - before.at < WAIT_LEASE_MS) seen.set(id, before)
    for (const one of Array.isArray(answer) ? answer.map(readWait) : []) {
      if (one && one.wait.replica !== this.#self()) seen.set(one.id, { wait: one.wait, at })
    }
    this.#seen.set(archive, seen)
    const waits = [...seen.values()].map(({ wait }) => wait)
    this.#found.set(archive, { at, waits })
    return waits
  }

  async #takeIds(): Promise<void> {
    const args = [MESSAGE_ID_BLOCK, randomInt(MESSAGE_IDS)]
    const last = Number(await this.#plane.run(TAKE_MESSAGE_IDS, [`${this.#prefix}message-id`], args))
    this.#nextId = last - MESSAGE_ID_BLOCK
    this.#idsLeft = MESSAGE_ID_BLOCK
  }

  /** Says all of them anew: the server may have lost them. */
  async #renew(): Promise<void> {
    for (const [archive, waits] of Map.groupBy(this.#ours, ([move]) => move.archiveAeTitle)) {
      // Who cannot be told is told at the next.
      await this.#announce(
        archive,
        waits.map(([move, id]) => [id, move]),
      ).catch(() => undefined)
    }
  }

  async #announce(archive: string, waits: readonly (readonly [id: string, move: ExpectedMove])[]): Promise<void> {
    const args = waits.flatMap(([id, { callingAeTitle, selection, messageIds }]) => [
      id,
      JSON.stringify({ id, replica: this.#self(), callingAeTitle, selection, messageIds: [...messageIds] }),
    ])
    await this.#plane.run(ANNOUNCE, this.#keys(archive), [WAIT_LEASE_MS, ...args])
  }

  #keys(archive: string): [waits: string, leases: string] {
    return [`${this.#prefix}waits:${archive}`, `${this.#prefix}leases:${archive}`]
  }
}

const shape = z.object({
  id: z.string(),
  replica: z.string(),
  callingAeTitle: z.string(),
  selection: z.object({ study: z.string(), series: z.string().optional(), instance: z.string().optional() }),
  messageIds: z.array(z.number()),
})

/** Undefined for what another version wrote. */
function readWait(text: unknown): { readonly id: string; readonly wait: Wait } | undefined {
  const { data } = shape.safeParse(parsedJson(String(text)))
  if (!data) return undefined
  const { id, ...wait } = data
  return { id, wait: { ...wait, messageIds: new Set(wait.messageIds) } as Wait }
}
