import { appendFile } from 'node:fs/promises'
import type { AuditEvent, AuditSink } from './event.ts'

/** One JSON object a line, at the end of a file that is opened each time: it may be moved away for another. */
export class FileSink implements AuditSink {
  readonly name = 'file'
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async write(events: readonly AuditEvent[]): Promise<void> {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
    await appendFile(this.#path, lines, { mode: 0o600, flush: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open between two writes.
  }
}
