import { newUid } from '../../dicom/new-uid.ts'
import { MAX_INSTANCES, TooManyInstancesError } from '../../dicomweb/decode/commitment-request.ts'
import type { StoreResponse } from '../../dicomweb/encode/store-response.ts'
import { askForCommitment, mayAskForCommitment, resultUrl, RETRY_AFTER_S } from '../commitment/ask.ts'
import type { HttpContext } from '../context.ts'
import { problemOf, RequestError } from '../problem.ts'

/** Whether the client wants what it stores to be committed as well. @throws RequestError 400, 403 */
export function wantsCommitment(c: HttpContext): boolean {
  const value = c.req.query('commit')
  if (value === undefined || value === 'false') return false
  if (value !== 'true') throw new RequestError(400, 'INVALID_PARAMETER', 'commit is true or false.')
  mayAskForCommitment(c)
  return true
}

/** What became of the commitment of what was stored: headers, and whether all of it is committed. */
export interface CommittedStore {
  readonly isCommitted: boolean
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Has what was stored committed. What is not is a failure of the store response then. Where the archive does not say so in
 * time, or cannot be asked, that is told by a header: what is stored stays stored.
 * @throws the signal's reason
 */
export async function commitStored(c: HttpContext, response: StoreResponse): Promise<CommittedStore> {
  const uid = newUid()
  try {
    const { storedHere } = response
    if (storedHere.length === 0) return { isCommitted: false, headers: {} }
    if (storedHere.length > MAX_INSTANCES) throw new TooManyInstancesError()
    const asked = await askForCommitment(c, uid, storedHere)
    const result = asked.kind === 'listed' ? asked.result : 'result' in asked.state ? asked.state.result : undefined
    if (!result) {
      const headers = { Location: resultUrl(c, uid), 'Retry-After': RETRY_AFTER_S }
      return { isCommitted: false, headers }
    }
    response.fail(result.failed)
    // Nobody else knows its UID.
    await c.var.archive.commitments.forget(uid)
    const isPromised = asked.kind === 'asked'
    // What went to others only, they would have to promise.
    const isAll = response.stored === storedHere.length && result.failed.length === 0
    return { isCommitted: isPromised && isAll, headers: isPromised ? {} : asked.headers }
  } catch (error) {
    await c.var.archive.commitments.forget(uid)
    c.var.signal.throwIfAborted()
    const { code } = problemOf(error, c.req.path).problem
    const text = `The instances are stored. Whether the archive keeps them safe could not be asked: ${code}`
    return { isCommitted: false, headers: { Warning: `299 ${c.var.base}: ${text}` } }
  }
}
