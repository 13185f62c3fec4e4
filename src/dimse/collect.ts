import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { parseDataset } from '../dicom/dataset-codec.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import { ProtocolError } from '../network/errors.ts'

/** Far above any identifier of a query or list of failed instances. */
export const MAX_IDENTIFIER_BYTES = 4 * 1024 * 1024

/** Elements and items of an identifier: an answer to a query has some hundred. */
export const MAX_IDENTIFIER_ELEMENTS = 10_000

/**
 * An identifier, or another small data set, of `most` elements and items.
 * @throws ProtocolError above MAX_IDENTIFIER_BYTES, TooManyElementsError, MalformedDataSetError
 */
export async function readIdentifier(
  data: ByteStream,
  syntax: TransferSyntax,
  most = MAX_IDENTIFIER_ELEMENTS,
): Promise<Dataset> {
  return parseDataset(await collect(data), syntax, { most })
}

/** A small data set whole, in bytes of its own: what it came in is larger, and is not to be kept with it. @throws ProtocolError above MAX_IDENTIFIER_BYTES */
export async function collect(data: ByteStream): Promise<Bytes> {
  const chunks: Bytes[] = []
  let size = 0
  for await (const chunk of data) {
    size += chunk.length
    if (size > MAX_IDENTIFIER_BYTES)
      throw new ProtocolError(`An identifier is longer than ${MAX_IDENTIFIER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}
