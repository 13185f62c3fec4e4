import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { Notifier } from '../dicom/notifier.ts'
import { SopClass, type Uid } from '../dicom/uids.ts'
import { Scu, type RetrieveEnd } from '../dimse/scu.ts'
import { Status, statusClass, StatusError } from '../dimse/status.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import { settlesWithin } from '../network/settles-within.ts'
import type { Call } from './call.ts'
import { contextOf, moveProposal } from './contexts.ts'
import type { Instance, Selection } from './instance.ts'
import { listMissing } from './missing.ts'
import type { MoveDestination } from './move-destination.ts'
import { identifier, selectionKeys, type Level, UIDS_ONLY } from './query.ts'
import { Received } from './received.ts'
import { IncompleteRetrieveError, NoSuchInstanceError, UIDS_PER_RETRY, type RetrieveSource } from './retrieve-source.ts'
import { wasStale } from './pool/stale.ts'

/** What a retrieve by C-MOVE needs besides. */
export interface MoveSource extends RetrieveSource {
  readonly destination: MoveDestination
  readonly aeTitle: string
  readonly callingAeTitle: string
  /** Milliseconds of silence of the archive: it may fetch from tape. */
  readonly moveTimeout: number
}

/** After the final response instances may still be under way: how long none of them has to come, in ms. */
export const STRAGGLER_GRACE_MS = 5_000
/** The same where the archive does not count, or counts less than came: what is listed is then compared in any case. */
export const UNCOUNTED_GRACE_MS = 1_000
/** How often what is missing is asked for again. */
const RETRIES = 2

/**
 * Instances of a selection by C-MOVE to our own listener, as they are stored, each once, checked to belong to it. What
 * did not come is listed by C-FIND and asked for again. `received`: instances that came already, by another way.
 * @throws NoSuchInstanceError; IncompleteRetrieveError at the end, behind what did come; StatusError;
 *   NotSupportedByArchiveError; ListenerError; and whatever ends an association
 */
export async function* retrieveByMove(
  selection: Selection,
  source: MoveSource,
  received: Received,
  call: Call,
): AsyncGenerator<Instance> {
  let last: RetrieveEnd | undefined
  const hasNone = (): boolean => received.size === 0
  if (hasNone()) {
    last = yield* move(selection, [], source, received, call)
    if (isComplete(last, received)) return
    // No such destination, not authorized: another try has no other end.
    if (hasNone() && isFinal(last.status)) {
      throw new StatusError(last.response)
    }
  }
  for (let retry = 0; retry < RETRIES; retry++) {
    const missing = await listMissing(selection, received, source, call)
    if (missing.size === 0) {
      if (hasNone()) throw new NoSuchInstanceError()
      return
    }
    for (const [series, { instances }] of missing) {
      const uids = [...instances.keys()]
      const size = source.singleUidLists ? 1 : UIDS_PER_RETRY
      for (let at = 0; at < uids.length; at += size) {
        const one = { study: selection.study, series }
        last = yield* move(one, uids.slice(at, at + size), source, received, call)
        if (isFinal(last.status)) throw new StatusError(last.response)
      }
    }
  }
  const missing = await listMissing(selection, received, source, call)
  const absent = [...missing.values()].reduce((sum, { instances }) => sum + instances.size, 0)
  if (absent === 0) return
  if (hasNone() && last && statusClass(last.status) === 'failure') throw new StatusError(last.response)
  throw new IncompleteRetrieveError(received.size, absent, last?.status ?? Status.subOperationsWithFailures)
}

function isFinal(status: number): boolean {
  return status === Status.moveDestinationUnknown || status === Status.notAuthorized
}

function isComplete(end: RetrieveEnd, received: Received): boolean {
  if (statusClass(end.status) !== 'success' || (end.failed ?? 0) > 0) return false
  return received.size > 0 && broughtBy(end) === received.size
}

/** Instances that the archive says it moved; undefined where it does not say. */
function broughtBy({ completed, warning = 0 }: RetrieveEnd): number | undefined {
  return completed === undefined ? undefined : completed + warning
}

/** One C-MOVE, at the level asked and never above it; a pooled association that proves dead is replaced, once. */
async function* move(
  ...args: [Selection, readonly Uid[], MoveSource, Received, Call]
): AsyncGenerator<Instance, RetrieveEnd> {
  for (let fresh = false; ; fresh = true) {
    const attempt = new Attempt(...args)
    try {
      return yield* attempt.run(fresh)
    } catch (error) {
      if (fresh || !attempt.stale(error)) throw error
    }
  }
}

/** How far an instance is read. */
interface Reading {
  complete: boolean
  failed: boolean
  /** What was asked of the storage association and has not come. */
  pending: Promise<unknown> | undefined
}

/** How the operation itself ended. */
interface Ending {
  end?: RetrieveEnd
  error?: Error
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('The C-MOVE failed', { cause: error })
}

/** The C-MOVE on one side, what its sub-operations bring on the other. */
class Attempt {
  readonly #selection: Selection
  readonly #uids: readonly Uid[]
  readonly #source: MoveSource
  readonly #received: Received
  readonly #call: Call
  readonly #waiting: { instance: Instance; answer: (status: number) => void }[] = []
  #lease: Awaited<ReturnType<MoveSource['pool']['lease']>> | undefined
  #context: AcceptedContext | undefined
  #arrived = 0
  #over = false
  /** Delivered, read or not. */
  readonly #taken = new Received()
  /** An instance is being read, at its reader's pace. */
  #reading = false
  /** When the archive last delivered, or we last made it wait; by performance.now(). */
  #seen = -Infinity
  #interrupted: Error | undefined
  #interrupt: ((error: Error) => void) | undefined
  readonly #news = new Notifier()

  constructor(...[selection, uids, source, received, call]: Parameters<typeof move>) {
    this.#selection = selection
    this.#uids = uids
    this.#source = source
    this.#received = received
    this.#call = call
  }

  /** It failed before anything came, on an association that had been used before. */
  stale(error: unknown): boolean {
    return this.#arrived === 0 && this.#lease !== undefined && wasStale(this.#lease, error)
  }

  async *run(fresh: boolean): AsyncGenerator<Instance, RetrieveEnd> {
    const { archive, pool, destination, aeTitle, callingAeTitle } = this.#source
    const lease = await pool.lease(moveProposal, this.#call, { fresh })
    this.#lease = lease
    try {
      this.#context = contextOf(lease.association, SopClass.studyRootMove, archive, 'C-MOVE')
      await destination.listen()
    } catch (error) {
      lease.release()
      throw error
    }
    const stop = new AbortController()
    const messageId = destination.nextMessageId()
    const done = destination.expect({
      archiveAeTitle: aeTitle,
      callingAeTitle,
      messageId,
      selection: this.#selection,
      lacks: (place) => !this.#taken.has(place) && !this.#received.has(place),
      deliver: (instance) => this.#deliver(instance),
    })
    const ending: Ending = {}
    const signal = AbortSignal.any([stop.signal, this.#call.signal])
    const operation = this.#operate(messageId, signal).then(
      (end) => (ending.end = end),
      (error: unknown) => (ending.error = asError(error)),
    )
    void operation.then(() => (ending.error === undefined ? this.#tell() : this.#endReading(ending.error)))
    const onAbort = (): void => this.#endReading(asError(this.#call.signal.reason))
    this.#call.signal.addEventListener('abort', onAbort)
    try {
      yield* this.#instances(ending)
      if (ending.error !== undefined) throw ending.error
      return ending.end!
    } finally {
      this.#over = true
      this.#call.signal.removeEventListener('abort', onAbort)
      done()
      for (const { answer } of this.#waiting.splice(0)) answer(Status.outOfResources)
      // Left early: C-CANCEL goes out, and the association is kept if the archive ends the move in time.
      stop.abort(new Error('The retrieve was left'))
      await operation
      lease.release()
    }
  }

  async #operate(messageId: number, signal: AbortSignal): Promise<RetrieveEnd> {
    const { association } = this.#lease!
    const { destination, moveTimeout: timeout } = this.#source
    const { study, series, instance } = this.#selection
    const wanted = instance === undefined ? this.#uids : [instance]
    const level: Level = wanted.length > 0 ? 'IMAGE' : series === undefined ? 'STUDY' : 'SERIES'
    const keys = selectionKeys(study, series, wanted)
    const request = identifier({ level, keys }, UIDS_ONLY)
    const target = { destination: destination.aeTitle, messageId }
    // Some archives send no Pending response: that they deliver is a sign of life, and waiting for us is no silence.
    const alive = (): number => (this.#reading || this.#waiting.length > 0 ? performance.now() : this.#seen)
    return new Scu(association).move(this.#context!, request, target, { timeout, signal, alive })
  }

  /** What comes, until the move is over and no more is to be expected. */
  async *#instances(ending: Readonly<Ending>): AsyncGenerator<Instance> {
    for (;;) {
      this.#call.signal.throwIfAborted()
      const next = this.#waiting.shift()
      if (next) {
        yield* this.#passOn(next)
        continue
      }
      if (ending.error !== undefined) return
      if (ending.end) {
        const grace = this.#graceAfter(ending.end)
        if (grace === 0 || !(await settlesWithin(this.#news.changed, grace))) return
        continue
      }
      await this.#news.changed
    }
  }

  /** The final response may come before the last instance (PS3.4 C.4.2), and says how many there are, or does not. */
  #graceAfter(end: RetrieveEnd): number {
    const brought = broughtBy(end)
    if (brought === this.#arrived) return 0
    if (brought !== undefined && brought > this.#arrived) return STRAGGLER_GRACE_MS
    return statusClass(end.status) === 'failure' && this.#arrived === 0 ? 0 : UNCOUNTED_GRACE_MS
  }

  async *#passOn({
    instance,
    answer,
  }: {
    instance: Instance
    answer: (status: number) => void
  }): AsyncGenerator<Instance> {
    const reading: Reading = { complete: false, failed: false, pending: undefined }
    this.#reading = true
    try {
      const body = this.#read(instance.body, reading)
      if (this.#received.has(instance)) for await (const _ of body);
      else yield { ...instance, body }
      if (reading.complete) this.#received.add(instance)
    } finally {
      this.#reading = false
      this.#arrived++
      this.#seen = performance.now()
      const answerNow = (): void =>
        answer(reading.complete ? Status.success : reading.failed ? Status.cannotUnderstand : Status.outOfResources)
      // What is still asked of the storage association comes first: it has one reader at a time.
      if (reading.pending) void reading.pending.then(answerNow, answerNow)
      else answerNow()
    }
  }

  /** An instance as it is read, until the retrieve is left or the C-MOVE fails. */
  async *#read(body: ByteStream, reading: Reading): AsyncGenerator<Bytes> {
    const iterator: AsyncIterator<Bytes, unknown> = body[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = iterator.next()
        reading.pending = next
        const result = await this.#unlessOver(next)
        reading.pending = undefined
        if (result.done === true) break
        yield result.value
      }
      reading.complete = true
    } catch (error) {
      if (!this.#interrupted) {
        reading.pending = undefined
        reading.failed = true
      }
      throw error
    } finally {
      if (!reading.complete && !reading.pending) await iterator.return?.()
    }
  }

  async #unlessOver<T>(next: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    next.then(resolve, reject)
    this.#interrupt = reject
    if (this.#interrupted) reject(this.#interrupted)
    try {
      return await promise
    } finally {
      this.#interrupt = undefined
    }
  }

  /** The retrieve was left, or the C-MOVE has failed: what the storage association still has is not waited for. */
  #endReading(error: Error): void {
    this.#interrupted ??= error
    this.#interrupt?.(this.#interrupted)
    this.#tell()
  }

  #deliver(instance: Instance): Promise<number> {
    const wanted = this.#uids.length === 0 || this.#uids.includes(instance.sopInstance)
    if (this.#over || !wanted) return Promise.resolve(Status.notAuthorized)
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#taken.add(instance)
    this.#waiting.push({ instance, answer: resolve })
    this.#tell()
    return promise
  }

  #tell(): void {
    this.#news.notify()
  }
}
