import { LRUCache } from 'lru-cache'
import { SopClass, type Uid } from '../../dicom/uids.ts'
import type { RetrieveEnd } from '../../dimse/retrieve-end.ts'
import { Scu } from '../../dimse/scu.ts'
import { statusClass } from '../../dimse/status.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import type { Call } from '../call.ts'
import { contextOf, moveProposal } from '../contexts.ts'
import { TransactionInUseError } from '../errors.ts'
import { streamedOnFresh, type Take } from '../pool/on-fresh.ts'
import type { AssociationPool } from '../pool/pool.ts'
import { perValue } from '../search/per-value.ts'
import { identifier, UIDS_ONLY, type Query } from '../search/query.ts'
import { Send, type SendRequest } from './send.ts'

/** Sends of an archive that are under way or wait for their turn. */
export const MAX_SENDS = 200
/** Those of one client. */
export const MAX_SENDS_PER_CLIENT = 20
/** Sends that are over and can still be asked about. */
export const MAX_ENDED = 10_000
/** How long a request waits for its end, in ms: that of few instances, or a refusal. What goes on is asked about later. */
export const ANSWER_WITHIN_MS = 2_000

/** Too many sends are under way or wait. */
export class TooManySendsError extends Error {
  readonly code = 'TOO_MANY_SENDS'
  constructor() {
    super('Too many sends of this archive, or of one client, are under way or wait for their turn')
    this.name = 'TooManySendsError'
  }
}

/** The service is stopping, and with it what it has the archive send. */
class StoppingError extends Error {
  readonly code = 'POOL_CLOSED'
  constructor() {
    super('The service is stopping')
    this.name = 'StoppingError'
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
  /** Milliseconds that the archive may be silent, or not get on. */
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
  readonly #underWay = new Map<Uid, Send>()
  readonly #ended: LRUCache<Uid, Send>
  readonly #waiting: Send[] = []
  #running = 0

  constructor(target: SendTarget) {
    this.#target = target
    this.#ended = new LRUCache({ max: MAX_ENDED, ttl: target.keep })
  }

  /**
   * Has the archive send, whoever leaves meanwhile; comes back when it is over, or ANSWER_WITHIN_MS later. Where it fails
   * until then and has sent nothing, it is as if it had not been asked: its UID may be used again.
   * @throws TransactionInUseError, TooManySendsError, StatusError, NothingToSendError, NotSupportedByArchiveError, what
   *   opening an association throws
   */
  async request(request: SendRequest): Promise<Send> {
    const { uid, client } = request
    if (this.find(uid)) throw new TransactionInUseError()
    const sends = [...this.#underWay.values()]
    const own = sends.filter((send) => send.request.client === client).length
    if (sends.length >= MAX_SENDS || own >= MAX_SENDS_PER_CLIENT) throw new TooManySendsError()
    const send = new Send(request)
    this.#underWay.set(uid, send)
    this.#waiting.push(send)
    this.#next()
    await settlesWithin(send.over, ANSWER_WITHIN_MS)
    if (send.status === 'failed' && send.error) {
      this.#underWay.delete(uid)
      this.#ended.delete(uid)
      throw send.error
    }
    return send
  }

  /** A send that is under way, or was not long ago. */
  find(uid: Uid): Send | undefined {
    return this.#underWay.get(uid) ?? this.#ended.get(uid)
  }

  /** Has a send end. */
  cancel(uid: Uid): void {
    this.#underWay.get(uid)?.cancel(new SendCancelledError())
  }

  /** Has all of them end. */
  close(): void {
    for (const send of this.#underWay.values()) send.cancel(new StoppingError())
  }

  #next(): void {
    while (this.#running < this.#target.atOnce) {
      const send = this.#waiting.shift()
      if (!send) return
      this.#running++
      void this.#run(send).finally(() => {
        this.#running--
        this.#next()
      })
    }
  }

  async #run(send: Send): Promise<void> {
    const { request } = send
    try {
      const isAlone = this.#target.singleUidLists()
      const { queries } = perValue(request.query, ({ vr }) => vr === 'UI' && isAlone)
      for (const query of queries) {
        if (send.isOver || !(await this.#move(send, query))) break
      }
      send.finish(send.isUncounted && (await this.#target.isListed(request.query, { signal: send.signal })))
    } catch (error) {
      send.fail(error instanceof Error ? error : new Error('The send failed', { cause: error }))
    } finally {
      if (this.#underWay.delete(request.uid)) this.#ended.set(request.uid, send)
    }
  }

  async #move(send: Send, query: Query): Promise<boolean> {
    const { archive, pool, timeout } = this.#target
    const { signal, request } = send
    const call = { signal, priority: 'bulk' } as const
    const take: Take = (fresh) => pool.lease(moveProposal, call, { fresh })
    const run = streamedOnFresh(take, async function* (lease, answered): AsyncGenerator<never, RetrieveEnd> {
      const context = contextOf(lease.association, SopClass.studyRootMove, archive, 'C-MOVE')
      const target = { destination: request.destination.aeTitle }
      send.begin()
      const end = await new Scu(lease.association).move(context, identifier(query, UIDS_ONLY), target, {
        timeout,
        signal,
        alive: () => send.changed,
        onPending: (response) => {
          answered()
          send.pending(response)
        },
      })
      // dcmqrscp keeps its index locked behind a failure, for as long as the association stands.
      if (statusClass(end.status) === 'failure') lease.retire()
      return end
    })
    return send.moved((await run.next()).value)
  }
}
