import { Session, type Profiler } from 'node:inspector'

/** Which blocks of code have been run, by V8's own counters: no code is changed for it. */
export class Coverage {
  readonly #session = new Session()
  readonly #isWatched: (url: string) => boolean
  /** Of each script, one for each character that has been run. */
  readonly #reached = new Map<string, Uint8Array>()
  /** Runs of characters that were reached at once, for the first time. */
  blocks = 0

  /** @param isWatched whether the script of a URL counts; it has to be loaded after this */
  constructor(isWatched: (url: string) => boolean) {
    this.#isWatched = isWatched
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Whether anything was run for the first time since the last call; it is noted with `note`. */
  isNew(note: boolean): boolean {
    let isNew = false
    for (const { url, functions } of this.#taken()) {
      if (!this.#isWatched(url)) continue
      for (const [start, end] of covered(functions.flatMap(({ ranges }) => ranges).sort(byPlace))) {
        const reached = this.#reachedOf(url, end)
        if (!reached.subarray(start, end).includes(0)) continue
        isNew = true
        if (!note) return true
        reached.fill(1, start, end)
        this.blocks++
      }
    }
    return isNew
  }

  /** Nothing has been reached yet, for who looks at something else. */
  forget(): void {
    this.#taken()
    this.#reached.clear()
    this.blocks = 0
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }

  #taken(): readonly Profiler.ScriptCoverage[] {
    let result: readonly Profiler.ScriptCoverage[] = []
    // A session of the same thread answers at once.
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error) throw error
      result = taken.result
    })
    return result
  }

  #reachedOf(url: string, length: number): Uint8Array {
    const known = this.#reached.get(url)
    if (known && known.length >= length) return known
    const longer = new Uint8Array(Math.max(length, 2 * (known?.length ?? 0)))
    if (known) longer.set(known)
    this.#reached.set(url, longer)
    return longer
  }
}

/** What holds another in front of it. */
function byPlace(a: Profiler.CoverageRange, b: Profiler.CoverageRange): number {
  return a.startOffset - b.startOffset || b.endOffset - a.endOffset
}

/**
 * The stretches of a script that were run. A range's count holds but for the ranges within it, be they blocks or functions
 * of their own.
 */
function* covered(ranges: readonly Profiler.CoverageRange[]): Generator<[start: number, end: number]> {
  const open: Profiler.CoverageRange[] = []
  let at = ranges[0]?.startOffset ?? 0
  for (let n = 0; n <= ranges.length; n++) {
    const next = ranges[n]
    const until = next?.startOffset ?? Infinity
    for (let top = open.at(-1); top && top.endOffset <= until; top = open.at(-1)) {
      if (top.count > 0 && at < top.endOffset) yield [at, top.endOffset]
      at = Math.max(at, top.endOffset)
      open.pop()
    }
    const around = open.at(-1)
    if (next && around && around.count > 0 && at < until) yield [at, until]
    if (next) {
      at = until
      open.push(next)
    }
  }
}
