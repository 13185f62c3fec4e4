import { setTimeout as delay } from 'node:timers/promises'
import { Attribute } from '../../dicom/attributes.ts'
import { SopClass, type Uid } from '../../dicom/uids.ts'
import type { CommandOf } from '../../dimse/command.ts'
import type { RetrieveEnd } from '../../dimse/retrieve-end.ts'
import { Scu } from '../../dimse/scu.ts'
import { statusClass } from '../../dimse/status.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import type { Call } from '../call.ts'
import { contextOf, moveProposal } from '../contexts.ts'
import { PoolBusyError, PoolClosedError, PoolFullError, TransactionInUseError } from '../errors.ts'
import type { Lease } from '../pool/lease.ts'
import { streamedOnFresh } from '../pool/on-fresh.ts'
import type { AssociationPool } from '../pool/pool.ts'
import { perValue } from '../search/per-value.ts'
import { identifier, uniqueKeys, UIDS_ONLY, type Query } from '../search/query.ts'
import { EndedSends } from './ended-sends.ts'
import { Send, type SendRequest } from './send.ts'
import { Turns } from './turns.ts'

/** Sends of an archive that are under way or wait for their turn. */
export const MAX_SENDS = 200
/** Those of one client. */
export const MAX_SENDS_PER_CLIENT = 20
/** How long a request waits for its end, in ms: that of few instances, or a refusal. What goes on is asked about later. */
export const ANSWER_WITHIN_MS = 2_000
/** After no association was free in `timeouts.queue` another is waited for, in ms. */
const AGAIN_MS = 1_000

/** Too many sends are under way or wait. */
export class TooManySendsError extends Error {
  readonly code = 'TOO_MANY_SENDS'
  constructor() {
    super('Too many sends of this archive, or of one client, are under way or wait for their turn')
    this.name = 'TooManySendsError'
  }
}

/** Somebody wanted a send to end. */
class SendCancelledError extends Error {
  readonly code = 'SEND_CANCELLED'
  constructor() {
    super('The send was cancelled on request')
    this.name = 'SendCancelledError'
  }
}

/** What sends are asked for over. */
export interface SendTarget {
  readonly archive: string
  readonly pool: Pick<AssociationPool, 'lease'>
  /** Sends at once. */
  readonly atOnce: number
  /** Milliseconds that the archive may be silent. */
  readonly timeout: number
  /** Milliseconds that one that is over can be asked about. */
  readonly keep: number
  /** Whether a C-FIND finds any of it. */
  readonly isListed: (query: Query, call: Call) => Promise<boolean>
  /** The archive cannot match lists of UIDs. */
  readonly singleUidLists: () => boolean
}

/** What an archive sends to others at our request: C-MOVE, whose bytes do not pass us (PS3.4 C.4.2). */
export class Sends {
  readonly #target: SendTarget
  readonly #underWay = new Map<string, Send>()
  readonly #ended: EndedSends
  readonly #turns = new Turns()
  readonly #ofClient = new Map<string, number>()
  /** What those are of that have yet to end: kept no longer. */
  readonly #queries = new Map<Send, Query>()
  #running = 0

  constructor(target: SendTarget) {
    this.#target = target
    this.#ended = new EndedSends(target.keep)
  }

  /**
   * Has the archive send, whoever leaves meanwhile; comes back when it is over, or ANSWER_WITHIN_MS later. Where it fails
   * until then and has sent nothing, it is as if it had not been asked: its UID may be used again.
   * @throws TransactionInUseError, TooManySendsError, StatusError, NothingToSendError, NotSupportedByArchiveError, what
   *   opening an association throws
   */
  async request(request: SendRequest): Promise<Send> {
    const { uid, owner, client, query } = request
    if (this.find(owner, uid)) throw new TransactionInUseError()
    const own = this.#ofClient.get(client) ?? 0
    if (this.#underWay.size >= MAX_SENDS || own >= MAX_SENDS_PER_CLIENT) throw new TooManySendsError()
    const studies = query.keys.find(({ tag }) => tag === Attribute.StudyInstanceUID)?.values.map(String) ?? []
    const send = new Send(request, studies)
    this.#underWay.set(keyOf(owner, uid), send)
    this.#ofClient.set(client, own + 1)
    this.#queries.set(send, query)
    this.#turns.add(send)
    this.#next()
    await settlesWithin(send.over, ANSWER_WITHIN_MS)
    if (send.status === 'failed' && send.error) {
      this.#leave(send)
      this.#ended.delete(keyOf(owner, uid))
      throw send.error
    }
    return send
  }

  /** A send of somebody that is under way, or was not long ago. */
  find(owner: string, uid: Uid): Send | undefined {
    const key = keyOf(owner, uid)
    return this.#underWay.get(key) ?? this.#ended.get(key)
  }

  /** Has a send end. */
  cancel(send: Send): void {
    this.#stop(send, new SendCancelledError())
  }

  /** Has all of them end. */
  close(): void {
    for (const send of [...this.#underWay.values()]) this.#stop(send, new PoolClosedError())
  }

  #stop(send: Send, reason: Error): void {
    send.cancel(reason)
    if (!send.isOver) return
    this.#turns.delete(send)
    this.#leave(send)
  }

  /** It is over, and what it held is others'. */
  #leave(send: Send): void {
    const { owner, uid, client } = send.request
    const key = keyOf(owner, uid)
    if (this.#underWay.get(key) !== send) return
    this.#underWay.delete(key)
    this.#queries.delete(send)
    const left = (this.#ofClient.get(client) ?? 1) - 1
    if (left === 0) this.#ofClient.delete(client)
    else this.#ofClient.set(client, left)
    this.#ended.set(key, send)
  }

  #next(): void {
    while (this.#running < this.#target.atOnce) {
      const send = this.#turns.next()
      if (!send) return
      this.#running++
      void this.#run(send, this.#queries.get(send)!).finally(() => {
        this.#running--
        this.#leave(send)
        this.#next()
      })
    }
  }

  async #run(send: Send, query: Query): Promise<void> {
    try {
      // Of a study or a series named in vain a list would say nothing; instances can be counted.
      const isCountable = query.level === 'IMAGE' && !this.#target.singleUidLists()
      const [list, ...others] = isCountable ? [query] : apart(query)
      const count = list ? namedBy(list) : 0
      const outcome = await this.#one(send, list!, { isLast: count <= 1 })
      if (outcome === 'empty-list') for (const one of apart(query)) await this.#one(send, one, { isLast: true })
      else for (const one of others) await this.#one(send, one, { isLast: true })
      send.finish()
    } catch (error) {
      send.fail(error instanceof Error ? error : new Error('The send failed', { cause: error }))
    }
  }

  /** One C-MOVE. A list of which nothing was counted is for its UIDs one by one, where it is not the `isLast` way to ask. */
  async #one(send: Send, query: Query, { isLast }: { readonly isLast: boolean }): Promise<'empty-list' | undefined> {
    if (send.isOver) return undefined
    const end = await this.#move(send, query)
    if (!end || send.moved(end, query.level === 'IMAGE' ? namedBy(query) : 0) !== 'empty') return undefined
    if (!isLast) {
      send.retract()
      return 'empty-list'
    }
    send.looked(await this.#target.isListed(query, { signal: send.signal }))
    return undefined
  }

  /** Undefined where it was ended by us. */
  async #move(send: Send, query: Query): Promise<RetrieveEnd | undefined> {
    const { archive, timeout } = this.#target
    const { signal, request } = send
    let late: CommandOf<'C-MOVE-RSP'> | undefined
    const run = streamedOnFresh(
      (fresh) => this.#association(signal, fresh),
      async function* (lease, answered): AsyncGenerator<never, RetrieveEnd> {
        const context = contextOf(lease.association, SopClass.studyRootMove, archive, 'C-MOVE')
        const target = { destination: request.destination.aeTitle }
        send.begin()
        const end = await new Scu(lease.association).move(context, identifier(query, UIDS_ONLY), target, {
          timeout,
          signal,
          alive: () => send.changed,
          onPending: (response) => {
            answered()
            send.tell(response)
          },
          onCancelled: (response) => (late = response),
        })
        // dcmqrscp keeps its index locked behind a failure, for as long as the association stands.
        if (statusClass(end.status) === 'failure') lease.retire()
        return end
      },
    )
    try {
      return (await run.next()).value
    } catch (error) {
      if (!signal.aborted) throw error
      send.fail(error as Error, late)
      return undefined
    }
  }

  /** Whoever asked does not wait for it: it waits for as long as others hold them all. */
  async #association(signal: AbortSignal, fresh: boolean): Promise<Lease> {
    for (;;) {
      try {
        return await this.#target.pool.lease(moveProposal, { signal, priority: 'bulk' }, { fresh })
      } catch (error) {
        if (!(error instanceof PoolBusyError || error instanceof PoolFullError)) throw error
      }
      await delay(AGAIN_MS, undefined, { signal, ref: false })
    }
  }
}

/** A query for each of the UIDs that one names. */
function apart(query: Query): Query[] {
  return perValue(query, ({ vr }) => vr === 'UI').queries
}

function namedBy({ level, keys }: Query): number {
  return keys.find(({ tag }) => tag === uniqueKeys[level])?.values.length ?? 0
}

function keyOf(owner: string, uid: Uid): string {
  return `${uid} ${owner}`
}
