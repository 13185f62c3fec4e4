import { constants, inflateRawSync } from 'node:zlib'
import type { Bytes, ByteStream } from './bytes.ts'
import type { Dataset } from './dataset.ts'
import { DatasetReader } from './dataset-codec.ts'
import { replay } from './part10.ts'
import type { Tag } from './tag.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** What is held of a data set to find its identity: the elements up to group 0020 are far smaller in practice. */
export const MAX_HEAD_BYTES = 1024 * 1024

export class HeadTooLargeError extends Error {
  readonly code = 'HEAD_TOO_LARGE'
  constructor() {
    super(`The attributes that identify the instance are not within its first ${MAX_HEAD_BYTES} bytes`)
    this.name = 'HeadTooLargeError'
  }
}

/**
 * Reads the elements before `until` and gives the data set back whole: `body` starts again at its first byte.
 * @throws MalformedDataSetError, HeadTooLargeError, and whatever the body throws
 */
export async function readHead(
  body: ByteStream,
  syntax: TransferSyntax,
  until: Tag,
): Promise<{ head: Dataset; body: ByteStream }> {
  const iterator = body[Symbol.asyncIterator]()
  const chunks: Bytes[] = []
  let size = 0
  let reader = new DatasetReader(syntax, { until })
  try {
    while (!reader.complete) {
      const { value, done } = await iterator.next()
      if (!done) {
        chunks.push(value)
        size += value.length
      }
      if (syntax.deflated) {
        reader = new DatasetReader(syntax, { until })
        reader.push(inflateRawSync(Buffer.concat(chunks), { finishFlush: constants.Z_SYNC_FLUSH }))
      } else if (!done) reader.push(value)
      if (done) {
        reader.end()
        break
      }
      if (size > MAX_HEAD_BYTES && !reader.complete) throw new HeadTooLargeError()
    }
  } catch (error) {
    await iterator.return?.()
    throw error
  }
  return { head: reader.dataset, body: replay(chunks, iterator) }
}
