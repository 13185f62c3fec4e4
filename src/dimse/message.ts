import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { transferSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Association } from '../network/association.ts'
import { ProtocolError } from '../network/errors.ts'
import type { DataPiece } from '../network/pdu.ts'
import type { Wait } from '../network/waiters.ts'
import { decodeCommand, InvalidCommandError, type Command } from './command.ts'

/** Bound of a command set, whose fragments are gathered before it is decoded; far above any real one. */
export const MAX_COMMAND_BYTES = 65_536

/** Fragments without bytes, one behind the other, after which nothing more is expected of a data set. */
export const MAX_EMPTY_FRAGMENTS = 65_536

/** A command and, where it has one, its data set as it arrives. */
export interface Message {
  readonly contextId: number
  readonly command: Command
  readonly data: DataStream | undefined
}

/** The data set of a message; to be consumed before the next message is asked for, or it is skipped. */
export interface DataStream extends ByteStream {
  /** Its last byte has been read. */
  readonly complete: boolean
  /** Reads on to its end, with this wait. A data set that was announced and does not come is passed over. */
  skip(wait: Wait): Promise<void>
}

/** The transfer syntax of a message's data set. */
export function syntaxOf(association: Association, { contextId }: Pick<Message, 'contextId'>): TransferSyntax {
  return transferSyntax(association.contexts.get(contextId)!.transferSyntax)
}

const readers = new WeakMap<Association, MessageReader>()

/** Cuts what an association receives into messages (PS3.8 Annex E), one at a time. */
export class MessageReader {
  readonly #pieces: Pieces
  #data: IncomingData | undefined

  private constructor(association: Association) {
    this.#pieces = new Pieces(association)
  }

  /** The reader of an association: it has one only, since an operation may leave part of its last message unread. */
  static of(association: Association): MessageReader {
    const reader = readers.get(association) ?? new MessageReader(association)
    readers.set(association, reader)
    return reader
  }

  /**
   * The next message; undefined when the peer has released the association. `within` holds for its data set.
   * @throws what Association.read throws
   */
  async next(wait: Wait, within = wait): Promise<Message | undefined> {
    await this.#data?.skip(wait)
    this.#data = undefined
    const { association } = this.#pieces
    const chunks: Bytes[] = []
    let size = 0
    let contextId: number | undefined
    for (;;) {
      const piece = await this.#pieces.take(wait)
      if (piece === undefined) {
        if (contextId !== undefined) throw this.#pieces.breach('The association was released inside a message')
        return undefined
      }
      if (!piece.command) throw this.#pieces.breach('A data set came without its command')
      if (contextId !== undefined && contextId !== piece.contextId) {
        throw this.#pieces.breach('A command changes its presentation context')
      }
      contextId = piece.contextId
      if (!association.contexts.has(contextId)) throw this.#pieces.breach(`Context ${contextId} was not agreed on`)
      // A fragment without bytes counts too: there must be an end to them.
      size += Math.max(piece.bytes.length, 1)
      if (size > MAX_COMMAND_BYTES) {
        throw this.#pieces.breach(`A command is longer than ${MAX_COMMAND_BYTES} bytes`)
      }
      chunks.push(piece.bytes)
      if (piece.last) break
    }
    const command = this.#decode(chunks)
    if (command.hasDataSet) this.#data = new IncomingData(this.#pieces, contextId, within)
    return { contextId, command, data: this.#data }
  }

  /** The data set that follows a message which announced none, if one does: some archives err. Waits for what is next. */
  async unannounced(message: Message, wait: Wait): Promise<DataStream | undefined> {
    if (!(await this.#pieces.isDataNext(wait))) return undefined
    this.#data = new IncomingData(this.#pieces, message.contextId, wait)
    return this.#data
  }

  #decode(chunks: Bytes[]): Command {
    try {
      return decodeCommand(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    } catch (error) {
      if (!(error instanceof InvalidCommandError)) throw error
      throw this.#pieces.breach(error.message, error)
    }
  }
}

/** The received pieces of an association, with a look ahead at the next one. */
class Pieces {
  readonly association: Association
  #ahead: DataPiece | undefined

  constructor(association: Association) {
    this.association = association
  }

  async take(wait: Wait): Promise<DataPiece | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    return ahead ?? this.association.poll() ?? this.association.read(wait)
  }

  async isDataNext(wait: Wait): Promise<boolean> {
    this.#ahead ??= await this.association.read(wait)
    return this.#ahead?.command === false
  }

  breach(problem: string, cause?: unknown): ProtocolError {
    const error = new ProtocolError(problem, { cause })
    this.association.abortFor(error)
    return error
  }
}

class IncomingData implements DataStream {
  complete = false
  readonly #pieces: Pieces
  readonly #contextId: number
  #wait: Wait
  #begun = false
  #empty = 0

  constructor(pieces: Pieces, contextId: number, wait: Wait) {
    this.#pieces = pieces
    this.#contextId = contextId
    this.#wait = wait
  }

  async skip(wait: Wait): Promise<void> {
    this.#wait = wait
    if (!this.complete && !this.#begun && !(await this.#pieces.isDataNext(wait))) this.complete = true
    for await (const _ of this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    while (!this.complete) {
      const piece = await this.#pieces.take(this.#wait)
      if (piece === undefined || piece.command || piece.contextId !== this.#contextId) {
        throw this.#pieces.breach('A data set is interrupted')
      }
      this.#begun = true
      this.complete = piece.last
      this.#empty = piece.bytes.length > 0 ? 0 : this.#empty + 1
      if (this.#empty > MAX_EMPTY_FRAGMENTS) throw this.#pieces.breach('A data set goes on without bytes')
      if (piece.bytes.length > 0) yield piece.bytes
    }
  }
}
