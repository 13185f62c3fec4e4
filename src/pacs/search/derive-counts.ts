import { asGiven } from '../../dicom/as-given.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import type { Tag } from '../../dicom/tag.ts'
import { StatusError } from '../../dimse/status.ts'
import type { Archive } from '../archive.ts'
import type { Call } from '../call.ts'
import { SearchTooBroadError } from './errors.ts'
import { Held } from './held.ts'
import { fits } from './post-filter.ts'
import { isAskable, returnKey, selectionKeys } from './query.ts'
import type { SearchRequest } from './search.ts'

/** Studies of one answer whose counts are derived, the first ones: each costs a query. Behind them the archive's word holds. */
export const MAX_DERIVED = 200

/** Required of a study (PS3.18 Table 10.6.3-3), optional in DIMSE (PS3.4 Table C.6-1): archives leave them out. */
const derived: readonly Tag[] = [
  Attribute.ModalitiesInStudy,
  Attribute.NumberOfStudyRelatedSeries,
  Attribute.NumberOfStudyRelatedInstances,
]

/**
 * Fills in ModalitiesInStudy and the numbers of series and instances by a SERIES-level query for each study, where the
 * archive did not answer them (`auto`) or always, for the first MAX_DERIVED. The studies, a page of them, are gathered
 * first: no association is held while another is waited for.
 * @throws ResultsTooLargeError
 */
export async function* deriveCounts(
  archive: Archive,
  results: AsyncIterable<Dataset>,
  request: SearchRequest,
  call: Call,
): AsyncGenerator<Dataset> {
  const mode = archive.config.search.deriveCounts
  if (request.level !== 'STUDY' || mode === 'never') {
    yield* results
    return
  }
  const gathered: Dataset[] = []
  const held = new Held()
  let known = false
  for await (const study of results) {
    // An archive that knows them for one study knows them for all: nothing to wait for.
    known ||= mode === 'auto' && gathered.length === 0 && missing(study).length === 0
    if (known) yield study
    else {
      held.row(study)
      gathered.push(study)
    }
  }
  for (const [index, study] of gathered.entries()) {
    if (index < MAX_DERIVED) await fillIn(archive, study, mode === 'always' ? derived : missing(study), call)
    yield study
  }
}

/**
 * Studies that fit the modalities a search matches. Some archives pass over that key and answer every study: what they
 * leave out is then derived, and looked at here. All is gathered first: no association is held while another is waited for.
 * @throws SearchTooBroadError when more studies than a search may visit would have to be asked for their series, ResultsTooLargeError
 */
export async function* fittingModalities(
  archive: Archive,
  results: AsyncIterable<Dataset>,
  request: SearchRequest,
  call: Call,
): AsyncGenerator<Dataset> {
  const { deriveCounts: mode, maxParents } = archive.config.search
  const asked = request.match.filter((key) => key.tag === Attribute.ModalitiesInStudy && key.values.length > 0)
  if (request.level !== 'STUDY' || mode === 'never' || asked.length === 0) {
    yield* results
    return
  }
  const unknown: Dataset[] = []
  const held = new Held()
  for await (const study of results) {
    if (study.string(Attribute.ModalitiesInStudy) !== undefined) yield study
    else {
      held.row(study)
      if (unknown.push(study) > maxParents) throw new SearchTooBroadError(maxParents)
    }
  }
  for (const study of unknown) {
    // Where the archive cannot say, the study stays: nothing says that it does not fit.
    const isTold = await fillIn(archive, study, missing(study), call)
    const isKnown = study.string(Attribute.ModalitiesInStudy) !== undefined
    if (!isTold) yield study
    else if (isKnown && fits(study, asked, { fuzzy: false, loose: false })) yield study
  }
}

function missing(study: Dataset): Tag[] {
  return derived.filter((t) => study.string(t) === undefined)
}

/** Whether the archive could say; if not, only the counts are lost. */
async function fillIn(archive: Archive, study: Dataset, wanted: readonly Tag[], call: Call): Promise<boolean> {
  const uid = study.string(Attribute.StudyInstanceUID)
  if (wanted.length === 0 || uid === undefined || !isAskable(uid)) return true
  const keys = [
    returnKey(Attribute.Modality, 'CS'),
    returnKey(Attribute.SeriesInstanceUID, 'UI'),
    returnKey(Attribute.NumberOfSeriesRelatedInstances, 'IS'),
    ...selectionKeys(uid, undefined),
  ]
  const modalities = new Set<string>()
  const held = new Held()
  let series = 0
  let instances: number | undefined = 0
  try {
    for await (const match of archive.find({ level: 'SERIES', keys }, call)) {
      series++
      const modality = match.string(Attribute.Modality)
      if (modality !== undefined && !modalities.has(modality)) {
        held.text(modality)
        modalities.add(modality)
      }
      const count = match.number(Attribute.NumberOfSeriesRelatedInstances)
      instances = instances === undefined || count === undefined ? undefined : instances + count
    }
  } catch (error) {
    call.signal.throwIfAborted()
    if (!(error instanceof StatusError || error instanceof MalformedDataSetError)) throw error
    return false
  }
  if (wanted.includes(Attribute.ModalitiesInStudy)) {
    study.put(Attribute.ModalitiesInStudy, { vr: 'CS', value: asGiven('CS', [...modalities].sort()) })
  }
  if (wanted.includes(Attribute.NumberOfStudyRelatedSeries)) {
    study.set(Attribute.NumberOfStudyRelatedSeries, String(series))
  }
  if (wanted.includes(Attribute.NumberOfStudyRelatedInstances) && instances !== undefined) {
    study.set(Attribute.NumberOfStudyRelatedInstances, String(instances))
  }
  return true
}
