import type { Bytes } from '../../dicom/bytes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { jsonPieces } from '../../dicomweb/encode/json.ts'
import { Repeats } from '../../dicomweb/encode/repeats.ts'
import { xmlPieces } from '../../dicomweb/encode/xml.ts'
import { closing, newBoundary, partHeader, relatedType } from '../../dicomweb/multipart/writer.ts'
import { JSON_PARTS, type ModelType } from '../../dicomweb/negotiate/negotiate.ts'
import { encodedText } from '../body/encoded-text.ts'
import { primed } from '../body/primed.ts'
import { sendStream } from '../body/send-stream.ts'
import { sizedPieces } from '../body/sized-body.ts'
import type { HttpContext } from '../context.ts'
import { heldAs, weakTagOf } from '../validators/entity-tag.ts'
import { keptUnder } from '../validators/freshness.ts'
import { heldBy, unchanged } from '../validators/not-modified.ts'
import type { AnswerEnd } from './answer-end.ts'
import type { Page } from './page.ts'

/** The status line waits for the end of the search, so that the Warning can count what is left: so far and so long. */
const HOLD_BYTES = 1024 * 1024
const HOLD_MS = 250

/** How results are given. */
export interface ResultsAnswer {
  readonly type: ModelType | typeof JSON_PARTS
  readonly page: Page
  readonly end: AnswerEnd
  /** What is to be told besides what is known of the page. */
  readonly warnings: readonly string[]
  /** What a failure in front of the status line is to the client. */
  readonly failed: (error: unknown) => unknown
}

/**
 * Gives the results of a page as they come: complete ones, which are whole where `end` says so. What did not take long has an
 * ETag, and counts what is left.
 * @throws what `failed` makes of what the results throw before anything is sent
 */
export async function sendResults(
  c: HttpContext,
  results: AsyncIterable<Dataset>,
  { type, page, end, warnings, failed }: ResultsAnswer,
): Promise<Response> {
  const { archive, base } = c.var
  const { emptyStatus } = archive.config.search
  const boundary = newBoundary()
  const isXml = type === 'application/dicom+xml'
  const isInParts = isXml || type === JSON_PARTS
  const checked = end.checked(results, page)
  const body = isXml ? inXml(checked, boundary) : isInParts ? inOnePart(inJson(checked), boundary) : inJson(checked)
  const { done, stream } = await primed(body, HOLD_BYTES, HOLD_MS).catch((error: unknown) => {
    throw failed(error)
  })
  end.statusIsOut()
  const told = [...warnings, ...page.warnings(done), ...end.warnings(page)].map((text) => `299 ${base}: ${text}`)
  const headers: Record<string, string[]> = told.length > 0 ? { Warning: told } : {}
  if (done && page.given === 0 && emptyStatus === 204) return c.body(null, 204, headers)
  // A boundary is another each time.
  const pieces: Bytes[] = []
  if (done && !isInParts) for await (const piece of stream) pieces.push(piece)
  const tag = done && !isInParts ? weakTagOf(pieces) : undefined
  if (tag !== undefined && heldAs(tag, heldBy(c)) !== undefined) return unchanged(c, tag, 'checked', headers)
  const contentType = isInParts ? relatedType(isXml ? type : 'application/dicom+json', boundary) : type
  const kept = tag === undefined ? {} : keptUnder(c, tag, 'checked')
  return sendStream(
    c,
    { status: 200, headers: { 'Content-Type': contentType, ...kept, ...headers } },
    tag === undefined ? stream : sizedPieces(pieces).bytes(),
    archive.config.timeouts.stall,
  )
}

async function* inXml(results: AsyncIterable<Dataset>, boundary: string): AsyncGenerator<Bytes> {
  let first = true
  for await (const result of results) {
    yield partHeader(boundary, { 'Content-Type': 'application/dicom+xml' }, first)
    yield* encodedText(xmlPieces(result))
    first = false
  }
  // Without results there is no part to close: RFC 2046 has no form for that, readers take the last boundary alone.
  yield first ? Buffer.from(`--${boundary}--\r\n`) : closing(boundary)
}

async function* inOnePart(body: AsyncIterable<Bytes>, boundary: string): AsyncGenerator<Bytes> {
  yield partHeader(boundary, { 'Content-Type': 'application/dicom+json' }, true)
  yield* body
  yield closing(boundary)
}

async function* inJson(results: AsyncIterable<Dataset>): AsyncGenerator<Bytes> {
  const repeats = new Repeats()
  let separator = '['
  for await (const result of results) {
    yield Buffer.from(separator)
    yield* encodedText(jsonPieces(result, {}, repeats))
    separator = ','
  }
  yield Buffer.from(separator === '[' ? '[]' : ']')
}
