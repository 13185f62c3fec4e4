import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'

const MAX_US = 65_535

/** Transaction Status and its comment: younger than the dictionary. */
export const TRANSACTION_STATUS: Tag = 0x00080417
export const TRANSACTION_STATUS_COMMENT: Tag = 0x00080418

/** What a send comes to, as a client is told. */
export interface ToldSend {
  readonly uid: Uid
  /** AE title of the destination. */
  readonly destination: string
  readonly status: 'WAITING' | 'SENDING' | 'COMPLETE' | 'PARTLY' | 'FAILURE' | 'CANCELED'
  readonly comment: string | undefined
  /** The status that the archive ended it with. */
  readonly dimseStatus: number | undefined
  readonly remaining: number | undefined
  readonly completed: number | undefined
  readonly failed: number | undefined
  readonly warning: number | undefined
  readonly failedInstances: readonly Uid[]
}

/**
 * Where a send stands, in the attributes of a C-MOVE response (PS3.7 9.3.4.2), which are those of the standard for its
 * counts; what the archive does not tell is left out.
 */
export function sendStatus(send: ToldSend): Dataset {
  const counts: readonly (readonly [Tag, number | undefined])[] = [
    [Attribute.Status, send.dimseStatus],
    [Attribute.NumberOfRemainingSuboperations, send.remaining],
    [Attribute.NumberOfCompletedSuboperations, send.completed],
    [Attribute.NumberOfFailedSuboperations, send.failed],
    [Attribute.NumberOfWarningSuboperations, send.warning],
  ]
  const dataset = new Dataset()
  // Sums of several moves may be more than one C-MOVE can count.
  for (const [tag, value] of counts) if (value !== undefined) dataset.set(tag, Math.min(value, MAX_US), 'US')
  dataset.set(Attribute.TransactionUID, send.uid)
  dataset.set(Attribute.MoveDestination, send.destination)
  if (send.failedInstances.length > 0) dataset.set(Attribute.FailedSOPInstanceUIDList, send.failedInstances)
  dataset.set(TRANSACTION_STATUS, send.status, 'CS')
  if (send.comment !== undefined) dataset.set(TRANSACTION_STATUS_COMMENT, send.comment, 'LT')
  return dataset
}
