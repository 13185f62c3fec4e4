import type { Bytes } from '../../src/dicom/bytes.ts'
import { InvalidPduError } from '../../src/network/errors.ts'
import { PduDecoder } from '../../src/network/pdu-decode.ts'
import { encodePdu } from '../../src/network/pdu-encode.ts'
import type { ControlPdu, DataPiece } from '../../src/network/pdu.ts'
import { controlPdu } from '../../test/support/arbitraries.ts'
import { golden } from '../../test/support/golden.ts'
import { brief, outcome } from '../outcome.ts'
import { inPieces } from '../pieces.ts'
import { made } from '../seeds.ts'
import { same, tokens, type Target } from '../target.ts'

const errors = [InvalidPduError]
const MAX_LENGTH = 16_384

/** What a peer sends over a connection (PS3.8 9.3). */
export const pdu: Target = {
  name: 'pdu',
  errors,
  dictionary: tokens(
    ...['\x01\0', '\x02\0', '\x03\0', '\x04\0', '\x05\0', '\x06\0', '\x07\0', '\x10\0', '\x20\0', '\x21\0', '\x30\0'],
    ...['\x40\0', '\x50\0', '\x51\0\0\x04', '\x52\0', '\x53\0\0\x04', '\x54\0', '\x55\0', '\x56\0', '\x57\0', '\x58\0'],
    ...['\x59\0', '1.2.840.10008.1.2', '1.2.840.10008.3.1.1.1', '\x01\x03', '\x01\x02'],
  ),
  async seeds() {
    const wire = [...Object.values(golden), ...made(controlPdu, 40).map(encodePdu)]
    return [...wire, Buffer.concat([golden.associateRequest, golden.echoRequest, golden.releaseRequest])]
  },
  run(input) {
    const whole = decoded([input])
    same('Bytes that come in pieces are other PDUs', whole.text, decoded(inPieces(input)).text)
    for (const one of whole.control) {
      const again = decoded([encodePdu(one)])
      same('A PDU that is written and read again is another', written(one), written(again.control[0]))
    }
  },
}

function decoded(chunks: readonly Bytes[]): { text: string; control: ControlPdu[] } {
  const decoder = new PduDecoder(MAX_LENGTH)
  const seen: string[] = []
  const control: ControlPdu[] = []
  let data: { piece: DataPiece; bytes: Bytes[] } | undefined
  const flush = (): void => {
    if (data) seen.push(`data ${data.piece.contextId} ${data.piece.command} ${brief(Buffer.concat(data.bytes))}\n`)
    data = undefined
  }
  const end = outcome(errors, () => {
    for (const chunk of chunks) {
      decoder.push(chunk)
      for (let one = decoder.next(); one; one = decoder.next()) {
        if (one.type !== 'data') {
          flush()
          control.push(one)
          seen.push(pduText(one))
          continue
        }
        // Of one value there are as many pieces as chunks.
        if (data && (data.piece.contextId !== one.contextId || data.piece.command !== one.command)) flush()
        data ??= { piece: one, bytes: [] }
        data.bytes.push(one.bytes)
        if (one.last) {
          flush()
          seen.push('last\n')
        }
      }
    }
    return ''
  })
  flush()
  return { text: seen.join('') + end, control }
}

/** A transfer syntax that is not there is written as an empty one, an empty version is not written. */
function written(one: ControlPdu | undefined): string {
  return one === undefined ? '' : pduText(one).replaceAll(/,"(transferSyntax|implementationVersionName)":""/g, '')
}

function pduText(one: ControlPdu): string {
  const hexed = (_: string, value: unknown): unknown =>
    value instanceof Object && 'type' in value && value.type === 'Buffer'
      ? brief(Buffer.from(value as unknown as Buffer))
      : value
  return `${JSON.stringify(one, hexed)}\n`
}
