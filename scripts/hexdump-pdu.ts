/**
 * Prints captured PDUs field by field: node scripts/hexdump-pdu.ts [FILE], or hex on standard input. Takes the bytes
 * themselves, hex digits, and what xxd and hexdump -C print. Values of data sets are not decoded.
 */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import type { Bytes } from '../src/dicom/bytes.ts'
import { isKnownTransferSyntax, transferSyntax } from '../src/dicom/transfer-syntax.ts'
import { SopClass } from '../src/dicom/uids.ts'
import { decodeCommand, InvalidCommandError } from '../src/dimse/command.ts'
import { formatStatus } from '../src/dimse/status.ts'
import { AssociationRejectedError } from '../src/network/errors.ts'
import type { AssociateAccept, AssociateRequest, ControlPdu, DataPiece, UserInformation } from '../src/network/pdu.ts'
import { InvalidPduError } from '../src/network/errors.ts'
import { PduDecoder } from '../src/network/pdu-decode.ts'

const HEADER_BYTES = 6
const names = [
  '',
  'A-ASSOCIATE-RQ',
  'A-ASSOCIATE-AC',
  'A-ASSOCIATE-RJ',
  'P-DATA-TF',
  'A-RELEASE-RQ',
  'A-RELEASE-RP',
  'A-ABORT',
]
const contextResults = ['accepted', 'rejected by user', 'rejected, no reason', 'class refused', 'syntaxes refused']

/** One line a field; PDUs begin at the left with their offset. Says where what is no PDU begins, and stops there. */
export function* describePdus(bytes: Bytes): Generator<string> {
  const buffered = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let command: Bytes[] = []
  for (let at = 0; at < buffered.length;) {
    const left = buffered.length - at
    const length = left < HEADER_BYTES ? undefined : buffered.readUInt32BE(at + 2)
    const name = names[buffered[at]!]
    if (name === undefined || name === '' || length === undefined || HEADER_BYTES + length > left) {
      yield `${offset(at)}  ${problem(name, length, left)}`
      return
    }
    yield `${offset(at)}  ${name}, ${length} bytes`
    const decoder = new PduDecoder(0)
    decoder.push(buffered.subarray(at, at + HEADER_BYTES + length))
    try {
      for (let pdu = decoder.next(); pdu !== undefined; pdu = decoder.next()) {
        if (pdu.type === 'data') {
          yield* piece(pdu)
          if (pdu.command) command.push(pdu.bytes)
          if (pdu.command && pdu.last) {
            yield* commandFields(Buffer.concat(command))
            command = []
          }
        } else yield* control(pdu)
      }
    } catch (error) {
      if (!(error instanceof InvalidPduError)) throw error
      yield field('fault', error.message)
    }
    at += HEADER_BYTES + length
  }
}

/** Bytes of a capture: as they are, or spelled in hex, with the offsets and the text of xxd or hexdump -C beside it. */
export function parseCapture(input: Bytes): Buffer {
  const raw = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (raw.some((byte) => byte > 0x7e || (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d))) return raw
  const lines = raw.toString('latin1').split(/\r?\n/)
  // Only hexdump -C closes with a line that is an offset alone.
  const isHexdump = lines.some((line) => line.endsWith('|'))
  const digits = lines.map((line) => (isHexdump ? hexdumpDigits(line) : xxdDigits(line)).replace(/\s/g, '')).join('')
  if (!/^([0-9a-f]{2})*$/i.test(digits))
    throw new TypeError('Not hex: an even number of digits 0-9 and a-f is expected')
  return Buffer.from(digits, 'hex')
}

function hexdumpDigits(line: string): string {
  return /^[0-9a-f]{8}\s\s([0-9a-f\s]+)\|/i.exec(line)?.[1] ?? ''
}

/** Between the offset and the text; a line without offset is all digits. */
function xxdDigits(line: string): string {
  return /^\s*[0-9a-f]+:\s(.*?)(?:\s{2}.*)?$/i.exec(line)?.[1] ?? line
}

function problem(name: string | undefined, length: number | undefined, left: number): string {
  if (name === undefined || name === '') return 'no PDU: its type is unknown'
  if (length === undefined) return `${name}, cut short in its header`
  return `${name}, ${length} bytes, of which ${left - HEADER_BYTES} are here`
}

function* control(pdu: ControlPdu): Generator<string> {
  switch (pdu.type) {
    case 'associate-request':
    case 'associate-accept':
      yield* associate(pdu)
      return
    case 'associate-reject': {
      const { result, source, reason, message } = new AssociationRejectedError(pdu.result, pdu.source, pdu.reason)
      yield field('result', `${result} ${result === 1 ? 'permanent' : 'transient'}`)
      yield field('source, reason', `${source}, ${reason}: ${message.replace(/.*: /, '')}`)
      return
    }
    case 'abort':
      yield field('source, reason', `${pdu.source} ${pdu.source === 0 ? 'user' : 'provider'}, ${pdu.reason}`)
      return
    case 'release-request':
    case 'release-response':
      return
  }
}

function* associate(pdu: AssociateRequest | AssociateAccept): Generator<string> {
  yield field('called AE title', pdu.calledAeTitle)
  yield field('calling AE title', pdu.callingAeTitle)
  yield field('application', pdu.applicationContext)
  if (pdu.type === 'associate-request') {
    for (const { id, abstractSyntax, transferSyntaxes } of pdu.contexts) {
      yield field(`context ${id}`, uidText(abstractSyntax))
      for (const syntax of transferSyntaxes) yield field('', uidText(syntax))
    }
  } else {
    for (const { id, result, transferSyntax: syntax } of pdu.contexts) {
      const text = contextResults[result] ?? 'unknown'
      yield field(`context ${id}`, `${result} ${text}${syntax === undefined ? '' : `, ${uidText(syntax)}`}`)
    }
  }
  yield* userFields(pdu.user)
}

function* userFields(user: UserInformation): Generator<string> {
  yield field('maximum length', user.maxLength === 0 ? '0, no limit' : String(user.maxLength))
  yield field('implementation', `${user.implementationClassUid} ${user.implementationVersionName ?? ''}`.trimEnd())
  const { asyncOperations, roles, extended, commonExtended, identity, identityResponse } = user
  if (asyncOperations) {
    yield field('operations', `${asyncOperations.invoked} invoked, ${asyncOperations.performed} performed`)
  }
  for (const { sopClass, scu, scp } of roles) {
    yield field('role', `${uidText(sopClass)}: SCU ${Number(scu)}, SCP ${Number(scp)}`)
  }
  for (const { sopClass, information } of extended) {
    yield field('extended', `${uidText(sopClass)}: ${spaced(information)}`)
  }
  for (const { sopClass, serviceClass } of commonExtended) {
    yield field('common extended', `${uidText(sopClass)} of service ${uidText(serviceClass)}`)
  }
  // What it holds is a secret.
  if (identity) yield field('user identity', `type ${identity.type}, ${identity.primary.length} bytes, not shown`)
  if (identityResponse) yield field('identity answer', `${identityResponse.length} bytes`)
}

function* piece({ contextId, command, last, bytes }: DataPiece): Generator<string> {
  const what = `${last ? 'last of ' : ''}a ${command ? 'command' : 'data set'}`
  yield field(`context ${contextId}`, `${bytes.length} bytes, ${what}`)
  const shown = bytes.subarray(0, 32)
  if (!command && shown.length > 0) yield field('', `${spaced(shown)}${bytes.length > shown.length ? ' …' : ''}`)
}

function* commandFields(bytes: Bytes): Generator<string> {
  try {
    for (const [name, value] of Object.entries(decodeCommand(bytes)) as [string, unknown][]) {
      yield field(`  ${name}`, fieldText(name, value))
    }
  } catch (error) {
    if (!(error instanceof InvalidCommandError)) throw error
    yield field('fault', error.message)
  }
}

function fieldText(name: string, value: unknown): string {
  if (name === 'status') return formatStatus(Number(value))
  return /^[0-9.]+$/.test(String(value)) ? uidText(String(value)) : String(value)
}

function uidText(uid: string): string {
  const service = Object.entries(SopClass).find(([, known]) => known === uid)?.[0]
  const name = service ?? (isKnownTransferSyntax(uid) ? transferSyntax(uid).name : undefined)
  return name === undefined ? uid : `${uid} (${name})`
}

function field(name: string, value: string): string {
  return `        ${name.padEnd(18)} ${value}`.trimEnd()
}

function offset(at: number): string {
  return at.toString(16).padStart(6, '0')
}

function spaced(bytes: Bytes): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

if (import.meta.main) {
  const [file] = process.argv.slice(2)
  const input = file === undefined ? await buffer(process.stdin) : await readFile(file)
  try {
    for (const line of describePdus(parseCapture(input))) console.log(line)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
