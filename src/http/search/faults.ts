import { formatTag, type Tag } from '../../dicom/tag.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import { RequestError } from '../problem.ts'

/** A900H with an attribute that the client named: it is the request that the archive cannot understand. */
export function isFaultOfRequest(error: unknown, attributes: ReadonlySet<Tag>): error is StatusError {
  if (!(error instanceof StatusError) || error.status !== Status.identifierDoesNotMatchSopClass) return false
  const named = new Set([...attributes].map(formatTag))
  return error.offendingElement.some((t) => named.has(t))
}

export function notUnderstood(cause: StatusError): RequestError {
  return new RequestError(
    400,
    'ATTRIBUTE_NOT_UNDERSTOOD',
    'The archive does not understand an attribute.',
    {},
    { cause },
  )
}
