import { auditPatientOf } from './audit-patient.ts'
import type { AuditPatient, AuditEvent, AuditUser } from '../../audit/event.ts'
import { cut, MAX_SOP_CLASSES, MAX_UID } from '../../audit/bounded.ts'
import type { Audit } from '../../audit/audit.ts'
import type { InstanceIndex } from '../../instance/instance-index.ts'
import type { Principal, Verb } from '../auth/principal.ts'

/** Studies of one request that are gathered until its end; with more they are told in between. */
export const MAX_STUDIES = 1_000

/** Who was asked. */
export type AuditedArchive = NonNullable<AuditEvent['archive']>

/** Who asked for what. */
export interface Asked {
  readonly principal: Omit<AuditUser, 'kind'> & Pick<Principal, 'binding'> & { readonly kind: string }
  readonly address: string
  readonly verb: Exclude<Verb, 'send'>
  readonly archive: AuditedArchive
  readonly resource: string
  readonly query: string
  /** The study that the path names. */
  readonly study: string | undefined
}

/** An instance that was given or stored, or what a search told of it. */
export interface Noted {
  readonly study: string
  readonly sopClass: string
  readonly index: Pick<InstanceIndex, 'attributes'>
}

/** How a request ended. */
export interface Ended {
  readonly status: number
  /** Its answer was cut short. */
  readonly cut: boolean
  /** It is the range of a body that was asked for. */
  readonly isRange: boolean
  /** Why it failed. */
  readonly code: string | undefined
  /** Undefined where nobody has counted them. */
  readonly bytes: number | undefined
}

/** Of what has no answer of its own. */
export const DONE: Ended = { status: 200, cut: false, isRange: false, code: undefined, bytes: undefined }

/** Instances of one study with one fate. */
interface Group {
  readonly study: string
  readonly patient: AuditPatient | undefined
  readonly instances: Map<string, number>
  readonly archive: AuditedArchive
  /** Why they were refused. */
  readonly refusal: string | undefined
}

/** Instances of one study and SOP class. */
interface Added {
  readonly study: string
  readonly sopClass: string
  readonly count: number
  readonly patient: () => AuditPatient | undefined
}

/** What became of it. */
export interface Fate {
  /** Why it was refused. */
  readonly refusal?: string | undefined
  /** Where it is from, where that is not the one that was asked. */
  readonly archive?: AuditedArchive | undefined
}

/** What one request leaves in the audit trail. */
export class Trail {
  readonly #audit: Audit
  readonly #asked: Asked
  /** Who was asked. */
  #archives: readonly AuditedArchive[]
  readonly #silent = new Set<string>()
  readonly #groups = new Map<string, Group>()
  /** Some is told already. */
  #isInParts = false
  /** What is noted now, ended after its request: it is told at once. */
  #isOver = false

  constructor(audit: Audit, asked: Asked) {
    this.#audit = audit
    this.#asked = asked
    this.#archives = [asked.archive]
  }

  /** It is asked of other archives than was thought at first. */
  concerns(archives: readonly [AuditedArchive, ...AuditedArchive[]]): void {
    this.#archives = archives
  }

  /** An archive that was asked has not told all. */
  isSilent({ name }: Pick<AuditedArchive, 'name'>): void {
    this.#silent.add(name)
  }

  /** A set of instances is about to be transferred (PS3.15 A.5.3.3). */
  begin(): void {
    const { study } = this.#asked
    if (study === undefined) return
    this.#write({ kind: 'begin-transferring', outcome: 'success', study: { uid: study, instances: {} } })
  }

  /** An instance was given or stored, or was refused for a reason. */
  note({ study, sopClass, index }: Noted, fate: Fate = {}): void {
    this.#add({ study, sopClass, count: 1, patient: () => auditPatientOf(index.attributes) }, fate)
  }

  #add({ count, patient, ...of }: Added, { refusal, archive = this.#archives[0]! }: Fate = {}): void {
    const study = cut(of.study, MAX_UID)
    const sopClass = cut(of.sopClass, MAX_UID)
    const key = `${study} ${refusal ?? ''} ${archive.name}`
    let group = this.#groups.get(key)
    if (group && group.instances.size >= MAX_SOP_CLASSES && !group.instances.has(sopClass)) {
      this.#tellSoFar([key])
      group = undefined
    }
    if (!group) {
      if (this.#groups.size >= MAX_STUDIES) this.#tellSoFar([...this.#groups.keys()])
      group = { study, patient: patient(), instances: new Map(), archive, refusal }
      this.#groups.set(key, group)
    }
    group.instances.set(sopClass, (group.instances.get(sopClass) ?? 0) + count)
    if (this.#isOver) this.#tellSoFar([key])
  }

  /** So many instances of a study, by their SOP classes, are what the client holds already. */
  noteAll(study: string, patient: AuditPatient | undefined, sopClasses: ReadonlyMap<string, number>): void {
    for (const [sopClass, count] of sopClasses) this.#add({ study, sopClass, count, patient: () => patient })
  }

  end(ended: Ended): void {
    if (this.#isOver) return
    this.#isOver = true
    const { verb, study, query, principal } = this.#asked
    const outcome = outcomeOf(ended, verb)
    const reason = outcome === 'success' ? undefined : ended.code
    if (verb === 'search') {
      const { binding } = principal
      const patient =
        binding?.patient === undefined ? undefined : { id: binding.patient, issuer: binding.patientIssuer }
      const of = study === undefined ? undefined : only(study)
      for (const archive of this.#archives) {
        const own = this.#silent.has(archive.name) && {
          outcome: 'serious-failure' as const,
          reason: reason ?? 'FEDERATION_INCOMPLETE',
        }
        this.#write({ kind: 'query', outcome, reason, query, patient, study: of, ...own }, archive)
      }
      return
    }
    const { bytes } = ended
    const isAll = this.#groups.size === 1 && !this.#isInParts
    for (const group of this.#groups.values()) this.#tell(group, { outcome, reason, bytes: isAll ? bytes : undefined })
    const isTold = this.#groups.size > 0 || this.#isInParts
    this.#groups.clear()
    if (isTold) return
    const of = study === undefined ? undefined : only(study)
    this.#write({ kind: 'instances-transferred', outcome, reason, study: of, bytes })
  }

  /** What has no room beside what is to come. */
  #tellSoFar(keys: readonly string[]): void {
    this.#isInParts = true
    for (const key of keys) {
      this.#tell(this.#groups.get(key)!, { outcome: 'success', reason: undefined, bytes: undefined })
      this.#groups.delete(key)
    }
  }

  #tell(
    { study: uid, patient, instances, archive, refusal }: Group,
    end: Pick<AuditEvent, 'outcome' | 'reason' | 'bytes'>,
  ): void {
    const study = { uid, instances: Object.fromEntries(instances) }
    const refused = refusal !== undefined && { outcome: 'serious-failure' as const, reason: refusal }
    this.#write({ kind: 'instances-transferred', patient, study, ...end, ...refused }, archive)
  }

  #write(
    event: Omit<AuditEvent, 'at' | 'user' | 'address' | 'verb' | 'archive' | 'resource'>,
    archive = this.#archives[0]!,
  ): void {
    const { principal, address, verb, resource } = this.#asked
    const { kind, name, authority } = principal
    const { name: archiveName, aeTitle, host } = archive
    const user = { kind, name, ...(authority !== undefined && { authority }) }
    this.#audit.write({ ...event, user, address, verb, archive: { name: archiveName, aeTitle, host }, resource })
  }
}

function outcomeOf({ status, cut, isRange }: Ended, verb: Verb): AuditEvent['outcome'] {
  if (status >= 400) return 'serious-failure'
  // A retrieval that is 202 has given nothing yet, and lacks nothing.
  const isPartial = (status === 206 && !isRange) || (status === 202 && verb === 'store')
  return cut || isPartial ? 'minor-failure' : 'success'
}

function only(uid: string): NonNullable<AuditEvent['study']> {
  return { uid, instances: {} }
}
