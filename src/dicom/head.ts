import type { Bytes, ByteStream } from './bytes.ts'
import type { Dataset } from './dataset.ts'
import { DatasetReader } from './dataset-codec.ts'
import { Inflater } from './inflater.ts'
import { replay } from './part10.ts'
import type { Tag } from './tag.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** What is held of a data set to find its identity, unless told: the elements up to group 0020 are far smaller in practice. */
export const MAX_HEAD_BYTES = 1024 * 1024

export class HeadTooLargeError extends Error {
  readonly code = 'HEAD_TOO_LARGE'
  constructor(maxBytes: number) {
    super(`The attributes that are looked for are not within the first ${maxBytes} bytes of the instance`)
    this.name = 'HeadTooLargeError'
  }
}

/**
 * Reads the elements before `until`, or `only` those of them, and gives the data set back whole: `body` starts again at its first byte.
 * @throws MalformedDataSetError, InflateError, HeadTooLargeError, and whatever the body throws
 */
export async function readHead(
  body: ByteStream,
  syntax: TransferSyntax,
  wanted: { readonly until: Tag; readonly only?: ReadonlySet<Tag>; readonly maxBytes?: number },
): Promise<{ head: Dataset; body: ByteStream }> {
  const { maxBytes = MAX_HEAD_BYTES } = wanted
  const iterator: AsyncIterator<Bytes, unknown> = body[Symbol.asyncIterator]()
  const chunks: Bytes[] = []
  const reader = new DatasetReader(syntax, wanted)
  const inflater = syntax.deflated ? new Inflater() : undefined
  let held = 0
  let read = 0
  const follow = (piece: Bytes): void => {
    reader.push(piece)
    read += piece.length
    if (read > maxBytes && !reader.complete) throw new HeadTooLargeError(maxBytes)
  }
  const inflated = async (pieces: AsyncIterable<Bytes>): Promise<void> => {
    for await (const piece of pieces) {
      follow(piece)
      if (reader.complete) return
    }
    // A deflated stream may go on without giving anything.
    if (held > maxBytes) throw new HeadTooLargeError(maxBytes)
  }
  try {
    while (!reader.complete) {
      const { value, done } = await iterator.next()
      if (done) {
        if (inflater) await inflated(inflater.end())
        reader.end()
        break
      }
      chunks.push(value)
      held += value.length
      if (inflater) await inflated(inflater.push(value))
      else follow(value)
    }
  } catch (error) {
    await iterator.return?.()
    throw error
  } finally {
    inflater?.destroy()
  }
  return { head: reader.dataset, body: replay(chunks, iterator) }
}
