import type { ByteStream } from '../dicom/bytes.ts'
import { Dataset } from '../dicom/dataset.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import { ProtocolError } from '../network/errors.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Wait } from '../network/waiters.ts'
import type { Command, CommandOf } from './command.ts'
import { readIdentifier } from './collect.ts'
import { answerReport, MAX_REPORT_ELEMENTS, type EventReport } from './event-report.ts'
import { MessageReader, syntaxOf, type DataStream, type Message } from './message.ts'
import { Scu } from './scu.ts'
import { sendMessage } from './send-message.ts'
import { Status, StatusError } from './status.ts'
import { sendInstance, subOperations, type OutgoingInstance, type Respond } from './sub-operations.ts'

export type { OutgoingInstance } from './sub-operations.ts'

/** An instance somebody stores to us. */
export interface IncomingStore {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly syntax: TransferSyntax
  readonly body: ByteStream
  readonly moveOriginatorAeTitle: string | undefined
  readonly moveOriginatorMessageId: number | undefined
}

/** The instances of a C-MOVE, and the destination they are sent to. */
export interface OutgoingMove {
  readonly instances: readonly OutgoingInstance[]
  /** Our AE title, sent as Move Originator AE Title (0000,1030). Undefined: it is left out. */
  readonly originator: string | undefined
  /** Opens the association to the destination. */
  connect(): Promise<Association>
}

type NormalizedCommand = CommandOf<'N-ACTION-RQ' | 'N-CREATE-RQ' | 'N-GET-RQ' | 'N-SET-RQ'>
type NormalizedResponseType = 'N-ACTION-RSP' | 'N-CREATE-RSP' | 'N-GET-RSP' | 'N-SET-RSP'

/** What became of an operation of a normalized service, and the data set that answers it. */
export interface Performed {
  readonly status: number
  /** Error ID (0000,0903). */
  readonly errorId?: number
  readonly dataset?: Dataset | undefined
  /** Done when it is answered, before the next message is read: a report of it over the same association. */
  readonly afterwards?: (context: AcceptedContext) => Promise<void>
}

/** What an SCP does; an operation without its handler is answered by 0211 (unrecognized operation). */
export interface Handlers {
  /** Returns the status of the C-STORE response. */
  store?(instance: IncomingStore, association: Association): Promise<number>
  /** Matches, or a failure status. */
  find?(identifier: Dataset, sopClass: Uid, association: Association): Promise<AsyncIterable<Dataset> | number>
  /** The instances selected, or a failure status. */
  get?(identifier: Dataset, sopClass: Uid, association: Association): Promise<readonly OutgoingInstance[] | number>
  /** The instances selected and their destination, or a failure status. */
  move?(identifier: Dataset, destination: string, association: Association): Promise<OutgoingMove | number>
  /** An operation of a normalized service. */
  perform?(command: NormalizedCommand, dataset: Dataset | undefined, association: Association): Promise<Performed>
  /** Returns the status of the N-EVENT-REPORT response. */
  report?(report: EventReport, association: Association): Promise<number>
}

export interface ServeOptions {
  /** Milliseconds an association may be silent between messages. */
  readonly idleTimeout: number
  /** Milliseconds it may be silent within a data set; `idleTimeout` unless told. */
  readonly dataTimeout?: number | undefined
}

/** Bytes of an instance nobody wants that are passed over to answer it; a longer one is worth an A-ABORT. */
export const MAX_PASSED_OVER_BYTES = 256 * 1024 * 1024
/** How long a destination may take to answer a release, in ms. */
const RELEASE_TIMEOUT_MS = 3_000

/**
 * Answers the messages of an association until the peer releases it.
 * @throws whatever ends the association otherwise, and what a handler throws: the association is then aborted
 */
export async function serve(association: Association, handlers: Handlers, options: ServeOptions): Promise<void> {
  await new Server(association, handlers, options).run()
}

class Server {
  readonly #association: Association
  readonly #handlers: Handlers
  readonly #reader: MessageReader
  readonly #wait: Wait
  readonly #within: Wait

  constructor(association: Association, handlers: Handlers, { idleTimeout, dataTimeout }: ServeOptions) {
    this.#association = association
    this.#handlers = handlers
    this.#reader = MessageReader.of(association)
    this.#wait = { what: 'message', timeout: idleTimeout }
    this.#within = { what: 'data set', timeout: dataTimeout ?? idleTimeout }
  }

  async run(): Promise<void> {
    try {
      for (;;) {
        const message = await this.#reader.next(this.#wait, this.#within)
        if (!message) return
        await this.#dispatch(message)
      }
    } catch (error) {
      this.#association.abort()
      throw error
    }
  }

  async #dispatch(message: Message): Promise<void> {
    const { command } = message
    switch (command.type) {
      case 'C-ECHO-RQ':
        return this.#respond(message, { ...reply(command), type: 'C-ECHO-RSP', status: Status.success })
      case 'C-STORE-RQ':
        return this.#store(message, command)
      case 'C-FIND-RQ':
        return this.#find(message, command)
      case 'C-GET-RQ':
        return this.#get(message, command)
      case 'C-MOVE-RQ':
        return this.#move(message, command)
      case 'N-ACTION-RQ':
      case 'N-CREATE-RQ':
      case 'N-GET-RQ':
      case 'N-SET-RQ':
        return this.#perform(message, command)
      case 'N-EVENT-REPORT-RQ':
        return answerReport(
          this.#association,
          message,
          (report) => this.#handlers.report?.(report, this.#association) ?? Status.unrecognizedOperation,
          this.#wait,
        )
      case 'C-CANCEL-RQ':
        // It came after the operation it was meant for (PS3.7 9.3.2.3).
        return
      default:
        this.#association.abort()
    }
  }

  #respond(message: Message, response: Command, data?: Dataset): Promise<void> {
    const bytes = data && encodeDataset(data, this.#syntax(message))
    return sendMessage(this.#association, message.contextId, response, bytes, this.#wait)
  }

  #syntax(message: Message): TransferSyntax {
    return syntaxOf(this.#association, message)
  }

  async #perform(message: Message, command: NormalizedCommand): Promise<void> {
    const { messageId, type } = command
    const dataset = message.data && (await readIdentifier(message.data, this.#syntax(message), MAX_REPORT_ELEMENTS))
    const outcome: Performed = (await this.#handlers.perform?.(command, dataset, this.#association)) ?? {
      status: Status.unrecognizedOperation,
    }
    const response = {
      type: type.replace('-RQ', '-RSP') as NormalizedResponseType,
      messageIdBeingRespondedTo: messageId,
      // Optional (PS3.7 10.1), and there are requestors that refuse a response without them.
      ...affected(command),
      status: outcome.status,
      hasDataSet: outcome.dataset !== undefined,
      ...(outcome.errorId !== undefined && { errorId: outcome.errorId }),
    }
    await this.#respond(message, response, outcome.dataset)
    await outcome.afterwards?.(this.#association.contexts.get(message.contextId)!)
  }

  async #store(message: Message, command: CommandOf<'C-STORE-RQ'>): Promise<void> {
    const answer = {
      ...reply(command),
      type: 'C-STORE-RSP',
      affectedSopInstanceUid: command.affectedSopInstanceUid,
    } as const
    if (!this.#handlers.store) return this.#respond(message, { ...answer, status: Status.unrecognizedOperation })
    if (!message.data) return this.#respond(message, { ...answer, status: Status.cannotUnderstand })
    const status = await this.#handlers.store(
      {
        sopClass: command.affectedSopClassUid,
        sopInstance: command.affectedSopInstanceUid,
        syntax: this.#syntax(message),
        body: message.data,
        moveOriginatorAeTitle: command.moveOriginatorAeTitle,
        moveOriginatorMessageId: command.moveOriginatorMessageId,
      },
      this.#association,
    )
    await this.#passOver(message.data)
    return this.#respond(message, { ...answer, status })
  }

  async #passOver(data: DataStream): Promise<void> {
    let passed = 0
    for await (const { length } of data) {
      passed += length
      if (passed <= MAX_PASSED_OVER_BYTES) continue
      const error = new ProtocolError(`An instance that is not wanted has more than ${MAX_PASSED_OVER_BYTES} bytes`)
      this.#association.abortFor(error)
      throw error
    }
  }

  async #identifier(message: Message): Promise<Dataset> {
    return message.data ? await readIdentifier(message.data, this.#syntax(message)) : new Dataset()
  }

  async #find(message: Message, command: CommandOf<'C-FIND-RQ'>): Promise<void> {
    const answer = { ...reply(command), type: 'C-FIND-RSP' } as const
    const identifier = await this.#identifier(message)
    const matches =
      (await this.#handlers.find?.(identifier, command.affectedSopClassUid, this.#association)) ??
      Status.unrecognizedOperation
    if (typeof matches === 'number') return this.#respond(message, { ...answer, status: matches })
    const iterator: AsyncIterator<Dataset, unknown> = matches[Symbol.asyncIterator]()
    try {
      for (;;) {
        const match = await iterator.next().catch(failureOf)
        if (typeof match === 'number') {
          await this.#respond(message, { ...answer, status: match })
          return
        }
        if (match.done) {
          await this.#respond(message, { ...answer, status: Status.success })
          return
        }
        if (await this.#cancelled(command.messageId)) {
          await this.#respond(message, { ...answer, status: Status.cancel })
          return
        }
        await this.#respond(message, { ...answer, status: Status.pending, hasDataSet: true }, match.value)
      }
    } finally {
      await iterator.return?.()
    }
  }

  /** A C-CANCEL for this operation has arrived; looks only at what is here already. */
  async #cancelled(messageId: number): Promise<boolean> {
    await new Promise(setImmediate)
    while (this.#association.pending) {
      const message = await this.#reader.next(this.#wait)
      if (!message) return true
      if (message.command.type !== 'C-CANCEL-RQ') {
        this.#association.abort()
        return true
      }
      if (message.command.messageIdBeingRespondedTo === messageId) return true
    }
    return false
  }

  async #get(message: Message, command: CommandOf<'C-GET-RQ'>): Promise<void> {
    const answer = { ...reply(command), type: 'C-GET-RSP' } as const
    const identifier = await this.#identifier(message)
    const instances =
      (await this.#handlers.get?.(identifier, command.affectedSopClassUid, this.#association)) ??
      Status.unrecognizedOperation
    if (typeof instances === 'number') return this.#respond(message, { ...answer, status: instances })
    let cancelled = false
    const scu = new Scu(this.#association)
    const { timeout } = this.#wait
    const send = (instance: OutgoingInstance): Promise<boolean> =>
      sendInstance(scu, this.#association, instance, { timeout, onCancel: () => (cancelled = true) })
    const respond: Respond = (counts, list) => this.#respond(message, { ...answer, ...counts }, list)
    return subOperations(instances, { send, respond, isCancelled: () => cancelled })
  }

  async #move(message: Message, command: CommandOf<'C-MOVE-RQ'>): Promise<void> {
    const answer = { ...reply(command), type: 'C-MOVE-RSP' } as const
    const identifier = await this.#identifier(message)
    const move =
      (await this.#handlers.move?.(identifier, command.moveDestination, this.#association)) ??
      Status.unrecognizedOperation
    if (typeof move === 'number') return this.#respond(message, { ...answer, status: move })
    const { instances, originator } = move
    const association = await move.connect()
    const scu = new Scu(association)
    const named =
      originator === undefined ? {} : { moveOriginatorAeTitle: originator, moveOriginatorMessageId: command.messageId }
    let cancelled = false
    const { timeout } = this.#wait
    const send = async (instance: OutgoingInstance): Promise<boolean> => {
      cancelled ||= await this.#cancelled(command.messageId)
      return !cancelled && sendInstance(scu, association, instance, { timeout, ...named }).catch(() => false)
    }
    const respond: Respond = (counts, list) => this.#respond(message, { ...answer, ...counts }, list)
    try {
      await subOperations(instances, { send, respond, isCancelled: () => cancelled })
    } finally {
      await association.release(RELEASE_TIMEOUT_MS)
    }
  }
}

/** The status of a query that could not be answered (PS3.4 C.4.1.1.4). */
function failureOf(error: unknown): number {
  return error instanceof StatusError ? error.status : Status.outOfResources
}

/** Which instance a response is of, of what class. */
function affected(command: NormalizedCommand): { affectedSopClassUid: Uid; affectedSopInstanceUid?: Uid } {
  if ('requestedSopClassUid' in command) {
    const { requestedSopClassUid, requestedSopInstanceUid } = command
    return { affectedSopClassUid: requestedSopClassUid, affectedSopInstanceUid: requestedSopInstanceUid }
  }
  const { affectedSopClassUid, affectedSopInstanceUid } = command
  return { affectedSopClassUid, ...(affectedSopInstanceUid !== undefined && { affectedSopInstanceUid }) }
}

function reply(request: { messageId: number; affectedSopClassUid: Uid }): {
  messageIdBeingRespondedTo: number
  affectedSopClassUid: Uid
  hasDataSet: boolean
} {
  const { messageId, affectedSopClassUid } = request
  return { messageIdBeingRespondedTo: messageId, affectedSopClassUid, hasDataSet: false }
}
