import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'

/** Referenced Instances by SOP Class Sequence (PS3.18 Table J.2-1): younger than the dictionary. */
export const REFERENCED_INSTANCES_BY_SOP_CLASS: Tag = 0x00081112

/** An instance whose storage was asked about; with its study and series where the request named it by them. */
export interface NamedInstance {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study?: Uid | undefined
  readonly series?: Uid | undefined
}

/** One that the archive does not keep safe, and why (PS3.3 C.14.1.1). */
export interface UncommittedInstance extends NamedInstance {
  readonly reason: number
}

/**
 * The Storage Commitment Response Module (PS3.18 Table J.2-1): what is committed in the form that the request had, what is
 * not in Failed SOP Sequence.
 */
export function commitmentResponse(
  committed: readonly NamedInstance[],
  failed: readonly UncommittedInstance[],
): Dataset {
  const dataset = new Dataset()
  const placed = committed.filter(isPlaced)
  const others = committed.filter((one) => !isPlaced(one))
  if (placed.length > 0) dataset.setItems(Attribute.ReferencedStudySequence, studiesOf(placed))
  if (failed.length > 0) {
    dataset.setItems(
      Attribute.FailedSOPSequence,
      failed.map((one) => referenceTo(one).set(Attribute.FailureReason, one.reason)),
    )
  }
  if (others.length > 0) dataset.setItems(Attribute.ReferencedSOPSequence, others.map(referenceTo))
  return dataset
}

interface Placed extends NamedInstance {
  readonly study: Uid
  readonly series: Uid
}

function isPlaced(one: NamedInstance): one is Placed {
  return one.study !== undefined && one.series !== undefined
}

function studiesOf(instances: readonly Placed[]): Dataset[] {
  return [...Map.groupBy(instances, ({ study }) => study)].map(([study, ofStudy]) =>
    new Dataset()
      .set(Attribute.StudyInstanceUID, study)
      .setItems(Attribute.ReferencedSeriesSequence, seriesOf(ofStudy)),
  )
}

function seriesOf(instances: readonly Placed[]): Dataset[] {
  return [...Map.groupBy(instances, ({ series }) => series)].map(([series, ofSeries]) =>
    new Dataset()
      .set(Attribute.SeriesInstanceUID, series)
      .setItems(REFERENCED_INSTANCES_BY_SOP_CLASS, classesOf(ofSeries)),
  )
}

function classesOf(instances: readonly Placed[]): Dataset[] {
  return [...Map.groupBy(instances, ({ sopClass }) => sopClass)].map(([sopClass, ofClass]) =>
    new Dataset()
      .set(Attribute.ReferencedSOPClassUID, sopClass)
      .setItems(Attribute.ReferencedInstanceSequence, ofClass.map(referenceTo)),
  )
}

function referenceTo({ sopClass, sopInstance }: NamedInstance): Dataset {
  return new Dataset()
    .set(Attribute.ReferencedSOPClassUID, sopClass)
    .set(Attribute.ReferencedSOPInstanceUID, sopInstance)
}
