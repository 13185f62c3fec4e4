import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { ElementReader } from '../dicom/element-reader.ts'
import { Inflater } from '../dicom/inflater.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../dicom/transfer-syntax.ts'

/**
 * Passes a data set on and follows its structure: an instance that ends in the middle of an element raises an error
 * behind its last byte, so that it is never taken for whole. A deflated one may grow to `inflatedLimit` bytes.
 * @throws MalformedDataSetError, InflateError from the iteration
 */
export async function* verified(
  body: ByteStream,
  syntax: TransferSyntax,
  inflatedLimit?: number,
): AsyncGenerator<Bytes> {
  if (syntax.deflated) {
    yield* verifiedDeflated(body, inflatedLimit)
    return
  }
  const reader = new ElementReader(syntax)
  for await (const chunk of body) {
    reader.push(chunk)
    walk(reader)
    yield chunk
  }
  reader.end()
  walk(reader)
}

function walk(reader: ElementReader): void {
  while (reader.next() !== undefined);
}

async function* verifiedDeflated(body: ByteStream, limit: number | undefined): AsyncGenerator<Bytes> {
  const reader = new ElementReader(EXPLICIT_VR_LITTLE_ENDIAN)
  const inflater = new Inflater(limit)
  const follow = async (pieces: ByteStream): Promise<void> => {
    for await (const piece of pieces) {
      reader.push(piece)
      walk(reader)
    }
  }
  try {
    for await (const chunk of body) {
      await follow(inflater.push(chunk))
      yield chunk
    }
    await follow(inflater.end())
    reader.end()
    walk(reader)
  } finally {
    inflater.destroy()
  }
}
