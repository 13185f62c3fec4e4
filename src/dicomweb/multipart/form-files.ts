import type { ByteStream } from '../../dicom/bytes.ts'
import { splitUnquoted } from '../negotiate/content-type.ts'
import { defaultMultipartLimits, type MultipartLimits } from './limits.ts'
import { readMultipart, type ReceivedPart } from './reader.ts'

/** Media types of parts that are files also without a name: `multipart/form-data` leaves the name to the sender. */
const FILE_TYPES = /^(application\/octet-stream|application\/dicom)\s*(;|$)/i

/**
 * The files of a form (RFC 7578), each as it arrives and read before the next is asked for. Fields are passed over, and
 * so is an input of a page in which no file was chosen: without a name and without a byte.
 * @throws MultipartError as readMultipart
 */
export async function* readFormFiles(
  body: ByteStream,
  boundary: string,
  limits: MultipartLimits = defaultMultipartLimits,
): AsyncGenerator<ByteStream, void, undefined> {
  for await (const part of readMultipart(body, boundary, limits)) {
    const name = fileName(part)
    if (name === undefined) continue
    const file = name === '' ? await ifNotEmpty(part.body) : part.body
    if (file) yield file
  }
}

/** As it is written, since only whether there is one matters here; undefined for a field. */
function fileName({ headers }: ReceivedPart): string | undefined {
  for (const parameter of splitUnquoted(headers.get('content-disposition') ?? '', ';')) {
    const [, value] = /^\s*filename\*?\s*=\s*(.*?)\s*$/is.exec(parameter) ?? []
    if (value !== undefined) return value === '""' ? '' : value
  }
  return FILE_TYPES.test(headers.get('content-type') ?? '') ? '' : undefined
}

async function ifNotEmpty(body: ByteStream): Promise<ByteStream | undefined> {
  const iterator = body[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) return undefined
  return (async function* () {
    yield first.value
    yield* { [Symbol.asyncIterator]: () => iterator }
  })()
}
