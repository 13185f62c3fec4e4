import { channel } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { PartlyWrittenError, type AuditEvent, type AuditSink } from './event.ts'
import { SetAside } from './set-aside.ts'

/** Events that wait to be written; more are dropped, or keep requests out. */
export const MAX_WAITING = 10_000
/**
 * With so many waiting alerts are dropped. Who has not signed in causes them: they must not take the room of what others
 * do, nor, where that keeps requests out, keep them out.
 */
export const MAX_WAITING_FOR_ALERTS = MAX_WAITING / 2
/** Events that are written at once. */
const BATCH = 100
/** Pauses before another try, in ms: doubled from the first to the last. */
const FIRST_PAUSE_MS = 500
const LAST_PAUSE_MS = 30_000

/**
 * Published when a sink fails, and works again; when events begin to be dropped since it is full, and how many were when it
 * has written all; when requests are kept out, and let in again; when it has refused events that are given up; and when
 * events are lost at a stop.
 */
export interface AuditSinkEvent {
  readonly sink: string
  /** The file that the sink is. */
  readonly path?: string | undefined
  readonly what: 'failed' | 'recovered' | 'dropped' | 'blocked' | 'unblocked' | 'refused' | 'lost'
  readonly error?: unknown
  /** How many are lost by it. */
  readonly events?: number
}

const sinks = channel('dimsegate:audit')

/** Events on their way to one sink, in their order. */
export class AuditQueue implements AsyncDisposable {
  readonly #sink: AuditSink
  readonly #waiting: AuditEvent[] = []
  readonly #aside = new SetAside()
  readonly #keepsAll: boolean
  /** It is to be closed: no long pauses are made any more. */
  readonly #hurry = new AbortController()
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #isClosed = false
  #hasFailed = false
  #isBlocked = false
  #dropped = 0
  /** Since all was written. */
  #droppedOfLate = 0

  /** `keepsAll`: events beyond MAX_WAITING are kept too, since nobody is let in who would cause more. */
  constructor(sink: AuditSink, { keepsAll }: { readonly keepsAll: boolean }) {
    this.#sink = sink
    this.#keepsAll = keepsAll
  }

  get isFull(): boolean {
    return this.#size >= MAX_WAITING
  }

  get stats(): { readonly sink: string; readonly waiting: number; readonly dropped: number } {
    return { sink: this.#sink.name, waiting: this.#size, dropped: this.#dropped }
  }

  /** An alert is dropped where there is not much room left. */
  add(event: AuditEvent): void {
    if (this.#isClosed) {
      this.#dropped++
      this.#publish('lost', { events: 1 })
      return
    }
    const hasRoom =
      event.kind === 'security-alert' ? this.#size < MAX_WAITING_FOR_ALERTS : !this.isFull || this.#keepsAll
    if (!hasRoom) {
      this.#dropped++
      this.#droppedOfLate++
      if (this.#droppedOfLate === 1) this.#publish('dropped')
      return
    }
    this.#waiting.push(event)
    this.#tellOfBlocking()
    this.#running ??= this.#run()
  }

  /** Gives what waits so many ms to be written; what is left then is lost, or it is not known whether it is. */
  async close(grace: number): Promise<void> {
    this.#hurry.abort()
    const { promise: isOver, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => {
      this.#stop.abort()
      resolve(undefined)
    }, grace)
    await Promise.race([this.#running, isOver])
    clearTimeout(timer)
    this.#isClosed = true
    this.#tellOfDropped()
    const lost = this.#size
    if (lost > 0) {
      this.#waiting.length = 0
      this.#aside.clear()
      this.#dropped += lost
      this.#publish('lost', { events: lost })
    }
    await this.#sink[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0)
  }

  get #size(): number {
    return this.#waiting.length + this.#aside.size
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const batch = this.#waiting.slice(0, BATCH)
      try {
        await this.#sink.write(batch)
        this.#accepted(batch.length)
        if (this.#hasFailed) this.#publish('recovered')
        this.#hasFailed = false
        if (this.#waiting.length === 0) this.#tellOfDropped()
        pause = FIRST_PAUSE_MS
      } catch (thrown) {
        const isPart = thrown instanceof PartlyWrittenError
        if (isPart) this.#accepted(Math.min(thrown.written, batch.length))
        const error = isPart ? thrown.cause : thrown
        if (this.#aside.take(this.#waiting, error)) continue
        if (!this.#hasFailed) this.#publish('failed', { error })
        this.#hasFailed = true
        await this.#pause(pause)
        pause = Math.min(2 * pause, LAST_PAUSE_MS)
      }
    }
    // At once: what is added from here on begins anew.
    this.#running = undefined
  }

  async #pause(ms: number): Promise<void> {
    const isHurried = this.#hurry.signal.aborted
    const { signal } = isHurried ? this.#stop : this.#hurry
    await delay(isHurried ? FIRST_PAUSE_MS : ms, undefined, { signal }).catch(() => undefined)
  }

  /** The first so many are written: what was refused before them is not to blame on the whole repository. */
  #accepted(count: number): void {
    if (count === 0) return
    this.#waiting.splice(0, count)
    const { events, error } = this.#aside.clear()
    if (events > 0) {
      this.#dropped += events
      this.#publish('refused', { events, error })
    }
    this.#tellOfBlocking()
  }

  #tellOfDropped(): void {
    if (this.#droppedOfLate > 0) this.#publish('dropped', { events: this.#droppedOfLate })
    this.#droppedOfLate = 0
  }

  #tellOfBlocking(): void {
    const isBlocked = this.#keepsAll && this.isFull
    if (isBlocked === this.#isBlocked) return
    this.#isBlocked = isBlocked
    this.#publish(isBlocked ? 'blocked' : 'unblocked')
  }

  #publish(what: AuditSinkEvent['what'], told: Pick<AuditSinkEvent, 'error' | 'events'> = {}): void {
    const { name: sink, path } = this.#sink
    sinks.publish({ sink, path, what, ...told } satisfies AuditSinkEvent)
  }
}
