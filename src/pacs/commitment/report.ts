import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import { Status } from '../../dimse/status.ts'
import type { CommitmentResult, FailedReference, Reference } from './transactions.ts'

/** Class/Instance Conflict: the archive has the instance as one of another class (PS3.3 C.14.1.1). */
export const CLASS_INSTANCE_CONFLICT = 0x0119

/** The data set of an N-ACTION that asks for commitment (PS3.4 Table J.3-1). */
export function requestOf(transaction: Uid, references: readonly Reference[]): Dataset {
  return new Dataset()
    .set(Attribute.TransactionUID, transaction)
    .setItems(Attribute.ReferencedSOPSequence, references.map(itemOf))
}

function itemOf({ sopClass, sopInstance }: Reference): Dataset {
  return new Dataset()
    .set(Attribute.ReferencedSOPClassUID, sopClass)
    .set(Attribute.ReferencedSOPInstanceUID, sopInstance)
}

/**
 * What a report says of the instances that were asked about (PS3.4 Table J.3-2). An instance is committed where the report
 * names it so, with its class, and does not name it as failed besides; what it does not name is failed, whatever its Event
 * Type says: a sender deletes what is committed.
 */
export function resultOf(information: Dataset, references: readonly Reference[]): CommitmentResult {
  const named = new Map<Uid, Uid | undefined>()
  for (const item of information.items(Attribute.ReferencedSOPSequence)) {
    const uid = item.string(Attribute.ReferencedSOPInstanceUID)
    if (uid === undefined) continue
    const sopClass = item.string(Attribute.ReferencedSOPClassUID)
    // Named by two classes it is of neither.
    named.set(uid, named.has(uid) && named.get(uid) !== sopClass ? undefined : sopClass)
  }
  const reasons = new Map<Uid, number>()
  for (const item of information.items(Attribute.FailedSOPSequence)) {
    const uid = item.string(Attribute.ReferencedSOPInstanceUID)
    if (uid !== undefined) reasons.set(uid, item.number(Attribute.FailureReason) ?? Status.processingFailure)
  }
  const committed: Reference[] = []
  const failed: FailedReference[] = []
  for (const one of references) {
    const reason = reasons.get(one.sopInstance)
    if (reason !== undefined) failed.push({ ...one, reason })
    else if (!named.has(one.sopInstance)) failed.push({ ...one, reason: Status.processingFailure })
    else if (named.get(one.sopInstance) !== one.sopClass) failed.push({ ...one, reason: CLASS_INSTANCE_CONFLICT })
    else committed.push(one)
  }
  return { committed, failed }
}
