import { acceptOf, type Accept } from '../dicomweb/negotiate/accept.ts'
import { negotiateModel, type ModelType } from '../dicomweb/negotiate/negotiate.ts'
import type { HttpContext } from './context.ts'
import { RequestError } from './problem.ts'

/** What the client takes. @throws AcceptError */
export function acceptHeader(c: HttpContext): Accept {
  return acceptOf(c.req.queries('accept') ?? [], c.req.header('accept'))
}

/** What negotiation chose for metadata and search results. @throws RequestError 406 */
export function modelType(c: HttpContext): ModelType {
  const type = negotiateModel(acceptHeader(c))
  if (type) return type
  throw new RequestError(
    406,
    'NOT_ACCEPTABLE',
    'This is given as application/dicom+json, application/json or multipart/related; type="application/dicom+xml".',
  )
}

export function notAcceptable(
  detail = 'No representation that the Accept header allows can be made. As it is stored everything is given to who accepts multipart/related with transfer-syntax=*.',
): RequestError {
  return new RequestError(406, 'NOT_ACCEPTABLE', detail)
}
