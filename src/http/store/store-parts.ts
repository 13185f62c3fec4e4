import { boundaryOf } from '../../dicomweb/multipart/boundary.ts'
import type { Readable } from 'node:stream'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { parseContentType, type ContentType } from '../../dicomweb/negotiate/content-type.ts'
import { readFormFiles } from '../../dicomweb/multipart/form-files.ts'
import { readMultipart } from '../../dicomweb/multipart/reader.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { MIN_UPLOAD_RATE } from '../body/client-pace.ts'

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
  const encoding = c.req.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new RequestError(415, 'CONTENT_ENCODING', 'Compressed request bodies are not supported: send it as it is.')
  }
  const header = c.req.header('content-type')
  if (header === undefined) throw unsupported()
  const type = parseContentType(header)
  const body = limited(c, c.var.config.http.maxBodyBytes)
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

/**
 * The request body; more than `limit` bytes, or a pause longer than the archive's stall time, are an error as soon as
 * they are known.
 */
function limited(c: HttpContext, limit: number): ByteStream {
  const tooLarge = (): RequestError =>
    new RequestError(413, 'BODY_TOO_LARGE', `The request body is larger than ${limit} bytes (http.maxBodyBytes).`)
  const length = Number(c.req.header('content-length') ?? 0)
  if (length > limit) throw tooLarge()
  const { stall } = c.var.archive.config.timeouts
  const { incoming } = c.env
  return (async function* () {
    let size = 0
    for await (const chunk of unlessStalled(incoming, stall)) {
      size += chunk.length
      if (size > limit) throw tooLarge()
      yield chunk
    }
  })()
}

/**
 * A client may be slow, but not for ever: in each `milliseconds` of our waiting it has to keep MIN_UPLOAD_RATE.
 * @throws RequestError 408
 */
async function* unlessStalled(source: Readable, milliseconds: number): AsyncGenerator<Bytes> {
  // The connection must outlive the body: a response is still to be sent on it.
  const iterator = source.iterator({ destroyOnReturn: false }) as AsyncIterator<Bytes>
  const least = (MIN_UPLOAD_RATE * milliseconds) / 1000
  const detail = `The request body brought less than ${least} bytes in ${milliseconds} ms.`
  let timer: NodeJS.Timeout | undefined
  // A client that leaves before its body is asked for leaves this generator where it is: the timer must not hold it.
  source.once('close', () => clearTimeout(timer))
  // An archive that is slow to take the body is no fault of the client: time runs only while we wait for a chunk.
  let waited = 0
  let brought = 0
  try {
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Bytes>>()
      const stalled = (): void => reject(new RequestError(408, 'BODY_STALLED', detail, { Connection: 'close' }))
      const since = performance.now()
      timer = setTimeout(stalled, milliseconds - waited)
      iterator.next().then(resolve, reject)
      const step = await promise
      clearTimeout(timer)
      if (step.done) return
      waited += performance.now() - since
      brought += step.value.length
      if (brought >= least) waited = brought = 0
      yield step.value
    }
  } finally {
    clearTimeout(timer)
    // Not awaited: behind a stalled read it would wait for the chunk that does not come.
    void iterator.return?.()
  }
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
