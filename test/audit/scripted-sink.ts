import { PartlyWrittenError, type AuditEvent, type AuditSink } from '../../src/audit/event.ts'
import { RepositoryError } from '../../src/audit/repository-error.ts'

/** A sink that fails as often as it is told. */
export class Scripted implements AuditSink {
  readonly name = 'scripted'
  readonly written: AuditEvent[] = []
  failures = 0
  partly: number | undefined
  refuses = (_event: AuditEvent): boolean => false
  refusals = 0

  async write(events: readonly AuditEvent[]): Promise<void> {
    if (this.partly !== undefined && events.length > 1) {
      const count = Math.min(this.partly, events.length - 1)
      this.partly = undefined
      this.written.push(...events.slice(0, count))
      throw new PartlyWrittenError(count, {})
    }
    if (this.failures-- > 0) throw new Error('down')
    const at = events.findIndex((event) => this.refuses(event))
    if (at < 0) {
      this.written.push(...events)
      return
    }
    this.refusals++
    this.written.push(...events.slice(0, at))
    await Promise.resolve()
    throw at === 0 ? new RepositoryError(422) : new PartlyWrittenError(at, { cause: new RepositoryError(422) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open.
  }
}

/** Queries that are known by their number. */
export const numbered = (count: number): Omit<AuditEvent, 'at'>[] =>
  Array.from({ length: count }, (_, at) => ({ kind: 'query', outcome: 'success', query: String(at) }))
