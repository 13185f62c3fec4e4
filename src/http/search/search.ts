import { modelType } from '../accept.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { vrFor, type Dataset } from '../../dicom/dataset.ts'
import { representation } from '../../dicom/vr.ts'
import { retrieveUrl } from '../../dicomweb/resource.ts'
import { parseSearchParams, type SearchParams } from '../../dicomweb/params/search-params.ts'
import {
  conditionalAttributes,
  depthOf,
  levelOf,
  levels,
  optionalAttributes,
  requiredAttributes,
} from '../../pacs/search/attribute-levels.ts'
import type { Call } from '../../pacs/call.ts'
import { deriveCounts, fittingModalities } from '../../pacs/search/derive-counts.ts'
import type { QueryLevel } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import type { HttpContext } from '../context.ts'
import { AnswerEnd } from './answer-end.ts'
import { isFaultOfRequest, notUnderstood } from './faults.ts'
import { Page } from './page.ts'
import { sendResults } from './send-results.ts'
import { unsupported } from './unsupported.ts'
import { seriesListed } from './series-listed.ts'
import { narrowed, visible } from '../auth/within-binding.ts'
import { RequestError } from '../problem.ts'
import { pathUid } from '../path.ts'

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
  const { maxResults, countWindow } = archive.config.search
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
  const warnings = unsupported(params, options)
  const named = new Set([...request.match.map(({ tag }) => tag), ...request.include])
  const failed = (error: unknown): unknown => {
    if (isFaultOfRequest(error, named)) return notUnderstood(error)
    return isTooBroad(error, request) ? narrowIt(error) : error
  }
  const results = completed(seriesListed(c, request, paged), request, base)
  return sendResults(c, results, { type, page, end, warnings, failed })
}

async function* completed(
  results: AsyncIterable<Dataset>,
  request: SearchRequest,
  base: string,
): AsyncGenerator<Dataset> {
  for await (const result of results) yield complete(result, request, base)
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
