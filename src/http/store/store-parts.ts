import { boundaryOf } from '../../dicomweb/multipart/boundary.ts'
import type { ByteStream } from '../../dicom/bytes.ts'
import { parseContentType, type ContentType } from '../../dicomweb/negotiate/content-type.ts'
import { readFormFiles } from '../../dicomweb/multipart/form-files.ts'
import { readMultipart, type ReceivedPart } from '../../dicomweb/multipart/reader.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { bodyOf } from '../body/request-body.ts'
import { describedParts, isModel } from '../made/described-parts.ts'
import type { Held } from '../made/holding.ts'
import type { StorePart, UnmadePart } from '../made/made-part.ts'
import { WRAPPED_TYPES, wrappedMedia } from '../made/wrapped-media.ts'

/**
 * The files in the body of a store request: multipart/related, one application/dicom, or a browser's form; and those that
 * are made of metadata and bulk data, or of one picture, document or video.
 * @throws RequestError, ContentTypeError, MultipartError
 */
export function storeParts(c: HttpContext, held: Held): AsyncIterable<StorePart | UnmadePart> {
  const body = bodyOf(c, { maxBytes: c.var.config.http.maxBodyBytes, setting: 'http.maxBodyBytes' })
  const header = c.req.header('content-type')
  if (header === undefined) throw unsupported()
  const type = parseContentType(header)
  switch (type.type) {
    case 'multipart/related':
      return related(c, type, body, held)
    case 'application/dicom':
      return single(body)
    case 'multipart/form-data':
      return form(type, body)
    case 'application/dicom+json':
    case 'application/dicom+xml':
      return describedParts(c, alone(header, body), held)
    default:
      if (WRAPPED_TYPES.includes(type.type)) return wrappedMedia(c, type.type, body, held)
      throw unsupported()
  }
}

function unsupported(): RequestError {
  const related = ['dicom', 'dicom+json', 'dicom+xml'].map((type) => `multipart/related; type="application/${type}"`)
  const accepted = [
    ...related,
    'application/dicom',
    'application/dicom+json',
    'application/dicom+xml',
    'multipart/form-data',
    ...WRAPPED_TYPES,
  ].join(', ')
  return new RequestError(415, 'UNSUPPORTED_MEDIA_TYPE', `Instances are stored as one of: ${accepted}.`, {
    Accept: accepted,
  })
}

/** A body that is the one part there is. */
async function* alone(type: string, body: ByteStream): AsyncGenerator<ReceivedPart> {
  yield { headers: new Map([['content-type', type]]), body }
}

async function* related(
  c: HttpContext,
  type: ContentType,
  body: ByteStream,
  held: Held,
): AsyncGenerator<StorePart | UnmadePart> {
  const root = type.parameters.get('type')?.toLowerCase()
  if (root !== undefined && isModel(root)) {
    yield* describedParts(c, readMultipart(body, boundaryOf(type)), held)
    return
  }
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
