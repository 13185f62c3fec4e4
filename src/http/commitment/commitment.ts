import { requestedInstances } from '../../dicomweb/decode/commitment-request.ts'
import { commitmentResponse } from '../../dicomweb/encode/commitment-response.ts'
import { isUid } from '../../dicom/uids.ts'
import type { CommitmentResult, TransactionState } from '../../pacs/commitment/transactions.ts'
import { NotSupportedByArchiveError } from '../../pacs/errors.ts'
import { notPermitted } from '../auth/errors.ts'
import { modelAnswer, sendModel, type ModelAnswer } from '../body/model-answer.ts'
import { modelBody } from '../body/model-body.ts'
import { clientOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { pathUid } from '../path.ts'
import { RequestError } from '../problem.ts'

/** Seconds after which a client may ask for the result: archives that report at once do so within one. */
const RETRY_AFTER_S = 5

/** Storage Commitment Request (PS3.18 13.4): one N-ACTION, whose report is waited for a while. */
export async function requestCommitment(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const uid = transactionOf(c)
  const references = requestedInstances(await modelBody(c))
  const { archive, signal } = c.var
  const { wait, fallback } = archive.config.commitment
  const owner = ownerOf(c)
  try {
    const state = await archive.commitments.request({ uid, owner, references, wait }, { signal })
    return await answered(c, state, as)
  } catch (error) {
    if (fallback !== 'query' || !(error instanceof NotSupportedByArchiveError)) throw error
    const found = await archive.existing(references, { signal })
    const text = 'The archive has no storage commitment: it lists these instances, and does not promise to keep them'
    return given(c, found, as, { Warning: `299 ${c.var.base}: ${text}` })
  }
}

/** Storage Commitment Result Check (PS3.18 13.5). */
export async function commitmentResult(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const uid = transactionOf(c)
  return answered(c, await c.var.archive.commitments.state(uid), as)
}

function transactionOf(c: HttpContext): string {
  // It says of any instance whether it is there.
  if (c.var.principal.binding) throw notPermitted('ask for storage commitment, which is not for one patient or study')
  const uid = pathUid(c, 'transaction')!
  if (isUid(uid)) return uid
  throw new RequestError(
    400,
    'INVALID_UID',
    'The transaction in the path is no UID: digits and dots, up to 64 of them.',
  )
}

/** Of whom nothing is known anybody may be the same. */
function ownerOf(c: HttpContext): string {
  return c.var.principal.kind === 'anonymous' ? '' : clientOf(c)
}

function answered(c: HttpContext, state: TransactionState, as: ModelAnswer): Response | Promise<Response> {
  switch (state.kind) {
    case 'unknown':
      throw unknown()
    case 'gone':
      throw new RequestError(410, 'COMMITMENT_GONE', 'The time of this commitment request is over. Make a new one.')
    case 'pending':
      if (state.transaction.owner !== ownerOf(c)) throw unknown()
      return c.body(null, 202, { 'Retry-After': String(RETRY_AFTER_S), Location: c.var.base + pathBelow(c) })
    case 'done':
      if (state.transaction.owner !== ownerOf(c)) throw unknown()
      return given(c, state.result, as)
  }
}

function unknown(): RequestError {
  return new RequestError(404, 'NO_SUCH_COMMITMENT', 'No commitment was requested by this Transaction UID.')
}

function pathBelow(c: HttpContext): string {
  return `/commitment-requests/${transactionOf(c)}`
}

function given(
  c: HttpContext,
  { committed, failed }: CommitmentResult,
  as: ModelAnswer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return sendModel(c, commitmentResponse(committed, failed), as, { 'Cache-Control': 'no-store', ...headers })
}
