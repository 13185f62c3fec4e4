import type { AuditPatient, AuditEvent } from '../../audit/event.ts'
import type { Audit } from '../../audit/audit.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { InstanceIndex } from '../../instance/instance-index.ts'
import type { Principal, Verb } from '../auth/principal.ts'
import type { ArchiveConfig } from '../../config/config.ts'

/** Studies of one request that are told apart; a store may bring any number. */
const MAX_STUDIES = 1_000

/** Who asked for what. */
export interface Asked {
  readonly principal: Principal
  readonly address: string
  readonly verb: Verb
  readonly archive: ArchiveConfig
  readonly resource: string
  readonly query: string
  /** The study that the path names. */
  readonly study: string | undefined
}

/** An instance that was given or stored. */
export interface Noted {
  readonly study: string
  readonly sopClass: string
  readonly index: InstanceIndex
}

/** How a request ended. */
export interface Ended {
  readonly status: number
  /** Its answer was cut short. */
  readonly cut: boolean
  /** Why it failed. */
  readonly code: string | undefined
  readonly bytes: number
}

interface Group {
  readonly patient: AuditPatient | undefined
  readonly instances: Record<string, number>
}

/** What one request leaves in the audit trail. */
export class Trail {
  readonly #audit: Audit
  readonly #asked: Asked
  readonly #studies = new Map<string, Group>()

  constructor(audit: Audit, asked: Asked) {
    this.#audit = audit
    this.#asked = asked
  }

  /** A set of instances is about to be transferred (PS3.15 A.5.3.3). */
  begin(): void {
    const { study } = this.#asked
    if (study === undefined) return
    this.#write({ kind: 'begin-transferring', outcome: 'success', study: { uid: study, instances: {} } })
  }

  note({ study, sopClass, index }: Noted): void {
    let group = this.#studies.get(study)
    if (!group) {
      if (this.#studies.size >= MAX_STUDIES) return
      group = { patient: patientOf(index), instances: {} }
      this.#studies.set(study, group)
    }
    group.instances[sopClass] = (group.instances[sopClass] ?? 0) + 1
  }

  end(ended: Ended): void {
    const { verb, study, query, principal } = this.#asked
    const outcome = outcomeOf(ended)
    const reason = outcome === 'success' ? undefined : ended.code
    if (verb === 'search') {
      const { binding } = principal
      const patient =
        binding?.patient === undefined ? undefined : { id: binding.patient, issuer: binding.patientIssuer }
      this.#write({
        kind: 'query',
        outcome,
        reason,
        query,
        patient,
        study: study === undefined ? undefined : only(study),
      })
      return
    }
    const { bytes } = ended
    for (const [uid, { patient, instances }] of this.#studies) {
      const event = { outcome, reason, patient, study: { uid, instances } }
      this.#write({ kind: 'instances-transferred', ...event, bytes: this.#studies.size === 1 ? bytes : undefined })
    }
    if (this.#studies.size > 0) return
    const of = study === undefined ? undefined : only(study)
    this.#write({ kind: 'instances-transferred', outcome, reason, study: of, bytes })
  }

  #write(event: Omit<AuditEvent, 'at' | 'user' | 'address' | 'verb' | 'archive' | 'resource'>): void {
    const { principal, address, verb, archive, resource } = this.#asked
    const { kind, name, authority } = principal
    const { name: archiveName, aeTitle, host } = archive
    const user = { kind, name, ...(authority !== undefined && { authority }) }
    this.#audit.write({ ...event, user, address, verb, archive: { name: archiveName, aeTitle, host }, resource })
  }
}

const PARTIAL: readonly number[] = [202, 206]

function outcomeOf({ status, cut }: Ended): AuditEvent['outcome'] {
  if (status >= 400) return 'serious-failure'
  return cut || PARTIAL.includes(status) ? 'minor-failure' : 'success'
}

function only(uid: string): NonNullable<AuditEvent['study']> {
  return { uid, instances: {} }
}

/** As the instance itself says. */
function patientOf({ attributes }: InstanceIndex): AuditPatient | undefined {
  const id = attributes.string(Attribute.PatientID)?.trim() ?? ''
  const issuer = attributes.string(Attribute.IssuerOfPatientID)?.trim() ?? ''
  return id === '' ? undefined : { id, issuer: issuer === '' ? undefined : issuer }
}
