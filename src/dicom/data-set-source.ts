import type { Bytes, ByteStream } from './bytes.ts'
import { recode } from './recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from './transfer-syntax.ts'

/** A data set that can be read from any byte, as often as wanted. */
export interface DataSetSource {
  readonly syntax: TransferSyntax
  /** The bytes from an offset, up to another or the end. */
  bytes(from?: number, to?: number): ByteStream
}

/** The same data set with its values in Little Endian, and not deflated: rewritten, each time anew, where it is not so. */
export function littleEndian(source: DataSetSource): DataSetSource {
  if (!source.syntax.bigEndian && !source.syntax.deflated) return source
  return {
    syntax: EXPLICIT_VR_LITTLE_ENDIAN,
    bytes: (from = 0, to = Infinity) =>
      sliced(recode(source.bytes(), source.syntax, EXPLICIT_VR_LITTLE_ENDIAN), from, to),
  }
}

async function* sliced(stream: ByteStream, from: number, to: number): AsyncGenerator<Bytes> {
  let at = 0
  if (from >= to) return
  for await (const chunk of stream) {
    const piece = chunk.subarray(Math.max(0, from - at), Math.max(0, to - at))
    if (piece.length > 0) yield piece
    at += chunk.length
    if (at >= to) return
  }
}
