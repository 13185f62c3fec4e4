/** What cannot be done with the spool, in a sentence. */
export class SpoolCommandError extends Error {
  readonly code = 'SPOOL_COMMAND'
}

/** How it stands with an instance in the spool. */
export interface ListedEntry {
  readonly id: string
  readonly destination: string
  /** When it was put there, in ISO 8601. */
  readonly since: string
  readonly bytes: number
  /** Times that it was tried since the service was started. */
  readonly tries: number
  /** It is not tried any more. */
  readonly isGivenUp: boolean
  /** Why it is not where it is to go: a code, or a DIMSE status; undefined where it was not tried yet. */
  readonly reason: string | undefined
}

/** What was done to entries. */
export interface Done {
  readonly done: number
  /** Those of the ids that there are not. */
  readonly unknown: readonly string[]
  /** Why the disk did not let it be done with the next, and the rest was left. */
  readonly failure?: string | undefined
}

/** `all`: those that are given up. */
export type Meant = readonly string[] | 'all'

/** What a person may do with the spool. */
export interface SpoolDesk extends AsyncDisposable {
  /** Those given up first, the oldest of each destination first. */
  list(): AsyncIterable<ListedEntry> | Iterable<ListedEntry>
  /** Tries them now. */
  retry(meant: Meant): Promise<Done>
  /** They are lost. */
  drop(meant: Meant): Promise<Done>
}
