import { formatStatus } from '../../dimse/status.ts'

/** Nothing of what was selected is in the archive. */
export class NoSuchInstanceError extends Error {
  readonly code = 'NO_SUCH_INSTANCE'
  constructor() {
    super('The archive has no instance of what was asked for')
    this.name = 'NoSuchInstanceError'
  }
}

/** Some instances came, others did not, or only damaged, after every try. */
export class IncompleteRetrieveError extends Error {
  readonly code = 'INCOMPLETE_RETRIEVE'
  readonly delivered: number
  readonly missing: number
  readonly status: number
  /** All that are missing came damaged, and what can be read of them was given. */
  readonly isDamageOnly: boolean
  constructor(
    delivered: number,
    missing: number,
    status: number,
    { damaged = 0, ...options }: ErrorOptions & { readonly damaged?: number } = {},
  ) {
    const how = `${damaged > 0 ? ' whole' : ''}${status === 0 ? '' : `; its answer had status ${formatStatus(status)}`}`
    super(`${delivered} instances came from the archive, ${missing} did not${how}`, options)
    this.isDamageOnly = missing <= damaged
    this.name = 'IncompleteRetrieveError'
    this.delivered = delivered
    this.missing = missing
    this.status = status
  }
}
