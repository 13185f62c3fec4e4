import type { Dataset } from '../../dicom/dataset.ts'
import type { EncodeOptions } from '../../dicomweb/encode/encoded-model.ts'
import { jsonPieces } from '../../dicomweb/encode/json.ts'
import { xmlPieces } from '../../dicomweb/encode/xml.ts'
import { closing, newBoundary, partHeader, relatedType } from '../../dicomweb/multipart/writer.ts'
import type { Accept } from '../../dicomweb/negotiate/accept.ts'
import { isMultipartRelated } from '../../dicomweb/negotiate/negotiate.ts'
import { acceptHeader, modelType } from '../accept.ts'
import type { HttpContext } from '../context.ts'
import { encodedText } from './encoded-text.ts'
import { sendStream } from './send-stream.ts'

/** How one data set is given. */
export interface ModelAnswer {
  readonly type: 'application/dicom+json' | 'application/json' | 'application/dicom+xml'
  /** XML as the one part of multipart/related, for who asks for that alone. */
  readonly isMultipart: boolean
}

/** What the client takes one data set as (PS3.18 8.7.3). @throws AcceptError, RequestError 406 */
export function modelAnswer(c: HttpContext): ModelAnswer {
  const type = modelType(c)
  return { type, isMultipart: type === 'application/dicom+xml' && !takesXmlAlone(acceptHeader(c)) }
}

function takesXmlAlone({ query, header }: Accept): boolean {
  const ranges = query.length > 0 ? query : header
  return ranges.every(isMultipartRelated)
    ? ranges.length === 0
    : ranges.some(({ type, subtype }) => type !== 'multipart' && (subtype === '*' || subtype === 'dicom+xml'))
}

/** Gives one data set. */
export function sendModel(
  c: HttpContext,
  dataset: Dataset,
  { type, isMultipart }: ModelAnswer,
  headers: Readonly<Record<string, string>> = {},
  { status = 200, ...options }: EncodeOptions & { readonly status?: number } = {},
): Promise<Response> {
  const pieces = type === 'application/dicom+xml' ? xmlPieces(dataset, options) : jsonPieces(dataset, options)
  const boundary = newBoundary()
  const body = isMultipart ? onePart(pieces, boundary, type) : encodedText(pieces)
  const contentType = isMultipart ? relatedType(type, boundary) : type
  const all = { 'Content-Type': contentType, ...headers }
  return sendStream(c, { status, headers: all }, body, c.var.archive.config.timeouts.stall)
}

async function* onePart(pieces: Iterable<string>, boundary: string, type: string): AsyncGenerator<Uint8Array> {
  yield partHeader(boundary, { 'Content-Type': type }, true)
  yield* encodedText(pieces)
  yield closing(boundary)
}
