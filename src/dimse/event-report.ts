import type { Dataset } from '../dicom/dataset.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import { ProtocolError } from '../network/errors.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Wait } from '../network/waiters.ts'
import { readIdentifier } from './collect.ts'
import type { CommandOf } from './command.ts'
import { MessageReader, syntaxOf, type Message } from './message.ts'
import { sendMessage } from './send-message.ts'
import type { Operation } from './scu.ts'
import { Status } from './status.ts'

/** Elements and items of a report: each instance that it names is an item with three elements. */
export const MAX_REPORT_ELEMENTS = 200_000

/** What a peer reports of an instance of a service (PS3.7 10.1.1). */
export interface EventReport {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly eventTypeId: number
  readonly information: Dataset | undefined
}

/** Takes a report in; comes to the status of its response. */
export type TakeReport = (report: EventReport) => number | Promise<number>

/**
 * Reads a report to its end, has it taken in and answers it. One that cannot be read is answered by 0110.
 * @throws whatever ends the association
 */
export async function answerReport(
  association: Association,
  message: Message,
  take: TakeReport,
  wait: Wait,
): Promise<void> {
  const command = message.command as CommandOf<'N-EVENT-REPORT-RQ'>
  const { messageId, affectedSopClassUid, affectedSopInstanceUid, eventTypeId } = command
  const syntax = syntaxOf(association, message)
  let status: number
  try {
    const information = message.data && (await readIdentifier(message.data, syntax, MAX_REPORT_ELEMENTS))
    status = await take({
      sopClass: affectedSopClassUid,
      sopInstance: affectedSopInstanceUid,
      eventTypeId,
      information,
    })
  } catch (error) {
    if (message.data?.complete !== true) throw error
    status = Status.processingFailure
  }
  const answer = {
    type: 'N-EVENT-REPORT-RSP',
    messageIdBeingRespondedTo: messageId,
    ...{ affectedSopClassUid, affectedSopInstanceUid, eventTypeId, status },
    hasDataSet: false,
  } as const
  await sendMessage(association, message.contextId, answer, undefined, wait)
}

/** Longest that a timer runs, in ms: who waits for reports says by a signal for how long. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * Takes the reports that come over an association on which nothing is outstanding, until `isEnough`, or the peer releases
 * it. The signal ends the waiting for the next one; one that has begun to come is read to its end, and answered, in
 * `timeout` ms.
 * @throws the signal's reason, behind which the association may still be released; whatever ends the association
 */
export async function takeReports(
  association: Association,
  take: TakeReport,
  isEnough: () => boolean,
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<void> {
  const reader = MessageReader.of(association)
  const within: Wait = { what: 'N-EVENT-REPORT request', timeout }
  while (!isEnough()) {
    const message = await reader.next({ ...within, timeout: LONGEST_MS, signal }, within)
    if (!message) return
    if (message.command.type !== 'N-EVENT-REPORT-RQ') {
      const error = new ProtocolError(`${message.command.type} where an N-EVENT-REPORT request was due`)
      association.abortFor(error)
      throw error
    }
    await answerReport(association, message, take, within)
  }
}

/** Reports an event, as the SCP of a service does. Returns the status of the response. @throws whatever ends the association */
export async function sendReport(
  association: Association,
  context: AcceptedContext,
  report: EventReport,
  { timeout, signal }: Operation,
): Promise<number> {
  const wait: Wait = { what: 'N-EVENT-REPORT response', timeout, signal }
  const { sopClass, sopInstance, eventTypeId, information } = report
  const request = {
    type: 'N-EVENT-REPORT-RQ',
    messageId: 1,
    affectedSopClassUid: sopClass,
    affectedSopInstanceUid: sopInstance,
    eventTypeId,
    hasDataSet: information !== undefined,
  } as const
  const bytes = information && encodeDataset(information, transferSyntax(context.transferSyntax))
  await sendMessage(association, context.id, request, bytes, wait)
  const message = await MessageReader.of(association).next(wait)
  if (message?.command.type === 'N-EVENT-REPORT-RSP') return message.command.status
  const error = new ProtocolError(`${message?.command.type ?? 'A release'} where N-EVENT-REPORT-RSP was due`)
  association.abortFor(error)
  throw error
}
