import { Attribute } from '../../dicom/attributes.ts'
import { parseSearchParams } from '../../dicomweb/params/search-params.ts'
import type { Archive } from '../../pacs/archive.ts'
import { namedPatient } from '../../pacs/federation/member-request.ts'
import { fullest, type Entry } from '../../pacs/federation/merge.ts'
import { modelType } from '../accept.ts'
import { narrowed } from '../auth/within-binding.ts'
import { publicOrigin } from '../base-url.ts'
import type { HttpContext } from '../context.ts'
import type { Federated } from '../federated.ts'
import { archiveRoot } from '../path.ts'
import { isOn, isStrict, notComplete, silences, STRICT } from '../silences.ts'
import { AnswerEnd } from './answer-end.ts'
import { complete } from './complete.ts'
import { faultOf } from './faults.ts'
import { FederatedSearch } from './federated-search.ts'
import { Page } from './page.ts'
import { PROBABLE } from './probable.ts'
import { searchRequest, type SearchResource } from './search-request.ts'
import { sendResults } from './send-results.ts'
import { seriesListed } from './series-listed.ts'
import { unsupported } from './unsupported.ts'

const OTHER_IDS = Attribute.OtherPatientIDsSequence

/**
 * QIDO-RS (PS3.18 10.6) of several archives as one: all are asked at the same time. An answer is a page of what those have told
 * who answered in time, and names the others.
 * @throws RequestError 502 for who wants all or nothing; what an archive fails with where none has answered
 */
export async function searchFederation(
  c: HttpContext,
  resource: SearchResource,
  federated: Federated,
): Promise<Response> {
  const type = modelType(c)
  const strict = isStrict(c)
  const query = new URL(c.req.url).searchParams
  const isProbableAsked = isOn(c, PROBABLE)
  for (const own of [STRICT, PROBABLE]) query.delete(own)
  const params = parseSearchParams(query)
  const wanted = searchRequest(c, resource, params)
  const bound = narrowed(wanted, c.var.principal.binding)
  const request = bound ?? wanted
  const copies = federated.study?.copies.map(({ archive }) => archive)
  const archives = copies ? [...new Set(copies)] : federated.members
  const { maxResults, countWindow } = boundsOf(federated.members)
  const isOfAll = request.level !== 'STUDY' && request.study === undefined
  const page = new Page(params.offset, Math.min(params.limit ?? maxResults, maxResults), isOfAll ? 1 : countWindow)
  const patient = namedPatient(request)
  const linked = patient && federated.links ? await federated.links.of(patient) : []
  const search = new FederatedSearch(c, federated, request, linked ?? [])
  const isEmpty = page.limit === 0 || !bound || archives.length === 0
  const found = isEmpty ? [] : await search.page(archives, page)
  if (isProbableAsked && patient && !page.hasMore) found.push(...(await search.probable(found, page)))
  const failures = [...(federated.study?.failures ?? []), ...search.failures]
  for (const { archive } of failures) c.var.trail?.isSilent(archive.config)
  if (failures.length > 0 && strict) throw notComplete(failures)
  const told = found.map((entry) => ({ entry, told: fullest(entry, request.level) }))
  const owners = new Map(told.map(({ told: { row, archive } }) => [row, archive]))
  const rows = told.map(({ entry, told: { archive, row } }) => {
    // It was asked for to tell whose it is.
    if (!request.include.includes(OTHER_IDS)) row.delete(OTHER_IDS)
    return complete(row, request, rootOf(c, entry, archive))
  })
  const warnings = [
    ...silences(failures),
    ...(linked ? [] : ['What IDs the patient has at other issuers cannot be found out at present']),
    ...unsupported(params, search.agreed),
  ]
  const results = seriesListed(c, request, each(rows), (row) => owners.get(row)!)
  const failed = (error: unknown): unknown => faultOf(error, request)
  return sendResults(c, results, { type, page, end: new AnswerEnd(), warnings, failed })
}

/** Where it can be retrieved: where others have another of the same UID, at its archive. */
function rootOf(c: HttpContext, { isAmbiguous }: Entry, archive: Archive): string {
  if (!isAmbiguous) return c.var.base
  return publicOrigin(c, c.var.config.http) + archiveRoot(c.var.config.http, archive.config)
}

/** The widest of the bounds of several archives. */
function boundsOf(archives: readonly Archive[]): { readonly maxResults: number; readonly countWindow: number } {
  const of = (key: 'maxResults' | 'countWindow'): number =>
    Math.max(...archives.map(({ config }) => config.search[key]))
  return { maxResults: of('maxResults'), countWindow: of('countWindow') }
}

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all
}
