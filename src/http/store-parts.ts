import type { Readable } from 'node:stream'
import busboy from 'busboy'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { boundaryOf, parseContentType, type ContentType } from '../dicomweb/content-type.ts'
import { defaultMultipartLimits } from '../dicomweb/multipart-limits.ts'
import { readMultipart } from '../dicomweb/multipart-reader.ts'
import { MIN_UPLOAD_RATE } from './client-pace.ts'
import type { HttpContext } from './environment.ts'
import { RequestError } from './problem.ts'

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
      return form(header, body, c.var.signal)
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
  for await (const part of readMultipart(body, boundaryOf(type), defaultMultipartLimits)) {
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

/** RFC 7578, from a browser or `curl -F`: every file field is an instance. */
async function* form(header: string, body: ByteStream, signal: AbortSignal): AsyncGenerator<StorePart> {
  const parser = busboy({
    headers: { 'content-type': header },
    limits: { files: defaultMultipartLimits.maxParts, fields: 100, fieldSize: 65_536 },
  })
  const files: Readable[] = []
  const state: { failure?: Error; over: boolean } = { over: false }
  // Who waits, for a file to come or for one to be taken, looks again.
  const waiting: (() => void)[] = []
  const changed = (): void => waiting.splice(0).forEach((wake) => wake())
  const change = (): Promise<void> => new Promise((resolve) => waiting.push(resolve))
  parser.on('file', (_name: string, file: Readable) => {
    // A file cut short by the end of the body emits its error here and where it is read.
    file.on('error', () => undefined)
    files.push(file)
    changed()
  })
  const finish = (error?: Error): void => {
    if (error) state.failure ??= error
    state.over = true
    changed()
    // The file that is being read ends with what ended the form.
    if (error) parser.destroy(error)
  }
  const { maxParts } = defaultMultipartLimits
  const tooMany = new RequestError(413, 'MULTIPART_TOO_MANY_PARTS', `More than ${maxParts} files in a form.`)
  const aborted = (): void => finish(signal.reason as Error)
  signal.addEventListener('abort', aborted)
  parser.on('filesLimit', () => finish(tooMany))
  parser.on('close', () => finish())
  parser.on('error', (error) => finish(malformed(error)))
  const source = body[Symbol.asyncIterator]()
  /** Nothing is read on while a file waits: what would come behind it is held by the client. */
  const feed = async (): Promise<void> => {
    for (;;) {
      while (files.length > 0 && !state.over) await change()
      if (state.over) return
      const step = await source.next()
      if (step.done === true) break
      // Its files take it up at their own pace.
      await new Promise((taken) => parser.write(step.value, taken))
    }
    parser.end()
  }
  feed().catch(finish)
  try {
    for (;;) {
      const file = files.shift()
      // A file left early is still to be read to its end: busboy waits for that.
      if (file) {
        changed()
        yield { type: undefined, body: { [Symbol.asyncIterator]: () => file.iterator({ destroyOnReturn: false }) } }
        file.resume()
      } else if (state.failure) throw state.failure
      else if (state.over) return
      else await change()
    }
  } finally {
    signal.removeEventListener('abort', aborted)
    finish()
    parser.destroy()
    // Not awaited: it may be waiting for a chunk.
    void source.return?.()
  }
}

function malformed(cause: unknown): Error {
  return new RequestError(
    400,
    'MULTIPART_MALFORMED',
    `The form cannot be read: ${cause instanceof Error ? cause.message : 'malformed'}.`,
  )
}
