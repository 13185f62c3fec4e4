import { Attribute } from '../../dicom/attributes.ts'
import { dateTime } from '../../dicom/date-time.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Draft } from './draft.ts'

/** By these an image is found, and its patient: what they were before has to be told (PS3.3 C.12.1.1.9). */
export const IDENTIFYING: readonly Tag[] = [
  Attribute.SOPInstanceUID,
  Attribute.StudyDate,
  Attribute.StudyTime,
  Attribute.AccessionNumber,
  Attribute.PatientName,
  Attribute.PatientID,
  Attribute.IssuerOfPatientID,
  Attribute.PatientBirthDate,
  Attribute.PatientSex,
  Attribute.StudyInstanceUID,
  Attribute.SeriesInstanceUID,
  Attribute.StudyID,
]

/** Who has changed it. */
export interface Modifier {
  /** Our AE title. */
  readonly aeTitle: string
  /** Where it came from, as it called itself. */
  readonly source: string | undefined
}

/**
 * Writes into Original Attributes Sequence what was replaced of what identifies an image; what was taken away is not told.
 * @throws FrontTooLongError
 */
export function noteOriginals(draft: Draft, { aeTitle, source }: Modifier): void {
  const before = draft.front.dataset
  const replaced = IDENTIFYING.filter((tag) => isReplaced(draft, tag))
  if (replaced.length === 0) return
  draft.append(Attribute.OriginalAttributesSequence, (set) => {
    const values = new Dataset(set)
    for (const tag of replaced) copied(before, tag, values)
    return new Dataset(set)
      .set(Attribute.AttributeModificationDateTime, dateTime(new Date()))
      .set(Attribute.ModifyingSystem, aeTitle)
      .set(Attribute.SourceOfPreviousValues, source ?? [])
      .set(Attribute.ReasonForTheAttributeModification, 'COERCE')
      .setItems(Attribute.ModifiedAttributesSequence, [values])
  })
}

function isReplaced(draft: Draft, tag: Tag): boolean {
  if (!draft.front.covers([tag])) return false
  const before = draft.front.dataset.values(tag)
  const after = draft.dataset.values(tag)
  return before.length > 0 && after.length > 0 && JSON.stringify(before) !== JSON.stringify(after)
}

function copied(from: Dataset, tag: Tag, to: Dataset): void {
  to.set(tag, from.values(tag), from.get(tag)!.vr)
}
