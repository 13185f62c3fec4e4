import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
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
const IDENTITY = new Set([
  Attribute.SOPClassUID,
  Attribute.SOPInstanceUID,
  Attribute.StudyInstanceUID,
  Attribute.SeriesInstanceUID,
])

/**
 * Reads who an instance is from its own data set; the body starts again at its first byte.
 * @throws MalformedDataSetError, HeadTooLargeError, and what `body` throws
 */
export async function identify(
  body: ByteStream,
  syntax: TransferSyntax,
): Promise<{ identity: Identity; body: ByteStream }> {
  const { head, body: whole } = await readHead(body, syntax, { until: BEHIND_IDENTITY, only: IDENTITY })
  const identity = {
    sopClass: head.string(Attribute.SOPClassUID),
    sopInstance: head.string(Attribute.SOPInstanceUID),
    study: head.string(Attribute.StudyInstanceUID),
    series: head.string(Attribute.SeriesInstanceUID),
  }
  return { identity, body: whole }
}

/** Whether an instance belongs to what was selected: all the UIDs that were named are its own. */
export function belongsTo(identity: Identity, selection: Selection): boolean {
  return (
    identity.study === selection.study &&
    (selection.series === undefined || identity.series === selection.series) &&
    (selection.instance === undefined || identity.sopInstance === selection.instance)
  )
}
