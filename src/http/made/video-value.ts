import { once, type Bytes, type ByteStream } from '../../dicom/bytes.ts'
import { MAX_VALUE_BYTES } from '../../dicom/composed-file.ts'
import { replay } from '../../dicom/part10.ts'
import { MAX_HEADER_BYTES, mp4Header, UnusableVideoError, type VideoHeader } from '../../imaging/codecs/mp4-header.ts'
import { wholeValue, type BulkValue } from './bulk-value.ts'
import type { Held } from './holding.ts'

/** A video whose header has been read. */
export interface VideoValue {
  readonly header: VideoHeader
  readonly length: number
  readonly body: ByteStream
}

/** Bytes behind which the header is looked for first. */
const FIRST_LOOK_BYTES = 4096

/**
 * Reads an MP4 as far as its header, which may be behind its frames; all of it, where its length is not told.
 * @throws UnusableVideoError; RequestError 413, 503; what its body throws
 */
export async function videoValue(value: Pick<BulkValue, 'length' | 'body' | 'whole'>, held: Held): Promise<VideoValue> {
  const { length } = value
  if (length === undefined || value.whole) {
    const whole = await wholeValue(value, held)
    return { header: found(mp4Header(whole, whole.length)), length: whole.length, body: once(whole) }
  }
  if (length > MAX_VALUE_BYTES) throw new UnusableVideoError('it is longer than a fragment can be')
  const rest: AsyncIterator<Bytes, unknown> = value.body[Symbol.asyncIterator]()
  const chunks: Bytes[] = []
  let bytes = 0
  // Looked at whenever there is twice as much.
  for (let look = FIRST_LOOK_BYTES; ;) {
    const { value: chunk, done } = await rest.next()
    if (!done) {
      held.add(chunk.length)
      chunks.push(Uint8Array.from(chunk))
      bytes += chunk.length
      if (bytes < look) continue
      look = 2 * bytes
    }
    const header = mp4Header(Buffer.concat(chunks), length)
    if (header ?? done) return { header: found(header), length, body: replay(chunks, rest) }
  }
}

function found(header: VideoHeader | undefined): VideoHeader {
  if (header) return header
  throw new UnusableVideoError(`it has no header, or one of more than ${MAX_HEADER_BYTES} bytes, or is cut short`)
}
