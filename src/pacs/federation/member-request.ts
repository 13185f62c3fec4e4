import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { matchesWildcard } from '../../dicom/wildcard.ts'
import type { Key } from '../search/query.ts'
import type { SearchRequest } from '../search/search.ts'
import { archivesOwn, Identity, toldId, type Owner, type PatientId } from './patient-id.ts'

/** What one archive of a federation is asked, of a search that is asked of all. */
export interface MemberRequest {
  readonly request: SearchRequest
  /** Whether a result, whose patient is told as all of a federation do, is of whom the search is for. */
  readonly isWanted: (row: Dataset) => boolean
}

/**
 * A search in the terms of one archive: with what it puts in front of Patient IDs, and without an issuer, by which few archives
 * match; its answers are looked at for that. `linked`: the IDs of the one patient that the search is for, where it names one
 * and others are known.
 */
export function memberRequest(request: SearchRequest, owner: Owner, linked: readonly PatientId[]): MemberRequest {
  const { match, level, withParents } = request
  const issuers = valuesOf(match, Attribute.IssuerOfPatientID)
  const ids = valuesOf(match, Attribute.PatientID)
  const own = owner.patients.issuer ?? ''
  // It need not match by an issuer that it does not store.
  const isIssuerAsked = ids.length === 0 && !issuers.some((one) => isMatch(one, own))
  const linkedHere = linked.filter(({ issuer }) => issuer === own).map(({ id }) => id)
  const wanted = [...new Set([...linkedHere, ...ids])]
  const named = namedPatient(request)
  const keys = match.flatMap((key): Key[] => {
    if (key.tag === Attribute.PatientID && wanted.length > 0) {
      return [{ ...key, values: wanted.flatMap((id) => archivesOwn(id, owner)) }]
    }
    return key.tag === Attribute.IssuerOfPatientID && !isIssuerAsked ? [] : [key]
  })
  const isWhose = level === 'STUDY' || withParents
  const told = [Attribute.IssuerOfPatientID, ...(owner.patients.otherIds ? [Attribute.OtherPatientIDsSequence] : [])]
  const include = isWhose ? [...new Set([...request.include, ...told])] : request.include
  return {
    request: { ...request, match: keys, include },
    isWanted: (row) => {
      // Below a study whose it is has been found out, and is not told.
      if (!isWhose && !row.has(Attribute.PatientID)) return true
      if (linked.length > 0) {
        const identity = Identity.of(row, owner)
        return linked.some((one) => identity.has(one))
      }
      const told = toldId(row)
      if (named) return told?.id === named.id && told.issuer === named.issuer
      if (issuers.length > 0 && !issuers.some((one) => told && told.issuer !== '' && isMatch(one, told.issuer)))
        return false
      // By what it is called here, which is not what the archive was asked for.
      if (ids.length === 0 || !isWhose || owner.quirks.looseMatching === true) return true
      return told !== undefined && ids.some((one) => isMatch(one.toLowerCase(), told.id.toLowerCase()))
    },
  }
}

/** Values of an LO have so many characters (PS3.5 6.2), those of archives perhaps twice as many. */
const MAX_COMPARED = 128

function isMatch(pattern: string, value: string): boolean {
  return pattern.length <= MAX_COMPARED && value.length <= MAX_COMPARED && matchesWildcard(pattern, value)
}

/** The one patient that a search names, by id and issuer; undefined where it does not, or might mean several. */
export function namedPatient({ match }: SearchRequest): PatientId | undefined {
  const [id, ...otherIds] = valuesOf(match, Attribute.PatientID)
  const [issuer, ...otherIssuers] = valuesOf(match, Attribute.IssuerOfPatientID)
  if (id === undefined || issuer === undefined || otherIds.length + otherIssuers.length > 0) return undefined
  return /[*?]/.test(id + issuer) ? undefined : { id, issuer }
}

function valuesOf(match: readonly Key[], tag: number): string[] {
  return match.filter((key) => key.tag === tag).flatMap(({ values }) => values.map(String))
}
