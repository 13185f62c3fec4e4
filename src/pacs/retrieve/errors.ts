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
