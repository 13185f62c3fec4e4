import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import { parseDataset } from '../dicom/dataset-codec.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import { collect } from './collect.ts'
import type { CommandOf } from './command.ts'

type RetrieveResponse = CommandOf<'C-GET-RSP' | 'C-MOVE-RSP'>

/** How a C-GET or C-MOVE ended. The counters are the peer's own and may be missing (PS3.7 9.1.3). */
export interface RetrieveEnd {
  readonly kind: 'end'
  readonly status: number
  readonly completed: number | undefined
  readonly failed: number | undefined
  readonly warning: number | undefined
  /** Sub-operations that the final response counts, done or not; where it has no counters, the most of those before. */
  readonly counted: number
  readonly failedInstances: readonly Uid[]
  readonly response: RetrieveResponse
}

/**
 * The end that a final response tells, with the instances that `data` lists as failed; `countedBefore` by those in front of it.
 * @throws what ends the association: an end that did not come whole is none
 */
export async function retrieveEnd(
  response: RetrieveResponse,
  data: ByteStream | undefined,
  syntax: TransferSyntax,
  countedBefore: number,
): Promise<RetrieveEnd> {
  const { status, completed, failed, warning } = response
  // Counters of Pending responses are often one off: the final ones hold, if there are any.
  const counted =
    completed === undefined ? Math.max(countedBefore, subOperationsOf(response)) : subOperationsOf(response)
  const failedInstances = data === undefined ? [] : await failedList(data, syntax)
  return { kind: 'end', status, completed, failed, warning, counted, failedInstances, response }
}

/** How many sub-operations a response counts (PS3.7 9.3.3.2). */
export function subOperationsOf({ remaining = 0, completed = 0, failed = 0, warning = 0 }: RetrieveResponse): number {
  return remaining + completed + failed + warning
}

async function failedList(data: ByteStream, syntax: TransferSyntax): Promise<Uid[]> {
  const bytes = await collect(data)
  try {
    return parseDataset(bytes, syntax).strings(Attribute.FailedSOPInstanceUIDList)
  } catch {
    // The list only helps: which instances arrived is known without it.
    return []
  }
}
