import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Association, Wait } from '../network/association.ts'
import { ProtocolError } from '../network/errors.ts'
import { PduType } from '../network/pdu.ts'
import { decodeCommand, encodeCommand, InvalidCommandError, type Command } from './command.ts'

/** Far above any command set: a bound on what is gathered before it is decoded. */
export const MAX_COMMAND_BYTES = 65_536

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
}

/** Cuts what an association receives into messages (PS3.8 Annex E), one at a time. */
export class MessageReader {
  readonly #association: Association
  #data: IncomingData | undefined

  constructor(association: Association) {
    this.#association = association
  }

  /**
   * The next message; undefined when the peer has released the association. `wait` also holds for its data set.
   * @throws what Association.read throws
   */
  async next(wait: Wait): Promise<Message | undefined> {
    if (this.#data && !this.#data.complete) await this.#data.skip()
    this.#data = undefined
    const chunks: Bytes[] = []
    let size = 0
    let contextId: number | undefined
    for (;;) {
      const piece = this.#association.poll() ?? (await this.#association.read(wait))
      if (piece === undefined) {
        if (size > 0) throw this.#breach('The association was released inside a message')
        return undefined
      }
      if (!piece.command) throw this.#breach('A data set came without its command')
      if (contextId !== undefined && contextId !== piece.contextId) {
        throw this.#breach('A command changes its presentation context')
      }
      contextId = piece.contextId
      if (!this.#association.contexts.has(contextId)) throw this.#breach(`Context ${contextId} was not agreed on`)
      size += piece.bytes.length
      if (size > MAX_COMMAND_BYTES) throw this.#breach(`A command is longer than ${MAX_COMMAND_BYTES} bytes`)
      chunks.push(piece.bytes)
      if (piece.last) break
    }
    const command = this.#decode(chunks)
    if (command.hasDataSet) this.#data = new IncomingData(this.#association, contextId, wait)
    return { contextId, command, data: this.#data }
  }

  #decode(chunks: Bytes[]): Command {
    try {
      return decodeCommand(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    } catch (error) {
      if (!(error instanceof InvalidCommandError)) throw error
      throw this.#breach(error.message, error)
    }
  }

  #breach(problem: string, cause?: unknown): ProtocolError {
    const error = new ProtocolError(problem, { cause })
    this.#association.abortFor(error)
    return error
  }
}

class IncomingData implements DataStream {
  complete = false
  readonly #association: Association
  readonly #contextId: number
  readonly #wait: Wait

  constructor(association: Association, contextId: number, wait: Wait) {
    this.#association = association
    this.#contextId = contextId
    this.#wait = wait
  }

  async skip(): Promise<void> {
    for await (const _ of this);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    while (!this.complete) {
      const piece = this.#association.poll() ?? (await this.#association.read(this.#wait))
      if (piece === undefined || piece.command || piece.contextId !== this.#contextId) {
        const error = new ProtocolError('A data set is interrupted')
        this.#association.abortFor(error)
        throw error
      }
      this.complete = piece.last
      if (piece.bytes.length > 0) yield piece.bytes
    }
  }
}

/**
 * Sends a command and its data set: the command with the first of the data in one write, the data in PDUs as large as
 * the peer takes, each written when the next byte is known so that the last one can be marked. When `data` fails the
 * association is aborted, since the message can no longer be ended.
 * @throws what Association.send throws, and what `data` throws
 */
export async function sendMessage(
  association: Association,
  contextId: number,
  command: Command,
  data: ByteStream | Bytes | undefined,
  wait: Wait,
): Promise<void> {
  const head = fragments(association, contextId, encodeCommand(command))
  if (data === undefined) return association.send(head, wait)
  if (data instanceof Uint8Array) {
    return association.send([...head, ...fragments(association, contextId, data, 0)], wait)
  }
  const writer = new DataWriter(association.maxFragmentBytes, contextId, head)
  const iterator = data[Symbol.asyncIterator]()
  let failed = true
  try {
    for (;;) {
      const { value, done } = await next(association, iterator)
      if (done) break
      const ready = writer.push(value)
      if (ready.length > 0) await association.send(ready, wait)
    }
    failed = false
    await association.send(writer.end(), wait)
  } finally {
    if (failed) await iterator.return?.()
  }
}

async function next(association: Association, iterator: AsyncIterator<Bytes>): Promise<IteratorResult<Bytes>> {
  try {
    return await iterator.next()
  } catch (error) {
    association.abort()
    throw error
  }
}

const COMMAND = 1
const LAST = 2

/** P-DATA-TF PDUs of one PDV each around bytes that are there already. */
function fragments(association: Association, contextId: number, bytes: Bytes, kind: 0 | 1 = COMMAND): Bytes[] {
  const max = association.maxFragmentBytes
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
