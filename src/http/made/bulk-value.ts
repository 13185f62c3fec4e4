import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { OCTET_STREAM, transferSyntax } from '../../dicom/transfer-syntax.ts'
import { parseContentType } from '../../dicomweb/negotiate/content-type.ts'
import type { ReceivedPart } from '../../dicomweb/multipart/reader.ts'
import type { Held } from './holding.ts'

/** A value as a part of the message brings it, not read yet. */
export interface BulkValue {
  /** Lower case. */
  readonly media: string
  /** The parameter transfer-syntax of its media type. */
  readonly syntax: string | undefined
  /** Content-Length of the part, where it tells it. */
  readonly length: number | undefined
  /** Its bytes are the value, Little Endian: nothing is encoded for its way (RFC 9110 8.4, RFC 2045 6). */
  readonly isPlain: boolean
  /** Which frame it is, where its location ends in `/frames/n`. */
  readonly frame: number | undefined
  readonly body: ByteStream
  /** All of it, where it has been read. */
  readonly whole?: Bytes
}

/** Behind the location of pixel data: that of one of its frames. */
export const FRAME = /\/frames\/(\d{1,9})$/

/** @throws ContentTypeError */
export function bulkValue({ headers, body }: ReceivedPart): BulkValue {
  const { type, parameters } = parseContentType(headers.get('content-type') ?? OCTET_STREAM)
  const length = headers.get('content-length')
  const frame = FRAME.exec(headers.get('content-location') ?? '')?.[1]
  const encodings = [headers.get('content-encoding'), headers.get('content-transfer-encoding')]
  const syntax = parameters.get('transfer-syntax')
  return {
    isPlain: encodings.every(isNone) && !(syntax !== undefined && transferSyntax(syntax).bigEndian),
    frame: frame === undefined ? undefined : Number(frame),
    media: type,
    syntax,
    length: length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined,
    body,
  }
}

function isNone(encoding: string | undefined): boolean {
  return encoding === undefined || /^(identity|binary|8bit|7bit)$/i.test(encoding)
}

/** Reads a value whole, and holds it. @throws RequestError 413, 503; what its body throws */
export async function wholeValue({ body, whole }: Pick<BulkValue, 'body' | 'whole'>, held: Held): Promise<Bytes> {
  if (whole) return whole
  const chunks: Bytes[] = []
  for await (const bytes of body) {
    held.add(bytes.length)
    // What it is a view of is not held for it.
    chunks.push(Uint8Array.from(bytes))
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}
