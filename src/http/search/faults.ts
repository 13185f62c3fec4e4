import { formatTag, type Tag } from '../../dicom/tag.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
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

/** What a failed search is to the client. */
export function faultOf(error: unknown, request: SearchRequest): unknown {
  const named = new Set([...request.match.map(({ tag }) => tag), ...request.include])
  if (isFaultOfRequest(error, named)) return notUnderstood(error)
  return isTooBroad(error, request) ? narrowIt(error) : error
}

/** The archive lists nothing of so much: out of resources (A7xx), or ended by its limit (FE00), where nothing narrows it. */
function isTooBroad(error: unknown, { study, match }: SearchRequest): error is StatusError {
  if (!(error instanceof StatusError)) return false
  const isLimit = error.status === Status.cancel || error.status >>> 8 === 0xa7
  const isNarrowed =
    study !== undefined || match.some(({ values }) => values.some((value) => !/^\**$/.test(String(value))))
  return isLimit && !isNarrowed
}

function narrowIt(cause: StatusError): RequestError {
  const detail =
    'The archive does not answer a search that nothing narrows. Add a PatientID, a StudyDate or another attribute.'
  return new RequestError(413, 'SEARCH_TOO_BROAD', detail, {}, { cause })
}
