import { modelType } from '../accept.ts'
import { encodedText } from '../body/encoded-text.ts'
import { primed } from '../body/primed.ts'
import { sizedPieces } from '../body/sized-body.ts'
import { heldAs, weakTagOf } from '../validators/entity-tag.ts'
import { keptUnder } from '../validators/freshness.ts'
import { heldBy, unchanged } from '../validators/not-modified.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { vrFor, type Dataset } from '../../dicom/dataset.ts'
import { formatTag } from '../../dicom/tag.ts'
import { representation } from '../../dicom/vr.ts'
import { jsonPieces } from '../../dicomweb/encode/json.ts'
import { Repeats } from '../../dicomweb/encode/repeats.ts'
import { closing, newBoundary, partHeader, relatedType } from '../../dicomweb/multipart/writer.ts'
import { retrieveUrl } from '../../dicomweb/resource.ts'
import { xmlPieces } from '../../dicomweb/encode/xml.ts'
import { parseSearchParams, type SearchParams } from '../../dicomweb/params/search-params.ts'
import {
  conditionalAttributes,
  depthOf,
  levelOf,
  levels,
  optionalAttributes,
  requiredAttributes,
} from '../../pacs/search/attribute-levels.ts'
import type { QueryOptions } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import { deriveCounts, fittingModalities } from '../../pacs/search/derive-counts.ts'
import type { QueryLevel } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import { sendStream } from '../body/send-stream.ts'
import type { HttpContext } from '../context.ts'
import { AnswerEnd } from './answer-end.ts'
import { seriesListed } from './series-listed.ts'
import { narrowed, visible } from '../auth/within-binding.ts'
import { RequestError } from '../problem.ts'
import { pathUid } from '../path.ts'

/** The status line waits for the end of the search, so that the Warning can count what is left: so far and so long. */
const HOLD_BYTES = 1024 * 1024
const HOLD_MS = 250

/** A search resource: the level it lists, and whether each result shows the levels above (PS3.18 10.6.1). */
export interface SearchResource {
  readonly level: QueryLevel
  readonly withParents: boolean
}

/** QIDO-RS (PS3.18 10.6). */
export async function searchResource(c: HttpContext, resource: SearchResource): Promise<Response> {
  const type = modelType(c)
  const { archive, signal, base } = c.var
  const call: Call = { signal }
  const params = parseSearchParams(new URL(c.req.url).searchParams)
  const wanted = searchRequest(c, resource, params)
  const bound = narrowed(wanted, c.var.principal.binding)
  const request = bound ?? wanted
  const options = await archive.queryOptions(params.fuzzyMatching, call)
  const { maxResults, countWindow, emptyStatus } = archive.config.search
  const limit = Math.min(params.limit ?? maxResults, maxResults)
  // What is behind the page of a walk through studies costs queries: that there is more will do.
  const isWalk = request.level !== 'STUDY' && request.study === undefined && !archive.isRelational(options)
  const page = new Page(params.offset, limit, isWalk ? 1 : countWindow)
  const end = new AnswerEnd()
  const searched = visible(
    c,
    archive.search(request, options, call, () => end.cap()),
    request.level,
  )
  const found = fittingModalities(archive, searched, request, call)
  const paged = page.limit === 0 || !bound ? nothing() : deriveCounts(archive, page.of(found), request, call)
  const results = end.checked(seriesListed(c, request, paged), page)
  const boundary = newBoundary()
  const isXml = type === 'application/dicom+xml'
  const body = isXml ? inXml(results, request, base, boundary) : inJson(results, request, base)
  const { done, stream } = await primed(body, HOLD_BYTES, HOLD_MS).catch((error: unknown) => {
    if (isFaultOfRequest(error, request)) throw notUnderstood(error)
    throw isTooBroad(error, request) ? narrowIt(error) : error
  })
  end.statusIsOut()
  const warnings = [...unsupported(params, options), ...page.warnings(done), ...end.warnings(page)].map(
    (text) => `299 ${base}: ${text}`,
  )
  const headers: Record<string, string[]> = warnings.length > 0 ? { Warning: warnings } : {}
  if (done && page.given === 0 && emptyStatus === 204) return c.body(null, 204, headers)
  // A boundary is another each time.
  const pieces: Bytes[] = []
  if (done && !isXml) for await (const piece of stream) pieces.push(piece)
  const tag = done && !isXml ? weakTagOf(pieces) : undefined
  if (tag !== undefined && heldAs(tag, heldBy(c)) !== undefined) return unchanged(c, tag, 'checked', headers)
  const kept = tag === undefined ? {} : keptUnder(c, tag, 'checked')
  return sendStream(
    c,
    { status: 200, headers: { 'Content-Type': isXml ? relatedType(type, boundary) : type, ...kept, ...headers } },
    tag === undefined ? stream : sizedPieces(pieces).bytes(),
    archive.config.timeouts.stall,
  )
}

/** A900H with an attribute that the client named: it is the request that the archive cannot understand. */
function isFaultOfRequest(error: unknown, { match, include }: SearchRequest): error is StatusError {
  if (!(error instanceof StatusError) || error.status !== Status.identifierDoesNotMatchSopClass) return false
  const named = new Set([...match.map((key) => key.tag), ...include].map(formatTag))
  return error.offendingElement.some((t) => named.has(t))
}

/** The archive lists nothing of so much: out of resources (A7xx), or ended by its limit (FE00), where nothing narrows it. */
function isTooBroad(error: unknown, { study, match }: SearchRequest): error is StatusError {
  if (!(error instanceof StatusError)) return false
  const isLimit = error.status === Status.cancel || error.status >>> 8 === 0xa7
  const isNarrowed =
    study !== undefined || match.some(({ values }) => values.some((value) => !/^\**$/.test(String(value))))
  return isLimit && !isNarrowed
}

function narrowIt(cause: StatusError): RequestError {
  const detail =
    'The archive does not answer a search that nothing narrows. Add a PatientID, a StudyDate or another attribute.'
  return new RequestError(413, 'SEARCH_TOO_BROAD', detail, {}, { cause })
}

function notUnderstood(cause: StatusError): RequestError {
  return new RequestError(
    400,
    'ATTRIBUTE_NOT_UNDERSTOOD',
    'The archive does not understand an attribute.',
    {},
    { cause },
  )
}

function searchRequest(c: HttpContext, resource: SearchResource, params: SearchParams): SearchRequest {
  const study = pathUid(c, 'study')
  const series = pathUid(c, 'series')
  const { level, withParents } = resource
  return {
    level,
    withParents,
    fuzzy: params.fuzzyMatching,
    ...(study !== undefined && { study }),
    ...(series !== undefined && { series }),
    match: params.match,
    include: params.includeAll ? [...optionalAttributes[level]] : params.include.filter((t) => isReturned(t, level)),
  }
}

/** Attributes of a lower level are not returned (PS3.18 10.6.3.3.1), nor is bulk data: some archives never answer that. */
function isReturned(t: number, level: QueryLevel): boolean {
  const own = levelOf(t)
  return (own === undefined || depthOf(own) <= depthOf(level)) && representation(vrFor(t)).kind !== 'binary'
}

async function* nothing(): AsyncGenerator<Dataset> {
  // limit=0 asks for nothing (PS3.18 8.3.4.4).
}

/** One page of results, and how much there is behind it. */
class Page {
  given = 0
  #beyond = 0
  readonly offset: number
  readonly limit: number
  readonly #countWindow: number

  constructor(offset: number, limit: number, countWindow: number) {
    this.offset = offset
    this.limit = limit
    this.#countWindow = countWindow
  }

  /** The results of the page; reads on behind it to count, then ends the search, which sends a C-CANCEL. */
  async *of(results: AsyncIterable<Dataset>): AsyncGenerator<Dataset> {
    let skipped = 0
    for await (const result of results) {
      if (skipped < this.offset) skipped++
      else if (this.given < this.limit) {
        this.given++
        yield result
      } else if (++this.#beyond >= Math.max(1, this.#countWindow)) return
    }
  }

  /** There are results behind it. */
  get hasMore(): boolean {
    return this.#beyond > 0
  }

  get isFull(): boolean {
    return this.given >= this.limit
  }

  /** @param done the search is over, so what it found is known */
  warnings(done: boolean): string[] {
    if (this.limit === 0) return []
    if (!done) return [`The search is still going on. At most ${this.limit} results are returned`]
    if (this.#beyond === 0) return []
    return [`There are ${this.#beyond} additional results that can be requested`]
  }
}

function unsupported(params: SearchParams, options: QueryOptions): string[] {
  const texts: string[] = []
  if (params.fuzzyMatching && !options.fuzzy) {
    texts.push('The fuzzymatching parameter is not supported. Only literal matching has been performed.')
  }
  if (params.emptyValueMatching && !options.emptyValue) {
    texts.push('The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed.')
  }
  if (params.multipleValueMatching && !options.multipleValue) {
    texts.push('The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed.')
  }
  if (params.unknown.length > 0) texts.push(unknownParameters(params.unknown))
  return texts
}

/** So many of them are named. */
const MAX_NAMED = 5

function unknownParameters(names: readonly string[]): string {
  // What is not a plain name may be anything, also a value.
  const plain = names.filter((name) => /^[\w.-]{1,64}$/.test(name)).slice(0, MAX_NAMED)
  const named = plain.length > 0 ? `: ${plain.join(', ')}${plain.length < names.length ? ', and others' : ''}` : ''
  return `Parameters that are not known have been passed over${named}. Attributes are named by their keyword or tag.`
}

async function* inXml(
  results: AsyncIterable<Dataset>,
  request: SearchRequest,
  base: string,
  boundary: string,
): AsyncGenerator<Bytes> {
  let first = true
  for await (const result of results) {
    yield partHeader(boundary, { 'Content-Type': 'application/dicom+xml' }, first)
    yield* encodedText(xmlPieces(complete(result, request, base)))
    first = false
  }
  // Without results there is no part to close: RFC 2046 has no form for that, readers take the last boundary alone.
  yield first ? Buffer.from(`--${boundary}--\r\n`) : closing(boundary)
}

async function* inJson(results: AsyncIterable<Dataset>, request: SearchRequest, base: string): AsyncGenerator<Bytes> {
  const repeats = new Repeats()
  let separator = '['
  for await (const result of results) {
    yield Buffer.from(separator)
    yield* encodedText(jsonPieces(complete(result, request, base), {}, repeats))
    separator = ','
  }
  yield Buffer.from(separator === '[' ? '[]' : ']')
}

/** What a result must have, and nothing that is the archive's own business (PS3.18 10.6.3.3). */
function complete(result: Dataset, request: SearchRequest, base: string): Dataset {
  const depth = depthOf(request.level)
  for (const level of request.withParents ? levels.slice(0, depth + 1) : [request.level]) {
    for (const t of requiredAttributes[level]) if (!result.has(t)) result.setEmpty(t)
  }
  // Attributes given only where they are known: an empty answer says that they are not.
  for (const level of levels) {
    for (const t of conditionalAttributes[level]) {
      if (isEmpty(result, t) && !request.include.includes(t)) result.delete(t)
    }
  }
  for (const { tag: t, vr } of request.match) if (!result.has(t)) result.setEmpty(t, vr)
  for (const t of request.include) if (!result.has(t)) result.setEmpty(t, vrFor(t))
  result.delete(Attribute.QueryRetrieveLevel)
  const study = result.string(Attribute.StudyInstanceUID)
  if (study !== undefined) {
    const series = depth > 0 ? result.string(Attribute.SeriesInstanceUID) : undefined
    const instance = depth > 1 ? result.string(Attribute.SOPInstanceUID) : undefined
    const url = retrieveUrl(base, { study, series, instance })
    if (url === undefined) result.delete(Attribute.RetrieveURL)
    else result.set(Attribute.RetrieveURL, url)
  }
  return result
}

function isEmpty(result: Dataset, t: number): boolean {
  const value = result.get(t)?.value
  return value !== undefined && 'length' in value && value.length === 0
}
