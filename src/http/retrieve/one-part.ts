import { closing, partHeader, relatedType } from '../../dicomweb/multipart/writer.ts'
import type { Representation } from '../../dicomweb/negotiate/negotiate-bulk.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { SizedBytes } from '../../instance/frames.ts'
import { joined, sendSized, sizedBytes } from '../body/sized-body.ts'
import type { HttpContext } from '../context.ts'
import { answerKey, ofInstance } from '../validators/giving.ts'
import { PART_HOLD_BYTES } from './delivery.ts'

/**
 * Answers with a frame in multipart/related, in bytes that are the same each time: cornerstone3D asks for ranges of the whole
 * body, for the beginning of a frame that is refined by what follows. Not so of other bulk data: clients that ask for a
 * range of that expect parts.
 */
export function sendOnePart(
  c: HttpContext,
  instance: CachedInstance,
  value: SizedBytes,
  { contentType }: Representation,
  location: string,
): Promise<Response> {
  // Whoever made the instance could have it occur in there, and would gain nothing: all of the body is of that instance.
  const boundary = answerKey(c)
  const headers = { 'Content-Type': contentType, 'Content-Length': value.length, 'Content-Location': location }
  const around = [partHeader(boundary, headers, true), closing(boundary)] as const
  const type = relatedType(contentType.split(';')[0]!, boundary)
  const kept = ofInstance(c, instance, { freshness: 'fixed' })
  return sendSized(
    c,
    joined([sizedBytes(around[0]), value, sizedBytes(around[1])]),
    { 'Content-Type': type },
    { kept, holdBytes: PART_HOLD_BYTES },
  )
}
