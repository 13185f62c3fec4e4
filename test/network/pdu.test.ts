import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import {
  DATA_PDU_SLACK_BYTES,
  InvalidPduError,
  MAX_CONTROL_PDU_BYTES,
  PduDecoder,
} from '../../src/network/pdu-decode.ts'
import { encodePdu } from '../../src/network/pdu-encode.ts'
import type { ControlPdu, DataPiece } from '../../src/network/pdu.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import { CT, dataPdu, EXPLICIT_LE, golden, hex, IMPLICIT_LE, item, pdu, pdv, u16, u32, VERIFICATION } from '../support/golden.ts'
import { uid, controlPdu } from './arbitraries.ts'

const MAX_LENGTH = 16_384

const associateRequest: ControlPdu = {
  type: 'associate-request',
  calledAeTitle: 'PACS',
  callingAeTitle: 'DWPROXY',
  applicationContext: '1.2.840.10008.3.1.1.1',
  contexts: [{ id: 1, abstractSyntax: VERIFICATION, transferSyntaxes: [IMPLICIT_LE] }],
  user: {
    maxLength: 16_384,
    implementationClassUid: '1.2.3.4',
    implementationVersionName: 'DWPROXY_1',
    roles: [],
    extended: [],
    commonExtended: [],
  },
}

describe('golden bytes', () => {
  it('an A-ASSOCIATE-RQ is encoded as DCMTK accepts it, and decoded to its fields', () => {
    expect(encodePdu(associateRequest).toString('hex')).toBe(golden.associateRequest.toString('hex'))
    expect(decode([golden.associateRequest])).toEqual([associateRequest])
  })

  it.each([
    ['release-request', golden.releaseRequest],
    ['release-response', golden.releaseResponse],
  ] as const)('a %s is ten bytes', (type, bytes) => {
    expect(encodePdu({ type })).toEqual(bytes)
    expect(decode([bytes])).toEqual([{ type }])
  })

  it('an A-ASSOCIATE-RJ carries result, source and reason', () => {
    const reject = { type: 'associate-reject', result: 2, source: 3, reason: 1 } as const
    expect(encodePdu(reject)).toEqual(hex('03 00 00000004 00 02 03 01'))
    expect(decode([hex('03 00 00000004 00 02 03 01')])).toEqual([reject])
  })

  it('an A-ABORT carries source and reason', () => {
    const abort = { type: 'abort', source: 2, reason: 5 } as const
    expect(encodePdu(abort)).toEqual(hex('07 00 00000004 00 00 02 05'))
    expect(decode([hex('07 00 00000004 ff ff 02 05')])).toEqual([abort])
  })

  it.each([
    ['role selection', golden.roleSelection, { roles: [{ sopClass: CT, scu: false, scp: true }] }],
    [
      'user identity',
      golden.userIdentity,
      {
        identity: {
          type: 2,
          positiveResponseRequested: false,
          primary: Buffer.from('user'),
          secondary: Buffer.from('pass'),
        },
      },
    ],
    [
      'extended negotiation',
      hex('56000021 001b 312e322e3834302e31303030382e352e312e342e312e322e322e31 01010100'),
      { extended: [{ sopClass: '1.2.840.10008.5.1.4.1.2.2.1', information: hex('01010100') }] },
    ],
    ['an asynchronous window', hex('53000004 0001 0000'), { asyncOperations: { invoked: 1, performed: 0 } }],
    [
      'common extended negotiation',
      hex('57000012 0003 312e32 0003 312e33 0006 0001 31 0001 32'.replace('57000012', '57000012')),
      { commonExtended: [{ sopClass: '1.2', serviceClass: '1.3', relatedGeneralSopClasses: ['1', '2'] }] },
    ],
  ] as const)('%s is encoded and decoded', (_, bytes, fields) => {
    const plain = { ...associateRequest.user, implementationVersionName: 'V' }
    const withItem = { ...associateRequest, user: { ...plain, ...fields } }
    expect(encodePdu(withItem).includes(bytes)).toBe(true)
    expect(decode([encodePdu(withItem)])).toEqual([withItem])
  })

  it('P-DATA-TF comes as pieces with the control header of their PDV', () => {
    expect(decode([golden.echoRequest])).toEqual([
      { type: 'data', contextId: 1, command: true, last: true, bytes: golden.echoRequest.subarray(12) },
    ])
  })
})
