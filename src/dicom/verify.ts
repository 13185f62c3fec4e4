import { createInflateRaw } from 'node:zlib'
import { finished } from 'node:stream/promises'
import type { Bytes, ByteStream } from './bytes.ts'
import { ElementReader } from './element-reader.ts'
import { InflateError, MAX_INFLATED_BYTES } from './recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from './transfer-syntax.ts'

/**
 * Passes a data set on and follows its structure: an instance that ends in the middle of an element raises an error
 * behind its last byte, so that it is never taken for whole.
 * @throws MalformedDataSetError, InflateError from the iteration
 */
export async function* verified(body: ByteStream, syntax: TransferSyntax): AsyncGenerator<Bytes> {
  if (syntax.deflated) {
    yield* verifiedDeflated(body)
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

async function* verifiedDeflated(body: ByteStream): AsyncGenerator<Bytes> {
  const reader = new ElementReader(EXPLICIT_VR_LITTLE_ENDIAN)
  const inflater = createInflateRaw()
  let failure: unknown
  let total = 0
  inflater.on('data', (chunk: Bytes) => {
    if (failure !== undefined) return
    try {
      total += chunk.length
      if (total > MAX_INFLATED_BYTES) throw new InflateError(`it grows beyond ${MAX_INFLATED_BYTES} bytes`)
      reader.push(chunk)
      walk(reader)
    } catch (error) {
      failure = error
    }
  })
  const over = finished(inflater).catch((error: unknown) => {
    failure ??= new InflateError(error instanceof Error ? error.message : 'unknown', { cause: error })
  })
  try {
    for await (const chunk of body) {
      if (!inflater.destroyed && !inflater.write(chunk)) {
        await Promise.race([over, new Promise((resolve) => inflater.once('drain', resolve))])
      }
      if (failure !== undefined) throw failure as Error
      yield chunk
    }
    inflater.end()
    await over
    if (failure !== undefined) throw failure as Error
    reader.end()
    walk(reader)
  } finally {
    inflater.destroy()
  }
}
