import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { formatTag, type Tag } from '../../dicom/tag.ts'
import { REFERENCED_INSTANCES_BY_SOP_CLASS, type NamedInstance } from '../encode/commitment-response.ts'
import { ModelError } from './model-error.ts'

/** Instances of one request: their report is read whole, and has twice the elements. */
export const MAX_INSTANCES = 10_000

/** A request names more instances than are asked about at once. */
export class TooManyInstancesError extends Error {
  readonly code = 'TOO_MANY_REFERENCES'
  constructor() {
    super(`One request names up to ${MAX_INSTANCES} instances: make several`)
    this.name = 'TooManyInstancesError'
  }
}

/**
 * The instances that a Storage Commitment Request Module names (PS3.18 Table J.1-1), each once: by Referenced SOP Sequence,
 * or by Referenced Study Sequence.
 * @throws TooManyInstancesError; ModelError where it names none, by both, or one twice in two ways; and where what it names is no UID
 */
export function requestedInstances(dataset: Dataset): readonly NamedInstance[] {
  const [flat, studies] = [Attribute.ReferencedSOPSequence, Attribute.ReferencedStudySequence]
  if (dataset.has(flat) && dataset.has(studies)) {
    throw new ModelError('', `has both Referenced SOP Sequence ${formatTag(flat)} and Referenced Study Sequence`)
  }
  const named = dataset.has(studies) ? [...byStudies(dataset)] : [...references(dataset, flat, '')]
  if (named.length === 0) {
    throw new ModelError('', `names no instance: that is for Referenced SOP Sequence ${formatTag(flat)}`)
  }
  if (named.length > MAX_INSTANCES) throw new TooManyInstancesError()
  const byUid = new Map<Uid, NamedInstance>()
  for (const one of named) {
    const other = byUid.get(one.sopInstance)
    if (other && (other.sopClass !== one.sopClass || other.study !== one.study || other.series !== one.series)) {
      throw new ModelError('', 'names an instance twice, and in two ways')
    }
    byUid.set(one.sopInstance, one)
  }
  return [...byUid.values()]
}

function* byStudies(dataset: Dataset): Generator<NamedInstance> {
  for (const [inStudy, study] of items(dataset, Attribute.ReferencedStudySequence, '')) {
    const studyUid = uidOf(study, Attribute.StudyInstanceUID, inStudy)
    for (const [inSeries, series] of items(study, Attribute.ReferencedSeriesSequence, inStudy)) {
      const seriesUid = uidOf(series, Attribute.SeriesInstanceUID, inSeries)
      for (const [inClass, ofClass] of items(series, REFERENCED_INSTANCES_BY_SOP_CLASS, inSeries)) {
        for (const one of references(ofClass, Attribute.ReferencedInstanceSequence, inClass)) {
          yield { ...one, study: studyUid, series: seriesUid }
        }
      }
    }
  }
}

/** SOP Instance References (PS3.3 Table 10-11); their class may stand around them. */
function* references(dataset: Dataset, sequence: Tag, path: string): Generator<NamedInstance> {
  for (const [at, item] of items(dataset, sequence, path)) {
    const isNamed = item.has(Attribute.ReferencedSOPClassUID)
    const sopClass = isNamed
      ? uidOf(item, Attribute.ReferencedSOPClassUID, at)
      : uidOf(dataset, Attribute.ReferencedSOPClassUID, path)
    yield { sopClass, sopInstance: uidOf(item, Attribute.ReferencedSOPInstanceUID, at) }
  }
}

function* items(dataset: Dataset, sequence: Tag, path: string): Generator<[path: string, item: Dataset]> {
  for (const [index, item] of dataset.items(sequence).entries()) yield [`${path}${formatTag(sequence)}/${index}/`, item]
}

function uidOf(dataset: Dataset, t: Tag, path: string): Uid {
  const uid = dataset.string(t)
  if (uid !== undefined && isUid(uid)) return uid
  throw new ModelError(path + formatTag(t), 'is no UID')
}
