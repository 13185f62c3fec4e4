import { PartlyWrittenError, type AuditEvent, type AuditSink, type AuditSource } from './event.ts'
import { fhirAuditEvent } from './fhir-audit-event.ts'
import { RepositoryError } from './repository-error.ts'

/** Milliseconds that the repository has to take one event. */
const ANSWER_MS = 10_000

export interface FhirSinkOptions {
  /** Base of the FHIR server. */
  readonly url: string
  readonly token: string | null
  readonly source: AuditSource
}

/** A FHIR repository of audit events: each is created by HTTP (IHE BALP, ITI-20 by RESTful ATNA). */
export class FhirSink implements AuditSink {
  readonly name = 'fhir'
  readonly #options: FhirSinkOptions

  constructor(options: FhirSinkOptions) {
    this.#options = options
  }

  async write(events: readonly AuditEvent[]): Promise<void> {
    for (let at = 0; at < events.length; at++) {
      try {
        await this.#create(events[at]!)
      } catch (error) {
        // Those before it are there: they must not come again.
        throw at === 0 ? error : new PartlyWrittenError(at, { cause: error })
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Connections are kept by fetch, and end by themselves.
  }

  async #create(event: AuditEvent): Promise<void> {
    const { url, token, source } = this.#options
    const response = await fetch(`${url}/AuditEvent`, {
      method: 'POST',
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: {
        'Content-Type': 'application/fhir+json',
        Accept: 'application/fhir+json',
        Prefer: 'return=minimal',
        ...(token !== null && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(fhirAuditEvent(event, source)),
    })
    await response.body?.cancel()
    if (!response.ok) throw new RepositoryError(response.status)
  }
}
