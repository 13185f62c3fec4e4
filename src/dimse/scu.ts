import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../dicom/dataset-codec.ts'
import { transferSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Association, Wait } from '../network/association.ts'
import { ConnectionLostError, PeerTimeoutError, ProtocolError } from '../network/errors.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import { Priority, type Command, type CommandOf } from './command.ts'
import { MessageReader, sendMessage, type DataStream, type Message } from './message.ts'
import { Status, statusClass, StatusError } from './status.ts'

/** Far above any identifier of a query or list of failed instances. */
export const MAX_IDENTIFIER_BYTES = 4 * 1024 * 1024
/** After a C-CANCEL the peer has this long to end the operation before the association is aborted, in ms. */
export const CANCEL_GRACE_MS = 5_000

export interface Operation {
  /** Milliseconds of silence after which the peer is given up. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  readonly priority?: number
}

/** An instance that the peer stores to us during a C-GET. Its body is read before the next is asked for. */
export interface SubOperation {
  readonly kind: 'instance'
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly syntax: TransferSyntax
  readonly body: ByteStream
}

/** How a C-GET ended. The counters are the peer's own and may be missing (PS3.7 9.1.3). */
export interface RetrieveEnd {
  readonly kind: 'end'
  readonly status: number
  readonly completed: number | undefined
  readonly failed: number | undefined
  readonly warning: number | undefined
  readonly failedInstances: readonly Uid[]
  readonly response: CommandOf<'C-GET-RSP'>
}

/** Invokes operations over an association, one at a time (PS3.7 9.1). */
export class Scu {
  readonly #association: Association
  readonly #reader: MessageReader
  #messageId = 0

  constructor(association: Association) {
    this.#association = association
    this.#reader = new MessageReader(association)
  }

  /** @throws StatusError, and whatever ends the association */
  async echo(context: AcceptedContext, operation: Operation): Promise<void> {
    const { abstractSyntax: affectedSopClassUid } = context
    const wait = waitFor('C-ECHO response', operation)
    const messageId = this.#nextId()
    await this.#send(context, { type: 'C-ECHO-RQ', messageId, affectedSopClassUid, hasDataSet: false }, undefined, wait)
    const { command } = await this.#response('C-ECHO-RSP', wait)
    if (command.status !== Status.success) throw new StatusError(command)
  }

  /**
   * Matches of a C-FIND as they arrive; ending the iteration early sends a C-CANCEL and waits for the final response.
   * @throws StatusError when it does not end in success, MalformedDataSetError, and whatever ends the association
   */
  async *find(context: AcceptedContext, identifier: Dataset, operation: Operation): AsyncGenerator<Dataset> {
    const syntax = transferSyntax(context.transferSyntax)
    const wait = waitFor('C-FIND response', operation)
    const messageId = this.#nextId()
    const request: Command = {
      type: 'C-FIND-RQ',
      messageId,
      affectedSopClassUid: context.abstractSyntax,
      priority: operation.priority ?? Priority.medium,
      hasDataSet: true,
    }
    await this.#send(context, request, encodeDataset(identifier, syntax), wait)
    let over = false
    try {
      for (;;) {
        const { command, data } = await this.#response('C-FIND-RSP', wait)
        const kind = statusClass(command.status)
        if (kind !== 'pending') {
          over = true
          if (kind === 'failure' || (kind === 'cancel' && !operation.signal?.aborted)) throw new StatusError(command)
          return
        }
        // A Pending response without identifier is no match: some archives send one.
        if (data) yield parseDataset(await collect(data), syntax)
      }
    } finally {
      if (!over) await this.#cancel(context, messageId, 'C-FIND-RSP')
    }
  }

  /**
   * Instances of a C-GET as the peer stores them, then its end. Each C-STORE is answered when the iteration goes on:
   * success when its body was read to the end, else out of resources. Ending early sends a C-CANCEL.
   * @throws whatever ends the association; a failure status is given as the end, not thrown
   */
  async *get(
    context: AcceptedContext,
    identifier: Dataset,
    operation: Operation,
  ): AsyncGenerator<SubOperation | RetrieveEnd> {
    const syntax = transferSyntax(context.transferSyntax)
    const wait = waitFor('C-GET response', operation)
    const messageId = this.#nextId()
    const request: Command = {
      type: 'C-GET-RQ',
      messageId,
      affectedSopClassUid: context.abstractSyntax,
      priority: operation.priority ?? Priority.medium,
      hasDataSet: true,
    }
    await this.#send(context, request, encodeDataset(identifier, syntax), wait)
    let over = false
    try {
      for (;;) {
        const message = await this.#message(wait)
        const { command, data, contextId } = message
        if (command.type === 'C-STORE-RQ') {
          if (!data) throw this.#breach('A C-STORE request without a data set')
          const accepted = this.#association.contexts.get(contextId)!
          yield {
            kind: 'instance',
            sopClass: command.affectedSopClassUid,
            sopInstance: command.affectedSopInstanceUid,
            syntax: transferSyntax(accepted.transferSyntax),
            body: data,
          }
          await this.#answerStore(message, data, wait)
          continue
        }
        if (command.type !== 'C-GET-RSP') throw this.#breach(`${command.type} during a C-GET`)
        if (statusClass(command.status) === 'pending') continue
        const failedInstances = data ? await failedList(data, syntax) : []
        over = true
        const { status, completed, failed, warning } = command
        yield { kind: 'end', status, completed, failed, warning, failedInstances, response: command }
        return
      }
    } finally {
      if (!over) await this.#cancel(context, messageId, 'C-GET-RSP')
    }
  }

  /**
   * Stores one instance; `body` must be in the syntax of the context. Returns the response, whatever its status.
   * @throws whatever ends the association, and what `body` throws (the association is then aborted)
   */
  async store(
    context: AcceptedContext,
    instance: { sopClass: Uid; sopInstance: Uid; body: ByteStream },
    operation: Operation & {
      moveOriginatorAeTitle?: string
      moveOriginatorMessageId?: number
      /** Called when a C-CANCEL arrives while the response is awaited: we are then the SCP of a C-GET. */
      onCancel?: () => void
    },
  ): Promise<CommandOf<'C-STORE-RSP'>> {
    const wait = waitFor('C-STORE response', operation)
    const request: Command = {
      type: 'C-STORE-RQ',
      messageId: this.#nextId(),
      affectedSopClassUid: instance.sopClass,
      affectedSopInstanceUid: instance.sopInstance,
      priority: operation.priority ?? Priority.medium,
      hasDataSet: true,
      ...(operation.moveOriginatorAeTitle !== undefined && { moveOriginatorAeTitle: operation.moveOriginatorAeTitle }),
      ...(operation.moveOriginatorMessageId !== undefined && {
        moveOriginatorMessageId: operation.moveOriginatorMessageId,
      }),
    }
    await sendMessage(this.#association, context.id, request, instance.body, wait)
    for (;;) {
      const { command } = await this.#message(wait)
      if (command.type === 'C-CANCEL-RQ') operation.onCancel?.()
      else if (command.type === 'C-STORE-RSP') return command
      else throw this.#breach(`${command.type} where a C-STORE response was due`)
    }
  }

  #nextId(): number {
    this.#messageId = (this.#messageId % 65_535) + 1
    return this.#messageId
  }

  #send(context: AcceptedContext, command: Command, data: Bytes | undefined, wait: Wait): Promise<void> {
    return sendMessage(this.#association, context.id, command, data, wait)
  }

  async #message(wait: Wait): Promise<Message> {
    const message = await this.#reader.next(wait).catch((error: unknown) => {
      // A peer that fell silent will not answer a C-CANCEL either.
      if (error instanceof PeerTimeoutError) this.#association.abort()
      throw error
    })
    if (!message) throw new ConnectionLostError('The peer released the association with an operation outstanding')
    return message
  }

  /** The next response of a type. With one operation outstanding its message id says nothing new: some peers err. */
  async #response<T extends 'C-ECHO-RSP' | 'C-FIND-RSP'>(
    type: T,
    wait: Wait,
  ): Promise<{ command: CommandOf<T>; data: DataStream | undefined }> {
    const { command, data } = await this.#message(wait)
    if (command.type !== type) throw this.#breach(`${command.type} where ${type} was due`)
    return { command: command as CommandOf<T>, data }
  }

  async #answerStore(message: Message, data: DataStream, wait: Wait): Promise<void> {
    const request = message.command as CommandOf<'C-STORE-RQ'>
    const response: Command = {
      type: 'C-STORE-RSP',
      messageIdBeingRespondedTo: request.messageId,
      affectedSopClassUid: request.affectedSopClassUid,
      affectedSopInstanceUid: request.affectedSopInstanceUid,
      status: data.complete ? Status.success : Status.outOfResources,
      hasDataSet: false,
    }
    if (!data.complete) for await (const _ of data);
    await sendMessage(this.#association, message.contextId, response, undefined, wait)
  }

  /** PS3.7 9.3.2.3: asks the peer to stop and reads on to the final response; a peer that goes on is aborted. */
  async #cancel(context: AcceptedContext, messageId: number, type: 'C-FIND-RSP' | 'C-GET-RSP'): Promise<void> {
    const grace = AbortSignal.timeout(CANCEL_GRACE_MS)
    const wait: Wait = { what: 'end of a cancelled operation', timeout: CANCEL_GRACE_MS, signal: grace }
    try {
      const cancel: Command = { type: 'C-CANCEL-RQ', messageIdBeingRespondedTo: messageId, hasDataSet: false }
      await sendMessage(this.#association, context.id, cancel, undefined, wait)
      for (;;) {
        const message = await this.#message(wait)
        const { command, data } = message
        if (command.type === 'C-STORE-RQ' && data) await this.#answerStore(message, data, wait)
        else if (command.type === type && statusClass(command.status) !== 'pending') {
          if (data) for await (const _ of data);
          return
        }
      }
    } catch {
      this.#association.abort()
    }
  }

  #breach(problem: string): ProtocolError {
    const error = new ProtocolError(problem)
    this.#association.abortFor(error)
    return error
  }
}

function waitFor(what: string, operation: Operation): Wait {
  return { what, timeout: operation.timeout, signal: operation.signal }
}

/** A small data set whole. @throws ProtocolError above MAX_IDENTIFIER_BYTES */
export async function collect(data: ByteStream): Promise<Bytes> {
  const chunks: Bytes[] = []
  let size = 0
  for await (const chunk of data) {
    size += chunk.length
    if (size > MAX_IDENTIFIER_BYTES) throw new ProtocolError(`An identifier is longer than ${MAX_IDENTIFIER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

async function failedList(data: ByteStream, syntax: TransferSyntax): Promise<Uid[]> {
  try {
    return parseDataset(await collect(data), syntax).strings(Attribute.FailedSOPInstanceUIDList)
  } catch {
    // The list is a convenience: what arrived is known without it.
    return []
  }
}
