import { isUid, type Uid } from '../dicom/uids.ts'
import type { HttpContext } from './environment.ts'
import { RequestError } from './problem.ts'

/**
 * The UID of a path parameter, undefined when the route has none.
 * @throws RequestError 400 when it is no UID
 */
export function pathUid(c: HttpContext, name: 'study' | 'series' | 'instance'): Uid | undefined {
  const text = c.req.param(name)
  if (text === undefined) return undefined
  if (isUid(text)) return text
  throw new RequestError(
    400,
    'INVALID_UID',
    `The ${name} in the path is no UID: digits and dots, at most 64 characters.`,
  )
}
