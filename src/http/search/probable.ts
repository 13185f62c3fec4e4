import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { setOwn } from '../../dicom/own-attributes.ts'
import type { Entry } from '../../pacs/federation/merge.ts'
import { Identity, type PatientId } from '../../pacs/federation/patient-id.ts'
import type { Key } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'

/** The parameter by which a client asks for them. */
export const PROBABLE = 'probable'

/** By these it is told who might be the same. */
const who = [
  { tag: Attribute.PatientName, vr: 'PN' },
  { tag: Attribute.PatientBirthDate, vr: 'DA' },
  { tag: Attribute.PatientSex, vr: 'CS' },
] as const

/**
 * The search for what may be of somebody else's patient, who is called the same, and was born on the same day: those of other
 * IDs than the patient has. Undefined where he has no name or birth date.
 */
export function probableRequest(request: SearchRequest, patient: Dataset): SearchRequest | undefined {
  const [name, birthDate] = who.map(({ tag }) => patient.string(tag))
  if (!isPlain(name) || !/^\d{8}$/.test(birthDate ?? '')) return undefined
  const ids: readonly number[] = [Attribute.PatientID, Attribute.IssuerOfPatientID]
  const keys = who.flatMap(({ tag, vr }): Key[] => {
    const value = patient.string(tag)
    return value === undefined ? [] : [{ tag, vr, values: [value] }]
  })
  const others = request.match.filter(({ tag }) => !ids.includes(tag) && !keys.some((key) => key.tag === tag))
  return { ...request, fuzzy: false, match: [...others, ...keys] }
}

/** Of what was found those of another ID, marked. @param ids all that the patient has */
export function probableOnly(entries: readonly Entry[], patient: Dataset, ids: readonly PatientId[]): Entry[] {
  const found = entries.flatMap((entry): Entry[] => {
    const told = entry.told.filter(({ archive, row }) => {
      const identity = Identity.of(row, archive.config)
      const isHis = ids.some((one) => identity.has(one))
      return !isHis && who.every(({ tag }) => isAlike(row.string(tag), patient.string(tag)))
    })
    return told.length > 0 ? [{ ...entry, told }] : []
  })
  for (const { row } of found.flatMap(({ told }) => told)) setOwn(row, 'PatientMatch', 'PROBABLE')
  return found
}

/** What one of them does not say is not against it. */
function isAlike(one: string | undefined, other: string | undefined): boolean {
  const plain = (text: string): string => text.replace(/[\^= ]+$/, '').toLowerCase()
  return one === undefined || other === undefined || plain(one) === plain(other)
}

/** A name that, as a key, means no others. */
function isPlain(name: string | undefined): boolean {
  return name !== undefined && name.replace(/[\^= ]/g, '').length > 1 && !/[*?\\]/.test(name)
}
