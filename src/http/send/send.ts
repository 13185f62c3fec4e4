import { sendStatus, type ToldSend } from '../../dicomweb/encode/send-status.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import type { Send, SendStatus } from '../../pacs/send/send.ts'
import { notPermitted } from '../auth/errors.ts'
import { modelAnswer, sendModel, type ModelAnswer } from '../body/model-answer.ts'
import { clientOf, ownerOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { pathOwnUid, pathUid } from '../path.ts'
import { problemOf, RequestError } from '../problem.ts'
import { askedFor, destinationOf, type Members } from './asked-for.ts'

/** Seconds after which a client may ask how far it is. */
const RETRY_AFTER_S = '2'

/** Has the archive send what a resource names to one of its destinations: C-MOVE, and no byte of it passes us. */
export async function requestSend(c: HttpContext, members: Members): Promise<Response> {
  const as = modelAnswer(c)
  const uid = transactionOf(c)
  const destination = destinationOf(c)
  const query = askedFor(c, members)
  const owner = ownerOf(c)
  const request = { uid, owner, client: clientOf(c), destination, query }
  const send = await c.var.archive.sends.request(request).catch((error: unknown) => {
    throw refusal(error)
  })
  return told(c, send, as)
}

/** How far it is, or what it has come to. */
export async function sendResult(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  return told(c, knownSend(c), as)
}

/** Has a send end: what is sent by then is sent. */
export async function cancelSend(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const send = knownSend(c)
  c.var.archive.sends.cancel(send)
  return told(c, send, as)
}

/** @throws RequestError 404 */
function knownSend(c: HttpContext): Send {
  const send = c.var.archive.sends.find(ownerOf(c), transactionOf(c))
  const study = pathUid(c, 'study')
  // At another study it is not to be found.
  if (send && (study === undefined || send.studies.includes(study))) return send
  throw new RequestError(404, 'NO_SUCH_SEND', 'No send was requested by this Transaction UID, or its time is over.')
}

/** @throws RequestError 403 for who is bound to one patient or study */
function transactionOf(c: HttpContext): string {
  // What the archive sends is not looked at by us.
  if (c.var.principal.binding) throw notPermitted('have the archive send, which is not for one patient or study')
  return pathOwnUid(c, 'transaction')
}

/** The archive knows the destination, or it does not: that is not a matter of our own title, as in other moves. */
function refusal(error: unknown): unknown {
  if (!(error instanceof StatusError) || error.status !== Status.moveDestinationUnknown) return error
  const detail =
    'The archive does not know the destination. Ask its administrator to add the AE title of archives[].send.destinations.'
  return new RequestError(502, 'DESTINATION_UNKNOWN', detail, {}, { cause: error })
}

function told(c: HttpContext, send: Send, as: ModelAnswer): Promise<Response> {
  const { base } = c.var
  const { isOver, request } = send
  const headers = {
    'Cache-Control': 'no-store',
    // Its UID is enough to know it by.
    ...(!isOver && { 'Retry-After': RETRY_AFTER_S, Location: `${base}/studies/send-requests/${request.uid}` }),
  }
  return sendModel(c, sendStatus(described(c, send)), as, headers, {
    status: isOver ? 200 : 202,
    withCommandElements: true,
  })
}

const statuses: Readonly<Record<SendStatus, ToldSend['status']>> = {
  waiting: 'WAITING',
  sending: 'SENDING',
  complete: 'COMPLETE',
  partly: 'PARTLY',
  failed: 'FAILURE',
  cancelled: 'CANCELED',
}

function described(c: HttpContext, send: Send): ToldSend {
  const { request, counts, status, error, dimseStatus, failedInstances } = send
  const problem = error && problemOf(refusal(error), c.req.path).problem
  return {
    ...counts,
    ...{ uid: request.uid, destination: request.destination.aeTitle, status: statuses[status] },
    ...{ dimseStatus, failedInstances },
    comment: problem && `${problem.code}: ${problem.detail}`,
  }
}
