import { checkBoundary } from '../../src/dicomweb/multipart/boundary.ts'
import { MultipartError } from '../../src/dicomweb/multipart/error.ts'
import { readFormFiles } from '../../src/dicomweb/multipart/form-files.ts'
import type { MultipartLimits } from '../../src/dicomweb/multipart/limits.ts'
import { readMultipart } from '../../src/dicomweb/multipart/reader.ts'
import { closing, partHeader } from '../../src/dicomweb/multipart/writer.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { collectUntilError } from '../../test/support/byte-stream.ts'
import { brief, failure, outcome } from '../outcome.ts'
import { inPieces, streamed } from '../pieces.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

const errors = [MultipartError]
/** Within reach of small inputs. */
const limits: MultipartLimits = {
  maxPreambleBytes: 64,
  maxEpilogueBytes: 64,
  maxHeaderBytes: 256,
  maxParts: 8,
  maxPartBytes: 4_096,
}

/** Bodies in parts (RFC 2046 5.1), and files of forms (RFC 7578). The boundary stands in the first line of an input. */
export const multipart: Target = {
  name: 'multipart',
  errors,
  dictionary: tokens(
    ...[
      '--b',
      '\r\n--b',
      '\n--b',
      '--b--',
      '\r\n--b--\r\n',
      '\r\n',
      '\n',
      '\r',
      '--',
      ' ',
      '\t',
      '\r\n\r\n',
      ': ',
      ',',
    ],
    ...[
      'Content-Type: application/dicom',
      'Content-Disposition: form-data; name="f"; filename="x"',
      'filename=""',
      '\0',
      '"',
    ],
  ),
  async seeds() {
    const part = partHeader('b', { 'Content-Type': 'application/dicom' }, true)
    const next = partHeader('b', { 'Content-Type': 'text/plain', 'Content-Length': 2 }, false)
    return [
      Buffer.concat([Buffer.from('b\n'), part, Buffer.from('DICM'), next, Buffer.from('ok'), closing('b')]),
      ...tokens(
        'b\npreamble\r\n--b\r\n\r\n--b--\r\nepilogue',
        'b\n--b\nA: 1\n B\na: 2\n\nbody\n--b \t\r\n\r\n\r\n--bb\r\n--b--',
        'b c\n--b c\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n--b c--\r\n',
        'b\n--b\r\nContent-Disposition: form-data; name="f"; filename="a;b"\r\n\r\nDICM\r\n--b--\r\n',
        '\r\n',
      ),
    ]
  },
  async run(input) {
    const line = input.indexOf(0x0a)
    const boundary = input.toString('latin1', 0, Math.max(line, 0))
    const body = input.subarray(line + 1)
    const pieces = inPieces(body)
    same('A body in pieces has other parts', await parts([body], boundary), await parts(pieces, boundary))
    same('A body in pieces has other files', await formFiles([body], boundary), await formFiles(pieces, boundary))
    if (outcome(errors, () => checkBoundary(boundary)) === boundary) await written(body, boundary)
  },
}

async function parts(chunks: readonly Bytes[], boundary: string): Promise<string> {
  let text = ''
  try {
    for await (const part of readMultipart(streamed(chunks), boundary, limits)) {
      text += `${JSON.stringify([...part.headers])}\n`
      const { bytes, error } = await collectUntilError(part.body)
      // A part that is cut is no part: how much of it came depends on the pieces.
      if (error !== undefined) return text + failure(errors, error)
      text += `${brief(bytes)}\n`
    }
    return `${text}end`
  } catch (error) {
    return text + failure(errors, error)
  }
}

async function formFiles(chunks: readonly Bytes[], boundary: string): Promise<string> {
  let text = ''
  try {
    for await (const file of readFormFiles(streamed(chunks), boundary, limits)) {
      const { bytes, error } = await collectUntilError(file)
      if (error !== undefined) return text + failure(errors, error)
      text += `${brief(bytes)}\n`
    }
    return `${text}end`
  } catch (error) {
    return text + failure(errors, error)
  }
}

/** A body that is written around any bytes gives them back, unless the boundary is among them. */
async function written(bytes: Bytes, boundary: string): Promise<void> {
  if (bytes.length > limits.maxPartBytes || Buffer.from(bytes).includes(`--${boundary}`)) return
  const body = [partHeader(boundary, { 'Content-Type': 'application/dicom' }, true), bytes, closing(boundary)]
  for await (const part of readMultipart(streamed(body), boundary, limits)) {
    const { bytes: read, error } = await collectUntilError(part.body)
    if (error !== undefined)
      throw new BrokenPropertyError(`A part that was written is not read: ${failure(errors, error)}`)
    same('A part that was written is read as another', brief(bytes), brief(read))
  }
}
