export type MultipartErrorCode =
  | 'MULTIPART_NO_BOUNDARY'
  | 'MULTIPART_TRUNCATED'
  | 'MULTIPART_HEADER_TOO_LARGE'
  | 'MULTIPART_TOO_MANY_PARTS'
  | 'MULTIPART_PART_TOO_LARGE'
  | 'MULTIPART_MALFORMED'

export class MultipartError extends Error {
  override readonly name = 'MultipartError'
  readonly code: MultipartErrorCode
  /** Bytes into the multipart body where the fault was seen; undefined when it is not in the body. */
  readonly offset: number | undefined
  /** Index from 0 of the part being read; undefined before the first one. */
  readonly part: number | undefined

  constructor(code: MultipartErrorCode, message: string, at: { offset?: number; part?: number | undefined } = {}) {
    super(message)
    this.code = code
    this.offset = at.offset
    this.part = at.part
  }
}
