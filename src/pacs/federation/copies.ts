import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../archive.ts'
import { AskedOnce } from '../asked-once.ts'
import { deriveCounts } from '../search/derive-counts.ts'
import type { SearchRequest } from '../search/search.ts'
import { gather, type Ask, type Gathered } from './gather.ts'
import { KEYS, keptAttributes } from './kept-attributes.ts'
import { memberRows } from './member-rows.ts'
import { countOf, distanceOf, type Told } from './merge.ts'
import { Identity } from './patient-id.ts'

/** How long it is believed where a study is, in ms. */
export const COPIES_MS = 60_000
/** The same where an archive has not told. */
export const PARTLY_KNOWN_MS = 10_000
/** The same where there is none: it may be on its way. */
export const NOWHERE_MS = 2_000
/** Tellings of one archive that are looked at: there is one, unless it has the study of several patients. */
const MAX_TELLINGS = 10
/** How long it is remembered where one was, in ms. */
const BEFORE_MS = 24 * 60 * 60_000
/** What is kept of what archives tell of it. */
const KEPT = [...KEYS, Attribute.InstanceAvailability, Attribute.NumberOfStudyRelatedInstances]
/** Studies of which it is known. */
const MAX_STUDIES = 10_000
/** Archives as fast as each other: within this factor. */
const SAME_SPEED = 4

/** A study at one archive. */
export interface Copy extends Told {
  /** Instances that the archive says there are; undefined where it does not, or is not to be believed. */
  readonly instances: number | undefined
  readonly identity: Identity
}

/** Where a study is. */
export interface Whereabouts {
  /** The best first: fuller, then nearer, then faster; at the end those of who had one and does not answer now. */
  readonly copies: readonly Copy[]
  /** Who could not say whether it has one. */
  readonly failures: readonly Pick<Gathered, 'archive' | 'failure'>[]
}

const OF_STUDY = { level: 'STUDY', withParents: false, match: [], include: [], doubles: true } as const

/** Where the studies of a federation are, as its archives say. */
export class Copies {
  readonly #archives: readonly Archive[]
  readonly #timeout: number
  readonly #known = new LRUCache<Uid, Whereabouts>({ max: MAX_STUDIES })
  readonly #asking = new AskedOnce<Whereabouts>()
  /** Counts what was stored to studies: what was asked before may not know of it. */
  readonly #stored = new LRUCache<Uid, number>({ max: MAX_STUDIES })
  /** What was found the last time: what was fetched of the best is held, and who does not answer now may hold it still. */
  readonly #before = new LRUCache<Uid, readonly Copy[]>({ max: MAX_STUDIES, ttl: BEFORE_MS })
  /** Milliseconds that archives took to say it of late. */
  readonly #pace = new Map<Archive, number>()

  constructor(archives: readonly Archive[], timeout: number) {
    this.#archives = archives
    this.#timeout = timeout
  }

  /** @throws the signal's reason */
  async of(study: Uid, signal: AbortSignal): Promise<Whereabouts> {
    const known = this.#known.get(study)
    if (known) return known
    return this.#asking.of(`${study} ${this.#stored.get(study) ?? 0}`, signal, (stop) => this.#ask(study, stop.signal))
  }

  /** The same where it is in none that has answered in time: archives are waited for as long as each is by itself. */
  patiently(study: Uid, signal: AbortSignal): Promise<Whereabouts> {
    const patience = Math.max(...this.#archives.map(({ config: { timeouts } }) => timeouts.queue + timeouts.response))
    return this.#asking.of(`${study} patiently`, signal, (stop) => this.#ask(study, stop.signal, patience))
  }

  /** It has changed: something was stored. */
  forget(study: Uid): void {
    this.#known.delete(study)
    this.#stored.set(study, (this.#stored.get(study) ?? 0) + 1)
  }

  async #ask(study: Uid, signal: AbortSignal, timeout = this.#timeout): Promise<Whereabouts> {
    const request: SearchRequest = { ...OF_STUDY, study }
    const began = performance.now()
    const stored = this.#stored.get(study)
    const learn = (archive: Archive): void => this.#learn(archive, performance.now() - began)
    const ask: Ask = async function* (archive, call, capped) {
      yield* deriveCounts(archive, memberRows(archive, { request, linked: [] }, call, capped), request, call)
      learn(archive)
    }
    const gathered = await gather(this.#archives, ask, { limit: MAX_TELLINGS, timeout }, { signal })
    const copies = gathered.flatMap(({ archive, rows }): Copy[] => {
      const all = rows
        // Some archives pass over keys.
        .filter((row) => row.string(Attribute.StudyInstanceUID) === study)
        .map((row) => {
          const told = { archive, row: keptAttributes(row, KEPT) }
          return { ...told, instances: countOf(told, 'STUDY'), identity: Identity.of(row, archive.config) }
        })
      // Of several tellings those of another patient.
      return all.filter((one, at) => !all.slice(0, at).some((before) => before.identity.isSame(one.identity)))
    })
    const failures = gathered.filter(({ failure }) => failure !== undefined)
    const before = this.#before.get(study) ?? []
    const isSilent = ({ archive }: Copy): boolean =>
      failures.some((one) => one.archive === archive) && !copies.some((one) => one.archive === archive)
    const hidden = before.filter(isSilent)
    const found = { copies: [...this.#ordered(copies, before), ...hidden], failures }
    if (stored !== this.#stored.get(study)) return found
    const ttl = found.copies.length === 0 ? NOWHERE_MS : failures.length > 0 ? PARTLY_KNOWN_MS : COPIES_MS
    this.#known.set(study, found, { ttl })
    this.#before.set(study, found.copies)
    return found
  }

  #ordered(copies: readonly Copy[], [before]: readonly Copy[]): Copy[] {
    const rank = (copy: Copy): readonly number[] => [
      -(copy.instances ?? -1),
      distanceOf(copy),
      copy.archive === before?.archive ? 0 : 1,
      Math.floor(Math.log(Math.max(1, this.#pace.get(copy.archive) ?? 1)) / Math.log(SAME_SPEED)),
      this.#archives.indexOf(copy.archive),
    ]
    return copies
      .map((copy) => ({ copy, rank: rank(copy) }))
      .sort((one, other) => compare(one.rank, other.rank))
      .map(({ copy }) => copy)
  }

  #learn(archive: Archive, milliseconds: number): void {
    const before = this.#pace.get(archive) ?? milliseconds
    this.#pace.set(archive, (3 * before + milliseconds) / 4)
  }
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((value, index) => value !== other[index])
  return at < 0 ? 0 : one[at]! - other[at]!
}
