import { vrFor } from '../../dicom/dataset.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import type { Tag } from '../../dicom/tag.ts'
import { representation } from '../../dicom/vr.ts'
import { returnKey, type Key } from '../search/query.ts'

// Return keys of the Modality Worklist Information Model (PS3.4 Table K.6-1): those that a provider has to know, and of the
// others what modalities ask for.

const OF_STEP = keywords(
  'Modality',
  'ScheduledStationAETitle',
  'ScheduledProcedureStepStartDate',
  'ScheduledProcedureStepStartTime',
  'ScheduledPerformingPhysicianName',
  'ScheduledProcedureStepDescription',
  'ScheduledProtocolCodeSequence',
  'ScheduledProcedureStepID',
  'ScheduledStationName',
  'ScheduledProcedureStepLocation',
  'PreMedication',
  'ScheduledProcedureStepStatus',
  'RequestedContrastAgent',
)

const OF_REQUEST = keywords(
  'AccessionNumber',
  'ReferringPhysicianName',
  'ReferencedStudySequence',
  'ReferencedPatientSequence',
  'PatientName',
  'PatientID',
  'IssuerOfPatientID',
  'PatientBirthDate',
  'PatientSex',
  'PatientWeight',
  'MedicalAlerts',
  'Allergies',
  'PregnancyStatus',
  'StudyInstanceUID',
  'RequestingPhysician',
  'RequestedProcedureDescription',
  'RequestedProcedureCodeSequence',
  'AdmissionID',
  'SpecialNeeds',
  'CurrentPatientLocation',
  'PatientState',
  'RequestedProcedureID',
  'RequestedProcedurePriority',
  'PatientTransportArrangements',
  'ConfidentialityConstraintOnPatientDataDescription',
)

/** Scheduled Procedure Step Sequence. */
export const STEP: Tag = 0x00400100

/** The keys of one C-FIND: those to match by, and all that is to be returned besides; `include` by their paths. */
export function worklistKeys(match: readonly Key[], include: readonly (readonly Tag[])[]): readonly Key[] {
  // Some systems never answer a question for bulk data.
  const wanted = include.filter((path) => representation(vrFor(path.at(-1)!)).kind !== 'binary')
  const [ofStep, ofRequest] = [true, false].map((isOfStep) => wanted.filter(([t]) => (t === STEP) === isOfStep))

  const step = match.find(({ tag }) => tag === STEP)?.item ?? []
  const others = match.filter(({ tag }) => tag !== STEP)
  return [
    ...withReturns(others, [...OF_REQUEST, ...ofRequest!.map(([t]) => t!)]),
    {
      tag: STEP,
      vr: 'SQ',
      values: [],
      item: withReturns(step, [...OF_STEP, ...ofStep!.flatMap(([, inner]) => inner ?? [])]),
    },
  ]
}

function withReturns(match: readonly Key[], tags: readonly Tag[]): Key[] {
  const matched = new Set(match.map(({ tag }) => tag))
  return [...match, ...[...new Set(tags)].filter((tag) => !matched.has(tag)).map((tag) => returnKey(tag, vrFor(tag)))]
}

function keywords(...names: readonly string[]): Tag[] {
  return names.map((name) => tagOf(name)!)
}
