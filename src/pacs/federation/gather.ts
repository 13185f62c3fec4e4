import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive } from '../archive.ts'
import type { Call } from '../call.ts'
import { ResultsTooLargeError } from '../search/errors.ts'
import { Held } from '../search/held.ts'

/** An archive of a federation has not answered in the time that it has. */
export class LateArchiveError extends Error {
  readonly code = 'PEER_TIMEOUT'
  readonly archive: string
  constructor(archive: string, milliseconds: number) {
    super(`Archive ${archive} had not answered after ${milliseconds} ms`)
    this.name = 'LateArchiveError'
    this.archive = archive
  }
}

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
  /** Milliseconds that all have. */
  readonly timeout: number
}

/**
 * Asks several archives at the same time, and waits for all that answer in time. One that fails or is late costs what it has
 * not told.
 * @throws ResultsTooLargeError; the signal's reason
 */
export async function gather(
  archives: readonly Archive[],
  ask: Ask,
  { limit, timeout }: GatherOptions,
  call: Call,
): Promise<Gathered[]> {
  const held = new Held()
  const stop = new AbortController()
  const signal = AbortSignal.any([call.signal, stop.signal])
  const one = async (archive: Archive): Promise<Gathered> => {
    const rows: Dataset[] = []
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
        held.row(row)
        rows.push(row)
      }
    }
    const failure = await withinTime(read(), timeout, () => {
      const late = new LateArchiveError(archive.config.name, timeout)
      own.abort(late)
      return late
    })
    if (failure instanceof ResultsTooLargeError) throw failure
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
