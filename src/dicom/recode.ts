import { pipeline } from 'node:stream/promises'
import { createDeflateRaw } from 'node:zlib'
import type { Bytes, ByteStream } from './bytes.ts'
import { CarriedOver } from './carried-over.ts'
import { ElementReader } from './element-reader.ts'
import { ElementWriter } from './element-writer.ts'
import { Inflater } from './inflater.ts'
import { tokenRuns } from './token-runs.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from './transfer-syntax.ts'

export { InflateError, MAX_INFLATED_BYTES } from './inflater.ts'

/** Output is handed on in pieces of about this size. */
const PIECE_BYTES = 65_536

/**
 * Re-encodes a data set between native syntaxes as it streams, or passes it on untouched when both are the same.
 * Group lengths and trailing padding are dropped; values keep every byte but their order.
 * @throws MalformedDataSetError, InflateError from the iteration
 */
export function recode(body: ByteStream, from: TransferSyntax, to: TransferSyntax): ByteStream {
  if (from.uid === to.uid) return body
  const plain = from.deflated ? inflate(body) : body
  const inner = from.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : from
  const target = to.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : to
  const same = inner.explicit === target.explicit && inner.bigEndian === target.bigEndian
  const written = same ? plain : rewrite(plain, inner, target)
  return to.deflated ? deflate(written) : written
}

async function* rewrite(body: ByteStream, from: TransferSyntax, to: TransferSyntax): AsyncGenerator<Bytes> {
  const reader = new ElementReader(from)
  const writer = new ElementWriter(to)
  const carriedOver = new CarriedOver()
  for await (const run of tokenRuns(body, reader)) {
    for (const token of run) if (carriedOver.has(token)) writer.write(token)
    if (writer.pending >= PIECE_BYTES) yield* writer.take()
  }
  yield* writer.take()
}

/**
 * Reads the raw RFC 1951 stream of a deflated data set (PS3.5 A.5); a pad byte after its end is dropped.
 * @throws InflateError from the iteration
 */
export async function* inflate(body: ByteStream, limit?: number): AsyncGenerator<Bytes> {
  const inflater = new Inflater(limit)
  try {
    for await (const chunk of body) yield* inflater.push(chunk)
    yield* inflater.end()
  } finally {
    inflater.destroy()
  }
}

async function* deflate(body: ByteStream): AsyncGenerator<Bytes> {
  const deflater = createDeflateRaw()
  // A failure of the body destroys the deflater, and so comes out of the iteration.
  pipeline(body, deflater).catch(() => undefined)
  let total = 0
  for await (const chunk of deflater as ByteStream) {
    total += chunk.length
    yield chunk
  }
  if (total & 1) yield Uint8Array.of(0)
}
