/** How a request ended. `wrong`: it looked whole, or final, and was not right. */
export type Ending = 'whole' | 'partial' | 'failed' | 'cut' | 'refused' | 'left' | 'hung' | 'wrong'

export interface Result {
  readonly kind: string
  readonly archive: string
  readonly ending: Ending
  /** Why, in short: status and code. */
  readonly code: string
  /** What was wrong, in words. */
  readonly faults: readonly string[]
  readonly bytes: number
  readonly milliseconds: number
  /** Nothing was being disturbed: it should have gone well. */
  readonly calm: boolean
}

/** Troubles that are told in words; the others are counted only. */
const MAX_TOLD = 50
/** For want of associations or threads, without any fault: the load itself. */
const BY_LOAD = ['503 POOL_BUSY', '503 POOL_FULL', '503 IMAGING_BUSY']
/** Other than the gateway's own doing where nothing was disturbed. */
const UNHARMED: readonly Ending[] = ['whole', 'left']

/** What has happened so far. */
export class Tally {
  readonly started = performance.now()
  readonly endings = new Map<string, Map<Ending, number>>()
  /** Of requests that failed cleanly, by kind. */
  readonly codes = new Map<string, Map<string, number>>()
  readonly faults = new Map<string, number>()
  /** Instances that were not stored, by Failure Reason. */
  readonly refusals = new Map<string, number>()
  readonly troubles: string[] = []
  /** Of failures in calm, by archive and code. */
  readonly unexplained = new Map<string, number>()
  requests = 0
  bytes = 0
  wrong = 0
  hung = 0
  lost = 0
  slowest = 0

  record(result: Result): void {
    const { kind, archive, ending, code, faults, bytes, milliseconds, calm } = result
    this.requests++
    this.bytes += bytes
    this.slowest = Math.max(this.slowest, milliseconds)
    add(inner(this.endings, kind), ending)
    if (['partial', 'failed', 'cut', 'refused'].includes(ending)) {
      add(inner(this.codes, kind), code)
      if (calm && !UNHARMED.includes(ending) && !BY_LOAD.includes(code)) {
        add(this.unexplained, `${archive} ${kind}: ${code}`)
        this.#tell(`UNEXPLAINED ${archive} ${kind}: ${code} after ${Math.round(milliseconds)} ms ${faults.join('; ')}`)
      }
    }
    if (ending === 'wrong') this.isWrong(`${archive} ${kind}: ${code}: ${faults.slice(0, 5).join('; ')}`)
    if (ending === 'hung') {
      this.hung++
      this.#tell(`HUNG ${archive} ${kind} ${code}`)
    }
  }

  isWrong(what: string): void {
    this.wrong++
    this.#tell(`WRONG ${what}`)
  }

  isLost(what: string): void {
    this.lost++
    this.#tell(`LOST ${what}`)
  }

  fault(kind: string): void {
    add(this.faults, kind)
  }

  /** An instance that a store could not store, by Failure Reason. */
  refusal(reason: number): void {
    add(this.refusals, reason.toString(16).padStart(4, '0').toUpperCase())
  }

  get isClean(): boolean {
    return this.wrong === 0 && this.lost === 0 && this.hung === 0 && this.unexplained.size === 0
  }

  count(...endings: readonly Ending[]): number {
    let count = 0
    for (const counts of this.endings.values()) for (const ending of endings) count += counts.get(ending) ?? 0
    return count
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.started) / 1000
  }

  #tell(what: string): void {
    if (this.troubles.length < MAX_TOLD) this.troubles.push(`at ${this.seconds.toFixed(1)} s: ${what}`)
  }
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function inner<K, V>(maps: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const found = maps.get(key) ?? new Map<K, V>()
  maps.set(key, found)
  return found
}
