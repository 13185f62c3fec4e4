import type { Dataset } from '../dicom/dataset.ts'
import type { Call } from './call.ts'
import type { ContextLimit } from './pool/context-limit.ts'
import type { AssociationPool } from './pool/pool.ts'
import type { Query } from './query.ts'

/** UIDs in one identifier: some archives bound its length, and a miss costs a whole try. */
export const UIDS_PER_RETRY = 100

/** What a retrieve needs of an archive. */
export interface RetrieveSource {
  readonly archive: string
  readonly pool: AssociationPool
  find(query: Query, call: Call): AsyncIterable<Dataset>
  readonly contexts: ContextLimit
  readonly roles: 'scp' | 'both'
  /** The archive cannot match lists of UIDs. */
  readonly singleUidLists: boolean
  /** Milliseconds of silence of the archive. */
  readonly timeout: number
}

/** Nothing of what was selected is in the archive. */
export class NoSuchInstanceError extends Error {
  readonly code = 'NO_SUCH_INSTANCE'
  constructor() {
    super('The archive has no instance of what was asked for')
    this.name = 'NoSuchInstanceError'
  }
}

/** Some instances came, others did not, after every try. */
export class IncompleteRetrieveError extends Error {
  readonly code = 'INCOMPLETE_RETRIEVE'
  readonly delivered: number
  readonly missing: number
  readonly status: number
  constructor(delivered: number, missing: number, status: number, options?: ErrorOptions) {
    super(`${delivered} instances came from the archive, ${missing} did not`, options)
    this.name = 'IncompleteRetrieveError'
    this.delivered = delivered
    this.missing = missing
    this.status = status
  }
}
