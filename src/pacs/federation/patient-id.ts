import type { ArchiveConfig } from '../../config/config.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'

/** What tells patients apart: the same id of two issuers is two people. */
export interface PatientId {
  readonly id: string
  /** Empty where nobody knows it: then it is the patient of one archive, and of no other. */
  readonly issuer: string
}

/** What of an archive says whose patients it holds. */
export type Owner = Pick<ArchiveConfig, 'name' | 'patients' | 'quirks'>

/**
 * A Patient ID as its issuer has it: without what the archive puts in front of it, and with the issuer that the archive leaves
 * out. One that lacks what the archive puts in front of those of its issuer is of nobody knows whom.
 */
export function patientIdOf({ id, issuer }: PatientId, { patients }: Owner): PatientId {
  const { issuer: own, stripPrefix } = patients
  if (issuer !== '' && issuer !== own) return { id, issuer }
  if (stripPrefix === null) return { id, issuer: own ?? '' }
  return id.startsWith(stripPrefix) && id.length > stripPrefix.length
    ? { id: id.slice(stripPrefix.length), issuer: own ?? '' }
    : { id, issuer }
}

/** What an archive may call a Patient ID, which may have wildcards: as its issuer's own, or as another's. */
export function archivesOwn(id: string, { patients: { stripPrefix } }: Owner): string[] {
  return stripPrefix === null ? [id] : [stripPrefix + id, id]
}

/** A result of an archive that says whose it is as all of a federation do. Its other attributes stay as they are. */
export function withPatientId(row: Dataset, owner: Owner): Dataset {
  const told = toldId(row)
  if (!told || told.id === '') return row
  const { id, issuer } = patientIdOf(told, owner)
  if (id !== told.id) row.set(Attribute.PatientID, id)
  if (issuer !== told.issuer) row.set(Attribute.IssuerOfPatientID, issuer)
  return row
}

/** Whose a result is; of one that names nobody, or several, that cannot be told. */
export class Identity {
  /** Each is enough. */
  readonly #keys: ReadonlySet<string>
  /** It names nobody. */
  readonly isOfNobody: boolean

  static readonly nobody = new Identity(new Set(), true)

  private constructor(keys: ReadonlySet<string>, isOfNobody: boolean) {
    this.#keys = keys
    this.isOfNobody = isOfNobody
  }

  /** Of a result that withPatientId has been at. */
  static of(row: Dataset, owner: Owner): Identity {
    const told = toldId(row)
    if (!told) return new Identity(new Set(), false)
    const others = owner.patients.otherIds ? row.items(Attribute.OtherPatientIDsSequence) : []
    const linked = others.flatMap((item) => {
      const other = toldId(item)
      return other && other.id !== '' && other.issuer !== '' ? [other] : []
    })
    if (told.id === '') return new Identity(new Set(), true)
    return new Identity(new Set([told, ...linked].map((one) => keyOf(one, owner))), false)
  }

  /** Without an id on either side there is nothing that could be against it. */
  isSame(other: Identity): boolean {
    if (this.isOfNobody && other.isOfNobody) return true
    return [...this.#keys].some((key) => other.#keys.has(key))
  }

  /** The same with all IDs of a patient, where it has one of them. */
  linkedBy(ids: readonly PatientId[]): Identity {
    return this.linkedIn(linksOf([ids]))
  }

  /** The same for several patients. */
  linkedIn(links: Links): Identity {
    const found = links.size === 0 ? [] : [...this.#keys].flatMap((key) => links.get(key) ?? [])
    return found.length === 0 ? this : new Identity(new Set([...this.#keys, ...found]), false)
  }

  /** The same with the keys of another, where the two are of one patient. */
  joinedWith(other: Identity): Identity {
    return new Identity(new Set([...this.#keys, ...other.#keys]), this.isOfNobody)
  }

  has(patient: PatientId): boolean {
    return patient.issuer !== '' && this.#keys.has(keyOf(patient))
  }
}

/** Whether all are of one patient: each is of the same as one of those that are. */
export function areOfOne([first, ...others]: readonly Identity[]): boolean {
  let known = first
  let left = others
  while (known && left.length > 0) {
    const all: Identity = known
    const same = left.filter((one) => one.isSame(all))
    if (same.length === 0) return false
    left = left.filter((one) => !same.includes(one))
    known = same.reduce((joined, one) => joined.joinedWith(one), all)
  }
  return true
}

/** Undefined where it names several, of whom others may take any. */
export function toldId(row: Dataset): PatientId | undefined {
  const [ids, issuers] = [Attribute.PatientID, Attribute.IssuerOfPatientID].map((tag) => row.strings(tag))
  if (ids!.length > 1 || issuers!.length > 1) return undefined
  return { id: ids![0] ?? '', issuer: issuers![0] ?? '' }
}

/** By each ID of a patient all that he has. */
export type Links = ReadonlyMap<string, readonly string[]>

/** @param patients all IDs of each */
export function linksOf(patients: readonly (readonly PatientId[])[]): Links {
  const links = new Map<string, readonly string[]>()
  for (const ids of patients) {
    const keys = ids.filter(({ issuer }) => issuer !== '').map((one) => keyOf(one))
    for (const key of keys) links.set(key, [...(links.get(key) ?? []), ...keys])
  }
  return links
}

/** Values have no backslash. */
function keyOf({ id, issuer }: PatientId, owner?: Owner): string {
  return issuer === '' ? `\\${owner?.name ?? ''}\\${id}` : `${issuer}\\${id}`
}
