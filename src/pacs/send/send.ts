import type { Uid } from '../../dicom/uids.ts'
import type { CommandOf } from '../../dimse/command.ts'
import type { RetrieveEnd } from '../../dimse/retrieve-end.ts'
import { StatusError, statusClass } from '../../dimse/status.ts'
import type { Query } from '../search/query.ts'

/** An archive that instances can be sent to, as the archive that sends knows it. */
export interface Destination {
  readonly name: string
  readonly aeTitle: string
}

/** What is to be sent, by whom, and where to. */
export interface SendRequest {
  readonly uid: Uid
  /** Who asks: nobody else learns what became of it. */
  readonly owner: string
  /** Whose share of all sends it is. */
  readonly client: string
  readonly destination: Destination
  /** Its unique keys alone (PS3.4 C.4.2.2.1). */
  readonly query: Query
}

/**
 * Where a send stands. `waiting`: for its turn, or for an association. `failed`: nothing was sent, or it is not known
 * what. `partly`: some of it was not sent.
 */
export type SendStatus = 'waiting' | 'sending' | 'complete' | 'partly' | 'failed' | 'cancelled'

/** Instances as the archive counts them (PS3.7 9.3.4.2); what it does not tell is undefined. */
export interface SendCounts {
  readonly remaining: number | undefined
  readonly completed: number | undefined
  readonly failed: number | undefined
  readonly warning: number | undefined
}

/** The archive had nothing of what it was asked to send. */
export class NothingToSendError extends Error {
  readonly code = 'NOTHING_TO_SEND'
  constructor() {
    super('The archive says that it has sent all of it, and counts no instance: it has none of that')
    this.name = 'NothingToSendError'
  }
}

/** The archive counts nothing as sent of what it lists: it may be one that sends when it comes to it. */
export class UncountedSendError extends Error {
  readonly code = 'SEND_NOT_COUNTED'
  constructor() {
    super(
      'The archive lists it, says that it has sent all of it, and counts no instance: ask the destination what has come',
    )
    this.name = 'UncountedSendError'
  }
}

const NOTHING: SendCounts = { remaining: undefined, completed: undefined, failed: undefined, warning: undefined }

/** One send: what the archive has said of it. */
export class Send {
  readonly request: SendRequest
  readonly #stop = new AbortController()
  readonly #over = Promise.withResolvers<undefined>()
  readonly #failedInstances: Uid[] = []
  /** By the moves that are over; there are several where the archive cannot match lists of UIDs. */
  #before: SendCounts = NOTHING
  #counts: SendCounts = NOTHING
  #status: SendStatus = 'waiting'
  #dimseStatus: number | undefined
  #error: Error | undefined
  #isPartly = false
  #changed = -Infinity

  constructor(request: SendRequest) {
    this.request = request
  }

  get status(): SendStatus {
    return this.#status
  }

  get counts(): SendCounts {
    return this.#counts
  }

  /** The status that the archive ended it with. */
  get dimseStatus(): number | undefined {
    return this.#dimseStatus
  }

  /** Why it failed, or was cancelled. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Those that the archive names as not sent. */
  get failedInstances(): readonly Uid[] {
    return this.#failedInstances
  }

  get isOver(): boolean {
    return this.#status !== 'waiting' && this.#status !== 'sending'
  }

  /** Nothing has reached the destination, as far as the archive says. */
  get isFruitless(): boolean {
    const { completed = 0, warning = 0 } = this.#counts
    return completed + warning === 0
  }

  /** When the archive last showed that it gets on, by performance.now(). */
  get changed(): number {
    return this.#changed
  }

  /** Resolves when it is over. */
  get over(): Promise<undefined> {
    return this.#over.promise
  }

  /** Aborted when it is to end. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Has it end: the archive is told by C-CANCEL. */
  cancel(reason: Error): void {
    if (this.isOver) return
    this.#stop.abort(reason)
    // One that waits for its turn has not begun, and does not.
    if (this.#status === 'waiting') this.#end('cancelled', reason)
  }

  /** The archive is about to be asked: from here on it may send. */
  begin(): void {
    if (!this.isOver) this.#status = 'sending'
  }

  /** The archive is at work. */
  pending(response: CommandOf<'C-MOVE-RSP'>): void {
    if (!this.isOver) this.#count(response)
  }

  /** One of its moves has ended. Whether the next is to follow. */
  moved(end: RetrieveEnd): boolean {
    const { remaining } = end.response
    this.#dimseStatus = end.status
    this.#count({ ...end, remaining })
    this.#before = { ...this.#counts, remaining: undefined }
    this.#failedInstances.push(...end.failedInstances)
    const kind = statusClass(end.status)
    if (kind === 'cancel') {
      this.#end(
        'cancelled',
        this.#stop.signal.aborted ? asError(this.#stop.signal.reason) : new StatusError(end.response),
      )
      return false
    }
    if (kind === 'failure') {
      this.fail(new StatusError(end.response))
      return false
    }
    // A success that leaves something out is none, whatever it is called.
    if (kind === 'warning' || (remaining ?? 0) > 0 || (end.failed ?? 0) > 0 || end.failedInstances.length > 0) {
      this.#isPartly = true
    }
    return true
  }

  /** All of its moves have ended as a success, and count nothing at all. */
  get isUncounted(): boolean {
    const { completed, failed = 0 } = this.#counts
    return !this.isOver && completed !== undefined && this.isFruitless && failed === 0 && !this.#isPartly
  }

  /** All of its moves have ended. `isListed`: of one that is not counted, whether the archive has any of it. */
  finish(isListed: boolean): void {
    if (this.isOver) return
    if (this.isUncounted) {
      if (isListed) this.#end('partly', new UncountedSendError())
      else this.#end('failed', new NothingToSendError())
      return
    }
    const hasNone = this.#counts.completed !== undefined && this.isFruitless
    this.#end(hasNone ? 'failed' : this.#isPartly ? 'partly' : 'complete')
  }

  fail(error: Error): void {
    if (this.isOver) return
    if (this.#stop.signal.aborted) this.#end('cancelled', asError(this.#stop.signal.reason))
    else this.#end(this.isFruitless ? 'failed' : 'partly', error)
  }

  #end(status: SendStatus, error?: Error): void {
    this.#status = status
    this.#error = error
    this.#over.resolve(undefined)
  }

  #count({ completed, failed, warning, ...rest }: Partial<SendCounts>): void {
    // Counters may be missing from a response: those before it still hold.
    if (completed === undefined && failed === undefined && warning === undefined) return
    const before = this.#before
    const counts = {
      remaining: rest.remaining,
      completed: sum(before.completed, completed),
      failed: sum(before.failed, failed),
      warning: sum(before.warning, warning),
    }
    if (counts.completed !== this.#counts.completed || counts.remaining !== this.#counts.remaining) {
      this.#changed = performance.now()
    }
    this.#counts = counts
  }
}

function sum(before: number | undefined, now: number | undefined): number | undefined {
  return before === undefined ? now : now === undefined ? before : before + now
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The send was ended', { cause: reason })
}
