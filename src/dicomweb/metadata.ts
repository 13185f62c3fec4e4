import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import type { ElementHeader } from '../dicom/element-reader.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import { representation } from '../dicom/vr.ts'
import type { DamagedInstanceError } from '../instance/damage.ts'
import { isBulkData } from '../instance/bulk-attributes.ts'
import { MAX_HEAD_ELEMENTS, readHead } from '../instance/head.ts'

/** What metadata of one instance may take in memory: functional groups of thousands of frames are some 30 MB. */
export const MAX_METADATA_BYTES = 128 * 1024 * 1024

/** Bytes of one list of values, of which each is written by itself: numbers, short strings. */
export const MAX_INLINE_VALUE_BYTES = 8 * 1024 * 1024

export class MetadataTooLargeError extends Error {
  readonly code = 'METADATA_TOO_LARGE'
  constructor() {
    super(
      `The metadata of an instance has over ${MAX_METADATA_BYTES} bytes, ${MAX_HEAD_ELEMENTS} elements and items, or a list of over ${MAX_INLINE_VALUE_BYTES} bytes. Retrieve the instance itself.`,
    )
    this.name = 'MetadataTooLargeError'
  }
}

function isList({ vr, length }: ElementHeader): boolean {
  return length !== undefined && ['number', 'tag', 'string'].includes(representation(vr).kind)
}

/** Tables of frames in encapsulated pixel data: of no use without it. */
const offsetTables = [
  Attribute.ExtendedOffsetTable,
  Attribute.ExtendedOffsetTableLengths,
  Attribute.EncapsulatedPixelDataValueTotalLength,
]

/**
 * The attributes of an instance without its bulk data, which is marked as omitted (PS3.18 10.4.3.3.2). Reading stops at
 * the pixel data; what comes behind it is not given. Available Transfer Syntax UID tells how it was `received`. Of a data
 * set that is damaged in front of its pixel data they are those in front of the damage: `onFault` is told.
 * @throws MetadataTooLargeError; without `onFault` MalformedDataSetError; and what the body throws
 */
export async function readMetadata(
  body: ByteStream,
  syntax: TransferSyntax,
  received: TransferSyntax = syntax,
  onFault?: (fault: DamagedInstanceError) => void,
): Promise<Dataset> {
  const reader = await readHead(body, syntax, {
    omit(header) {
      if (isBulkData(header)) return true
      if (isList(header) && header.length! > MAX_INLINE_VALUE_BYTES) throw new MetadataTooLargeError()
      return false
    },
    ...(onFault && { onFault }),
    bound: { bytes: MAX_METADATA_BYTES, error: () => new MetadataTooLargeError() },
  })
  const metadata = reader.dataset
  for (const table of offsetTables) metadata.delete(table)
  const pixels = reader.stoppedAt?.header
  if (pixels) {
    metadata.put(pixels.tag, { vr: pixels.vr, value: new Uint8Array(0), ...(pixels.length !== 0 && { omitted: true }) })
  }
  return metadata.set(Attribute.AvailableTransferSyntaxUID, received.uid)
}
