type RepositoryFault = 'AUDIT_EVENT_REFUSED' | 'AUDIT_REPOSITORY_FAILED'

/** Of one event: it is malformed, too large, or against the rules of the repository. What else it answers is of itself. */
const REFUSALS: readonly number[] = [400, 413, 422]

/** A repository does not take an event. */
export class RepositoryError extends Error {
  readonly code: RepositoryFault
  /** HTTP status. */
  readonly http: number
  constructor(http: number) {
    super(`The repository answered with status ${http}`)
    this.name = 'RepositoryError'
    this.code = REFUSALS.includes(http) ? 'AUDIT_EVENT_REFUSED' : 'AUDIT_REPOSITORY_FAILED'
    this.http = http
  }
}
