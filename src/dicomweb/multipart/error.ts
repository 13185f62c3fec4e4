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

/**
 * RFC 2046 5.1.1: 1 to 70 characters, the last no space. Any printable ASCII is let through, since clients send `*` and
 * `<`; line ends never are, the scan relies on that.
 *
 * @throws MultipartError MULTIPART_NO_BOUNDARY
 */
export function checkBoundary(boundary: string | undefined): string {
  if (boundary === undefined || boundary === '') {
    throw new MultipartError('MULTIPART_NO_BOUNDARY', 'The multipart media type has no boundary parameter')
  }
  if (!/^[\x20-\x7e]{0,69}[\x21-\x7e]$/.test(boundary)) {
    throw new MultipartError('MULTIPART_NO_BOUNDARY', 'The boundary parameter is not 1 to 70 printable characters')
  }
  return boundary
}
