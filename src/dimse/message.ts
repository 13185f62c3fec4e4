import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Association } from '../network/association.ts'
import { ProtocolError } from '../network/errors.ts'
import { maxFragmentBytes } from '../network/negotiation.ts'
import { PduType, type DataPiece } from '../network/pdu.ts'
import type { Wait } from '../network/waiters.ts'
import { decodeCommand, encodeCommand, InvalidCommandError, type Command } from './command.ts'

/** Far above any command set: a bound on what is gathered before it is decoded. */
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
  /** Reads on to its end, waiting as told here. One that was announced and does not come is passed over. */
  skip(wait: Wait): Promise<void>
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

/** What an association receives, with a look at the piece that is next. */
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

/**
 * Sends a command and its data set: the command with the first of the data in one write, the data in PDUs as large as
 * the peer takes, each written when the next byte is known so that the last one can be marked. When that fails, or
 * `data` does, the association is aborted, since the message can no longer be ended.
 * @throws what Association.send throws, and what `data` throws
 */
export async function sendMessage(
  association: Association,
  contextId: number,
  command: Command,
  data: ByteStream | Bytes | undefined,
  wait: Wait,
): Promise<void> {
  try {
    const head = fragments(association, contextId, encodeCommand(command))
    if (data === undefined) await association.send(head, wait)
    else if (data instanceof Uint8Array) {
      await association.send([...head, ...fragments(association, contextId, even(data), 0)], wait)
    } else
      await sendStream(association, new DataWriter(maxFragmentBytes(association.peer), contextId, head), data, wait)
  } catch (error) {
    association.abort()
    throw error
  }
}

async function sendStream(association: Association, writer: DataWriter, data: ByteStream, wait: Wait): Promise<void> {
  const iterator: AsyncIterator<Bytes, unknown> = data[Symbol.asyncIterator]()
  let over = false
  try {
    for (;;) {
      const result = await iterator.next()
      if (result.done === true) break
      const ready = writer.push(result.value)
      if (ready.length > 0) await association.send(ready, wait)
    }
    over = true
    await association.send(writer.end(), wait)
  } catch (error) {
    // Before anything else: the clean-up of `data` may take its time.
    association.abort()
    throw error
  } finally {
    if (!over) await iterator.return?.()
  }
}

/** PS3.8 E.1: fragments are even; an odd data set ends in a pad. */
function even(bytes: Bytes): Bytes {
  return (bytes.length & 1) === 0 ? bytes : Buffer.concat([bytes, Uint8Array.of(0)])
}

const COMMAND = 1
const LAST = 2

/** P-DATA-TF PDUs of one PDV each around bytes that are there already. */
function fragments(association: Association, contextId: number, bytes: Bytes, kind: 0 | 1 = COMMAND): Bytes[] {
  const max = maxFragmentBytes(association.peer)
  const chunks: Bytes[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += max) {
    const fragment = bytes.subarray(at, at + max)
    chunks.push(pdvHeader(contextId, kind | (at + max >= bytes.length ? LAST : 0), fragment.length), fragment)
  }
  return chunks
}

/** PDU header and PDV header in one: 12 bytes (PS3.8 9.3.5). */
function pdvHeader(contextId: number, flags: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(12)
  header[0] = PduType.data
  header[1] = 0
  header.writeUInt32BE(length + 6, 2)
  header.writeUInt32BE(length + 2, 6)
  header[10] = contextId
  header[11] = flags
  return header
}

/** Gathers views into PDUs without copying; holds the last bytes back until it is known whether more follow. */
class DataWriter {
  readonly #max: number
  readonly #contextId: number
  #ready: Bytes[]
  #held: Bytes[] = []
  #heldBytes = 0
  #total = 0

  constructor(max: number, contextId: number, head: readonly Bytes[]) {
    this.#max = max
    this.#contextId = contextId
    this.#ready = [...head]
  }

  /** Whole PDUs that can go out now. */
  push(chunk: Bytes): Bytes[] {
    if (chunk.length === 0) return []
    this.#total += chunk.length
    let rest = chunk
    while (this.#heldBytes + rest.length > this.#max) {
      const room = this.#max - this.#heldBytes
      if (room > 0) this.#held.push(rest.subarray(0, room))
      this.#ready.push(pdvHeader(this.#contextId, 0, this.#max), ...this.#held)
      this.#held = []
      this.#heldBytes = 0
      rest = rest.subarray(room)
    }
    if (rest.length > 0) this.#held.push(rest)
    this.#heldBytes += rest.length
    // The command alone is not worth a write: it waits for the first PDU of data.
    return this.#ready.length > 2 ? this.#ready.splice(0) : []
  }

  end(): Bytes[] {
    if (this.#total & 1) {
      // PS3.8 E.1: fragments are even; an odd data set ends in a pad.
      this.#held.push(Uint8Array.of(0))
      this.#heldBytes++
    }
    return [...this.#ready, pdvHeader(this.#contextId, LAST, this.#heldBytes), ...this.#held]
  }
}
