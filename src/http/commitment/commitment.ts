import { requestedInstances } from '../../dicomweb/decode/commitment-request.ts'
import { commitmentResponse } from '../../dicomweb/encode/commitment-response.ts'
import type { CommitmentResult, TransactionState } from '../../pacs/commitment/transactions.ts'
import { modelAnswer, sendModel, type ModelAnswer } from '../body/model-answer.ts'
import { modelBody } from '../body/model-body.ts'
import { ownerOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { pathOwnUid } from '../path.ts'
import { RequestError } from '../problem.ts'
import { askForCommitment, mayAskForCommitment, resultUrl, RETRY_AFTER_S } from './ask.ts'

/** Storage Commitment Request (PS3.18 13.4): one N-ACTION, whose report is waited for a while. */
export async function requestCommitment(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const uid = transactionOf(c)
  const asked = await askForCommitment(c, uid, requestedInstances(await modelBody(c)))
  return asked.kind === 'asked' ? answered(c, asked.state, as) : given(c, asked.result, as, asked.headers)
}

/** Storage Commitment Result Check (PS3.18 13.5). */
export async function commitmentResult(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const uid = transactionOf(c)
  return answered(c, await c.var.archive.commitments.state(uid), as)
}

function transactionOf(c: HttpContext): string {
  mayAskForCommitment(c)
  return pathOwnUid(c, 'transaction')
}

function answered(c: HttpContext, state: TransactionState, as: ModelAnswer): Response | Promise<Response> {
  const owner = 'owner' in state ? state.owner : 'transaction' in state ? state.transaction.owner : undefined
  if (state.kind === 'unknown' || owner !== ownerOf(c)) {
    throw new RequestError(404, 'NO_SUCH_COMMITMENT', 'No commitment was requested by this Transaction UID.')
  }
  if (state.kind === 'gone') {
    throw new RequestError(410, 'COMMITMENT_GONE', 'The time of this commitment request is over. Make a new one.')
  }
  if (state.kind === 'done') return given(c, state.result, as)
  const headers = { 'Retry-After': RETRY_AFTER_S, Location: resultUrl(c, state.transaction.uid) }
  return c.body(null, 202, headers)
}

function given(
  c: HttpContext,
  { committed, failed }: CommitmentResult,
  as: ModelAnswer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return sendModel(c, commitmentResponse(committed, failed), as, { 'Cache-Control': 'no-store', ...headers })
}
