import type { Dataset } from '../../dicom/dataset.ts'
import { parseSearchParams } from '../../dicomweb/params/search-params.ts'
import type { Archive, QueryOptions } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import { gather, type Ask, type Gathered } from '../../pacs/federation/gather.ts'
import { namedPatient } from '../../pacs/federation/member-request.ts'
import { memberRows } from '../../pacs/federation/member-rows.ts'
import { addTold, fullest, merge, placeOf, type Entry, type Told } from '../../pacs/federation/merge.ts'
import type { PatientId } from '../../pacs/federation/patient-id.ts'
import { deriveCounts } from '../../pacs/search/derive-counts.ts'
import { uniqueKeys } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import { modelType } from '../accept.ts'
import { narrowed, visible } from '../auth/within-binding.ts'
import { publicOrigin } from '../base-url.ts'
import type { HttpContext } from '../context.ts'
import type { Federated } from '../federated.ts'
import { archiveRoot } from '../path.ts'
import { isOn, isStrict, notComplete, silences, STRICT } from '../silences.ts'
import { AnswerEnd, MAY_BE_MORE } from './answer-end.ts'
import { complete } from './complete.ts'
import { faultOf } from './faults.ts'
import { Page } from './page.ts'
import { PROBABLE, probableOnly, probableRequest } from './probable.ts'
import { searchRequest, type SearchResource } from './search-request.ts'
import { sendResults } from './send-results.ts'
import { seriesListed } from './series-listed.ts'
import { unsupported } from './unsupported.ts'

/** UIDs of one query by which it is looked whether an archive has what others have. */
const UIDS_AT_ONCE = 100

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
  const archives = federated.study?.copies.map(({ archive }) => archive) ?? federated.members
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
  if (failures.length > 0 && strict) throw notComplete(failures)
  const told = found.map((entry) => ({ entry, told: fullest(entry, request.level) }))
  const owners = new Map(told.map(({ told: { row, archive } }) => [row, archive]))
  const rows = told.map(({ entry, told: { archive, row } }) => complete(row, request, rootOf(c, entry, archive)))
  const warnings = [
    ...silences(failures),
    ...(linked ? [] : ['What IDs the patient has at other issuers cannot be found out at present']),
    ...(search.isCapped && !page.hasMore ? [MAY_BE_MORE] : []),
    ...unsupported(params, search.agreed),
  ]
  const results = seriesListed(c, request, each(rows), (row) => owners.get(row)!)
  const failed = (error: unknown): unknown => faultOf(error, request)
  return sendResults(c, results, { type, page, end: new AnswerEnd(), warnings, failed })
}

/** One search of several archives. */
class FederatedSearch {
  /** What all of them agree to. */
  agreed: Pick<QueryOptions, 'fuzzy' | 'emptyValue' | 'multipleValue'> = {
    fuzzy: true,
    emptyValue: true,
    multipleValue: true,
  }
  readonly failures: Gathered[] = []
  isCapped = false
  readonly #c: HttpContext
  readonly #federated: Federated
  readonly #request: SearchRequest
  readonly #linked: readonly PatientId[]
  readonly #call: Call

  constructor(c: HttpContext, federated: Federated, request: SearchRequest, linked: readonly PatientId[]) {
    this.#c = c
    this.#federated = federated
    this.#request = request
    this.#linked = linked
    this.#call = { signal: c.var.signal }
  }

  /** What is on a page, with all that the archives tell of it. @throws what the first fails with where all do; ResultsTooLargeError */
  async page(archives: readonly Archive[], page: Page): Promise<Entry[]> {
    // So many of one archive are enough, whatever the others have.
    const limit = page.offset + page.limit + page.countWindow
    const gathered = await this.#gather(
      archives,
      (...asked) => this.#rows(this.#request, this.#linked, ...asked),
      limit,
    )
    const hasNothing = gathered.every(({ rows, failure }) => failure !== undefined && rows.length === 0)
    if (hasNothing) throw faultOf(gathered[0]?.failure, this.#request)
    const entries: Entry[] = []
    for await (const entry of page.of(each(merge(gathered, this.#request.level, this.#linked)))) entries.push(entry)
    await this.#tellOthers(
      gathered.filter(({ hasMore }) => hasMore).map(({ archive }) => archive),
      entries,
    )
    await this.#count(entries)
    return entries
  }

  /**
   * What may be of the patient by name, birth date and sex, and has another ID: as much as there is room for on the page, behind
   * what is of him.
   */
  async probable(found: readonly Entry[], page: Page): Promise<Entry[]> {
    const patient = found[0]?.told[0]?.row
    const request = patient && this.#request.level === 'STUDY' ? probableRequest(this.#request, patient) : undefined
    const room = page.limit - page.given
    if (!patient || !request || room <= 0) return []
    const named = namedPatient(this.#request)
    const ids = [...(named ? [named] : []), ...this.#linked]
    const unlinked = (...asked: Parameters<Ask>): AsyncGenerator<Dataset> => this.#rows(request, [], ...asked)
    const gathered = await this.#gather(this.#federated.members, unlinked, room + found.length)
    const entries = probableOnly(merge(gathered, 'STUDY'), patient, ids).slice(0, room)
    await this.#count(entries)
    return entries
  }

  /** What archives say of a page that had more to tell than was read. */
  async #tellOthers(archives: readonly Archive[], entries: readonly Entry[]): Promise<void> {
    const { level } = this.#request
    if (archives.length === 0 || level === 'IMAGE') return
    const places = new Map(entries.map((entry) => [placeOf(entry.told[0]!.row, level), entry]))
    const untold = (archive: Archive): string[] =>
      [...places].filter(([, { told }]) => !told.some((one) => one.archive === archive)).map(([uid]) => uid)
    const rows = (...[archive, call, capped]: Parameters<Ask>): AsyncGenerator<Dataset> =>
      this.#byUids(untold(archive), (request) => this.#rows(request, this.#linked, archive, call, capped))
    for (const { archive, rows: more } of await this.#gather(archives, rows, Infinity)) {
      for (const row of more) {
        const entry = places.get(placeOf(row, level))
        if (entry) addTold(entry, { archive, row }, level, this.#linked)
      }
    }
  }

  async *#byUids(
    uids: readonly string[],
    search: (request: SearchRequest) => AsyncIterable<Dataset>,
  ): AsyncGenerator<Dataset> {
    const { level, match, ...rest } = this.#request
    const unique = uniqueKeys[level]
    for (let at = 0; at < uids.length; at += UIDS_AT_ONCE) {
      const named = { tag: unique, vr: 'UI', values: uids.slice(at, at + UIDS_AT_ONCE) } as const
      yield* search({ ...rest, level, match: [...match.filter(({ tag }) => tag !== unique), named] })
    }
  }

  /** Counts and modalities, where archives leave them out. */
  async #count(entries: readonly Entry[]): Promise<void> {
    if (this.#request.level !== 'STUDY') return
    const byArchive = Map.groupBy(
      entries.flatMap(({ told }) => told),
      ({ archive }: Told) => archive,
    )
    const rows = (...[archive, call]: Parameters<Ask>): AsyncGenerator<Dataset> =>
      deriveCounts(archive, each(byArchive.get(archive)!.map(({ row }) => row)), this.#request, call)
    await this.#gather([...byArchive.keys()], rows, Infinity)
  }

  async #gather(archives: readonly Archive[], ask: Ask, limit: number): Promise<Gathered[]> {
    const { timeout } = this.#federated.federation.config
    const all = await gather(archives, ask, { limit, timeout }, this.#call)
    for (const one of all) {
      this.isCapped ||= one.isCapped
      if (one.failure !== undefined) this.failures.push(one)
    }
    return all
  }

  /** What one archive finds, of what its client may see. */
  #rows(
    request: SearchRequest,
    linked: readonly PatientId[],
    ...[archive, call, capped]: Parameters<Ask>
  ): AsyncGenerator<Dataset> {
    const agreed = ({ fuzzy, emptyValue, multipleValue }: QueryOptions): void => {
      this.agreed = {
        fuzzy: this.agreed.fuzzy && fuzzy,
        emptyValue: this.agreed.emptyValue && emptyValue,
        multipleValue: this.agreed.multipleValue && multipleValue,
      }
    }
    const rows = memberRows(archive, { request, linked, agreed }, call, capped)
    return visible(this.#c, rows, request.level, archive)
  }
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
