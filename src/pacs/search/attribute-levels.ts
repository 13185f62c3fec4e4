import { Attribute } from '../../dicom/attributes.ts'
import { vrFor } from '../../dicom/dataset.ts'
import { groupOf, type Tag } from '../../dicom/tag.ts'
import { returnKey, type Key, type QueryLevel } from './query.ts'

/** Attributes every answer of a level has (PS3.18 Tables 10.6.3-3, -4, -5), unique keys included. */
export const requiredAttributes: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  STUDY: [
    Attribute.StudyDate,
    Attribute.StudyTime,
    Attribute.AccessionNumber,
    Attribute.ModalitiesInStudy,
    Attribute.ReferringPhysicianName,
    Attribute.PatientName,
    Attribute.PatientID,
    Attribute.PatientBirthDate,
    Attribute.PatientSex,
    Attribute.StudyInstanceUID,
    Attribute.StudyID,
    Attribute.NumberOfStudyRelatedSeries,
    Attribute.NumberOfStudyRelatedInstances,
  ],
  SERIES: [
    Attribute.Modality,
    Attribute.SeriesInstanceUID,
    Attribute.SeriesNumber,
    Attribute.NumberOfSeriesRelatedInstances,
  ],
  IMAGE: [Attribute.SOPClassUID, Attribute.SOPInstanceUID, Attribute.InstanceNumber],
}

/** Attributes asked for besides, and given where the archive knows them (the same tables, type C). */
export const conditionalAttributes: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  STUDY: [Attribute.InstanceAvailability, Attribute.TimezoneOffsetFromUTC],
  SERIES: [
    Attribute.SeriesDescription,
    Attribute.TimezoneOffsetFromUTC,
    Attribute.PerformedProcedureStepStartDate,
    Attribute.PerformedProcedureStepStartTime,
    Attribute.RequestAttributesSequence,
  ],
  IMAGE: [
    Attribute.InstanceAvailability,
    Attribute.TimezoneOffsetFromUTC,
    Attribute.Rows,
    Attribute.Columns,
    Attribute.BitsAllocated,
    Attribute.NumberOfFrames,
  ],
}

/** What `includefield=all` asks of each level besides: there is no "all" in DIMSE. */
export const optionalAttributes: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  STUDY: [
    0x00080062, 0x00081030, 0x00081032, 0x00081060, 0x00081080, 0x00100021, 0x00100032, 0x00101010, 0x00101020,
    0x00101030, 0x00102160, 0x00102180, 0x001021b0, 0x00104000, 0x00201070, 0x00201200, 0x00201202, 0x00201204,
  ],
  SERIES: [
    0x00080021, 0x00080031, 0x00080070, 0x00080080, 0x0008103e, 0x00081010, 0x00081050, 0x00081070, 0x00180015,
    0x00181030, 0x00200060, 0x00400253, 0x00400254,
  ],
  IMAGE: [
    0x00080008, 0x00080012, 0x00080013, 0x00080022, 0x00080023, 0x00080032, 0x00080033, 0x00083002, 0x00200012,
    0x00200032, 0x00200037, 0x00201041, 0x00280004, 0x00280101, 0x00280102, 0x00280103,
  ],
}

/** From the top down. */
export const levels: readonly QueryLevel[] = ['STUDY', 'SERIES', 'IMAGE']
const assigned = new Map<Tag, QueryLevel>()
// The same attribute may be conditional at several levels: it belongs to the highest.
for (const level of levels.toReversed()) {
  for (const list of [requiredAttributes, conditionalAttributes, optionalAttributes]) {
    for (const t of list[level]) assigned.set(t, level)
  }
}
for (const t of [Attribute.InstanceAvailability, Attribute.TimezoneOffsetFromUTC]) assigned.delete(t)

/** The level an attribute belongs to; undefined when it may be asked for at any. Patient attributes are STUDY's. */
export function levelOf(t: Tag): QueryLevel | undefined {
  return assigned.get(t) ?? (groupOf(t) === 0x0010 ? 'STUDY' : undefined)
}

/** 0 for STUDY, 1 for SERIES, 2 for IMAGE. */
export function depthOf(level: QueryLevel): number {
  return levels.indexOf(level)
}

/** Return keys for what every answer of the level shows. */
export function defaultKeys(level: QueryLevel): Key[] {
  return [...requiredAttributes[level], ...conditionalAttributes[level]].map((t) =>
    t === Attribute.RequestAttributesSequence
      ? {
          ...returnKey(t, 'SQ'),
          item: [returnKey(Attribute.ScheduledProcedureStepID, 'SH'), returnKey(Attribute.RequestedProcedureID, 'SH')],
        }
      : returnKey(t, vrFor(t)),
  )
}
