import type { Uid } from '../../dicom/uids.ts'
import type { RetrieveEnd } from '../../dimse/retrieve-end.ts'
import { statusClass } from '../../dimse/status.ts'

/** Instances as an archive counts them (PS3.7 9.3.4.2); what it does not tell is undefined. */
export interface SendCounts {
  readonly remaining: number | undefined
  readonly completed: number | undefined
  readonly failed: number | undefined
  readonly warning: number | undefined
}

/** What an archive said of one C-MOVE. `nothing`: it counts none as sent. `part`: something says that it is not all. */
export type Verdict = 'all' | 'part' | 'nothing'

/** What an archive counts of one C-MOVE: the most of each that it ever told, since nothing that is sent comes back. */
export class Tally {
  #completed: number | undefined
  #failed: number | undefined
  #warning: number | undefined
  #remaining: number | undefined
  /** The most sub-operations that any response has counted together. */
  #most = 0

  get counts(): SendCounts {
    return { remaining: this.#remaining, completed: this.#completed, failed: this.#failed, warning: this.#warning }
  }

  /** Sub-operations that are over. */
  get over(): number {
    return (this.#completed ?? 0) + (this.#failed ?? 0) + (this.#warning ?? 0)
  }

  /** Instances that were sent. */
  get sent(): number {
    return (this.#completed ?? 0) + (this.#warning ?? 0)
  }

  /** The archive counts at all. */
  get isCounted(): boolean {
    return this.#completed !== undefined || this.#failed !== undefined || this.#warning !== undefined
  }

  tell({ completed, failed, warning, remaining }: Partial<SendCounts>): void {
    this.#completed = most(this.#completed, completed)
    this.#failed = most(this.#failed, failed)
    this.#warning = most(this.#warning, warning)
    this.#remaining = remaining ?? this.#remaining
    this.#most = Math.max(this.#most, (completed ?? 0) + (failed ?? 0) + (warning ?? 0) + (remaining ?? 0))
  }

  /** Behind its final response, which is no failure. `named`: how many instances were asked for by their UIDs, if they were. */
  verdict(end: Pick<RetrieveEnd, 'status' | 'completed' | 'response'>, listed: readonly Uid[], named: number): Verdict {
    // A final response with counters has none that remain, unless it says so; one without leaves what was told before it.
    if (end.completed !== undefined) this.#remaining = end.response.remaining ?? 0
    if (this.isCounted && this.sent === 0) return 'nothing'
    const isShort = this.isCounted && (this.over < named || this.over < this.#most - ONE_OFF)
    const isLess = (this.#failed ?? 0) > 0 || (this.#remaining ?? 0) > 0 || listed.length > 0 || isShort
    return isLess || statusClass(end.status) === 'warning' ? 'part' : 'all'
  }
}

/** Counters of Pending responses are often one too many. */
const ONE_OFF = 1

function most(before: number | undefined, now: number | undefined): number | undefined {
  return before === undefined ? now : Math.max(before, now ?? 0)
}
