import { dimsePriority } from '../call.ts'
import type { Lease } from '../pool/lease.ts'
import { SopClass } from '../../dicom/uids.ts'
import { Scu, type RetrieveEnd } from '../../dimse/scu.ts'
import { statusClass } from '../../dimse/status.ts'
import type { AcceptedContext } from '../../network/negotiation.ts'
import { ProtocolError } from '../../network/errors.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import { contextOf, moveProposal } from '../contexts.ts'
import type { Instance } from '../instance.ts'
import { streamedOnFresh } from '../pool/on-fresh.ts'
import { askIdentifier, type Ask } from './ask.ts'
import { MAX_USELESS } from './get-attempt.ts'
import type { Delivered, MoveInbox } from './move-inbox.ts'
import { MoveReading } from './move-reading.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/** Behind the final response: how long what is still to come may be silent, in ms. */
export const STRAGGLER_GRACE_MS = 5_000
/** The same where the archive says of nothing that it is still to come: what is listed is then compared in any case. */
export const UNCOUNTED_GRACE_MS = 1_000

/** How a C-MOVE ended, and what had come. */
export interface MoveEnd extends RetrieveEnd {
  /** Instances that were delivered for it, whether they belong to what was asked for or not. */
  readonly arrived: number
}

/**
 * The instances that one C-MOVE brings and that had not come before, those behind its final response too; a pooled
 * association that proves dead before anything came is replaced, once.
 * @throws NotSupportedByArchiveError, and whatever ends an association
 */
export async function* attemptMove(
  retrieval: Retrieval<MoveSource>,
  ask: Ask,
  inbox: MoveInbox,
): AsyncGenerator<Instance, MoveEnd> {
  const { source, call } = retrieval
  const take = (fresh: boolean): Promise<Lease> => source.pool.lease(moveProposal, call, { fresh })
  const before = inbox.delivered + inbox.refused
  const attempt = new MoveAttempt(retrieval, ask, inbox)
  const end = yield* streamedOnFresh(take, async function* (lease, answered) {
    try {
      const end = yield* attempt.run(lease)
      // dcmqrscp keeps its index locked behind a failure, for as long as the association stands.
      if (statusClass(end.status) === 'failure') lease.retire()
      return end
    } finally {
      if (attempt.hasBrought) answered()
    }
  })
  // The association has gone back by now: some archives deliver for minutes behind their answer.
  yield* attempt.stragglers(end)
  return { ...end, arrived: inbox.delivered + inbox.refused - before }
}

/** Instances that the archive says it moved; undefined where it does not say. */
export function broughtBy({ completed, warning = 0 }: RetrieveEnd): number | undefined {
  return completed === undefined ? undefined : completed + warning
}

/**
 * Where a C-MOVE is. It and its sub-operations come over different associations, in any order: the final response may
 * come while an instance is being read or before the last one is here.
 */
type Phase =
  /** The archive is at work; no instance is being read. */
  | { readonly kind: 'moving' }
  /** One instance is being read, at its reader's pace; others wait. `end`: the final response, if it has come. */
  | { readonly kind: 'reading'; readonly reading: MoveReading; readonly end: RetrieveEnd | undefined }
  /** The final response has come; no instance is being read, but more may be under way. */
  | { readonly kind: 'ended'; readonly end: RetrieveEnd }
  /** No final response will come: the operation has failed, or who asked has left. Nothing more is read. */
  | { readonly kind: 'failed'; readonly error: Error }
  /** The attempt was left, by whichever way. Nothing is taken any more. */
  | { readonly kind: 'over' }

type MoveEvent =
  | { readonly kind: 'reading begins'; readonly reading: MoveReading }
  | { readonly kind: 'reading ends' }
  | { readonly kind: 'final response'; readonly end: RetrieveEnd }
  | { readonly kind: 'failure'; readonly error: Error }
  | { readonly kind: 'leave' }

/** The phase behind an event. @throws for what cannot be: two instances are never read at once */
function after(phase: Phase, event: MoveEvent): Phase {
  if (phase.kind === 'over' || event.kind === 'leave') return { kind: 'over' }
  if (phase.kind === 'failed') return phase
  switch (event.kind) {
    case 'reading begins':
      if (phase.kind === 'reading') break
      return { kind: 'reading', reading: event.reading, end: phase.kind === 'ended' ? phase.end : undefined }
    case 'reading ends':
      if (phase.kind !== 'reading') break
      return phase.end ? { kind: 'ended', end: phase.end } : { kind: 'moving' }
    case 'final response':
      return phase.kind === 'reading' ? { ...phase, end: event.end } : { kind: 'ended', end: event.end }
    case 'failure':
      return { kind: 'failed', error: event.error }
  }
  throw new Error(`A C-MOVE cannot meet "${event.kind}" while it is ${phase.kind}`)
}

/** One C-MOVE on one side, what its sub-operations bring on the other. */
class MoveAttempt {
  readonly #retrieval: Retrieval<MoveSource>
  readonly #ask: Ask
  readonly #inbox: MoveInbox
  #phase: Phase = { kind: 'moving' }
  /** Deliveries in front of it. */
  readonly #before: number
  /** Deliveries in front of its final response. */
  #beforeEnd = 0
  /** How many were read, to their end or not. */
  #read = 0
  /** Deliveries in a row of what had come. */
  #useless = 0
  /** When the archive last delivered, or we last made it wait; by performance.now(). */
  #seen = -Infinity

  constructor(retrieval: Retrieval<MoveSource>, ask: Ask, inbox: MoveInbox) {
    this.#retrieval = retrieval
    this.#ask = ask
    this.#inbox = inbox
    this.#before = inbox.delivered
  }

  /** Something was delivered. */
  get hasBrought(): boolean {
    return this.#inbox.delivered > this.#before
  }

  /** What comes until the final response is here, and what is delivered by then. */
  async *run({ association }: Lease): AsyncGenerator<Instance, RetrieveEnd> {
    const { source, call } = this.#retrieval
    const context = contextOf(association, SopClass.studyRootMove, source.archive, 'C-MOVE')
    await source.destination.listen()
    const stop = new AbortController()
    const messageId = await this.#inbox.begin()
    this.#phase = { kind: 'moving' }
    const signal = AbortSignal.any([stop.signal, call.signal])
    const operation = this.#operate(new Scu(association), context, messageId, signal).then(
      (end) => this.#end(end),
      (error: unknown) => this.#move({ kind: 'failure', error: asError(error) }),
    )
    const onAbort = (): void => this.#move({ kind: 'failure', error: asError(call.signal.reason) })
    call.signal.addEventListener('abort', onAbort)
    let isOver = false
    try {
      const end = yield* this.#instances()
      isOver = true
      return end
    } finally {
      // The archive answers no C-CANCEL while it waits for us; one that may still be tried anew waits for nothing.
      if (!isOver && (!this.#hasFailed() || call.signal.aborted)) this.#inbox[Symbol.dispose]()
      if (!isOver) this.#move({ kind: 'leave' })
      call.signal.removeEventListener('abort', onAbort)
      // Left early: C-CANCEL goes out, and the association is kept if the archive ends the move in time.
      stop.abort(new Error('The retrieve was left'))
      await operation
    }
  }

  /** What comes behind the final response, as long as more is to be expected. */
  async *stragglers(end: RetrieveEnd): AsyncGenerator<Instance> {
    const { signal } = this.#retrieval.call
    const onAbort = (): void => this.#move({ kind: 'failure', error: asError(signal.reason) })
    signal.addEventListener('abort', onAbort)
    try {
      for (;;) {
        signal.throwIfAborted()
        const next = this.#inbox.next()
        if (next) {
          yield* this.#passOn(next)
          continue
        }
        const grace = this.#graceAfter(end)
        if (grace === 0 || !(await settlesWithin(this.#inbox.news.changed, grace))) return
      }
    } finally {
      this.#move({ kind: 'leave' })
      signal.removeEventListener('abort', onAbort)
    }
  }

  #operate(scu: Scu, context: AcceptedContext, messageId: number, signal: AbortSignal): Promise<RetrieveEnd> {
    const { destination, moveTimeout: timeout } = this.#retrieval.source
    const target = { destination: destination.aeTitle, messageId }
    // Some archives send no Pending response: that they deliver is a sign of life, and waiting for us is no silence.
    const isWaitedFor = (): boolean => this.#phase.kind === 'reading' || this.#inbox.isWaiting
    const alive = (): number => (isWaitedFor() ? performance.now() : this.#seen)
    const priority = dimsePriority(this.#retrieval.call)
    return scu.move(context, askIdentifier(this.#ask), target, { timeout, signal, alive, priority })
  }

  #hasFailed(): boolean {
    return this.#phase.kind === 'failed'
  }

  #end(end: RetrieveEnd): void {
    this.#beforeEnd = this.#inbox.delivered
    this.#move({ kind: 'final response', end })
  }

  /** The only place where the phase changes. */
  #move(event: MoveEvent): void {
    const before = this.#phase
    this.#phase = after(before, event)
    // What the storage association still has is not waited for.
    if (before.kind === 'reading' && this.#phase.kind === 'failed') before.reading.cut(this.#phase.error)
    this.#inbox.news.notify()
  }

  async *#instances(): AsyncGenerator<Instance, RetrieveEnd> {
    const { signal } = this.#retrieval.call
    for (;;) {
      signal.throwIfAborted()
      const phase = this.#phase
      if (phase.kind === 'failed') throw phase.error
      const next = this.#inbox.next()
      if (next) yield* this.#passOn(next)
      else if (phase.kind === 'ended') return phase.end
      else await this.#inbox.news.changed
    }
  }

  /**
   * How long the next one may take, in ms. The final response may come before the last instance (PS3.4 C.4.2), or before
   * the first: such an archive delivers when it comes to it, from tape for one, and has its time. It is one if it has
   * delivered so, or if it calls a success what has brought nothing at all of what there is.
   */
  #graceAfter(end: RetrieveEnd): number {
    const { destination, moveTimeout } = this.#retrieval.source
    const grace = destination.stragglerGrace ?? STRAGGLER_GRACE_MS
    const isFailure = statusClass(end.status) === 'failure'
    if (isFailure && this.#read === 0) return 0
    const brought = broughtBy(end)
    const { habits } = this.#retrieval.source
    if (this.#inbox.delivered > this.#beforeEnd) habits.learn('late-delivery')
    const hasNone = this.#beforeEnd === this.#before && statusClass(end.status) === 'success'
    const isFirst = this.#ask.instances.length === 0 && this.#retrieval.received.size === 0
    const deliversLater = habits.has('late-delivery') || (hasNone && isFirst)
    const toCome = Math.max((brought ?? 0) - this.#read, this.#outstanding() - (end.failed ?? 0))
    if (toCome > 0 && deliversLater) return moveTimeout
    // What was asked for by name and counted right is not there for the archive.
    const isDone = brought === this.#read && this.#ask.instances.length > 0
    if (toCome > 0) return isDone ? 0 : grace
    // It has counted right, and either nothing came behind its count or something else says that this is all.
    const isAll = brought === this.#read && (!deliversLater || this.#retrieval.ledger.hasWitness)
    return isAll ? 0 : Math.min(grace, UNCOUNTED_GRACE_MS)
  }

  /** How many of what was asked for have yet to come, as far as that is known. */
  #outstanding(): number {
    const { ledger, received } = this.#retrieval
    const { instances, selection } = this.#ask
    if (instances.length === 0) return ledger.outstanding
    const series = selection.series ?? ''
    return instances.filter((sopInstance) => !received.has({ series, sopInstance })).length
  }

  async *#passOn({ instance, answer }: Delivered): AsyncGenerator<Instance> {
    const { received, malformed } = this.#retrieval
    const reading = new MoveReading()
    this.#move({ kind: 'reading begins', reading })
    try {
      const body = reading.of(instance.body)
      if (!received.has(instance)) {
        yield { ...instance, body }
        this.#useless = 0
      } else {
        for await (const _ of body);
        if (++this.#useless > MAX_USELESS) throw new ProtocolError('Instances without end that had come')
      }
      if (!reading.isComplete) return
      const { damage } = instance.index
      if (!damage) received.add(instance)
      else if (!received.has(instance)) {
        malformed.add(instance, damage)
        reading.spoil()
      }
    } finally {
      this.#read++
      this.#seen = performance.now()
      this.#move({ kind: 'reading ends' })
      reading.end(answer)
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('The C-MOVE failed', { cause: error })
}
