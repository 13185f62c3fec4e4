import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Association } from '../network/association.ts'
import { maxFragmentBytes } from '../network/negotiation.ts'
import { PduType } from '../network/pdu.ts'
import type { Wait } from '../network/waiters.ts'
import { encodeCommand, type Command } from './command.ts'

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
