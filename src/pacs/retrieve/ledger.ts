import type { Uid } from '../../dicom/uids.ts'
import type { Whereabouts } from './malformed.ts'
import type { Place, Received } from './received.ts'

/**
 * What an archive has said there is of a selection: in answers to searches, in the counts and the lists of its retrieve
 * responses. No statement is believed where another says more: before a retrieve ends as whole, what came is held against
 * all of them.
 */
export class Ledger {
  readonly #received: Received
  readonly #isCounted: boolean
  /** Number of Series Related Instances (0020,1209). */
  readonly #ofSeries = new Map<Uid, number>()
  readonly #unnumbered = new Set<Uid>()
  /** Number of Study Related Instances (0020,1208), or what a retrieve of all has counted. */
  #ofAll = 0
  #hasNumberOfAll = false
  #hasAllSeries = true
  readonly #listed = new Map<Uid, Set<Uid>>()
  /** Lines of a list that repeat another: they are in the numbers of instances, too. */
  readonly #doubles = new Map<Uid, number>()
  /** By Failed SOP Instance UID Lists, which tell no series. */
  readonly #failed = new Set<Uid>()
  #hasListing = false

  /** @param isCounted false: the archive's numbers of instances are not to be believed, its lists are */
  constructor(received: Received, isCounted = true) {
    this.#received = received
    this.#isCounted = isCounted
  }

  /** A search lists a series, and says how many instances it has, or does not. */
  seriesHas(series: Uid, instances: number | undefined): void {
    if (instances === undefined) this.#unnumbered.add(series)
    else this.#ofSeries.set(series, Math.max(instances, this.#ofSeries.get(series) ?? 0))
  }

  /** The list of series was not answered to its end. */
  leavesSeriesOut(): void {
    this.#hasAllSeries = false
  }

  /** A search says how many instances there are. */
  allAre(instances: number): void {
    this.#hasNumberOfAll = true
    this.counts(instances)
  }

  /** The responses of a retrieve of all count so many. */
  counts(instances: number): void {
    this.#ofAll = Math.max(instances, this.#ofAll)
  }

  /** A search lists an instance. */
  lists({ series, sopInstance }: Place): void {
    const instances = this.#listed.get(series) ?? new Set()
    this.#listed.set(series, instances.add(sopInstance))
    this.#hasListing = true
  }

  /** A list of a series has so many lines that repeat another. */
  repeats(series: Uid, lines: number): void {
    this.#doubles.set(series, Math.max(lines, this.#doubles.get(series) ?? 0))
  }

  /** A retrieve could not send an instance: then it is there. */
  fails(sopInstance: Uid): void {
    this.#failed.add(sopInstance)
  }

  /** Searches have said how many instances there are. */
  get isNumbered(): boolean {
    if (!this.#isCounted) return false
    return this.#hasNumberOfAll || (this.#hasAllSeries && this.#ofSeries.size > 0 && this.#unnumbered.size === 0)
  }

  /** Searches have said what instances there are, or how many. */
  get hasWitness(): boolean {
    return this.isNumbered || this.#hasListing
  }

  /** Instances that were named and have not come; where a list tells no series, in one that is not known. */
  get absent(): Whereabouts[] {
    const absent: Whereabouts[] = []
    const named = new Set<Uid>()
    for (const [series, instances] of this.#listed) {
      for (const sopInstance of instances) {
        if (this.#received.has({ series, sopInstance })) continue
        absent.push({ series, sopInstance })
        named.add(sopInstance)
      }
    }
    for (const sopInstance of this.#failed) {
      if (!named.has(sopInstance) && !this.#received.hasInstance(sopInstance)) {
        absent.push({ series: undefined, sopInstance })
      }
    }
    return absent
  }

  /** Series of which fewer have come than are said to be, but for those whose absent instances are listed. */
  get shortSeries(): Uid[] {
    if (!this.#isCounted) return []
    return [...this.#ofSeries.keys()].filter((series) => this.#numberOf(series) > this.#knownOf(series))
  }

  /** Fewer have come than are said to be, and it is not known of which series. */
  get isShort(): boolean {
    if (!this.#isCounted) return false
    let known = 0
    for (const series of new Set([...this.#ofSeries.keys(), ...this.#listed.keys()])) {
      known += Math.max(this.#knownOf(series), this.#numberOf(series))
    }
    return this.#numberOfAll > Math.max(known, this.#received.size)
  }

  /** How many more than came there are by what was said. */
  get outstanding(): number {
    const named = this.absent.length
    if (!this.#isCounted) return named
    let ofSeries = 0
    for (const series of this.#ofSeries.keys()) {
      ofSeries += Math.max(0, this.#numberOf(series) - this.#received.sizeOf(series))
    }
    return Math.max(named, ofSeries, this.#numberOfAll - this.#received.size)
  }

  #numberOf(series: Uid): number {
    return (this.#ofSeries.get(series) ?? 0) - (this.#doubles.get(series) ?? 0)
  }

  get #numberOfAll(): number {
    let doubles = 0
    for (const lines of this.#doubles.values()) doubles += lines
    return this.#ofAll - doubles
  }

  /** Those that have come or are listed. */
  #knownOf(series: Uid): number {
    const absent = [...(this.#listed.get(series) ?? [])].filter(
      (sopInstance) => !this.#received.has({ series, sopInstance }),
    )
    return this.#received.sizeOf(series) + absent.length
  }
}
