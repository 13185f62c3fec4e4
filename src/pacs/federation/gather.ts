import { channel } from 'node:diagnostics_channel'
import type { Dataset } from '../../dicom/dataset.ts'
import { PeerTimeoutError } from '../../network/errors.ts'
import type { Archive } from '../archive.ts'
import type { Call } from '../call.ts'
import { KEYS, keptAttributes } from './kept-attributes.ts'
import { Held, MAX_HELD_BYTES } from '../search/held.ts'

/** An archive of a federation has not answered in the time that it has. */
export class LateArchiveError extends PeerTimeoutError {
  readonly archive: string
  constructor(archive: string, milliseconds: number) {
    super('response', milliseconds)
    this.name = 'LateArchiveError'
    this.archive = archive
  }
}

/** Published when an archive of several has failed, or is late, and the others are given without it. */
export interface SilentArchiveEvent {
  readonly archive: string
  readonly error: Error
}

const silent = channel('dimsegate:silent-archive')

/** What one archive of several has told. */
export interface Gathered {
  readonly archive: Archive
  /** In its order. */
  readonly rows: readonly Dataset[]
  /** It has more than were wanted. */
  readonly hasMore: boolean
  /** It ended its answer early: there may be more. */
  readonly isCapped: boolean
  /** Why it has not told all. */
  readonly failure: Error | undefined
}

/** How one archive is asked; `capped` is called where it ends its answer early. */
export type Ask = (archive: Archive, call: Call, capped: () => void) => AsyncIterable<Dataset>

export interface GatherOptions {
  /** Rows that are wanted of each. */
  readonly limit: number
  /** Of so many of each, the first, only what tells them apart is kept: they are in front of what is given. */
  readonly passed?: number
  /** Milliseconds that all have. */
  readonly timeout: number
}

/**
 * Asks several archives at the same time, and waits for all that answer in time. One that fails or is late costs what it has
 * not told.
 * @throws the signal's reason
 */
export async function gather(
  archives: readonly Archive[],
  ask: Ask,
  { limit, passed = 0, timeout }: GatherOptions,
  call: Call,
): Promise<Gathered[]> {
  const stop = new AbortController()
  const signal = AbortSignal.any([call.signal, stop.signal])
  const one = async (archive: Archive): Promise<Gathered> => {
    const rows: Dataset[] = []
    const held = new Held(MAX_HELD_BYTES / archives.length)
    const own = new AbortController()
    const answer = { hasMore: false, isCapped: false }
    const read = async (): Promise<void> => {
      const capped = (): void => {
        answer.isCapped = true
      }
      const inner = { ...call, signal: AbortSignal.any([signal, own.signal]) }
      for await (const row of ask(archive, inner, capped)) {
        // What comes behind its time is not counted.
        if (own.signal.aborted) return
        if (rows.length === limit) {
          answer.hasMore = true
          return
        }
        const kept = rows.length < passed ? keptAttributes(row, KEYS) : row
        held.row(kept)
        rows.push(kept)
      }
    }
    const failure = await withinTime(read(), timeout, () => {
      const late = new LateArchiveError(archive.config.name, timeout)
      own.abort(late)
      return late
    })
    call.signal.throwIfAborted()
    // A fault of our own is none of an archive.
    if (failure !== undefined && !('code' in failure)) throw failure
    if (failure !== undefined && silent.hasSubscribers) {
      silent.publish({ archive: archive.config.name, error: failure } satisfies SilentArchiveEvent)
    }
    return { archive, rows: [...rows], ...answer, failure }
  }
  try {
    const all = await Promise.all(archives.map(one))
    call.signal.throwIfAborted()
    return all
  } finally {
    stop.abort()
  }
}

/** Why something has not come to its end in time; undefined where it has. */
async function withinTime(work: Promise<void>, milliseconds: number, late: () => Error): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>()
  const timer = setTimeout(() => resolve(late()), milliseconds)
  work.then(
    () => resolve(undefined),
    (error: unknown) => resolve(error as Error),
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}
