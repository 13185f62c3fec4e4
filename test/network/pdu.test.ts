import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_IDENTITY_BYTES } from '../../src/config/values.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { InvalidPduError } from '../../src/network/errors.ts'
import { DATA_PDU_SLACK_BYTES, MAX_CONTROL_PDU_BYTES, PduDecoder } from '../../src/network/pdu-decode.ts'
import { encodePdu } from '../../src/network/pdu-encode.ts'
import type { AssociateAccept, AssociateRequest, ControlPdu, DataPiece } from '../../src/network/pdu.ts'
import { controlPdu, someBytes } from '../support/arbitraries.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import {
  associateAccept,
  associateRequest,
  CT,
  dataPdu,
  EXPLICIT_LE,
  golden,
  hex,
  IMPLICIT_LE,
  item,
  pdu,
  pdv,
  STUDY_ROOT_FIND,
  u16,
  u32,
  VERIFICATION,
} from '../support/golden.ts'

const MAX_LENGTH = 16_384

/** What golden.associateRequest says. */
const fields: AssociateRequest = {
  type: 'associate-request',
  protocolVersion: 1,
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
  it('A-ASSOCIATE-RQ: 185 bytes that DCMTK accepts, and their fields', () => {
    expect(golden.associateRequest).toHaveLength(185)
    expect(encodePdu(fields).toString('hex')).toBe(golden.associateRequest.toString('hex'))
    expect(decode([golden.associateRequest])).toEqual([fields])
  })

  it.each([
    ['release-request', golden.releaseRequest],
    ['release-response', golden.releaseResponse],
  ] as const)('%s', (type, bytes) => {
    expect(encodePdu({ type })).toEqual(bytes)
    expect(decode([bytes])).toEqual([{ type }])
  })

  it('A-ASSOCIATE-RJ: result, source, reason', () => {
    const reject = { type: 'associate-reject', result: 2, source: 3, reason: 1 } as const
    expect(encodePdu(reject)).toEqual(hex('03 00 00000004 00 02 03 01'))
    expect(decode([hex('03 00 00000004 00 02 03 01')])).toEqual([reject])
  })

  it('A-ABORT: source, reason; the reserved bytes are not tested', () => {
    const aborted = { type: 'abort', source: 2, reason: 5 } as const
    expect(encodePdu(aborted)).toEqual(hex('07 00 00000004 00 00 02 05'))
    expect(decode([hex('07 ff 00000004 ff ff 02 05')])).toEqual([aborted])
  })

  it.each([
    ['role selection', golden.roleSelection, { roles: [{ sopClass: CT, scu: false, scp: true }] }],
    [
      'user identity',
      golden.userIdentity,
      {
        identity: {
          type: 2,
          positiveResponseRequested: true,
          primary: Buffer.from('user'),
          secondary: Buffer.from('pass'),
        },
      },
    ],
    [
      'extended negotiation',
      hex('56000021 001b 312e322e3834302e31303030382e352e312e342e312e322e322e31 01010100'),
      { extended: [{ sopClass: STUDY_ROOT_FIND, information: hex('01010100') }] },
    ],
    ['asynchronous operations window', hex('53000004 0001 0000'), { asyncOperations: { invoked: 1, performed: 0 } }],
    [
      'common extended negotiation',
      hex('57000012 0003 312e32 0003 312e33 0006 0001 31 0001 32'),
      { commonExtended: [{ sopClass: '1.2', serviceClass: '1.3', relatedGeneralSopClasses: ['1', '2'] }] },
    ],
    ['user identity response', hex('59000004 0002 4f4b'), { identityResponse: Buffer.from('OK') }],
  ])('sub-item of user information: %s', (_, bytes, more) => {
    const request = { ...fields, user: { ...fields.user, ...more } }
    expect(encodePdu(request).includes(bytes)).toBe(true)
    expect(decode([encodePdu(request)])).toEqual([request])
  })

  it('user information with the longest identity there may be, and all that may be beside it', () => {
    const uid = '1'.repeat(64)
    const user = {
      ...fields.user,
      implementationClassUid: uid,
      implementationVersionName: 'x'.repeat(16),
      roles: Array.from({ length: 127 }, () => ({ sopClass: uid, scu: true, scp: true })),
      extended: [{ sopClass: uid, information: hex('00000000000000') }],
      identity: {
        type: 5,
        positiveResponseRequested: false,
        primary: Buffer.alloc(MAX_IDENTITY_BYTES),
        secondary: Buffer.alloc(0),
      },
    }
    expect(decode([encodePdu({ ...fields, user })])).toEqual([{ ...fields, user }])
  })

  it('P-DATA-TF: a piece with the context and message control header of its PDV', () => {
    expect(decode([golden.echoRequest])).toEqual([
      { type: 'data', contextId: 1, command: true, last: true, bytes: golden.echoRequest.subarray(12) },
    ])
  })
})

describe('any PDU', () => {
  it('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(controlPdu, (one) => {
        expect(decode([encodePdu(one)])).toEqual([one])
      }),
    )
  })

  it('is decoded alike whole, byte by byte and in random chunks, among others', () => {
    const dataPart = fc.record({
      contextId: fc.integer({ min: 0, max: 255 }),
      flags: fc.integer({ min: 0, max: 3 }),
      bytes: someBytes(60),
    })
    const part = fc.oneof(
      controlPdu.map((one) => encodePdu(one)),
      fc
        .array(dataPart, { minLength: 1, maxLength: 4 })
        .map((pdvs) => dataPdu(...pdvs.map(({ contextId, flags, bytes }) => pdv(contextId, flags, bytes)))),
    )
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), cuts(2_000), (parts, offsets) => {
        const stream = Buffer.concat(parts)
        const whole = joinPieces(decode([stream]))
        expect(joinPieces(decode(byteByByte(stream)))).toEqual(whole)
        expect(joinPieces(decode(cutAt(stream, offsets)))).toEqual(whole)
      }),
    )
  })

  it('cut short gives nothing of a control PDU, and no fault', () => {
    for (const bytes of [golden.associateRequest, golden.releaseRequest, associateAccept(golden.associateRequest)]) {
      for (let length = 0; length < bytes.length; length++) {
        expect(decode([bytes.subarray(0, length)])).toEqual([])
      }
    }
  })

  it('that is damaged anywhere is decoded or refused, never anything else', () => {
    const bytes = encodePdu({ ...fields, user: { ...fields.user, roles: [{ sopClass: CT, scu: false, scp: true }] } })
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const damaged = Buffer.from(bytes)
        damaged[at] = value
        try {
          decode([damaged])
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidPduError)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('P-DATA-TF', () => {
  it('is handed out as it arrives, as views of the chunks', () => {
    const bytes = dataPdu(pdv(3, 2, Buffer.from('abcdef')))
    const decoder = new PduDecoder(MAX_LENGTH)
    const chunk = Buffer.from(bytes.subarray(0, 14))
    decoder.push(chunk)
    const first = decoder.next() as DataPiece
    expect(first).toMatchObject({ contextId: 3, command: false, last: false, bytes: Buffer.from('ab') })
    expect(first.bytes.buffer).toBe(chunk.buffer)
    expect(decoder.next()).toBeUndefined()
    decoder.push(bytes.subarray(14))
    expect(decoder.next()).toMatchObject({ contextId: 3, last: true, bytes: Buffer.from('cdef') })
  })

  it('is a view of its chunk also where a header is cut by the end of the chunk before', () => {
    const data = Buffer.alloc(100_000, 7)
    const bytes = dataPdu(pdv(3, 0, data), pdv(3, 2, data))
    // Within the headers of the PDU and of both values.
    for (const cut of [...Array.from({ length: 11 }, (_, n) => n + 1), ...[1, 2, 3, 4, 5].map((n) => 100_012 + n)]) {
      const decoder = new PduDecoder(200_012)
      const chunks = [Buffer.from(bytes.subarray(0, cut)), Buffer.from(bytes.subarray(cut))]
      const pieces: DataPiece[] = []
      for (const chunk of chunks) {
        decoder.push(chunk)
        for (let one = decoder.next(); one !== undefined; one = decoder.next()) pieces.push(one as DataPiece)
      }
      const backings = new Set(chunks.map(({ buffer }) => buffer))
      expect(pieces.every((piece) => backings.has(piece.bytes.buffer as ArrayBuffer))).toBe(true)
      expect(Buffer.concat(pieces.map((piece) => piece.bytes)).equals(Buffer.concat([data, data]))).toBe(true)
    }
  })

  it('is decoded alike when chunks are pushed ahead of what is taken', () => {
    const bytes = Buffer.concat([
      golden.associateRequest,
      dataPdu(pdv(1, 2, Buffer.alloc(100, 1))),
      golden.releaseRequest,
    ])
    const decoder = new PduDecoder(MAX_LENGTH)
    for (const chunk of chunksOf(bytes, 7)) decoder.push(chunk)
    const decoded: (ControlPdu | DataPiece)[] = []
    for (let one = decoder.next(); one !== undefined; one = decoder.next()) decoded.push(one)
    expect(joinPieces(decoded)).toEqual(joinPieces(decode([bytes])))
  })

  it('may end in a PDV without bytes', () => {
    const pieces = decode([dataPdu(pdv(1, 0, Buffer.from('ab')), pdv(1, 2, Buffer.alloc(0)))])
    expect(pieces).toMatchObject([{ last: false }, { last: true, bytes: { length: 0 } }])
  })

  it.each([
    ['a PDV without room for its header', dataPdu(Buffer.concat([u32(1), Buffer.of(1)]), Buffer.alloc(2))],
    ['a PDV that is longer than the PDU', dataPdu(Buffer.concat([u32(9), Buffer.of(1, 2), Buffer.alloc(6)]))],
    ['a PDV of 4 GB', dataPdu(Buffer.concat([u32(0xffffffff), Buffer.of(1, 2), Buffer.alloc(6)]))],
    ['three bytes behind the last PDV', dataPdu(pdv(1, 2, Buffer.from('ab')), Buffer.alloc(3))],
    ['no PDV', dataPdu()],
  ])('with %s is invalid as soon as that is known', (_, bytes) => {
    expect(() => decode([bytes])).toThrow(expect.objectContaining({ code: 'INVALID_PDU', reason: 6 }) as Error)
  })

  it('without PDVs, any number of them, does no harm', () => {
    const empty = Buffer.concat(Array.from({ length: 50_000 }, () => dataPdu()))
    expect(() => decode([empty])).toThrow(InvalidPduError)
  })
})

describe('limits', () => {
  it.each([
    [MAX_LENGTH, MAX_LENGTH + DATA_PDU_SLACK_BYTES],
    [0, MAX_CONTROL_PDU_BYTES + DATA_PDU_SLACK_BYTES],
  ])('a P-DATA-TF may exceed what we announced (%i) by the slack, not by more', (announced, limit) => {
    const header = (length: number): Buffer => pdu(4, [u32(length - 4), Buffer.of(1, 0), Buffer.of(9)], length)
    expect(decode([header(limit)], announced)).toHaveLength(1)
    expect(() => decode([header(limit + 1)], announced)).toThrow(
      expect.objectContaining({ code: 'INVALID_PDU', reason: 6 }) as Error,
    )
  })

  it('a control PDU of exactly the limit is read, one byte more is refused by its header alone', () => {
    const room = MAX_CONTROL_PDU_BYTES - (associateRequest().length - 6)
    const filler = Array.from({ length: 16 }, () => item(0x7f, Buffer.alloc(65_531)))
    const last = item(0x7f, Buffer.alloc(room - Buffer.concat(filler.slice(1)).length - 4))
    const body = Buffer.concat([associateRequest().subarray(6), ...filler.slice(1), last])
    expect(body).toHaveLength(MAX_CONTROL_PDU_BYTES)
    expect(decode(chunksOf(pdu(1, [body]), 65_536))).toMatchObject([{ type: 'associate-request' }])
    expect(() => decode([pdu(1, [], MAX_CONTROL_PDU_BYTES + 1)])).toThrow(
      expect.objectContaining({ code: 'INVALID_PDU', reason: 6 }) as Error,
    )
    expect(() => decode([hex('0100ffffffff')])).toThrow(InvalidPduError)
  })

  it('a control PDU in tiny chunks costs time in proportion to its size', { timeout: 10_000 }, () => {
    const filler = Array.from({ length: 15 }, () => item(0x7f, Buffer.alloc(65_531)))
    const bytes = pdu(1, [associateRequest().subarray(6), ...filler])
    expect(decode(chunksOf(bytes, 4))).toMatchObject([{ type: 'associate-request' }])
  })

  it.each([0, 8, 9, 0x7f, 0xff])('PDU type %i is not recognized', (type) => {
    expect(() => decode([pdu(type, [Buffer.alloc(4)])])).toThrow(
      expect.objectContaining({ code: 'INVALID_PDU', reason: 1 }) as Error,
    )
  })

  it.each([
    ['A-ASSOCIATE-RQ below its fixed fields', pdu(1, [Buffer.alloc(67)])],
    ['A-ASSOCIATE-AC below its fixed fields', pdu(2, [Buffer.alloc(67)])],
    ['A-ASSOCIATE-RJ of three bytes', pdu(3, [Buffer.alloc(3)])],
    ['A-ABORT of three bytes', pdu(7, [Buffer.alloc(3)])],
    ['an item cut in its header', withItems(Buffer.of(0x20, 0, 0))],
    ['an item longer than its PDU', withItems(Buffer.concat([item(0x10, '1.2').subarray(0, 2), u16(900)]))],
    ['a presentation context without its id', withItems(item(0x20, Buffer.alloc(3)))],
    ['a sub-item longer than its context', withItems(item(0x20, Buffer.of(1, 0, 0, 0), Buffer.of(0x30, 0, 0, 9)))],
    ['a sub-item longer than the user information', withItems(item(0x50, Buffer.of(0x51, 0, 0, 9)))],
    ['role selection without the roles', withUser(item(0x54, u16(3), '1.2'))],
    ['role selection with a UID beyond its end', withUser(item(0x54, u16(30), '1.2'))],
    ['extended negotiation without a UID', withUser(item(0x56, Buffer.of(0)))],
    ['common extended negotiation with a list beyond its end', withUser(item(0x57, u16(0), u16(0), u16(9)))],
    ['user identity without its fields', withUser(item(0x58, Buffer.of(1, 0), u16(9)))],
    ['user identity response beyond its end', withUser(item(0x59, u16(9)))],
  ])('%s is invalid', (_, bytes) => {
    expect(() => decode([bytes])).toThrow(expect.objectContaining({ code: 'INVALID_PDU', reason: 6 }) as Error)
  })
})

describe('what real peers send', () => {
  it('unknown items and sub-items are passed over', () => {
    const bytes = pdu(1, [
      golden.associateRequest.subarray(6, 74 + 25),
      item(0x77, 'who knows'),
      golden.associateRequest.subarray(74 + 25, -36),
      item(0x50, item(0x51, u32(16_384)), item(0x5a, 'x'), item(0x52, '1.2.3.4'), item(0x55, 'DWPROXY_1')),
    ])
    expect(decode([bytes])).toEqual([fields])
  })

  it('of repeated items of user information the first counts', () => {
    const [request] = decode([withUser(item(0x51, u32(1)), item(0x52, '1.2'), item(0x51, u32(2)), item(0x52, '1.3'))])
    expect(request).toMatchObject({ user: { maxLength: 1, implementationClassUid: '1.2' } })
  })

  it('AE titles are filled with spaces or NULs, on either side', () => {
    const titles = [' PACS           ', 'GATE' + '\0'.repeat(12)] as const
    const [request] = decode([associateRequest({ calledAeTitle: titles[0], callingAeTitle: titles[1] })])
    expect(request).toMatchObject({ calledAeTitle: 'PACS', callingAeTitle: 'GATE' })
  })

  it('UIDs end in a NUL or a space', () => {
    const context = { id: 1, abstractSyntax: `${CT}\0`, transferSyntaxes: [`${IMPLICIT_LE} `, EXPLICIT_LE] }
    const [request] = decode([associateRequest({ contexts: [context] })])
    expect(request).toMatchObject({
      contexts: [{ id: 1, abstractSyntax: CT, transferSyntaxes: [IMPLICIT_LE, EXPLICIT_LE] }],
    })
  })

  it('a refused context has no transfer syntax, an empty one, or a broken one', () => {
    const head = associateAccept(golden.associateRequest).subarray(6, 74)
    const refused = (id: number, ...syntax: Bytes[]): Buffer => item(0x21, Buffer.of(id, 0, 3, 0), ...syntax)
    const bytes = pdu(2, [head, refused(1), refused(3, item(0x40)), refused(5, Buffer.of(0x40, 0, 0, 99))])
    const [accept] = decode([bytes]) as [AssociateAccept]
    expect(accept.contexts).toEqual([1, 3, 5].map((id) => ({ id, result: 3 })))
  })

  it('user information, or its fields, may be missing', () => {
    const [request] = decode([pdu(1, [golden.associateRequest.subarray(6, 74)])])
    expect(request).toMatchObject({ applicationContext: '', contexts: [], user: { maxLength: 0, roles: [] } })
  })
})

function withItems(...items: readonly Bytes[]): Buffer {
  return pdu(1, [associateRequest().subarray(6, 74), ...items])
}

function withUser(...items: readonly Bytes[]): Buffer {
  return withItems(item(0x50, ...items))
}

function decode(chunks: Iterable<Bytes>, maxLength = MAX_LENGTH): (ControlPdu | DataPiece)[] {
  const decoder = new PduDecoder(maxLength)
  const decoded: (ControlPdu | DataPiece)[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let one = decoder.next(); one !== undefined; one = decoder.next()) decoded.push(one)
  }
  return decoded
}

/** How a fragment is cut into pieces is the decoder's business: only what they add up to counts. */
function joinPieces(decoded: readonly (ControlPdu | DataPiece)[]): (ControlPdu | DataPiece)[] {
  const joined: (ControlPdu | DataPiece)[] = []
  for (const one of decoded) {
    const before = joined.at(-1)
    const continues =
      one.type === 'data' &&
      before?.type === 'data' &&
      !before.last &&
      before.contextId === one.contextId &&
      before.command === one.command
    if (continues) joined.splice(-1, 1, { ...one, bytes: Buffer.concat([before.bytes, one.bytes]) })
    else joined.push(one)
  }
  return joined
}
