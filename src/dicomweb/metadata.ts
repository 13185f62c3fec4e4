import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { DamagedInstanceError } from '../instance/damage.ts'
import { readHead } from '../instance/head.ts'

/** What metadata of one instance may take in memory: functional groups of thousands of frames are some 30 MB. */
export const MAX_METADATA_BYTES = 128 * 1024 * 1024

export class MetadataTooLargeError extends Error {
  readonly code = 'METADATA_TOO_LARGE'
  constructor() {
    super(`The metadata of an instance is larger than ${MAX_METADATA_BYTES} bytes`)
    this.name = 'MetadataTooLargeError'
  }
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
