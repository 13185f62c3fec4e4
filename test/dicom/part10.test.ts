import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { MAX_META_BYTES, NotDicomError, part10Header, parsePart10, readPart10, replay } from '../../src/dicom/part10.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { collect, streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf } from '../support/chunking.ts'
import {
  element,
  explicitBig,
  explicitLittle,
  header,
  hex,
  implicitLittle,
  part10,
  pixelSequence,
  sequence,
  type Encoding,
} from '../support/dicom-bytes.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const JPEG = transferSyntax('1.2.840.10008.1.2.4.70')
const IVLE = IMPLICIT_VR_LITTLE_ENDIAN
const ELE = EXPLICIT_VR_LITTLE_ENDIAN
const EBE = EXPLICIT_VR_BIG_ENDIAN

const padded = (uid: string): string => (uid.length % 2 === 0 ? uid : `${uid}\0`)
const meta = (uid: string, encoding: Encoding = explicitLittle): Buffer[] => [
  element(encoding, 0x00020001, 'OB', '\0\x01'),
  element(encoding, 0x00020002, 'UI', padded(CT)),
  element(encoding, 0x00020003, 'UI', padded('1.2.3')),
  element(encoding, 0x00020010, 'UI', padded(uid)),
]
const groupLength = (length: number, encoding: Encoding = explicitLittle): Buffer =>
  element(encoding, 0x00020000, 'UL', Buffer.of(length & 0xff, length >>> 8, 0, 0))
const data = (encoding: Encoding): Buffer =>
  Buffer.concat([
    element(encoding, 0x00080005, 'CS', 'ISO_IR 100'),
    element(encoding, 0x00080016, 'UI', padded(CT)),
    element(encoding, 0x00100010, 'PN', 'A^B '),
    element(encoding, 0x7fe00010, 'OW', Buffer.alloc(300, 'px')),
  ])
const PREFIX = Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')])

interface Read {
  readonly uid: string | undefined
  readonly syntax: TransferSyntax
  readonly body: Buffer
}

async function read(chunks: readonly Bytes[]): Promise<Read> {
  const { meta: group, syntax, body } = await readPart10(streamOf(chunks))
  return { uid: group.string(Attribute.TransferSyntaxUID), syntax, body: await collect(body) }
}

/** The same whole, byte by byte, and in between. */
async function expectRead(file: Bytes, expected: Read): Promise<void> {
  for (const chunks of [[file], byteByByte(file), chunksOf(file, 100), chunksOf(file, 133)]) {
    expect(await read(chunks)).toEqual(expected)
  }
}

async function expectNoDicom(file: Bytes, message = 'Not a DICOM file'): Promise<void> {
  for (const chunks of [[file], byteByByte(file)]) {
    const source = streamOf(chunks)
    const failing = readPart10(source)
    await expect(failing).rejects.toMatchObject({ name: 'NotDicomError', code: 'NOT_DICOM' })
    await expect(failing).rejects.toThrow(message)
    expect(source.closed).toBe(true)
  }
}

const natives: [TransferSyntax, Encoding][] = [
  [IVLE, implicitLittle],
  [ELE, explicitLittle],
  [EBE, explicitBig],
]

describe('a file', () => {
  it.each(natives)('in $name is read', async (syntax, encoding) => {
    await expectRead(part10(meta(syntax.uid), data(encoding)), { uid: syntax.uid, syntax, body: data(encoding) })
  })

  it('that is deflated is read, its data set still deflated', async () => {
    const body = deflateRawSync(data(explicitLittle))
    const syntax = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    await expectRead(part10(meta(syntax.uid), body), { uid: syntax.uid, syntax, body })
  })

  it('that is encapsulated is read', async () => {
    const body = Buffer.concat([
      data(explicitLittle).subarray(0, -312),
      pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), hex('ffd8')),
    ])
    await expectRead(part10(meta(JPEG.uid), body), { uid: JPEG.uid, syntax: JPEG, body })
  })

  it('in a syntax that nobody knows is read as encapsulated', async () => {
    const read = await parsePart10(part10(meta('1.2.3.4'), data(explicitLittle)))
    expect(read.syntax).toMatchObject({ uid: '1.2.3.4', encapsulated: true, explicit: true })
  })

  it('is given on as it comes, and closed at its end', async () => {
    const chunks = chunksOf(part10(meta(ELE.uid), data(explicitLittle)), 200)
    const source = streamOf(chunks)
    const { body } = await readPart10(source)
    expect(source.taken).toBe(2)
    expect(await collect(body)).toEqual(data(explicitLittle))
    expect(source).toMatchObject({ taken: chunks.length, closed: true })
  })

  it('is closed when its body is left', async () => {
    const source = streamOf(chunksOf(part10(meta(ELE.uid), data(explicitLittle)), 200))
    const { body } = await readPart10(source)
    for await (const _chunk of body) break
    expect(source.closed).toBe(true)
  })

  it('raises the failure of its source', async () => {
    const broken = new RangeError('the client is gone')
    const file = part10(meta(ELE.uid), data(explicitLittle))
    await expect(readPart10(streamOf([file.subarray(0, 150)], broken))).rejects.toBe(broken)
    const { body } = await readPart10(streamOf([file], broken))
    await expect(collect(body)).rejects.toBe(broken)
  })

  it('has its whole meta information', async () => {
    const { meta: group } = await parsePart10(
      part10([...meta(ELE.uid), element(explicitLittle, 0x00020016, 'AE', 'STORE ')], data(explicitLittle)),
    )
    expect(group.string(Attribute.MediaStorageSOPClassUID)).toBe(CT)
    expect(group.string(Attribute.MediaStorageSOPInstanceUID)).toBe('1.2.3')
    expect(group.string(0x00020016)).toBe('STORE')
    expect(group.size).toBe(5)
  })
})

describe('a file is read all the same', () => {
  it('without a preamble', async () => {
    const file = part10(meta(ELE.uid), data(explicitLittle)).subarray(128)
    await expectRead(file, { uid: ELE.uid, syntax: ELE, body: data(explicitLittle) })
  })

  it('without preamble and prefix', async () => {
    const file = part10(meta(IVLE.uid), data(implicitLittle)).subarray(132)
    await expectRead(file, { uid: IVLE.uid, syntax: IVLE, body: data(implicitLittle) })
  })

  it('with something else in the preamble, such as a TIFF header', async () => {
    const file = part10(meta(ELE.uid), data(explicitLittle))
    file.write('II*\0', 'latin1')
    await expectRead(file, { uid: ELE.uid, syntax: ELE, body: data(explicitLittle) })
  })

  it.each(natives)('without meta information, in $name', async (syntax, encoding) => {
    await expectRead(data(encoding), { uid: undefined, syntax, body: data(encoding) })
    await expectRead(Buffer.concat([PREFIX, data(encoding)]), { uid: undefined, syntax, body: data(encoding) })
  })

  it.each(natives)('with meta information that does not name a syntax, in $name', async (syntax, encoding) => {
    const file = part10(meta('').slice(0, 3), data(encoding))
    await expectRead(file, { uid: undefined, syntax, body: data(encoding) })
    await expectRead(part10(meta(''), data(encoding)), { uid: undefined, syntax, body: data(encoding) })
  })

  it('without a group length', async () => {
    const file = Buffer.concat([PREFIX, ...meta(ELE.uid), data(explicitLittle)])
    await expectRead(file, { uid: ELE.uid, syntax: ELE, body: data(explicitLittle) })
  })

  it.each([0, 1, 20, 60_000])('with a wrong group length: %i', async (length) => {
    const file = Buffer.concat([PREFIX, groupLength(length), ...meta(ELE.uid), data(explicitLittle)])
    await expectRead(file, { uid: ELE.uid, syntax: ELE, body: data(explicitLittle) })
  })

  it.each(natives)('with meta information in Implicit VR, the data set in $name', async (syntax, encoding) => {
    const group = meta(syntax.uid, implicitLittle)
    const length = groupLength(Buffer.concat(group).length, implicitLittle)
    const file = Buffer.concat([PREFIX, length, ...group, data(encoding)])
    await expectRead(file, { uid: syntax.uid, syntax, body: data(encoding) })
  })

  const lies = natives.flatMap(([named]) =>
    natives.flatMap(([syntax, encoding]): [string, string, TransferSyntax, TransferSyntax, Encoding][] =>
      named === syntax ? [] : [[syntax.name, named.name, syntax, named, encoding]],
    ),
  )
  it.each(lies)('in %s though it says %s', async (_is, _says, syntax, named, encoding) => {
    await expectRead(part10(meta(named.uid), data(encoding)), { uid: named.uid, syntax, body: data(encoding) })
  })

  it('with bytes behind its data set, which are given on', async () => {
    const body = Buffer.concat([data(explicitLittle), Buffer.alloc(1000)])
    await expectRead(part10(meta(ELE.uid), body), { uid: ELE.uid, syntax: ELE, body })
  })

  it('whose first element is of a later group, if its syntax is named', async () => {
    for (const [syntax, encoding] of natives) {
      const body = element(encoding, 0x00400555, 'LO', 'x')
      await expectRead(part10(meta(syntax.uid), body), { uid: syntax.uid, syntax, body })
    }
  })

  it('whose data set is shorter than a header, if its syntax is named', async () => {
    const body = hex('0300')
    await expectRead(part10(meta(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid), body), {
      uid: DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid,
      syntax: DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
      body,
    })
  })
})

describe('no DICOM file is', () => {
  it('one without bytes, or of zeros', async () => {
    await expectNoDicom(Buffer.alloc(0), 'it has no data set')
    for (const length of [1, 7, 8, 132, 140, 1000]) await expectNoDicom(Buffer.alloc(length))
  })

  it.each([
    ['JPEG', Buffer.concat([hex('ffd8ffe000104a464946'), Buffer.alloc(300)])],
    ['PNG', Buffer.concat([hex('89504e470d0a1a0a0000000d49484452'), Buffer.alloc(300)])],
    ['text', Buffer.from('Study Instance UID: 1.2.3\n'.repeat(20))],
    ['JSON', Buffer.from(JSON.stringify({ '00080005': { vr: 'CS' } }))],
    ['ZIP', Buffer.concat([hex('504b0304140000000800'), Buffer.alloc(300)])],
  ])('%s', async (_, file) => {
    await expectNoDicom(file, 'neither a meta header nor a data set is at its start')
  })

  it('one that ends before its data set, wherever', async () => {
    const group = meta(ELE.uid)
    const whole = part10(group, Buffer.alloc(0))
    // The whole meta information, cut at every byte of it.
    for (let length = 128; length <= whole.length; length++) {
      const failing = parsePart10(whole.subarray(0, length))
      await expect(failing, `cut to ${length}`).rejects.toBeInstanceOf(NotDicomError)
    }
    await expectNoDicom(whole)
    await expectNoDicom(whole.subarray(0, -1), 'it ends inside its meta information')
  })

  it('one whose meta information has no end', async () => {
    const long = header(explicitLittle, 0x00020102, 'OB', 0x7fffffff)
    const chunks = chunksOf(Buffer.concat([PREFIX, ...meta(ELE.uid), long, Buffer.alloc(10 * MAX_META_BYTES)]), 10_000)
    const source = streamOf(chunks)
    await expect(readPart10(source)).rejects.toThrow('its meta information has no end')
    expect(source.taken).toBeLessThan(10)
    expect(source.closed).toBe(true)
  })

  it('one with a sequence in its meta information', async () => {
    const file = Buffer.concat([
      PREFIX,
      ...meta(ELE.uid),
      sequence(explicitLittle, 0x00020020, 'undefined'),
      data(explicitLittle),
    ])
    await expect(parsePart10(file)).rejects.toThrow(NotDicomError)
  })

  it('garbage, which is refused or read as some data set, and never anything else', async () => {
    for (let seed = 1; seed < 400; seed++) {
      const garbage = Buffer.alloc(300)
      for (let at = 0, x = seed; at < garbage.length; at++)
        garbage[at] = (x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0) >>> 16
      const file = seed % 2 ? garbage : Buffer.concat([PREFIX, seed % 4 ? hex('0200') : hex('020000004f42'), garbage])
      const result = await parsePart10(file).catch((error: unknown) => error)
      if (result instanceof Error)
        expect(['NOT_DICOM', 'MALFORMED_DATA_SET']).toContain((result as { code?: string }).code)
      else expect(result).toMatchObject({ data: expect.any(Uint8Array) as Uint8Array })
    }
  })
})

describe('the head of a file', () => {
  it('is preamble, prefix and a group 0002 of right length', () => {
    const head = Buffer.from(part10Header(CT, '1.2.3', JPEG))
    expect(head.subarray(0, 132)).toEqual(PREFIX)
    expect(head.subarray(132, 140)).toEqual(hex('02000000 554c 0400'))
    expect(head.readUInt32LE(140)).toBe(head.length - 144)
    expect(head.length % 2).toBe(0)
    const group = [...meta(JPEG.uid)]
    expect(head.subarray(144, 144 + Buffer.concat(group).length)).toEqual(Buffer.concat(group))
  })

  it('is read back, before any data set', async () => {
    for (const [syntax, encoding] of [...natives, [JPEG, explicitLittle] as const]) {
      const file = Buffer.concat([part10Header(CT, '1.2.3.4', syntax), data(encoding)])
      await expectRead(file, { uid: syntax.uid, syntax, body: data(encoding) })
      const { meta: group } = await parsePart10(file)
      expect([...group.entries()].map(([t]) => t)).toEqual([
        0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013,
      ])
      expect(group.string(Attribute.ImplementationClassUID)).toMatch(/^[0-9.]{1,64}$/)
      expect(group.string(Attribute.ImplementationVersionName)).toMatch(/^.{1,16}$/)
    }
  })
})

describe('replaying', () => {
  it('gives what was read, then the rest, and no empty chunk of the former', async () => {
    const rest = streamOf([Buffer.of(3), Buffer.of(4)])
    const body = replay([Buffer.of(1), Buffer.alloc(0), Buffer.of(2)], rest[Symbol.asyncIterator]())
    const chunks: Bytes[] = []
    for await (const chunk of body) chunks.push(chunk)
    expect(chunks).toEqual([Buffer.of(1), Buffer.of(2), Buffer.of(3), Buffer.of(4)])
    expect(rest.closed).toBe(true)
  })
})
