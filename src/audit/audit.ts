import { bounded } from './bounded.ts'
import type { AuditEvent, AuditSink } from './event.ts'
import { AuditQueue } from './queue.ts'

/** How long events may take to be written when the service stops, in ms. */
export const CLOSE_MS = 5_000

/** What happens when events cannot be written. */
export type OnFailure = 'block' | 'drop'

/** Whether one more of a kind is to be written, and how many were not since the last; undefined where it is not. */
export interface AlertBounds {
  next(kind: string): { readonly spared?: number } | undefined
  /** Kinds of which there were more that nobody has told yet. */
  rest(): readonly { readonly kind: string; readonly spared: number }[]
}

/** The audit trail: who did what, to each sink that is configured. */
export class Audit {
  readonly #queues: readonly AuditQueue[]
  readonly #onFailure: OnFailure
  readonly #alerts: AlertBounds

  constructor(
    sinks: readonly AuditSink[],
    onFailure: OnFailure,
    alerts: AlertBounds = { next: () => ({}), rest: () => [] },
  ) {
    this.#onFailure = onFailure
    this.#alerts = alerts
    this.#queues = sinks.map((sink) => new AuditQueue(sink, { keepsAll: onFailure === 'block' }))
  }

  /** There is nowhere to write to: nobody need gather anything. */
  get isOff(): boolean {
    return this.#queues.length === 0
  }

  /** Nothing may be done that could not be written down. */
  get isBlocked(): boolean {
    return this.#onFailure === 'block' && this.#queues.some(({ isFull }) => isFull)
  }

  get stats(): readonly AuditQueue['stats'][] {
    return this.#queues.map(({ stats }) => stats)
  }

  write(event: Omit<AuditEvent, 'at'>): void {
    if (this.isOff) return
    const dated = bounded({ at: new Date().toISOString(), ...event })
    for (const queue of this.#queues) queue.add(dated)
  }

  /**
   * An alert, which costs others nothing: a queue with not much room left drops it, and one of many of a kind is told by the
   * next, so that nobody fills the trail by them. `client` is who caused it, where that is more than the address.
   */
  alert(event: Omit<AuditEvent, 'at' | 'kind' | 'outcome' | 'spared'>, client = event.address): void {
    if (this.isOff) return
    const spared = this.#alerts.next(`${event.reason} ${client ?? ''}`)
    if (spared) this.write({ kind: 'security-alert', outcome: 'serious-failure', ...event, ...spared })
  }

  async close(): Promise<void> {
    for (const { kind, spared } of this.#alerts.rest()) {
      const [reason, client = ''] = kind.split(' ')
      const address = client === '' ? undefined : client
      this.write({ kind: 'security-alert', outcome: 'serious-failure', reason, address, spared })
    }
    await Promise.all(this.#queues.map((queue) => queue.close(CLOSE_MS)))
  }
}
