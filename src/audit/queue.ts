import { channel } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { PartlyWrittenError, type AuditEvent, type AuditSink } from './event.ts'

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

/** Published when a sink fails, works again, or loses events since it is full. */
export interface AuditSinkEvent {
  readonly sink: string
  readonly what: 'failed' | 'recovered' | 'dropped'
  readonly error?: unknown
}

const sinks = channel('dimsegate:audit')

/** Events on their way to one sink, in their order. */
export class AuditQueue implements AsyncDisposable {
  readonly #sink: AuditSink
  readonly #waiting: AuditEvent[] = []
  readonly #keepsAll: boolean
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #hasFailed = false
  #dropped = 0

  /** `keepsAll`: events beyond MAX_WAITING are kept too, since nobody is let in who would cause more. */
  constructor(sink: AuditSink, { keepsAll }: { readonly keepsAll: boolean }) {
    this.#sink = sink
    this.#keepsAll = keepsAll
  }

  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING
  }

  get takesAlerts(): boolean {
    return this.#waiting.length < MAX_WAITING_FOR_ALERTS
  }

  get stats(): { readonly sink: string; readonly waiting: number; readonly dropped: number } {
    return { sink: this.#sink.name, waiting: this.#waiting.length, dropped: this.#dropped }
  }

  add(event: AuditEvent): void {
    if (this.isFull && !this.#keepsAll) {
      this.#dropped++
      if (this.#dropped === 1) this.#publish('dropped')
      return
    }
    this.#waiting.push(event)
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  /** Gives what waits so many ms to be written; what is left then is lost. */
  async close(grace: number): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(), grace)
    await this.#running
    clearTimeout(timer)
    await this.#sink[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0)
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const batch = this.#waiting.slice(0, BATCH)
      try {
        await this.#sink.write(batch)
        this.#waiting.splice(0, batch.length)
        if (this.#hasFailed) this.#publish('recovered')
        this.#hasFailed = false
        pause = FIRST_PAUSE_MS
      } catch (error) {
        if (error instanceof PartlyWrittenError) this.#waiting.splice(0, Math.min(error.written, batch.length))
        if (!this.#hasFailed) this.#publish('failed', error)
        this.#hasFailed = true
        await delay(pause, undefined, { signal: this.#stop.signal }).catch(() => undefined)
        pause = Math.min(2 * pause, LAST_PAUSE_MS)
      }
    }
  }

  #publish(what: AuditSinkEvent['what'], error?: unknown): void {
    sinks.publish({ sink: this.#sink.name, what, error } satisfies AuditSinkEvent)
  }
}
