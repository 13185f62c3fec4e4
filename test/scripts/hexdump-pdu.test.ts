import { describe, expect, test } from 'vitest'
import { describePdus, parseCapture } from '../../scripts/hexdump-pdu.ts'
import { encodePdu } from '../../src/network/pdu-encode.ts'
import { associateRequest, commandSet, CT, golden, message, STUDY_ROOT_FIND } from '../support/golden.ts'

const text = (...pdus: readonly Buffer[]): string => [...describePdus(Buffer.concat(pdus))].join('\n')

describe('describePdus', () => {
  test('names the fields of an association request', () => {
    const lines = text(golden.associateRequest)
    expect(lines).toMatch(/^000000 {2}A-ASSOCIATE-RQ, 179 bytes$/m)
    expect(lines).toMatch(/called AE title +PACS$/m)
    expect(lines).toMatch(/context 1 +1\.2\.840\.10008\.1\.1 \(verification\)$/m)
    expect(lines).toMatch(/1\.2\.840\.10008\.1\.2 \(Implicit VR Little Endian\)$/m)
    expect(lines).toMatch(/maximum length +16384$/m)
    expect(lines).toMatch(/implementation +1\.2\.3\.4 DWPROXY_1$/m)
  })

  test('keeps a passcode to itself', () => {
    const request = associateRequest({ user: [golden.roleSelection, golden.userIdentity] })
    const lines = text(request)
    expect(lines).toMatch(new RegExp(`role +${CT.replaceAll('.', '\\.')}: SCU 0, SCP 1$`, 'm'))
    expect(lines).toMatch(/user identity +type 2, 4 bytes, not shown$/m)
    expect(lines).not.toContain('pass')
  })

  test('gives each PDU its offset and each command its fields', () => {
    const lines = text(golden.echoRequest, golden.releaseRequest)
    expect(lines).toMatch(/context 1 +68 bytes, last of a command$/m)
    expect(lines).toMatch(/type +C-ECHO-RQ$/m)
    expect(lines).toMatch(/messageId +1$/m)
    expect(lines).toMatch(/^000050 {2}A-RELEASE-RQ, 4 bytes$/m)
  })

  test('puts a rejection and a status into words', () => {
    const rejected = encodePdu({ type: 'associate-reject', result: 1, source: 1, reason: 7 })
    expect(text(rejected)).toMatch(/1, 7: called AE title not recognized$/m)
    const refused = message(commandSet({ '0100': 0x8030, '0800': 0x0101, '0900': 0x0122 }), undefined)
    expect(text(refused)).toMatch(/status +0122$/m)
  })

  test('shows the bytes of extended negotiation', () => {
    const extended = [{ sopClass: STUDY_ROOT_FIND, information: Uint8Array.of(1, 0, 1) }]
    const user = { maxLength: 0, implementationClassUid: '1.2', roles: [], extended, commonExtended: [] }
    const common = { calledAeTitle: 'A', callingAeTitle: 'B', applicationContext: '1.2.3', contexts: [] }
    expect(text(encodePdu({ type: 'associate-accept', ...common, user }))).toMatch(/extended .*: 01 00 01$/m)
  })

  test('says where what is no PDU begins', () => {
    expect(text(golden.releaseRequest, Buffer.of(0x42, 0, 0, 0, 0, 0))).toMatch(/^00000a {2}no PDU/m)
    expect(text(golden.echoRequest.subarray(0, 40))).toBe('000000  P-DATA-TF, 74 bytes, of which 34 are here')
  })
})

describe('parseCapture', () => {
  const bytes = golden.releaseResponse
  test.each([
    ['the bytes themselves', bytes],
    ['hex digits', Buffer.from(bytes.toString('hex'))],
    ['hex in groups and lines', Buffer.from('06 00 0000\n000400\n000000')],
    ['xxd', Buffer.from('00000000: 0600 0000 0004 0000 0000                 ..........\n')],
    ['hexdump -C', Buffer.from('00000000  06 00 00 00 00 04 00 00  00 00  |..........|\n0000000a\n')],
  ])('reads %s', (_, input) => {
    expect(parseCapture(input).toString('hex')).toBe(bytes.toString('hex'))
  })

  test('refuses other text', () => {
    expect(() => parseCapture(Buffer.from('hello'))).toThrow(TypeError)
  })
})
