import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import type { Uid } from '../../dicom/uids.ts'
import { StatusError } from '../../dimse/status.ts'
import type { Archive } from '../archive.ts'
import type { Call } from '../call.ts'
import { gather, type Ask, type Gathered } from '../federation/gather.ts'
import { memberRows } from '../federation/member-rows.ts'
import { fullest, merge, type Told } from '../federation/merge.ts'
import { Identity, toldId, type PatientId } from '../federation/patient-id.ts'
import { deriveCounts } from '../search/derive-counts.ts'
import { Held } from '../search/held.ts'
import { isAskable, returnKey, selectionKeys, type Key } from '../search/query.ts'
import type { SearchRequest } from '../search/search.ts'
import { score, type Score } from './score.ts'
import { summaryOf, type StudySummary } from './study-summary.ts'

/** Studies of a patient of which is chosen; of one with more, those that archives tell first. */
export const MAX_CANDIDATES = 200
/** Of these, the best by what is told of studies, those whose series are looked at. */
export const MAX_LOOKED_INTO = 30
/** Series of a study that are looked at. */
const MAX_SERIES = 200
/** How long what is known of the series of a study is believed, in ms. */
const SUMMARY_MS = 30 * 60_000
const MAX_SUMMARIES = 10_000

/** Where priors are looked for. */
export interface Surroundings {
  /** One archive, or several as one. */
  readonly archives: readonly Archive[]
  /** Whether IDs are those of a federation. */
  readonly isFederation: boolean
  /** Milliseconds that the archives have. */
  readonly timeout: number
  /** All IDs of a patient, where they are known. */
  readonly linked: (patient: PatientId) => Promise<readonly PatientId[]>
}

/** An earlier study, and what it is worth. */
export interface Prior {
  readonly told: Told
  readonly score: Score
}

/** What was found beside a study. */
export interface Priors {
  /** The study itself. */
  readonly current: Told
  /** The best first. */
  readonly found: readonly Prior[]
  /** Archives that have not told all. */
  readonly failures: readonly Gathered[]
  /** The patient has more studies than are looked at. */
  readonly isCut: boolean
}

/** What is asked of studies besides what every search shows. */
const INCLUDED = [
  Attribute.StudyDescription,
  Attribute.ProcedureCodeSequence,
  Attribute.BodyPartExamined,
  Attribute.IssuerOfPatientID,
]

const OF_STUDIES = { level: 'STUDY', withParents: false, match: [], include: INCLUDED } as const

/** What priors are found for. */
interface Beside {
  readonly summary: StudySummary
  /** Of the study itself, where it is there, and the archive that tells it. */
  readonly row?: Dataset
  readonly archive?: Archive
}

/** Finds what a reader of a study might want to see beside it. */
export class PriorFinder {
  readonly #summaries = new LRUCache<string, StudySummary>({ max: MAX_SUMMARIES, ttl: SUMMARY_MS })

  /**
   * Earlier studies of the same patient; undefined where there is no such study.
   * @throws what an archive fails with where none has answered; ResultsTooLargeError; the signal's reason
   */
  async find(study: Uid, around: Surroundings, call: Call): Promise<Priors | undefined> {
    const own = await this.#gather({ ...OF_STUDIES, study }, [], around, call)
    const isIt = ({ row }: Told): boolean => row.string(Attribute.StudyInstanceUID) === study
    const current = (await tellings(own, [])).find(isIt)
    if (!current) {
      const failure = own.find((one) => one.failure)?.failure
      if (failure) throw failure
      return undefined
    }
    const patient = patientIdIn(current.row)
    const summary = await this.#summary(current, call)
    const others = await this.#ofPatient(patient, { summary, row: current.row, archive: current.archive }, around, call)
    return { current, ...others }
  }

  /** The same for somebody of whom nothing has come yet. @throws as find */
  findFor(
    patient: PatientId,
    { summary, archive }: Pick<Beside, 'summary' | 'archive'>,
    around: Surroundings,
    call: Call,
  ): Promise<Omit<Priors, 'current'>> {
    return this.#ofPatient(patient, { summary, ...(archive && { archive }) }, around, call)
  }

  async #ofPatient(
    patient: PatientId | undefined,
    { summary, row, archive }: Beside,
    around: Surroundings,
    call: Call,
  ): Promise<Omit<Priors, 'current'>> {
    const isOfNobody = around.isFederation && patient?.issuer === '' && !archive
    if (!patient || isOfNobody || /[*?]/.test(patient.id)) return { found: [], failures: [], isCut: false }
    const linked = patient.issuer === '' ? [patient] : await around.linked(patient)
    const match: Key[] = [{ tag: Attribute.PatientID, vr: 'LO', values: [patient.id] }]
    if (around.isFederation && patient.issuer !== '') {
      match.push({ tag: Attribute.IssuerOfPatientID, vr: 'LO', values: [patient.issuer] })
    }
    // Of an issuer that nobody knows, it is a patient of that archive only.
    const archives = around.isFederation && patient.issuer === '' && archive ? [archive] : around.archives
    const request = { ...OF_STUDIES, match }
    const gathered = await this.#gather(request, linked, { ...around, archives }, call)
    const isHis = whose(patient, linked, { ...around, archives })
    const own = row?.string(Attribute.StudyInstanceUID)
    const candidates = (await tellings(gathered, linked)).filter(
      (one) => one.row.string(Attribute.StudyInstanceUID) !== own && isHis(one) && (!row || isEarlier(one.row, row)),
    )
    const found = await this.#ranked(summary, candidates, call)
    const failures = gathered.filter(({ failure }) => failure !== undefined)
    return { found, failures, isCut: gathered.some(({ hasMore, isCapped }) => hasMore || isCapped) }
  }

  #gather(
    request: SearchRequest,
    linked: readonly PatientId[],
    { archives, isFederation, timeout }: Surroundings,
    call: Call,
  ): Promise<Gathered[]> {
    const ask: Ask = (archive, own, capped) => {
      if (isFederation) {
        const rows = memberRows(archive, { request, linked: linked.length > 1 ? linked : [] }, own, capped)
        return deriveCounts(archive, rows, request, own)
      }
      return plainRows(archive, request, own, capped)
    }
    return gather(archives, ask, { limit: MAX_CANDIDATES, timeout }, call)
  }

  async #ranked(own: StudySummary, candidates: readonly Told[], call: Call): Promise<Prior[]> {
    const first = inOrder(
      candidates.map((told) => ({ told, score: score(own, this.#known(told) ?? summaryOf(told.row, [])) })),
    )
    const ranked: Prior[] = []
    for (const { told } of first.slice(0, MAX_LOOKED_INTO)) {
      ranked.push({ told, score: score(own, await this.#summary(told, call)) })
    }
    return inOrder([...ranked, ...first.slice(MAX_LOOKED_INTO)])
  }

  #known(told: Told): StudySummary | undefined {
    return this.#summaries.get(keyOf(told))
  }

  /** With what the archive tells of its series, where it does. */
  async #summary(told: Told, call: Call): Promise<StudySummary> {
    const known = this.#known(told)
    if (known) return known
    const series = await seriesOf(told, call)
    const summary = summaryOf(told.row, series ?? [])
    if (series) this.#summaries.set(keyOf(told), summary)
    return summary
  }
}

async function* plainRows(
  archive: Archive,
  request: SearchRequest,
  call: Call,
  capped: () => void,
): AsyncGenerator<Dataset> {
  const options = await archive.queryOptions(false, call)
  yield* deriveCounts(archive, archive.search(request, options, call, capped), request, call)
}

/** One telling of each study: that of the fullest copy. */
async function tellings(gathered: readonly Gathered[], linked: readonly PatientId[]): Promise<Told[]> {
  return (await merge(gathered, { level: 'STUDY', linked: [linked] })).map((entry) => fullest(entry, 'STUDY'))
}

/** Whether a study is of a patient: archives may answer anything. */
function whose(
  patient: PatientId,
  linked: readonly PatientId[],
  { isFederation, archives }: Surroundings,
): (told: Told) => boolean {
  if (isFederation) {
    return ({ archive, row }) => {
      const identity = Identity.of(row, archive.config)
      const told = toldId(row)
      const isOfIt = archives.length === 1 && archives[0] === archive
      const isOwn = patient.issuer === '' && isOfIt && told?.id === patient.id && told.issuer === ''
      return isOwn || [patient, ...linked].some((one) => identity.has(one))
    }
  }
  return ({ archive, row }) => {
    const other = patientIdIn(row)
    // An archive that does not say who issued its ids has one issuer.
    const own = archive.config.patients.issuer ?? ''
    const [issuer, otherIssuer] = [patient.issuer || own, (other?.issuer ?? '') || own]
    return patient.id === other?.id && issuer === otherIssuer
  }
}

/** Undefined where it names nobody, or several. */
function patientIdIn(row: Dataset): PatientId | undefined {
  const told = toldId(row)
  return told && told.id !== '' ? told : undefined
}

/** By its date, and its time on the same day; what has none may be. */
function isEarlier(row: Dataset, current: Dataset): boolean {
  const [date, time, ownDate, ownTime] = [row, current].flatMap((one) => [
    (one.string(Attribute.StudyDate) ?? '').replaceAll('.', ''),
    (one.string(Attribute.StudyTime) ?? '').replaceAll(':', ''),
  ])
  if (date === '' || ownDate === '' || date !== ownDate) return date === '' || ownDate === '' || date! < ownDate!
  return time === '' || ownTime === '' || time! <= ownTime!
}

/** The best first; of those as good as each other the later one, then by UID. */
function inOrder(priors: readonly Prior[]): Prior[] {
  const key = ({ told: { row } }: Prior): [string, string] => [
    row.string(Attribute.StudyDate) ?? '',
    row.string(Attribute.StudyInstanceUID) ?? '',
  ]
  return priors.toSorted((one, other) => {
    const [[date, uid], [otherDate, otherUid]] = [key(one), key(other)]
    if (one.score.value !== other.score.value) return other.score.value - one.score.value
    if (date !== otherDate) return date > otherDate ? -1 : 1
    return uid < otherUid ? -1 : 1
  })
}

/** What an archive tells of the series of a study; undefined where it does not. @throws the signal's reason */
async function seriesOf({ archive, row }: Told, call: Call): Promise<Dataset[] | undefined> {
  const study = row.string(Attribute.StudyInstanceUID)
  if (study === undefined || !isAskable(study)) return []
  const keys = [
    returnKey(Attribute.Modality, 'CS'),
    returnKey(Attribute.SeriesDescription, 'LO'),
    returnKey(Attribute.BodyPartExamined, 'CS'),
    ...selectionKeys(study, undefined),
    returnKey(Attribute.SeriesInstanceUID, 'UI'),
    returnKey(Attribute.Laterality, 'CS'),
  ]
  const found: Dataset[] = []
  const held = new Held()
  try {
    for await (const match of archive.find({ level: 'SERIES', keys }, call)) {
      held.row(match)
      if (found.push(match) >= MAX_SERIES) break
    }
  } catch (error) {
    call.signal.throwIfAborted()
    if (!(error instanceof StatusError || error instanceof MalformedDataSetError)) throw error
    return undefined
  }
  return found
}

function keyOf({ archive, row }: Told): string {
  const count = row.string(Attribute.NumberOfStudyRelatedInstances) ?? ''
  return `${archive.config.name} ${row.string(Attribute.StudyInstanceUID) ?? ''} ${count}`
}
