import { vrFor } from '../../dicom/dataset.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import type { Tag } from '../../dicom/tag.ts'
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

/** The keys of one C-FIND: those to match by, and all that is to be returned besides. */
export function worklistKeys(match: readonly Key[], include: readonly Tag[]): readonly Key[] {
  const step = match.find(({ tag }) => tag === STEP)?.item ?? []
  const others = match.filter(({ tag }) => tag !== STEP)
  return [
    ...withReturns(others, [...OF_REQUEST, ...include.filter((tag) => tag !== STEP)]),
    { tag: STEP, vr: 'SQ', values: [], item: withReturns(step, OF_STEP) },
  ]
}

function withReturns(match: readonly Key[], tags: readonly Tag[]): Key[] {
  const matched = new Set(match.map(({ tag }) => tag))
  return [...match, ...[...new Set(tags)].filter((tag) => !matched.has(tag)).map((tag) => returnKey(tag, vrFor(tag)))]
}

function keywords(...names: readonly string[]): Tag[] {
  return names.map((name) => tagOf(name)!)
}
