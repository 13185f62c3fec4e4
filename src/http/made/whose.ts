import { Attribute } from '../../dicom/attributes.ts'
import { Dataset, vrFor } from '../../dicom/dataset.ts'
import { keywordOf, tagOf } from '../../dicom/dictionary.ts'
import { newUid } from '../../dicom/new-uid.ts'
import type { Tag } from '../../dicom/tag.ts'
import { isUid } from '../../dicom/uids.ts'
import type { Vr } from '../../dicom/vr.ts'
import { notPermitted } from '../auth/errors.ts'
import type { HttpContext } from '../context.ts'
import { pathUid } from '../path.ts'
import { RequestError } from '../problem.ts'

/** What a client may say in the query of what it stores; whatever else is there is a mistake. */
const TOLD = [
  'PatientID',
  'IssuerOfPatientID',
  'PatientName',
  'PatientBirthDate',
  'PatientSex',
  'StudyInstanceUID',
  'StudyDate',
  'StudyTime',
  'StudyID',
  'StudyDescription',
  'AccessionNumber',
  'ReferringPhysicianName',
  'SeriesInstanceUID',
  'SeriesNumber',
  'SeriesDescription',
  'Modality',
  'BodyPartExamined',
  'Laterality',
  'OperatorsName',
  'InstitutionName',
  'Manufacturer',
  'SOPInstanceUID',
  'InstanceNumber',
  'ContentDate',
  'ContentTime',
  'DocumentTitle',
  'ImageComments',
  'BurnedInAnnotation',
] as const
const TOLD_TAGS: readonly Tag[] = TOLD.map((keyword) => tagOf(keyword)!)
/** Parameters that say something else. */
const OTHERS = ['accession', 'commit', 'accept']
const UIDS: readonly Tag[] = [Attribute.StudyInstanceUID, Attribute.SeriesInstanceUID, Attribute.SOPInstanceUID]

/** What of a scheduled procedure step is of the patient and the study. */
const SCHEDULED = [
  Attribute.PatientName,
  Attribute.PatientID,
  Attribute.IssuerOfPatientID,
  Attribute.PatientBirthDate,
  Attribute.PatientSex,
  Attribute.AccessionNumber,
  Attribute.ReferringPhysicianName,
  Attribute.StudyInstanceUID,
]
/** Steps that are looked at to find that they are of several studies. */
const MAX_STEPS = 100

/**
 * Whose a picture, a document or a video is: by the query, or by the one order of the worklist that `accession` names. The
 * UIDs that are not told are new. Texts are in UTF-8.
 * @throws RequestError 400, 403, 404, 409; what a search of the worklist throws
 */
export async function whose(c: HttpContext): Promise<Dataset> {
  const dataset = new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
  const [accession, ...more] = c.req.queries('accession') ?? []
  if (more.length > 0) throw invalid('accession is there twice.')
  if (accession !== undefined) await putOrder(c, dataset, accession)
  const study = pathUid(c, 'study')
  if (study !== undefined) put(dataset, Attribute.StudyInstanceUID, study)
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (OTHERS.includes(name)) continue
    const tag = tagOf(name)
    if (tag === undefined || !TOLD_TAGS.includes(tag)) {
      // What is misspelt would be left out in silence.
      // What is not a plain name may be anything, also a value.
      const named = /^[\w.-]{1,64}$/.test(name) ? name : 'A parameter'
      throw invalid(`${named} is none of: accession, ${TOLD.join(', ')}.`)
    }
    put(dataset, tag, value)
  }
  if (!dataset.string(Attribute.PatientID)) {
    const detail = 'Whose it is has to be told: PatientID, or accession for an order of the worklist.'
    throw new RequestError(400, 'NO_PATIENT', detail)
  }
  for (const uid of UIDS) if (!dataset.string(uid)) dataset.set(uid, newUid())
  return dataset
}

/** @throws RequestError 400 for what is no value, 409 for another than there is */
function put(dataset: Dataset, tag: Tag, value: string): void {
  const before = dataset.string(tag)
  if (before !== undefined && before !== value) {
    throw new RequestError(
      409,
      'CONTRADICTORY',
      `${keywordOf(tag)!} is another one than that of the order or the path.`,
    )
  }
  if (UIDS.includes(tag) && !isUid(value))
    throw invalid(`${keywordOf(tag)!} is no UID: digits and dots, up to 64 of them.`)
  // It would be several values.
  if (value.includes('\\') || /[\x00-\x1f\x7f]/.test(value))
    throw invalid(`${keywordOf(tag)!} has a character that it cannot have.`)
  const vr = vrFor(tag)
  const pattern = PATTERNS[vr]
  if (pattern && !pattern.test(value)) throw invalid(`${keywordOf(tag)!} is not of its value representation, ${vr}.`)
  dataset.set(tag, value, vr)
}

/** Values of the representations that TOLD has (PS3.5 Table 6.2-1). */
const PATTERNS: Partial<Record<Vr, RegExp>> = {
  CS: /^[A-Z0-9 _]{1,16}$/,
  DA: /^\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/,
  IS: /^[+-]?\d{1,11}$/,
  LO: /^.{1,64}$/u,
  LT: /^.{1,10240}$/u,
  PN: /^[^=]{0,64}(=[^=]{0,64}){0,2}$/u,
  SH: /^.{1,16}$/u,
  ST: /^.{1,1024}$/u,
  TM: /^([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?$/,
}

/** What the worklist says of an order (PS3.4 K), by one C-FIND. */
async function putOrder(c: HttpContext, dataset: Dataset, accession: string): Promise<void> {
  const { archive, signal, principal } = c.var
  if (principal.binding) throw notPermitted('look up orders, which are not of one patient or study')
  // A wildcard would be somebody's.
  if (!/^[^*?\\\x00-\x1f\x7f]{1,16}$/.test(accession)) throw invalid('accession is no accession number.')
  const match = [{ tag: Attribute.AccessionNumber, vr: 'SH', values: [accession] }] as const
  const orders = new Map<string, Dataset>()
  let steps = 0
  for await (const step of archive.worklist.find({ match, include: [], fuzzy: false }, { signal }, () => undefined)) {
    if (step.string(Attribute.AccessionNumber) !== accession) continue
    orders.set([Attribute.PatientID, Attribute.StudyInstanceUID].map((tag) => step.string(tag) ?? '').join(' '), step)
    if (orders.size > 1 || ++steps === MAX_STEPS) break
  }
  const [order] = orders.values()
  if (!order) throw new RequestError(404, 'NO_SUCH_ORDER', 'The worklist has no order of this accession number.')
  if (orders.size > 1) {
    throw new RequestError(
      409,
      'SEVERAL_ORDERS',
      'The worklist has orders of several patients or studies of this accession number.',
    )
  }
  for (const tag of SCHEDULED) {
    const value = order.string(tag)
    if (value !== undefined && value !== '') dataset.set(tag, value)
  }
  const description = order.string(Attribute.RequestedProcedureDescription)
  if (description !== undefined) dataset.set(Attribute.StudyDescription, description)
  const id = order.string(Attribute.RequestedProcedureID)
  if (id === undefined) return
  const request = new Dataset(dataset.characterSet).set(Attribute.RequestedProcedureID, id)
  if (description !== undefined) request.set(Attribute.RequestedProcedureDescription, description)
  dataset.setItems(Attribute.RequestAttributesSequence, [request])
}

function invalid(detail: string): RequestError {
  return new RequestError(400, 'INVALID_PARAMETER', detail)
}
