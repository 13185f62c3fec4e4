import { HOLD_BYTES, HOLD_MS, primed } from './primed.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import type { SizedBytes } from '../../instance/frames.ts'
import { sendStream } from './send-stream.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { NOT_KEPT, type Kept } from '../validators/kept.ts'

/** A body came to another length than was said: to be cut, not ended. */
class LengthError extends Error {
  readonly code = 'LENGTH_MISMATCH'
  constructor() {
    super('A body has another length than was announced')
    this.name = 'LengthError'
  }
}

/** Bytes that are there, as a value that may be given in part. */
export function sizedBytes(bytes: Bytes): SizedBytes {
  return {
    length: bytes.length,
    async *bytes(from = 0, to = bytes.length) {
      yield bytes.subarray(from, to)
    },
  }
}

/** Pieces that are there, one behind the other. */
export function sizedPieces(pieces: readonly Bytes[]): SizedBytes {
  return joined(pieces.map(sizedBytes))
}

/** Values one behind the other. */
export function joined(values: readonly SizedBytes[]): SizedBytes {
  const length = values.reduce((sum, one) => sum + one.length, 0)
  return {
    length,
    async *bytes(from = 0, to = length): AsyncGenerator<Bytes> {
      let at = 0
      for (const one of values) {
        const [first, end] = [Math.max(0, from - at), Math.min(one.length, to - at)]
        if (first < end) yield* one.bytes(first, end)
        at += one.length
      }
    },
  }
}

/** What a single body is kept by, and how much of it is here before any of it is sent. */
interface SendSized {
  readonly kept?: Kept
  readonly holdBytes?: number
}

/** A single body of known length, or the range of it that the client asks for (RFC 9110 14). */
export async function sendSized(
  c: HttpContext,
  { length, bytes }: SizedBytes,
  headers: Readonly<Record<string, string>>,
  { kept = NOT_KEPT, holdBytes = HOLD_BYTES }: SendSized = {},
): Promise<Response> {
  // RFC 9110 13.1.5: a part of what the client holds, by a tag that stands for the same bytes each time.
  const condition = c.req.header('if-range')
  const isOfSame = condition === undefined || (condition === kept.validators.ETag && condition.startsWith('"'))
  const range = isOfSame ? rangeOf(c.req.header('range'), length) : undefined
  const [from, to] = range ?? [0, length]
  const body = exactly(bytes(from, to), to - from)
  const { stream } = await primed(range ? body : ended(body, () => kept.end()), holdBytes, HOLD_MS)
  const all = {
    ...kept.validators,
    ...headers,
    'Accept-Ranges': 'bytes',
    'Content-Length': String(to - from),
    ...(range && { 'Content-Range': `bytes ${from}-${to - 1}/${length}` }),
  }
  return sendStream(c, { status: range ? 206 : 200, headers: all }, stream, c.var.archive.config.timeouts.stall)
}

/** A body that is to be of a length. @throws LengthError from the iteration */
export async function* exactly(stream: ByteStream, length: number): AsyncGenerator<Bytes> {
  let left = length
  for await (const chunk of stream) {
    left -= chunk.length
    if (left < 0) throw new LengthError()
    yield chunk
  }
  if (left > 0) throw new LengthError()
}

async function* ended(stream: ByteStream, over: () => void): AsyncGenerator<Bytes> {
  yield* stream
  over()
}

/** First byte and the one behind the last; undefined for the whole. Several ranges are passed over. @throws 416 */
function rangeOf(header: string | undefined, length: number): readonly [number, number] | undefined {
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? '')
  if (!match || (match[1] === '' && match[2] === '')) return undefined
  const [, first = '', last = ''] = match
  const from = first === '' ? Math.max(0, length - Number(last)) : Number(first)
  const to = first === '' || last === '' ? length : Math.min(Number(last) + 1, length)
  if (from < to) return [from, to]
  throw new RequestError(416, 'RANGE_NOT_SATISFIABLE', `There are ${length} bytes.`, {
    'Content-Range': `bytes */${length}`,
  })
}
