import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import { isNameable } from '../../dicom/uids.ts'
import type { Chosen, Find } from '../../cache/prefetch/prefetcher.ts'
import { summaryOf } from '../../pacs/priors/study-summary.ts'
import { notPermitted } from '../auth/errors.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { surroundingsOf } from '../surroundings.ts'

const PARAMETERS = ['StudyInstanceUID', 'PatientID', 'IssuerOfPatientID', 'Modality', 'BodyPartExamined'] as const
/** Characters of a value. */
const MAX_VALUE = 128

/**
 * Has priors fetched: of a study, or of a patient of whom a study of a modality and body part will come. Answers at once, with
 * those that will be.
 * @throws RequestError 400, 403, 404; what a search throws
 */
export async function requestPrefetch(c: HttpContext): Promise<Response> {
  const { prefetcher, principal, archive } = c.var
  if (!prefetcher) {
    const detail = 'Priors are not fetched ahead here: prefetch in the configuration is for that.'
    throw new RequestError(404, 'NO_PREFETCH', detail)
  }
  if (principal.binding) throw notPermitted('have priors fetched: its sign-in is for one patient or study')
  if (!principal.may('search', archive.config)) throw notPermitted('search, and so be told which studies there are')
  const chosen = await prefetcher.wanted(findOf(c))
  if (!chosen) {
    const detail = 'Priors of too many studies are looked for. Try again later.'
    throw new RequestError(503, 'TOO_MANY_PREFETCHES', detail, { 'Retry-After': '10' })
  }
  return c.json({ studies: chosen.map(told) }, 202)
}

function told({ prior, state }: Chosen): object {
  const { row, archive } = prior.told
  const { value: score, reasons } = prior.score
  return { study: row.string(Attribute.StudyInstanceUID), archive: archive.config.name, state, score, reasons }
}

/** What is asked for. @throws RequestError 400 */
function findOf(c: HttpContext): Find {
  const { priors } = c.var
  const around = surroundingsOf(c, ['search', 'retrieve'])
  const asked = parametersOf(c)
  const { StudyInstanceUID: study, PatientID: id, IssuerOfPatientID: issuer = '' } = asked
  if (study !== undefined) {
    if (!isNameable(study)) throw new RequestError(400, 'INVALID_PARAMETER', 'StudyInstanceUID is no UID.')
    return async (call) => {
      const found = await priors.find(study, around, call)
      if (!found) throw new RequestError(404, 'NO_SUCH_STUDY', 'There is no such study.')
      return found
    }
  }
  if (id === undefined || id === '') {
    const detail = 'Name a StudyInstanceUID, or a PatientID with Modality and BodyPartExamined.'
    throw new RequestError(400, 'INVALID_PARAMETER', detail)
  }
  if (around.isFederation && issuer === '') {
    const detail = 'Of several archives a patient is a PatientID with its IssuerOfPatientID.'
    throw new RequestError(400, 'INVALID_PARAMETER', detail)
  }
  const like = new Dataset()
  const { Modality: modality = '', BodyPartExamined: part = '' } = asked
  if (modality !== '') like.put(Attribute.ModalitiesInStudy, { vr: 'CS', value: Buffer.from(modality) })
  if (part !== '') like.put(Attribute.BodyPartExamined, { vr: 'CS', value: Buffer.from(part) })
  return (call) => priors.findFor({ id, issuer }, { summary: summaryOf(like, []) }, around, call)
}

/** @throws RequestError 400 for one that is given twice, is too long, or has several values */
function parametersOf(c: HttpContext): Readonly<Partial<Record<(typeof PARAMETERS)[number], string>>> {
  const asked: Partial<Record<(typeof PARAMETERS)[number], string>> = {}
  for (const name of PARAMETERS) {
    const values = c.req.queries(name) ?? []
    const [value] = values
    if (value === undefined) continue
    if (values.length > 1 || value.length > MAX_VALUE || /[\\\p{C}*?]/u.test(value)) {
      throw new RequestError(400, 'INVALID_PARAMETER', `The parameter ${name} is one value, without wildcards.`)
    }
    asked[name] = value
  }
  return asked
}
