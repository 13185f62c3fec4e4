/**
 * No association was free in time. `why`: transfers (downloads and stores) held each that the call could have had, or
 * all were in use.
 */
export class PoolBusyError extends Error {
  readonly code = 'POOL_BUSY'
  readonly archive: string
  readonly milliseconds: number
  readonly why: 'transfers' | 'all'
  /** Associations that there may be at once. */
  readonly limit: number
  constructor(archive: string, milliseconds: number, { why, limit }: Pick<PoolBusyError, 'why' | 'limit'>) {
    super(`All associations to archive ${archive} were in use for ${milliseconds} ms`)
    this.name = 'PoolBusyError'
    this.archive = archive
    this.milliseconds = milliseconds
    this.why = why
    this.limit = limit
  }
}

/** As many wait for an association as may. */
export class PoolFullError extends Error {
  readonly code = 'POOL_FULL'
  readonly archive: string
  readonly waiting: number
  constructor(archive: string, waiting: number) {
    super(`${waiting} calls wait for an association to archive ${archive}`)
    this.name = 'PoolFullError'
    this.archive = archive
    this.waiting = waiting
  }
}

/** The archive could not be reached of late: it is not asked until a trial has found it. `cause`: how it failed last. */
export class ArchiveDownError extends Error {
  readonly code = 'ARCHIVE_DOWN'
  readonly archive: string
  /** Milliseconds until the next trial; 0 where one is under way. */
  readonly retryAfter: number
  constructor(archive: string, retryAfter: number, options?: ErrorOptions) {
    super(`Archive ${archive} cannot be reached`, options)
    this.name = 'ArchiveDownError'
    this.archive = archive
    this.retryAfter = retryAfter
  }
}

/** The gateway is stopping. */
export class PoolClosedError extends Error {
  readonly code = 'POOL_CLOSED'
  constructor() {
    super('The service is stopping')
    this.name = 'PoolClosedError'
  }
}

/** The archive refused every context that the operation could use. */
export class NotSupportedByArchiveError extends Error {
  readonly code = 'NOT_SUPPORTED_BY_ARCHIVE'
  readonly archive: string
  readonly what: string
  constructor(archive: string, what: string) {
    super(`Archive ${archive} does not support ${what}`)
    this.name = 'NotSupportedByArchiveError'
    this.archive = archive
    this.what = what
  }
}

/** The Transaction UID is that of another request. */
export class TransactionInUseError extends Error {
  readonly code = 'TRANSACTION_IN_USE'
  constructor() {
    super('A request of this Transaction UID was made before')
    this.name = 'TransactionInUseError'
  }
}
