import { isIP } from 'node:net'

/** What happened, in the terms of PS3.15 A.5. */
export type AuditKind =
  'application-start' | 'application-stop' | 'query' | 'begin-transferring' | 'instances-transferred' | 'security-alert'

/** Who asked. */
export interface AuditUser {
  readonly kind: string
  readonly name: string
  /** Who says so. */
  readonly authority?: string | undefined
}

export interface AuditPatient {
  readonly id: string
  readonly issuer?: string | undefined
}

export interface AuditStudy {
  readonly uid: string
  /** Instances of each SOP class. */
  readonly instances: Readonly<Record<string, number>>
}

/** One entry of the audit trail: of one patient, and of one study, where it is about any. */
export interface AuditEvent {
  readonly kind: AuditKind
  /** When, in ISO 8601. */
  readonly at: string
  readonly outcome: 'success' | 'minor-failure' | 'serious-failure'
  /** Why it was no success: a code of docs/errors.md, or of the listener's refusals. */
  readonly reason?: string | undefined
  readonly user?: AuditUser | undefined
  /** Where it came from. */
  readonly address?: string | undefined
  readonly verb?: 'search' | 'retrieve' | 'store' | 'admin' | undefined
  /** The archive it went to. */
  readonly archive?: { readonly name: string; readonly aeTitle: string; readonly host: string } | undefined
  /** The path that was asked for. */
  readonly resource?: string | undefined
  /** What was searched for, as the client wrote it. */
  readonly query?: string | undefined
  readonly patient?: AuditPatient | undefined
  readonly study?: AuditStudy | undefined
  /** Of what was transferred, about. */
  readonly bytes?: number | undefined
  /** Alerts like this one that were left out since the last: there were too many in a minute. */
  readonly spared?: number
}

/** Event Outcome Indicator (PS3.15 A.5.1, RFC 3881), which FHIR has taken over. */
export const outcomeIndicators = { success: '0', 'minor-failure': '4', 'serious-failure': '8' } as const

/** Network Access Point Type Code (PS3.15 A.5.1, RFC 3881), which FHIR has taken over: a machine's name, or its IP address. */
export function accessPointType(host: string): '1' | '2' {
  return isIP(host) === 0 ? '1' : '2'
}

/** Where events are written to, one after another. */
export interface AuditSink extends AsyncDisposable {
  /** For logs and metrics. */
  readonly name: string
  /** The file that it is, if it is one. */
  readonly path?: string
  /**
   * @throws where they could not be written, or it is not known whether they were: they come again; PartlyWrittenError: the
   * others do; RepositoryError, alone or as the cause of that: the first of those was refused
   */
  write(events: readonly AuditEvent[]): Promise<void>
}

/** So many of the events are written. */
export class PartlyWrittenError extends Error {
  readonly code = 'PARTLY_WRITTEN'
  readonly written: number
  constructor(written: number, options: ErrorOptions) {
    super(`Only ${written} events were written`, options)
    this.name = 'PartlyWrittenError'
    this.written = written
  }
}

/** Who writes the trail. */
export interface AuditSource {
  readonly aeTitle: string
  /** Name of the machine. */
  readonly host: string
  /** Of the place that it is in, where the configuration has it. */
  readonly site?: string | undefined
}
