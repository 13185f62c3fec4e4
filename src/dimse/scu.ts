import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { Breather } from '../dicom/breather.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import { transferSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import { ConnectionLostError, PeerTimeoutError, ProtocolError } from '../network/errors.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Wait } from '../network/waiters.ts'
import { readIdentifier } from './collect.ts'
import { Priority, type Command, type CommandOf } from './command.ts'
import { MessageReader, syntaxOf, type DataStream, type Message } from './message.ts'
import { retrieveEnd, subOperationsOf, type RetrieveEnd } from './retrieve-end.ts'
import { sendMessage } from './send-message.ts'
import { Status, statusClass, StatusError } from './status.ts'
import { StoreToAnswer } from './store-to-answer.ts'

export type { RetrieveEnd } from './retrieve-end.ts'

/** Answers of one C-FIND behind which a peer is taken to answer without end. */
export const MAX_MATCHES = 100_000
/** After a C-CANCEL the peer has this long to end the operation before the association is aborted, in ms. */
export const CANCEL_GRACE_MS = 5_000

/**
 * A retrieve whose responses go on for so long without any instance is given up, in ms: archives that fetch from tape take
 * minutes.
 */
export const MAX_BARREN_MS = 2 * 60 * 60 * 1_000

/** The peer answered with more matches than anybody can want. */
export class TooManyMatchesError extends Error {
  readonly code = 'SEARCH_TOO_BROAD'
  constructor() {
    super(`The archive answered with more than ${MAX_MATCHES} matches`)
    this.name = 'TooManyMatchesError'
  }
}

export interface Operation {
  /** Milliseconds of silence after which the peer is given up. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  readonly priority?: number
  /** See Wait. */
  readonly alive?: () => number
}

/** An instance that the peer stores to us during a C-GET. Its body is read before the next is asked for. */
export interface SubOperation {
  readonly kind: 'instance'
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly syntax: TransferSyntax
  readonly body: ByteStream
}

/** Invokes operations over an association, one at a time (PS3.7 9.1). */
export class Scu {
  readonly #association: Association
  readonly #reader: MessageReader
  readonly #cancelGrace: number
  #messageId = 0

  /** @param cancelGrace see CANCEL_GRACE_MS */
  constructor(association: Association, { cancelGrace = CANCEL_GRACE_MS }: { readonly cancelGrace?: number } = {}) {
    this.#association = association
    this.#reader = MessageReader.of(association)
    this.#cancelGrace = cancelGrace
  }

  /** @throws StatusError, and whatever ends the association */
  async echo(context: AcceptedContext, operation: Operation): Promise<void> {
    const { abstractSyntax: affectedSopClassUid } = context
    const wait = waitFor('C-ECHO response', operation)
    const messageId = this.#nextId()
    const request: Command = { type: 'C-ECHO-RQ', messageId, affectedSopClassUid, hasDataSet: false }
    const command = await this.#orAbort(async () => {
      await this.#send(context, request, undefined, wait)
      return (await this.#response('C-ECHO-RSP', wait)).command
    })
    if (command.status !== Status.success) throw new StatusError(command)
  }

  /**
   * Matches of a C-FIND as they arrive; ending the iteration early sends a C-CANCEL and waits for the final response.
   * @throws StatusError when it does not end in success, TooManyMatchesError, TooManyElementsError, MalformedDataSetError, and whatever ends the association
   */
  async *find(context: AcceptedContext, identifier: Dataset, operation: Operation): AsyncGenerator<Dataset> {
    const wait = waitFor('C-FIND response', operation)
    const messageId = await this.#ask('C-FIND-RQ', context, identifier, operation, wait)
    let over = false
    const breather = new Breather()
    try {
      for (let matches = 0; ; matches++) {
        const { message, command } = await this.#response('C-FIND-RSP', wait)
        const kind = statusClass(command.status)
        if (kind === 'pending' && matches === MAX_MATCHES) {
          // It would not heed a C-CANCEL either.
          this.#association.abort()
          throw new TooManyMatchesError()
        }
        if (kind !== 'pending') {
          // PS3.7 9.1.2.1: the final response has no identifier; one that comes all the same must not stay unread.
          if (message.data) await this.#passOver(message.data)
          over = true
          if (kind === 'failure' || (kind === 'cancel' && !operation.signal?.aborted)) throw new StatusError(command)
          return
        }
        // A Pending response without identifier is no match: some archives send one. Others do not say that it follows.
        const data = message.data ?? (await this.#reader.unannounced(message, wait))
        if (data) yield await readIdentifier(data, this.#syntax(message))
        // Matches that are here already come without a wait between them.
        if (breather.isDue) await breather.breathe()
      }
    } finally {
      if (!over) await this.#cancel(context, messageId, 'C-FIND-RSP')
    }
  }

  /**
   * Instances of a C-GET as the peer stores them, then its end. Each C-STORE is answered when its last byte is here,
   * read or not, so that the peer sends on meanwhile as far as the receive queue has room. Ending early sends a C-CANCEL;
   * an instance that is under way then is refused as out of resources.
   * @throws whatever ends the association; a failure status is given as the end, not thrown
   */
  async *get(
    context: AcceptedContext,
    identifier: Dataset,
    operation: Operation,
  ): AsyncGenerator<SubOperation | RetrieveEnd> {
    const wait = waitFor('C-GET response', operation)
    const messageId = await this.#ask('C-GET-RQ', context, identifier, operation, wait)
    let over = false
    let counted = 0
    let fruitful = performance.now()
    let unanswered: StoreToAnswer | undefined
    try {
      for (;;) {
        const message = await this.#message(wait)
        const { command, data } = message
        if (command.type === 'C-STORE-RQ') {
          if (!data) throw this.#breach('A C-STORE request without a data set')
          fruitful = performance.now()
          unanswered = new StoreToAnswer(this.#association, message.contextId, command, data)
          unanswered.answerOnArrival(wait)
          yield {
            kind: 'instance',
            sopClass: command.affectedSopClassUid,
            sopInstance: command.affectedSopInstanceUid,
            syntax: this.#syntax(message),
            body: data,
          }
          await unanswered.accept(wait)
          unanswered = undefined
          continue
        }
        if (command.type !== 'C-GET-RSP') throw this.#breach(`${command.type} during a C-GET`)
        if (command.messageIdBeingRespondedTo === messageId) counted = Math.max(counted, subOperationsOf(command))
        if (statusClass(command.status) === 'pending') {
          this.#checkFruit(fruitful)
          continue
        }
        over = true
        yield await retrieveEnd(command, this.#listOf(message, command), this.#syntax(message), counted)
        return
      }
    } finally {
      if (!over) await this.#cancel(context, messageId, 'C-GET-RSP', unanswered)
    }
  }

  /**
   * C-MOVE: the peer stores what is selected to `destination`, over associations of its own. Ends with the peer's final
   * response, whatever its status; aborting the signal sends a C-CANCEL. The message id is the caller's: the peer names
   * it to the destination, where it must tell one move from another. `onPending` is given each response before the final one.
   * @throws whatever ends the association; the signal's reason
   */
  async move(
    context: AcceptedContext,
    identifier: Dataset,
    {
      destination,
      messageId = this.#nextId(),
    }: { readonly destination: string; readonly messageId?: number | undefined },
    operation: Operation & {
      readonly onPending?: (response: CommandOf<'C-MOVE-RSP'>) => void
      /** Given what the peer ends it with behind a C-CANCEL. */
      readonly onCancelled?: (response: CommandOf<'C-MOVE-RSP'>) => void
    },
  ): Promise<RetrieveEnd> {
    const wait = waitFor('C-MOVE response', operation)
    const request: Command = {
      type: 'C-MOVE-RQ',
      messageId,
      affectedSopClassUid: context.abstractSyntax,
      moveDestination: destination,
      priority: operation.priority ?? Priority.medium,
      hasDataSet: true,
    }
    let over = false
    let counted = 0
    const began = performance.now()
    try {
      await this.#send(context, request, encodeDataset(identifier, transferSyntax(context.transferSyntax)), wait)
      for (;;) {
        const message = await this.#message(wait)
        const { command } = message
        if (command.type !== 'C-MOVE-RSP') throw this.#breach(`${command.type} during a C-MOVE`)
        if (command.messageIdBeingRespondedTo === messageId) counted = Math.max(counted, subOperationsOf(command))
        if (statusClass(command.status) === 'pending') {
          operation.onPending?.(command)
          this.#checkFruit(Math.max(began, operation.alive?.() ?? began))
          continue
        }
        over = true
        return await retrieveEnd(command, this.#listOf(message, command), this.#syntax(message), counted)
      }
    } finally {
      const late = over ? undefined : await this.#cancel(context, messageId, 'C-MOVE-RSP')
      if (late?.type === 'C-MOVE-RSP') operation.onCancelled?.(late)
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
    return this.#orAbort(async () => {
      await sendMessage(this.#association, context.id, request, instance.body, wait)
      for (;;) {
        const { command } = await this.#message(wait)
        if (command.type === 'C-CANCEL-RQ') operation.onCancel?.()
        else if (command.type === 'C-STORE-RSP') return command
        else throw this.#breach(`${command.type} where a C-STORE response was due`)
      }
    })
  }

  /** An operation that cannot be cancelled and fails leaves its response outstanding: nothing else may follow it. */
  async #orAbort<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation()
    } catch (error) {
      this.#association.abort()
      throw error
    }
  }

  #syntax(message: Message): TransferSyntax {
    return syntaxOf(this.#association, message)
  }

  /** Sends a request that carries an identifier; returns its message id. */
  async #ask(
    type: 'C-FIND-RQ' | 'C-GET-RQ',
    context: AcceptedContext,
    identifier: Dataset,
    { priority = Priority.medium }: Operation,
    wait: Wait,
  ): Promise<number> {
    const messageId = this.#nextId()
    const request: Command = {
      type,
      messageId,
      affectedSopClassUid: context.abstractSyntax,
      priority,
      hasDataSet: true,
    }
    await this.#send(context, request, encodeDataset(identifier, transferSyntax(context.transferSyntax)), wait)
    return messageId
  }

  /** Reads a data set that has begun to arrive. One that has not is not waited for: some archives announce and send none. */
  async #passOver(data: DataStream): Promise<void> {
    if (this.#association.pending) for await (const _ of data);
  }

  /** The list of a final response. A success has none (PS3.4 C.4.2.1.4.2): one that is announced all the same is not waited for. */
  #listOf({ data }: Message, { status }: { readonly status: number }): DataStream | undefined {
    return status === Status.success && !this.#association.pending ? undefined : data
  }

  #nextId(): number {
    this.#messageId = (this.#messageId % 65_535) + 1
    return this.#messageId
  }

  #send(context: AcceptedContext, command: Command, data: Bytes | undefined, wait: Wait): Promise<void> {
    return sendMessage(this.#association, context.id, command, data, wait)
  }

  async #message(wait: Wait): Promise<Message> {
    const message = await this.#reader.next(wait)
    if (!message) throw new ConnectionLostError('The peer released the association with an operation outstanding')
    return message
  }

  /** The next response of a type. With one operation outstanding its message id says nothing new: some peers err. */
  async #response<T extends 'C-ECHO-RSP' | 'C-FIND-RSP'>(
    type: T,
    wait: Wait,
  ): Promise<{ message: Message; command: CommandOf<T> }> {
    const message = await this.#message(wait)
    if (message.command.type !== type) throw this.#breach(`${message.command.type} where ${type} was due`)
    return { message, command: message.command as CommandOf<T> }
  }

  /**
   * PS3.7 9.3.2.3: asks the peer to stop and reads on to the final response, which it gives; a peer that goes on is aborted. A store
   * of the peer that is not answered yet is answered first: it waits for that before it looks for a C-CANCEL.
   */
  async #cancel(
    context: AcceptedContext,
    messageId: number,
    type: 'C-FIND-RSP' | 'C-GET-RSP' | 'C-MOVE-RSP',
    unanswered?: StoreToAnswer,
  ): Promise<Command | undefined> {
    unanswered?.isNotWanted()
    const timeout = this.#cancelGrace
    const wait: Wait = { what: 'end of a cancelled operation', timeout, signal: AbortSignal.timeout(timeout) }
    try {
      const cancel: Command = { type: 'C-CANCEL-RQ', messageIdBeingRespondedTo: messageId, hasDataSet: false }
      await sendMessage(this.#association, context.id, cancel, undefined, wait)
      await unanswered?.refuse(wait)
      for (;;) {
        const { command, contextId, data } = await this.#message(wait)
        if (command.type === 'C-STORE-RQ' && data) {
          await new StoreToAnswer(this.#association, contextId, command, data).refuse(wait)
        } else if (command.type === type && statusClass(command.status) !== 'pending') return command
      }
    } catch {
      this.#association.abort()
      return undefined
    }
  }

  /** @throws PeerTimeoutError where there was no instance since (by performance.now()) for too long */
  #checkFruit(since: number): void {
    if (performance.now() - since < MAX_BARREN_MS) return
    this.#association.abort()
    throw new PeerTimeoutError('instance', MAX_BARREN_MS)
  }

  #breach(problem: string): ProtocolError {
    const error = new ProtocolError(problem)
    this.#association.abortFor(error)
    return error
  }
}

/** @throws the signal's reason: an operation that is not wanted any more does not begin, and the association stays */
function waitFor(what: string, operation: Operation): Wait {
  operation.signal?.throwIfAborted()
  return { what, timeout: operation.timeout, signal: operation.signal, alive: operation.alive }
}
