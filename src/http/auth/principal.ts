import type { ArchiveConfig } from '../../config/config.ts'

/** What a request does; `send` is to have the archive send to others, `admin` is to see metrics and what the doctor finds. */
export type Verb = 'search' | 'retrieve' | 'store' | 'send' | 'admin'

/** The one patient, or the one study, that somebody may see and store. */
export interface Binding {
  /** PatientID (0010,0020). */
  readonly patient?: string | undefined
  /** Issuer of Patient ID (0010,0021), where it is told beside `patient`. */
  readonly patientIssuer?: string | undefined
  readonly study?: string | undefined
}

/** Who asks. */
export interface Principal {
  readonly kind: 'anonymous' | 'token' | 'key' | 'proxy' | 'certificate' | 'link'
  /** As the audit trail names who asks; unique within `kind` and `authority`. */
  readonly name: string
  /** Who says so: the issuer of the token. */
  readonly authority?: string | undefined
  readonly binding?: Binding | undefined
  /** Whether it may do that, to an archive where it is done to one. */
  may(verb: Verb, archive?: Pick<ArchiveConfig, 'name' | 'aeTitle'>): boolean
}
