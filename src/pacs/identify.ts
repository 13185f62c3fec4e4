import { Attribute } from '../dicom/attributes.ts'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { readHead } from '../dicom/head.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Selection } from './instance.ts'

export interface Identity {
  readonly sopClass: Uid | undefined
  readonly sopInstance: Uid | undefined
  readonly study: Uid | undefined
  readonly series: Uid | undefined
}

/** Behind Series Instance UID (0020,000E): everything that identifies an instance comes before. */
const BEHIND_IDENTITY = Attribute.SeriesInstanceUID + 1

/**
 * Reads who an instance is from its own data set; the body starts again at its first byte.
 * @throws MalformedDataSetError, HeadTooLargeError, and what `body` throws
 */
export async function identify(
  body: ByteStream,
  syntax: TransferSyntax,
): Promise<{ identity: Identity; body: AsyncIterable<Bytes>; head: Dataset }> {
  const { head, body: whole } = await readHead(body, syntax, BEHIND_IDENTITY)
  const identity = {
    sopClass: head.string(Attribute.SOPClassUID),
    sopInstance: head.string(Attribute.SOPInstanceUID),
    study: head.string(Attribute.StudyInstanceUID),
    series: head.string(Attribute.SeriesInstanceUID),
  }
  return { identity, body: whole, head }
}

/** Whether an instance belongs to what was selected: all the UIDs that were named are its own. */
export function belongsTo(identity: Identity, selection: Selection): boolean {
  return (
    identity.study === selection.study &&
    (selection.series === undefined || identity.series === selection.series) &&
    (selection.instance === undefined || identity.sopInstance === selection.instance)
  )
}
