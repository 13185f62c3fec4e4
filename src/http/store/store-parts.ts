import { boundaryOf } from '../../dicomweb/multipart/boundary.ts'
import type { ByteStream } from '../../dicom/bytes.ts'
import { parseContentType, type ContentType } from '../../dicomweb/negotiate/content-type.ts'
import { readFormFiles } from '../../dicomweb/multipart/form-files.ts'
import { readMultipart } from '../../dicomweb/multipart/reader.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { bodyOf } from '../body/request-body.ts'

/** One file of a store request, read once, before the next. */
export interface StorePart {
  /** Its own media type, lower case; undefined when it names none. */
  readonly type: string | undefined
  readonly body: ByteStream
}

/**
 * The files in the body of a store request: multipart/related, one application/dicom, or a browser's form.
 * @throws RequestError 413 and 415, ContentTypeError, MultipartError
 */
export function storeParts(c: HttpContext): AsyncIterable<StorePart> {
  const body = bodyOf(c, { maxBytes: c.var.config.http.maxBodyBytes, setting: 'http.maxBodyBytes' })
  const header = c.req.header('content-type')
  if (header === undefined) throw unsupported()
  const type = parseContentType(header)
  switch (type.type) {
    case 'multipart/related':
      return related(type, body)
    case 'application/dicom':
      return single(body)
    case 'multipart/form-data':
      return form(type, body)
    default:
      throw unsupported()
  }
}

function unsupported(): RequestError {
  const accepted = 'multipart/related; type="application/dicom", application/dicom, multipart/form-data'
  return new RequestError(415, 'UNSUPPORTED_MEDIA_TYPE', `Instances are stored as one of: ${accepted}.`, {
    Accept: accepted,
  })
}

async function* related(type: ContentType, body: ByteStream): AsyncGenerator<StorePart> {
  const root = type.parameters.get('type')?.toLowerCase()
  if (root !== undefined && root !== 'application/dicom') throw unsupported()
  for await (const part of readMultipart(body, boundaryOf(type))) {
    const partType = part.headers.get('content-type')
    yield { type: partType === undefined ? undefined : essence(partType), body: part.body }
  }
}

function essence(header: string): string {
  return (header.split(';')[0] ?? '').trim().toLowerCase()
}

async function* single(body: ByteStream): AsyncGenerator<StorePart> {
  yield { type: 'application/dicom', body }
}

/** RFC 7578, from a browser or `curl -F`: every file is an instance, whatever media type its sender took it for. */
async function* form(type: ContentType, body: ByteStream): AsyncGenerator<StorePart> {
  for await (const file of readFormFiles(body, boundaryOf(type))) yield { type: undefined, body: file }
}
