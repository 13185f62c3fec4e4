import { modelType } from '../accept.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { parseSearchParams } from '../../dicomweb/params/search-params.ts'
import type { Call } from '../../pacs/call.ts'
import { deriveCounts, fittingModalities } from '../../pacs/search/derive-counts.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import type { HttpContext } from '../context.ts'
import { AnswerEnd } from './answer-end.ts'
import { complete } from './complete.ts'
import { faultOf } from './faults.ts'
import { Page } from './page.ts'
import { searchFederation } from './search-federation.ts'
import { searchRequest, type SearchResource } from './search-request.ts'
import { sendResults } from './send-results.ts'
import { unsupported } from './unsupported.ts'
import { seriesListed } from './series-listed.ts'
import { narrowed, visible } from '../auth/within-binding.ts'

/** QIDO-RS (PS3.18 10.6). */
export async function searchResource(c: HttpContext, resource: SearchResource): Promise<Response> {
  if (c.var.federated) return searchFederation(c, resource, c.var.federated)
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
  const failed = (error: unknown): unknown => faultOf(error, request)
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

async function* nothing(): AsyncGenerator<Dataset> {
  // limit=0 asks for nothing (PS3.18 8.3.4.4).
}
