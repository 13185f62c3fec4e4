import type { Lease } from '../pool/lease.ts'
import { Notifier } from '../../dicom/notifier.ts'
import { SopClass } from '../../dicom/uids.ts'
import { Scu, type RetrieveEnd } from '../../dimse/scu.ts'
import { Status, statusClass } from '../../dimse/status.ts'
import type { AcceptedContext } from '../../network/negotiation.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import { contextOf, moveProposal } from '../contexts.ts'
import type { Instance } from '../instance.ts'
import { streamedOnFresh } from '../pool/on-fresh.ts'
import { askIdentifier, isNamed, type Ask } from './ask.ts'
import { MoveReading } from './move-reading.ts'
import { Received } from './received.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/** After the final response instances may still be under way: how long none of them has to come, in ms. */
export const STRAGGLER_GRACE_MS = 5_000
/** The same where the archive does not count, or counts less than came: what is listed is then compared in any case. */
export const UNCOUNTED_GRACE_MS = 1_000

/**
 * The instances that one C-MOVE brings and that had not come before; a pooled association that proves dead before
 * anything came is replaced, once.
 * @throws NotSupportedByArchiveError, ListenerError, and whatever ends an association
 */
export async function* attemptMove(retrieval: Retrieval<MoveSource>, ask: Ask): AsyncGenerator<Instance, RetrieveEnd> {
  const { source, call } = retrieval
  const take = (fresh: boolean): Promise<Lease> => source.pool.lease(moveProposal, call, { fresh })
  return yield* streamedOnFresh(take, async function* (lease, answered) {
    const attempt = new MoveAttempt(retrieval, ask)
    try {
      return yield* attempt.run(lease)
    } finally {
      if (attempt.hasBrought) answered()
    }
  })
}

/** Instances that the archive says it moved; undefined where it does not say. */
export function broughtBy({ completed, warning = 0 }: RetrieveEnd): number | undefined {
  return completed === undefined ? undefined : completed + warning
}

/** An instance that was stored to us and waits for its turn; `answer` gives its C-STORE response. */
interface Delivered {
  readonly instance: Instance
  readonly answer: (status: number) => void
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
  #phase: Phase = { kind: 'moving' }
  readonly #news = new Notifier()
  readonly #waiting: Delivered[] = []
  /** Delivered, read or not. */
  readonly #taken = new Received()
  /** How many were read, to their end or not. */
  #read = 0
  /** When the archive last delivered, or we last made it wait; by performance.now(). */
  #seen = -Infinity

  constructor(retrieval: Retrieval<MoveSource>, ask: Ask) {
    this.#retrieval = retrieval
    this.#ask = ask
  }

  /** Something was delivered. */
  get hasBrought(): boolean {
    return this.#taken.size > 0
  }

  async *run({ association }: Lease): AsyncGenerator<Instance, RetrieveEnd> {
    const { source, received, call } = this.#retrieval
    const { archive, destination, aeTitle, callingAeTitle } = source
    const context = contextOf(association, SopClass.studyRootMove, archive, 'C-MOVE')
    await destination.listen()
    const stop = new AbortController()
    const messageId = destination.nextMessageId()
    const done = destination.expect({
      archiveAeTitle: aeTitle,
      callingAeTitle,
      messageId,
      selection: this.#ask.selection,
      lacks: (place) => !this.#taken.has(place) && !received.has(place),
      deliver: (instance) => this.#deliver(instance),
    })
    const signal = AbortSignal.any([stop.signal, call.signal])
    const operation = this.#operate(new Scu(association), context, messageId, signal).then(
      (end) => this.#move({ kind: 'final response', end }),
      (error: unknown) => this.#move({ kind: 'failure', error: asError(error) }),
    )
    const onAbort = (): void => this.#move({ kind: 'failure', error: asError(call.signal.reason) })
    call.signal.addEventListener('abort', onAbort)
    try {
      return yield* this.#instances()
    } finally {
      this.#move({ kind: 'leave' })
      call.signal.removeEventListener('abort', onAbort)
      done()
      for (const { answer } of this.#waiting.splice(0)) answer(Status.outOfResources)
      // Left early: C-CANCEL goes out, and the association is kept if the archive ends the move in time.
      stop.abort(new Error('The retrieve was left'))
      await operation
    }
  }

  #operate(scu: Scu, context: AcceptedContext, messageId: number, signal: AbortSignal): Promise<RetrieveEnd> {
    const { destination, moveTimeout: timeout } = this.#retrieval.source
    const target = { destination: destination.aeTitle, messageId }
    // Some archives send no Pending response: that they deliver is a sign of life, and waiting for us is no silence.
    const isWaitedFor = (): boolean => this.#phase.kind === 'reading' || this.#waiting.length > 0
    const alive = (): number => (isWaitedFor() ? performance.now() : this.#seen)
    return scu.move(context, askIdentifier(this.#ask), target, { timeout, signal, alive })
  }

  /** The only place where the phase changes. */
  #move(event: MoveEvent): void {
    const before = this.#phase
    this.#phase = after(before, event)
    // What the storage association still has is not waited for.
    if (before.kind === 'reading' && this.#phase.kind === 'failed') before.reading.cut(this.#phase.error)
    this.#news.notify()
  }

  /** What comes, until the move is over and no more is to be expected. */
  async *#instances(): AsyncGenerator<Instance, RetrieveEnd> {
    const { signal } = this.#retrieval.call
    for (;;) {
      signal.throwIfAborted()
      const phase = this.#phase
      if (phase.kind === 'failed') throw phase.error
      const next = this.#waiting.shift()
      if (next) yield* this.#passOn(next)
      else if (phase.kind === 'ended') {
        const grace = this.#graceAfter(phase.end)
        if (grace === 0 || !(await settlesWithin(this.#news.changed, grace))) return phase.end
      } else await this.#news.changed
    }
  }

  /** The final response may come before the last instance (PS3.4 C.4.2), and says how many there are, or does not. */
  #graceAfter(end: RetrieveEnd): number {
    const brought = broughtBy(end)
    if (brought === this.#read) return 0
    if (brought !== undefined && brought > this.#read) return STRAGGLER_GRACE_MS
    return statusClass(end.status) === 'failure' && this.#read === 0 ? 0 : UNCOUNTED_GRACE_MS
  }

  async *#passOn({ instance, answer }: Delivered): AsyncGenerator<Instance> {
    const { received } = this.#retrieval
    const reading = new MoveReading()
    this.#move({ kind: 'reading begins', reading })
    try {
      const body = reading.of(instance.body)
      if (received.has(instance)) for await (const _ of body);
      else yield { ...instance, body }
      if (reading.isComplete) received.add(instance)
    } finally {
      this.#read++
      this.#seen = performance.now()
      this.#move({ kind: 'reading ends' })
      reading.end(answer)
    }
  }

  #deliver(instance: Instance): Promise<number> {
    if (this.#phase.kind === 'over' || !isNamed(this.#ask, instance.sopInstance)) {
      return Promise.resolve(Status.notAuthorized)
    }
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#taken.add(instance)
    this.#waiting.push({ instance, answer: resolve })
    this.#news.notify()
    return promise
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('The C-MOVE failed', { cause: error })
}
