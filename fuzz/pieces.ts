import type { Bytes, ByteStream } from '../src/dicom/bytes.ts'
import { byteByByte, cutAt } from '../test/support/chunking.ts'
import { hashOf, Random } from './random.ts'

/** Longer inputs are cut at some places only. */
const BYTE_BY_BYTE_MAX = 512
const MOST_CUTS = 12

/** An input in pieces: one byte each, or cut at places that are always the same for it. */
export function inPieces(input: Bytes): Bytes[] {
  const random = new Random(hashOf(input))
  if (input.length <= BYTE_BY_BYTE_MAX && random.oneIn(2)) return byteByByte(input)
  const cuts = Array.from({ length: 1 + random.below(MOST_CUTS) }, () => random.below(input.length + 1))
  return cutAt(input, cuts)
}

export async function* streamed(chunks: readonly Bytes[]): ByteStream & AsyncGenerator<Bytes> {
  for (const chunk of chunks) if (chunk.length > 0) yield chunk
}
