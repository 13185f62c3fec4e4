import type { Dataset } from '../dicom/dataset.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import type { Association } from '../network/association.ts'
import { ConnectionLostError, ProtocolError } from '../network/errors.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Wait } from '../network/waiters.ts'
import { readIdentifier } from './collect.ts'
import type { Command, CommandOf } from './command.ts'
import { answerReport, type TakeReport } from './event-report.ts'
import { MessageReader, syntaxOf } from './message.ts'
import type { Operation } from './scu.ts'
import { sendMessage } from './send-message.ts'
import { statusClass, StatusError } from './status.ts'

/** One operation may be outstanding on an association: its message id need not differ from another (PS3.7 E.1). */
const MESSAGE_ID = 1

/** Reports in front of a response: those of requests before it. */
export const MAX_EARLY_REPORTS = 16

type RequestType = 'N-ACTION-RQ' | 'N-CREATE-RQ' | 'N-GET-RQ' | 'N-SET-RQ'
type Without<T> = T extends unknown ? Omit<T, 'messageId' | 'hasDataSet'> : never

/** An operation on one SOP Instance (PS3.7 10.1), but for its data set. */
export type NormalizedRequest = Without<CommandOf<RequestType>>

/** How a peer answered; `status` is a success or a warning. */
export interface NormalizedResponse {
  readonly status: number
  readonly dataset: Dataset | undefined
}

/** What goes with an operation. */
export interface NormalizedOperation extends Operation {
  readonly dataset?: Dataset | undefined
  /** Takes what the peer reports before it answers; such reports break the protocol unless told. */
  readonly take?: TakeReport
}

/**
 * Invokes an operation of a normalized service, and reads its response. It cannot be cancelled: what fails in between
 * leaves it unknown whether it was done, and the association aborted.
 * @throws StatusError; whatever ends the association; the signal's reason
 */
export async function invoke(
  association: Association,
  context: AcceptedContext,
  request: NormalizedRequest,
  { dataset, take, timeout, signal }: NormalizedOperation,
): Promise<NormalizedResponse> {
  const due = request.type.replace('-RQ', '-RSP')
  const wait: Wait = { what: `${due} message`, timeout, signal }
  const command = { ...request, messageId: MESSAGE_ID, hasDataSet: dataset !== undefined } as Command
  const reader = MessageReader.of(association)
  try {
    const syntax = transferSyntax(context.transferSyntax)
    await sendMessage(association, context.id, command, dataset && encodeDataset(dataset, syntax), wait)
    for (let reports = 0; ; reports++) {
      const message = await reader.next(wait)
      if (!message) throw new ConnectionLostError('The peer released the association with an operation outstanding')
      const { command: response } = message
      if (response.type === 'N-EVENT-REPORT-RQ' && take && reports < MAX_EARLY_REPORTS) {
        await answerReport(association, message, take, wait)
        continue
      }
      if (response.type !== due || !('status' in response)) {
        throw new ProtocolError(`${response.type} where ${due} was due`)
      }
      const given = message.data && (await readIdentifier(message.data, syntaxOf(association, message)))
      const kind = statusClass(response.status)
      if (kind !== 'success' && kind !== 'warning') throw new StatusError(response)
      return { status: response.status, dataset: given }
    }
  } catch (error) {
    if (error instanceof ProtocolError) association.abortFor(error)
    else if (!(error instanceof StatusError)) association.abort()
    throw error
  }
}
