import type { Bytes } from '../dicom/bytes.ts'
import { ChunkedBytes } from './chunked-bytes.ts'
import { decodeControlPdu } from './control-pdu-decode.ts'
import { InvalidPduError } from './errors.ts'
import { AbortReason, PduType, type ControlPdu, type DataPiece } from './pdu.ts'

/** The largest association PDU that is read: 128 contexts with every syntax stay far below it. */
export const MAX_CONTROL_PDU_BYTES = 1024 * 1024
/** What a P-DATA-TF may exceed our announced maximum by: some peers count their headers otherwise. */
export const DATA_PDU_SLACK_BYTES = 65_536

/** Type, reserved, length of what follows (PS3.8 9.3.1). */
const HEADER_BYTES = 6
/** Length of what follows, context, message control header (PS3.8 9.3.5.1, E.2). */
const PDV_HEADER_BYTES = 6

const EMPTY = Buffer.alloc(0)

/**
 * Cuts a TCP stream into PDUs (PS3.8 9.3): `push` chunks of any size, take what they hold by `next` until it is
 * undefined. Control PDUs come whole; P-DATA-TF comes in pieces that are views of the chunks.
 * @throws InvalidPduError from `next`
 */
export class PduDecoder {
  readonly #bytes = new ChunkedBytes()
  /** Bytes left of the P-DATA-TF and of the presentation data value being read. */
  #pduLeft = 0
  #pdvLeft = 0
  #contextId = 0
  #flags = 0
  readonly #maxData: number

  /** @param maxLength what we announced as the largest P-DATA-TF, in bytes */
  constructor(maxLength: number) {
    this.#maxData = (maxLength === 0 ? MAX_CONTROL_PDU_BYTES : maxLength) + DATA_PDU_SLACK_BYTES
  }

  push(chunk: Bytes): void {
    this.#bytes.push(chunk)
  }

  next(): ControlPdu | DataPiece | undefined {
    if (this.#pdvLeft > 0) return this.#piece()
    if (this.#pduLeft > 0) return this.#pdv()
    const header = this.#bytes.peek(HEADER_BYTES)
    if (!header) return undefined
    const type = header[0]!
    const length = header.readUInt32BE(2)
    if (type === PduType.data) {
      if (length > this.#maxData) {
        throw new InvalidPduError(`A P-DATA-TF of ${length} bytes is above the limit`, AbortReason.invalidParameter)
      }
      if (length < PDV_HEADER_BYTES)
        throw new InvalidPduError('A P-DATA-TF without a value', AbortReason.invalidParameter)
      this.#bytes.skip(HEADER_BYTES)
      this.#pduLeft = length
      return this.#pdv()
    }
    if (type < PduType.associateRequest || type > PduType.abort) {
      throw new InvalidPduError(`Unknown PDU type ${type}`, AbortReason.unrecognizedPdu)
    }
    if (length > MAX_CONTROL_PDU_BYTES) {
      throw new InvalidPduError(`A PDU of ${length} bytes is above the limit`, AbortReason.invalidParameter)
    }
    const whole = this.#bytes.peek(HEADER_BYTES + length)
    if (!whole) return undefined
    this.#bytes.skip(whole.length)
    return decodeControlPdu(type, whole.subarray(HEADER_BYTES))
  }

  #pdv(): DataPiece | undefined {
    if (this.#pduLeft < PDV_HEADER_BYTES) throw misfit()
    const header = this.#bytes.peek(PDV_HEADER_BYTES)
    if (!header) return undefined
    const length = header.readUInt32BE(0)
    if (length < 2 || length + 4 > this.#pduLeft) throw misfit()
    this.#contextId = header[4]!
    this.#flags = header[5]!
    this.#bytes.skip(PDV_HEADER_BYTES)
    this.#pduLeft -= PDV_HEADER_BYTES
    this.#pdvLeft = length - 2
    return this.#pdvLeft === 0 ? this.#data(EMPTY) : this.#piece()
  }

  #piece(): DataPiece | undefined {
    const bytes = this.#bytes.take(this.#pdvLeft)
    if (!bytes) return undefined
    this.#pdvLeft -= bytes.length
    this.#pduLeft -= bytes.length
    return this.#data(bytes)
  }

  #data(bytes: Bytes): DataPiece {
    // PS3.8 E.2: bit 0 command, bit 1 last fragment
    const last = (this.#flags & 2) !== 0 && this.#pdvLeft === 0
    return { type: 'data', contextId: this.#contextId, command: (this.#flags & 1) !== 0, last, bytes }
  }
}

function misfit(): InvalidPduError {
  return new InvalidPduError('A presentation data value does not fit its PDU', AbortReason.invalidParameter)
}
