/** No association was free in time. */
export class PoolBusyError extends Error {
  readonly code = 'POOL_BUSY'
  readonly archive: string
  readonly milliseconds: number
  constructor(archive: string, milliseconds: number) {
    super(`All associations to archive ${archive} were in use for ${milliseconds} ms`)
    this.name = 'PoolBusyError'
    this.archive = archive
    this.milliseconds = milliseconds
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
