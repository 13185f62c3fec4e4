import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive, QueryOptions } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import { gather, type Ask, type Gathered, type GatherOptions } from '../../pacs/federation/gather.ts'
import { memberRows } from '../../pacs/federation/member-rows.ts'
import { namedPatient } from '../../pacs/federation/member-request.ts'
import { addTold, merge, placeOf, type Entry, type MergeOptions, type Told } from '../../pacs/federation/merge.ts'
import { toldId, type PatientId } from '../../pacs/federation/patient-id.ts'
import { deriveCounts } from '../../pacs/search/derive-counts.ts'
import { uniqueKeys } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import { visible } from '../auth/within-binding.ts'
import type { HttpContext } from '../context.ts'
import type { Federated } from '../federated.ts'
import { problemOf } from '../problem.ts'
import { faultOf } from './faults.ts'
import type { Page } from './page.ts'
import { probableOnly, probableRequest } from './probable.ts'

/** Patients of whom it is asked, at once, whether they are one. */
const MAX_LINKED_PATIENTS = 20
/** UIDs of one query by which it is looked whether an archive has what others have. */
const UIDS_AT_ONCE = 100

/** One search of several archives. */
export class FederatedSearch {
  /** What all of them agree to. */
  agreed: Pick<QueryOptions, 'fuzzy' | 'emptyValue' | 'multipleValue'> = {
    fuzzy: true,
    emptyValue: true,
    multipleValue: true,
  }
  /** Archives that have not told all. */
  readonly failures: Gathered[] = []
  readonly #c: HttpContext
  readonly #federated: Federated
  readonly #request: SearchRequest
  readonly #linked: readonly PatientId[]
  readonly #call: Call
  /** By performance.now(). */
  readonly #deadline: number

  constructor(c: HttpContext, federated: Federated, request: SearchRequest, linked: readonly PatientId[]) {
    this.#c = c
    this.#federated = federated
    this.#request = request
    this.#linked = linked
    this.#call = { signal: c.var.signal }
    this.#deadline = performance.now() + federated.federation.config.timeout
  }

  /** What is on a page, with all that the archives tell of it. @throws what the first fails with where all do; ResultsTooLargeError */
  async page(archives: readonly Archive[], page: Page): Promise<Entry[]> {
    // So many of one archive are enough, whatever the others have.
    const limit = page.offset + page.limit + page.countWindow
    const gathered = await this.#gather(archives, (...asked) => this.#rows(this.#request, this.#linked, ...asked), {
      limit,
      passed: Math.floor(page.offset / archives.length),
    })
    const hasNothing = gathered.every(({ rows, failure }) => failure !== undefined && rows.length === 0)
    if (hasNothing) throw this.#fault(gathered.map(({ failure }) => failure))
    const entries: Entry[] = []
    for await (const entry of page.of(each(await this.#merged(gathered)))) entries.push(entry)
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
    const limit = page.offset + page.limit + found.length
    const gathered = await this.#gather(this.#federated.members, unlinked, { limit })
    const entries = probableOnly(await merge(gathered, { level: 'STUDY' }), patient, ids).slice(0, room)
    await this.#count(entries)
    return entries
  }

  /** What archives say of a page that had more to tell than was read. */
  async #tellOthers(archives: readonly Archive[], entries: readonly Entry[]): Promise<void> {
    const { level } = this.#request
    if (archives.length === 0 || level === 'IMAGE') return
    const places = Map.groupBy(entries, ({ told }) => placeOf(told[0]!.row, level))
    const untold = (archive: Archive): string[] =>
      [...places]
        .filter(([, all]) => !all.some(({ told }) => told.some((one) => one.archive === archive)))
        .map(([uid]) => uid)
    const rows = (...[archive, call, capped]: Parameters<Ask>): AsyncGenerator<Dataset> =>
      this.#byUids(untold(archive), (request) => this.#rows(request, this.#linked, archive, call, capped))
    for (const { archive, rows: more } of await this.#gather(archives, rows, { limit: Infinity })) {
      for (const row of more) {
        addTold(places.get(placeOf(row, level)) ?? [], { archive, row }, this.#merging)
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

  /** Counts and modalities, where archives leave them out: without them, too, nothing is missing. */
  async #count(entries: readonly Entry[]): Promise<void> {
    if (this.#request.level !== 'STUDY') return
    const byArchive = Map.groupBy(
      entries.flatMap(({ told }) => told),
      ({ archive }: Told) => archive,
    )
    const rows = (...[archive, call]: Parameters<Ask>): AsyncGenerator<Dataset> =>
      deriveCounts(archive, each(byArchive.get(archive)!.map(({ row }) => row)), this.#request, call)
    const { timeout } = this.#federated.federation.config
    await gather(this.#answering([...byArchive.keys()]), rows, { limit: Infinity, timeout }, this.#call)
  }

  async #gather(archives: readonly Archive[], ask: Ask, options: Omit<GatherOptions, 'timeout'>): Promise<Gathered[]> {
    const timeout = Math.max(1, this.#deadline - performance.now())
    const all = await gather(this.#answering(archives), ask, { ...options, timeout }, this.#call)
    // One that ended early had more to tell, unless as much was read as was wanted.
    this.failures.push(
      ...all.filter(({ failure, isCapped, hasMore }) => failure !== undefined || (isCapped && !hasMore)),
    )
    return all
  }

  /** Without those that have failed before. */
  #answering(archives: readonly Archive[]): readonly Archive[] {
    return archives.filter((archive) => !this.failures.some((one) => one.archive === archive && one.failure))
  }

  get #merging(): MergeOptions {
    const { level, study } = this.#request
    return { level, isOfOne: study !== undefined, linked: [this.#linked] }
  }

  /** With the IDs of those who have one UID and two IDs, where somebody links them. */
  async #merged(gathered: readonly Gathered[]): Promise<Entry[]> {
    const entries = await merge(gathered, this.#merging)
    const { links } = this.#federated
    const patients = entries.filter(({ isAmbiguous }) => isAmbiguous).map(({ told }) => toldId(told[0]!.row))
    if (!links || patients.length === 0) return entries
    const known = patients.filter((one) => one !== undefined && one.issuer !== '').slice(0, MAX_LINKED_PATIENTS)
    const linked = await Promise.all(known.map(async (one) => (await links.of(one!)) ?? []))
    return merge(gathered, { ...this.#merging, linked: [this.#linked, ...linked] })
  }

  /** Of several the one that is of the request: the others would not have done either. */
  #fault(failures: readonly unknown[]): unknown {
    const faults = failures.map((one) => faultOf(one, this.#request))
    return faults.find((one) => problemOf(one, '').problem.status < 500) ?? faults[0]
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

async function* each<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all
}
