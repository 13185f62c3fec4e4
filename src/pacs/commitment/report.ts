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

/** Event Type IDs of a report (PS3.4 J.3.3.1): all are committed, or there are failures. */
const ALL_COMMITTED = 1
const FAILURES_EXIST = 2

/** How a result is reported to who has asked (PS3.4 Table J.3-2). */
export function reportOf(
  transaction: Uid,
  { committed, failed }: CommitmentResult,
): { readonly eventTypeId: number; readonly information: Dataset } {
  const information = new Dataset().set(Attribute.TransactionUID, transaction)
  if (failed.length > 0) {
    const items = failed.map(({ reason, ...one }) => itemOf(one).set(Attribute.FailureReason, reason))
    information.setItems(Attribute.FailedSOPSequence, items)
  }
  if (committed.length > 0) information.setItems(Attribute.ReferencedSOPSequence, committed.map(itemOf))
  return { eventTypeId: failed.length > 0 ? FAILURES_EXIST : ALL_COMMITTED, information }
}

/**
 * What a report says of the instances that were asked about (PS3.4 Table J.3-2). An instance is committed where the report
 * names it so, with its class, and does not name it as failed besides; what it does not name is failed, whatever its Event
 * Type says: a sender deletes what is committed. Of failures that cannot be read any instance may be meant.
 */
export function resultOf(
  { eventTypeId, information }: { readonly eventTypeId: number; readonly information: Dataset },
  references: readonly Reference[],
): CommitmentResult {
  const named = new Map<Uid, Uid | undefined>()
  for (const item of information.items(Attribute.ReferencedSOPSequence)) {
    const uid = item.string(Attribute.ReferencedSOPInstanceUID)
    if (uid === undefined) continue
    const sopClass = item.string(Attribute.ReferencedSOPClassUID)
    // Named by two classes it is of neither.
    named.set(uid, named.has(uid) && named.get(uid) !== sopClass ? undefined : sopClass)
  }
  const { reasons, isReadable } = failuresOf(information)
  const isClear = isReadable && (eventTypeId !== FAILURES_EXIST || reasons.size > 0)
  const committed: Reference[] = []
  const failed: FailedReference[] = []
  for (const one of references) {
    const reason = reasons.get(one.sopInstance)
    if (reason !== undefined) failed.push({ ...one, reason })
    else if (!isClear || !named.has(one.sopInstance)) failed.push({ ...one, reason: Status.processingFailure })
    else if (named.get(one.sopInstance) !== one.sopClass) failed.push({ ...one, reason: CLASS_INSTANCE_CONFLICT })
    else committed.push(one)
  }
  return { committed, failed }
}

/** A result, and what a later report names as failed: nothing that was failed becomes committed. */
export function amended({ committed, failed }: CommitmentResult, information: Dataset): CommitmentResult {
  const { reasons } = failuresOf(information)
  const lost = committed.filter(({ sopInstance }) => reasons.has(sopInstance))
  return {
    committed: committed.filter(({ sopInstance }) => !reasons.has(sopInstance)),
    failed: [...failed, ...lost.map((one) => ({ ...one, reason: reasons.get(one.sopInstance)! }))],
  }
}

/** What is named as failed, with its reasons; whether each failure names an instance. */
function failuresOf(information: Dataset): { readonly reasons: Map<Uid, number>; readonly isReadable: boolean } {
  const reasons = new Map<Uid, number>()
  let isReadable = true
  for (const item of information.items(Attribute.FailedSOPSequence)) {
    const uids = item.strings(Attribute.ReferencedSOPInstanceUID)
    if (uids.length === 0) isReadable = false
    for (const uid of uids) reasons.set(uid, reasonOf(item))
  }
  return { reasons, isReadable }
}

function reasonOf(item: Dataset): number {
  const reason = item.number(Attribute.FailureReason) ?? 0
  return Number.isInteger(reason) && reason > 0 && reason <= 0xffff ? reason : Status.processingFailure
}
