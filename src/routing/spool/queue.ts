import type { ListedEntry } from './desk.ts'
import { sinceOf } from './entry.ts'
import type { Found, Place } from './spool-folder.ts'

/** Before an instance, or a destination that is not there, is tried again, in ms; twice as long each time. */
export const FIRST_PAUSE_MS = 10_000
/** So that one that is there again is not long without what it lacks. */
const LONGEST_REST_MS = 5 * 60_000
/** Of an instance that others pass. */
const LONGEST_PAUSE_MS = 60 * 60_000
/** Instances that are sent to one destination at once; one while it is not known to be there. */
const AT_ONCE = 2

/** An instance that waits for its destination, or is given up. */
export class Entry {
  readonly found: Found
  tries = 0
  /** Of the first of these, by performance.now(). */
  triedSince: number | undefined
  /** It may have come there, though nobody said so. */
  mayBeThere: boolean
  /** What the name of its file says. */
  named: string | undefined
  /** Why it is not there. */
  reason: string | undefined
  isGivenUp: boolean
  /** Of its next try. */
  timer: NodeJS.Timeout | undefined

  constructor(found: Found, mayBeThere: boolean) {
    this.found = found
    this.mayBeThere = mayBeThere
    this.named = found.reason
    this.reason = found.reason
    this.isGivenUp = found.reason !== undefined
  }

  /** For who looks at the spool. */
  get listed(): ListedEntry {
    const { id, destination, bytes } = this.found
    const { tries, isGivenUp, reason } = this
    return { id, destination, since: new Date(sinceOf(id)).toISOString(), bytes, tries, isGivenUp, reason }
  }

  /** Where its file is. */
  get place(): Place {
    return { ...this.found, reason: this.named }
  }
}

/** What one destination has yet to get, the oldest first; to add, to take and to put off costs the same however many wait. */
export class SpoolQueue {
  readonly destination: string
  readonly #entries = new Map<string, Entry>()
  /** Ready to be sent, from `#head` on. */
  #line: string[] = []
  #head = 0
  /** To be sent before these: what was taken, and could not be sent. */
  readonly #first: string[] = []
  #givenUp = 0
  #underWay = 0
  /** Failures of the destination itself, one after another. */
  #failures = 0
  #rest: NodeJS.Timeout | undefined
  readonly #ready: () => void

  /** `ready`: told when something may be taken that might not before. */
  constructor(destination: string, ready: () => void) {
    this.destination = destination
    this.#ready = ready
  }

  get waiting(): number {
    return this.#entries.size - this.#givenUp
  }

  get givenUp(): number {
    return this.#givenUp
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values()
  }

  /** It is not known to be there. */
  get isResting(): boolean {
    return this.#failures > 0
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  /** `mayBeThere`: another process may have sent it. */
  add(found: Found, mayBeThere = false): void {
    const entry = new Entry(found, mayBeThere)
    this.#entries.set(found.id, entry)
    if (entry.isGivenUp) this.#givenUp++
    else this.#line.push(found.id)
  }

  /** It is to be sent, and `over` told when that has ended; undefined where nothing may be sent now. */
  take(): Entry | undefined {
    if (this.#rest || this.#underWay >= (this.isResting ? 1 : AT_ONCE)) return undefined
    for (let id = this.#next(); id !== undefined; id = this.#next()) {
      const entry = this.#entries.get(id)
      // Dropped, or given up, meanwhile.
      if (!entry || entry.isGivenUp) continue
      this.#underWay++
      return entry
    }
    return undefined
  }

  /** What was taken is not under way any more. */
  over(): void {
    this.#underWay--
  }

  /** The destination has answered. True where it was not known to be there. */
  passes(): boolean {
    const wasResting = this.isResting
    this.#failures = 0
    this.#rouse()
    return wasResting
  }

  /** The destination is left alone for a while, longer each time up to so many ms. True where that was not so before. */
  rests(longest = LONGEST_REST_MS): boolean {
    const isNew = !this.isResting
    if (!this.#rest) this.pause(pauseAfter(++this.#failures, longest))
    return isNew
  }

  /** Nothing is taken for so many ms. */
  pause(ms: number): void {
    this.#rest ??= setTimeout(() => {
      this.#rest = undefined
      this.#ready()
    }, ms).unref()
  }

  /** It was not sent, and is the next again: ids sort by when they came. */
  putBack(entry: Entry): void {
    this.#first.push(entry.found.id)
    this.#first.sort()
  }

  /** An entry comes to its next try when all others have: it may be the cause. */
  putLast(entry: Entry): void {
    this.#line.push(entry.found.id)
  }

  /** An entry comes to its next try later, others before it. */
  putOff(entry: Entry): void {
    entry.timer = setTimeout(() => this.#again(entry), pauseAfter(entry.tries, LONGEST_PAUSE_MS)).unref()
  }

  giveUp(entry: Entry, reason: string): void {
    entry.isGivenUp = true
    entry.reason = reason
    this.#givenUp++
  }

  /** It waits for its turn again, also where it was given up; `rouse` has it come at once. */
  retry(entry: Entry): void {
    const isInLine = !entry.isGivenUp && !entry.timer
    if (entry.isGivenUp) this.#givenUp--
    entry.triedSince = undefined
    entry.isGivenUp = false
    clearTimeout(entry.timer)
    entry.timer = undefined
    if (!isInLine) this.#line.push(entry.found.id)
  }

  /** The destination is tried now. */
  rouse(): void {
    this.#rouse()
    this.#ready()
  }

  /** False where it is not there any more. */
  remove(entry: Entry): boolean {
    clearTimeout(entry.timer)
    if (!this.#entries.delete(entry.found.id)) return false
    if (entry.isGivenUp) this.#givenUp--
    return true
  }

  /** Nothing happens by itself any more. */
  close(): void {
    this.#rouse()
    for (const { timer } of this.#entries.values()) clearTimeout(timer)
  }

  #again(entry: Entry): void {
    clearTimeout(entry.timer)
    entry.timer = undefined
    this.#line.push(entry.found.id)
    this.#ready()
  }

  #next(): string | undefined {
    const first = this.#first.shift()
    if (first !== undefined || this.#head >= this.#line.length) return first
    const id = this.#line[this.#head++]
    if (this.#head > 1_000 && this.#head * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#head)
      this.#head = 0
    }
    return id
  }

  #rouse(): void {
    clearTimeout(this.#rest)
    this.#rest = undefined
  }
}

function pauseAfter(tries: number, longest: number): number {
  return Math.min(longest, FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 30))
}
