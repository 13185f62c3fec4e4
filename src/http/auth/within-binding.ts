import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import { patientIdOf, type PatientId } from '../../pacs/federation/patient-id.ts'
import type { Key } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import type { Binding } from './principal.ts'
import { patientOf, type StudyPatient } from './study-patients.ts'

/**
 * Whether somebody may see, and store, what is of a study: its patient is the one that he is bound to, as the archive says.
 * @throws what a search throws
 */
export async function isWithin(
  c: HttpContext,
  study: Uid,
  binding: Binding | undefined,
  archive = c.var.archive,
): Promise<boolean> {
  if (!binding) return true
  if (binding.study !== undefined && binding.study !== study) return false
  if (binding.patient === undefined) return true
  const patient = await c.var.patients.of(archive, study, c.var.signal)
  const isHis = patient !== undefined && isOf(c, archive, patient, binding)
  // Asked each time, as one that is not there is: how long it takes does not tell of the study then.
  if (!isHis) c.var.patients.forget(archive, study)
  return isHis
}

/** @throws RequestError 404, whether there is such a study or not; what a search throws */
export async function checkStudy(c: HttpContext, study: Uid): Promise<void> {
  // Of several archives as one, copies of other patients were left out when they were found.
  const { federated } = c.var
  if (federated ? federated.uid === study : await isWithin(c, study, c.var.principal.binding)) return
  throw new RequestError(404, 'NO_SUCH_STUDY', 'There is no such study, or this sign-in is not for it.')
}

/** A search that finds nothing but what somebody may see; undefined where it asks for other things. */
export function narrowed(request: SearchRequest, binding: Binding | undefined): SearchRequest | undefined {
  // Whether it is a study that he may see was looked at before.
  if (!binding || request.study !== undefined) return request
  const forced: Key[] = []
  const force = (tag: number, vr: Key['vr'], value: string | undefined): void => {
    if (value !== undefined) forced.push({ tag, vr, values: [value] })
  }
  force(Attribute.PatientID, 'LO', binding.patient)
  force(Attribute.IssuerOfPatientID, 'LO', binding.patientIssuer)
  force(Attribute.StudyInstanceUID, 'UI', binding.study)
  const isForced = ({ tag }: Key): boolean => forced.some((one) => one.tag === tag)
  const others = request.match.filter((key) => isForced(key) && !asksFor(key, forced))
  if (others.length > 0) return undefined
  return { ...request, match: [...request.match.filter((key) => !isForced(key)), ...forced] }
}

/** A key of the client that leaves what he is bound to within it. */
function asksFor({ tag, values }: Key, forced: readonly Key[]): boolean {
  const wanted = String(forced.find((one) => one.tag === tag)?.values[0])
  return values.length === 0 || values.some((value) => value === wanted || /^\*+$/.test(String(value)))
}

/** Whether an ID with its issuer, as all of a federation tell it, is what somebody is bound to. */
export function isExactly({ id, issuer }: PatientId, { patient, patientIssuer }: Binding): boolean {
  return issuer !== '' && id === patient && issuer === patientIssuer
}

/** They tell of other studies. */
const OF_ALL_STUDIES = [
  Attribute.NumberOfPatientRelatedStudies,
  Attribute.NumberOfPatientRelatedSeries,
  Attribute.NumberOfPatientRelatedInstances,
]

/**
 * The results of a search that somebody may see, whatever the archive made of the keys. @throws what a search throws
 */
export async function* visible(
  c: HttpContext,
  results: AsyncIterable<Dataset>,
  level: SearchRequest['level'],
  archive = c.var.archive,
): AsyncGenerator<Dataset> {
  const { binding } = c.var.principal
  for await (const result of results) {
    if (binding && !(await isVisible(c, result, level, { binding, archive }))) continue
    if (binding?.study !== undefined) for (const tag of OF_ALL_STUDIES) result.delete(tag)
    yield result
  }
}

async function isVisible(
  c: HttpContext,
  result: Dataset,
  level: SearchRequest['level'],
  { binding, archive }: { readonly binding: Binding; readonly archive: Archive },
): Promise<boolean> {
  const study = result.string(Attribute.StudyInstanceUID)
  if (study === undefined || (binding.study !== undefined && study !== binding.study)) return false
  if (binding.patient === undefined) return true
  // Below studies an archive need not say whose it is, and some repeat what they were asked.
  if (level !== 'STUDY') return isWithin(c, study, binding, archive)
  // Of several archives as one, whose it is has been found out.
  return c.var.federated ? isExactly(patientOf(result), binding) : isOf(c, archive, patientOf(result), binding)
}

/**
 * Whether somebody is bound to the patient that an archive, or an instance for it, names. An archive that does not say who
 * issued its ids has one issuer; where several archives are one, whose patient it is has to be known.
 */
export function isOf(
  c: HttpContext,
  archive: Archive,
  { id, issuer }: Pick<StudyPatient, 'id' | 'issuer'>,
  binding: Binding,
): boolean {
  if (c.var.federated) return isExactly(patientIdOf({ id, issuer }, archive.config), binding)
  const { patient, patientIssuer } = binding
  const told = issuer === '' ? (archive.config.patients.issuer ?? '') : issuer
  return id === patient && (patientIssuer === undefined || told === '' || told === patientIssuer)
}
