import type { Uid } from '../../dicom/uids.ts'
import type { CommandOf } from '../../dimse/command.ts'
import type { RetrieveEnd } from '../../dimse/retrieve-end.ts'
import { Status, StatusError, statusClass } from '../../dimse/status.ts'
import type { Query } from '../search/query.ts'
import { Tally, type SendCounts } from './tally.ts'

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
 * Where a send stands. `waiting`: for its turn, or for an association. `failed`: nothing was sent, or it is not known what.
 * `partly`: some of it was not sent, or the archive contradicts itself.
 */
export type SendStatus = 'waiting' | 'sending' | 'complete' | 'partly' | 'failed' | 'cancelled'

/** Failed instances that are kept of one send. */
export const MAX_FAILED = 1_000

/** The archive had nothing of what it was asked to send. */
export class NothingToSendError extends Error {
  readonly code = 'NOTHING_TO_SEND'
  constructor() {
    super('The archive counts no instance as sent, and does not list what it was asked to send')
    this.name = 'NothingToSendError'
  }
}

/** The archive counts nothing as sent of what it lists: it may be one that sends when it comes to it. */
export class UncountedSendError extends Error {
  readonly code = 'SEND_NOT_COUNTED'
  constructor() {
    super('The archive lists it, calls it sent, and counts no instance: ask the destination what has come')
    this.name = 'UncountedSendError'
  }
}

/** Something that the archive said is against what it called a success. */
export class IncompleteSendError extends Error {
  readonly code = 'SEND_INCOMPLETE'
  constructor() {
    super('The archive counts, or lists, instances that it has not sent, or contradicts itself: ask the destination')
    this.name = 'IncompleteSendError'
  }
}

/** One send: what the archive has said of it. */
export class Send {
  readonly request: Omit<SendRequest, 'query'>
  /** The studies that it is of. */
  readonly studies: readonly Uid[]
  readonly #stop = new AbortController()
  readonly #over = Promise.withResolvers<undefined>()
  readonly #failedInstances = new Set<Uid>()
  #tallies: Tally[] = []
  #status: SendStatus = 'waiting'
  #worst: number | undefined
  #error: Error | undefined
  /** A move has ended as a success that says nothing of its instances, or with some. */
  #hasSent = false
  /** What one more move is at. */
  #progress = 0
  #changed = -Infinity

  constructor({ query: _query, ...request }: SendRequest, studies: readonly Uid[]) {
    this.request = request
    this.studies = studies
  }

  get status(): SendStatus {
    return this.#status
  }

  /** Of all its moves; remaining ones of the last, which say nothing while others are to follow. */
  get counts(): SendCounts {
    const all = this.#tallies.map(({ counts }) => counts)
    const sum = (name: 'completed' | 'failed' | 'warning'): number | undefined =>
      all.reduce<number | undefined>((before, one) => add(before, one[name]), undefined)
    const remaining = all.length === 1 || this.isOver ? all.at(-1)?.remaining : undefined
    return { remaining, completed: sum('completed'), failed: sum('failed'), warning: sum('warning') }
  }

  /** The status that the archive ended it with; of several moves the worst. */
  get dimseStatus(): number | undefined {
    return this.isOver ? this.#worst : undefined
  }

  /** Why it failed, is not all, or was cancelled. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Those that the archive names as not sent, up to MAX_FAILED. */
  get failedInstances(): readonly Uid[] {
    return [...this.#failedInstances]
  }

  get isOver(): boolean {
    return this.#status !== 'waiting' && this.#status !== 'sending'
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
    if (this.isOver) return
    this.#status = 'sending'
    this.#progress = 0
    this.#tallies.push(new Tally())
  }

  /** A response before the final one, or the one behind a C-CANCEL. */
  tell(response: Partial<SendCounts>): void {
    const tally = this.#tallies.at(-1)
    if (this.isOver || !tally) return
    tally.tell(response)
    if (tally.over > this.#progress) this.#changed = performance.now()
    this.#progress = Math.max(this.#progress, tally.over)
  }

  /**
   * One of its moves has ended, of which so many instances were `named` by UIDs. What it comes to: `empty` is a success that
   * counts nothing; behind a `failed` one the others go on, unless the destination is at fault.
   */
  moved(end: RetrieveEnd, named: number): 'sent' | 'empty' | 'failed' | 'over' {
    const tally = this.#tallies.at(-1)!
    this.tell(end.response)
    this.#note(end.status)
    for (const uid of end.failedInstances) if (this.#failedInstances.size < MAX_FAILED) this.#failedInstances.add(uid)
    const kind = statusClass(end.status)
    if (kind === 'cancel' || kind === 'failure') {
      this.#error ??= new StatusError(end.response)
      this.#hasSent ||= tally.sent > 0
      if (kind === 'failure' && end.status !== Status.moveDestinationUnknown) return 'failed'
      this.#end(kind === 'cancel' ? 'cancelled' : this.#hasSent ? 'partly' : 'failed', this.#error)
      return 'over'
    }
    const verdict = tally.verdict(end, end.failedInstances, named)
    if (verdict === 'nothing') return 'empty'
    this.#hasSent = true
    if (verdict === 'part') this.#error ??= new IncompleteSendError()
    return 'sent'
  }

  /** Of a move that counted nothing, whether the archive lists what it was of. */
  looked(isListed: boolean): void {
    if (isListed) this.#hasSent = true
    this.#error ??= isListed ? new UncountedSendError() : new NothingToSendError()
  }

  /** A move that counted nothing is made anew, in parts. */
  retract(): void {
    this.#tallies.pop()
    this.#worst = undefined
  }

  /** All of its moves have ended. */
  finish(): void {
    if (this.isOver) return
    if (this.#error) this.#end(this.#hasSent ? 'partly' : 'failed', this.#error)
    else this.#end('complete')
  }

  /** It ends without a final response, or by one that came behind a C-CANCEL. */
  fail(error: Error, late?: CommandOf<'C-MOVE-RSP'>): void {
    if (this.isOver) return
    if (late) {
      this.tell(late)
      this.#note(late.status)
    }
    const sent = this.#hasSent || this.#tallies.some((tally) => tally.sent > 0)
    if (this.#stop.signal.aborted) this.#end('cancelled', asError(this.#stop.signal.reason))
    else this.#end(sent ? 'partly' : 'failed', error)
  }

  #note(status: number): void {
    const rank = (one: number | undefined): number =>
      one === undefined ? -1 : ['success', 'warning', 'cancel', 'failure'].indexOf(statusClass(one))
    if (rank(status) > rank(this.#worst)) this.#worst = status
  }

  #end(status: SendStatus, error?: Error): void {
    this.#status = status
    this.#error = error
    this.#over.resolve(undefined)
  }
}

function add(before: number | undefined, more: number | undefined): number | undefined {
  return before === undefined ? more : before + (more ?? 0)
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The send was ended', { cause: reason })
}
