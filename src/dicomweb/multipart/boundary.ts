import type { ContentType } from '../negotiate/content-type.ts'
import { MultipartError } from './error.ts'

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

/**
 * The boundary of a multipart media type (RFC 2046 5.1.1).
 *
 * @throws MultipartError MULTIPART_NO_BOUNDARY when it is missing, over-long or holds anything but printable ASCII
 */
export function boundaryOf(contentType: ContentType): string {
  return checkBoundary(contentType.parameters.get('boundary'))
}
