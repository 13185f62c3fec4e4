import { setTimeout as delay } from 'node:timers/promises'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { Call } from '../../pacs/call.ts'
import type { Instance } from '../../pacs/instance.ts'
import type { Source } from '../route.ts'

/** How often it is looked whether an archive serves people, in ms. */
const WATCH_MS = 50
/** How long one instance after the other waits for them; then the retrieval is given up, since archives do not wait for ever. */
export const MOST_WAITING_MS = 20_000

/** People have waited for the archive all the time. */
class ArchiveBusyError extends Error {
  readonly code = 'ARCHIVE_BUSY'
  constructor() {
    super('The archive serves people all the time')
    this.name = 'ArchiveBusyError'
  }
}

/** Whether an archive does something that somebody has asked for; who waits has it ended anyway. */
export function servesPeople({ stats }: Pick<Archive, 'stats'>): boolean {
  return stats.foreground > 0
}

/** Bytes that may come of what nobody has asked for, of one or several retrievals. */
export class Budget {
  /** Bytes that came. */
  used = 0
  readonly #most: number
  readonly #whole: Budget | undefined

  /** `whole`: of which it is a part. */
  constructor(most: number, whole?: Budget) {
    this.#most = most
    this.#whole = whole
  }

  /** What one of several retrievals takes. */
  part(): Budget {
    return new Budget(this.#most, this)
  }

  get isSpent(): boolean {
    return this.used > this.#most || this.#whole?.isSpent === true
  }

  take(bytes: number): void {
    this.used += bytes
    this.#whole?.take(bytes)
  }
}

/** More came than may. */
class BudgetSpentError extends Error {
  readonly code = 'PREFETCH_BUDGET_SPENT'
  constructor() {
    super('More than may be fetched ahead')
    this.name = 'BudgetSpentError'
  }
}

/**
 * An archive whose retrievals, as long as nobody has asked for what they bring, stand still while it serves people, and end
 * where the budget does.
 */
export function givingWay(archive: Archive, budget: Budget): Source {
  return {
    config: archive.config,
    retrieve: (selection, compressed, call) =>
      pausing(archive, counted(archive.retrieve(selection, compressed, call), budget, call), call),
  }
}

async function* counted(
  instances: AsyncIterable<Instance>,
  budget: Budget,
  { promoted }: Call,
): AsyncGenerator<Instance> {
  async function* body(of: Instance['body']): AsyncGenerator<Bytes> {
    for await (const chunk of of) {
      budget.take(chunk.length)
      if (budget.isSpent && promoted?.aborted !== true) throw new BudgetSpentError()
      yield chunk
    }
  }
  for await (const instance of instances) yield { ...instance, body: body(instance.body) }
}

async function* pausing(
  archive: Archive,
  instances: AsyncIterable<Instance>,
  { signal, promoted }: Call,
): AsyncGenerator<Instance> {
  for await (const instance of instances) {
    yield instance
    const since = performance.now()
    while (servesPeople(archive) && promoted?.aborted !== true) {
      signal.throwIfAborted()
      if (performance.now() - since > MOST_WAITING_MS) throw new ArchiveBusyError()
      await delay(WATCH_MS)
    }
  }
}
