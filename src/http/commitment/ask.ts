import type { CommitmentResult, Reference, TransactionState } from '../../pacs/commitment/transactions.ts'
import type { Uid } from '../../dicom/uids.ts'
import { NotSupportedByArchiveError } from '../../pacs/errors.ts'
import { notPermitted } from '../auth/errors.ts'
import { clientOf, ownerOf } from '../client.ts'
import type { HttpContext } from '../context.ts'

/** What came of a question; of one without a promise, what the archive lists. */
export type Asked =
  | { readonly kind: 'asked'; readonly state: TransactionState }
  | { readonly kind: 'listed'; readonly result: CommitmentResult; readonly headers: Readonly<Record<string, string>> }

/**
 * Asks the archive to keep instances safe, or, where it has no such service and that is configured, whether it lists them.
 * @throws as Commitments.request and Archive.existing
 */
export async function askForCommitment(c: HttpContext, uid: Uid, references: readonly Reference[]): Promise<Asked> {
  const { archive, signal, base } = c.var
  const { wait, fallback } = archive.config.commitment
  try {
    const request = { uid, owner: ownerOf(c), client: clientOf(c), references, wait }
    return { kind: 'asked', state: await archive.commitments.request(request, { signal }) }
  } catch (error) {
    if (fallback !== 'query' || !(error instanceof NotSupportedByArchiveError)) throw error
    const result = await archive.existing(references, { signal })
    const text = 'The archive has no storage commitment: it lists these instances, and does not promise to keep them'
    return { kind: 'listed', result, headers: { Warning: `299 ${base}: ${text}` } }
  }
}

/** @throws RequestError 403 for who is bound to one patient or study: the answer says of any instance whether it is there */
export function mayAskForCommitment(c: HttpContext): void {
  if (c.var.principal.binding) throw notPermitted('ask for storage commitment, which is not for one patient or study')
}

/** Where the result of a question is found. */
export function resultUrl(c: HttpContext, uid: Uid): string {
  return `${c.var.base}/commitment-requests/${uid}`
}

/** Seconds after which a client may ask for the result: archives that report at once do so within one. */
export const RETRY_AFTER_S = '5'
