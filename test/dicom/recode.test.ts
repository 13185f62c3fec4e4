import fc from 'fast-check'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { inflate, InflateError, recode } from '../../src/dicom/recode.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { collect, collectUntilError, streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import { differences } from '../support/dataset-differences.ts'
import {
  allVrs,
  element,
  explicitBig,
  explicitLittle,
  header,
  hex,
  implicitLittle,
  item,
  nulPadded,
  sequence,
  unknownSequence,
  type Encoding,
} from '../support/dicom-bytes.ts'
import { datasetOf, randomExplicit, randomImplicit } from '../support/random-dataset.ts'

const IVLE = IMPLICIT_VR_LITTLE_ENDIAN
const ELE = EXPLICIT_VR_LITTLE_ENDIAN
const EBE = EXPLICIT_VR_BIG_ENDIAN
const DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
const natives = [IVLE, ELE, EBE, DEFLATED]

/** Through the syntaxes one after another. */
async function through(chunks: readonly Bytes[], ...syntaxes: TransferSyntax[]): Promise<Buffer> {
  let stream: AsyncIterable<Bytes> = streamOf(chunks)
  for (let at = 1; at < syntaxes.length; at++) stream = recode(stream, syntaxes[at - 1]!, syntaxes[at]!)
  return collect(stream)
}

const sample = (): Dataset =>
  new Dataset()
    .set(Attribute.SpecificCharacterSet, 'ISO_IR 100')
    .set(Attribute.PatientName, 'Müller^A')
    .setItems(0x00081140, [new Dataset().set(Attribute.Rows, 7), new Dataset()])
    .set(Attribute.Rows, 512)
    .put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(100_000, 'pixels') })

describe('recoding', () => {
  const pairs = natives.flatMap((from) =>
    natives.map((to): [string, string, TransferSyntax, TransferSyntax] => [from.name, to.name, from, to]),
  )

  it.each(pairs)('from %s to %s keeps the elements', async (_from, _to, from, to) => {
    const plain = encodeDataset(sample(), from)
    const bytes = from.deflated ? deflateRawSync(plain) : plain
    const whole = await through([bytes], from, to)
    const read = parseDataset(to.deflated ? await collect(inflate(streamOf([whole]))) : whole, to)
    expect(differences(sample(), read)).toEqual([])
    for (const size of [7, 1000]) {
      const cut = await through(chunksOf(bytes, size), from, to)
      // Deflated bytes depend on how they were fed, the data set in them does not.
      const [a, b] = to.deflated ? [await through([whole], to, ELE), await through([cut], to, ELE)] : [whole, cut]
      expect(a.equals(b)).toBe(true)
    }
  })

  it('writes US in the other byte order, and the VRs of the dictionary', async () => {
    const little = element(explicitLittle, 0x00280010, 'US', '\x00\x02')
    expect(await through([little], ELE, EBE)).toEqual(hex('00280010 5553 0002 0200'))
    expect(await through([little], ELE, IVLE)).toEqual(hex('28001000 02000000 0002'))
    expect(await through([hex('28001000 02000000 0002')], IVLE, ELE)).toEqual(little)
  })

  it('to the same syntax hands on the very bytes, group lengths and odd lengths too', async () => {
    const bytes = Buffer.concat([
      element(explicitLittle, 0x00080000, 'UL', '\x0a\0\0\0'),
      element(explicitLittle, 0x00080060, 'CS', 'CTX'),
      Buffer.alloc(50),
    ])
    const body = streamOf([bytes])
    expect(recode(body, ELE, ELE)).toBe(body)
    expect(await through([bytes], ELE, DEFLATED, ELE)).toEqual(bytes)
  })

  it('leaves out group lengths, trailing padding and a tail of zeros, at every level', async () => {
    const content = [
      element(explicitLittle, 0x00080000, 'UL', '\x0a\0\0\0'),
      element(explicitLittle, 0x00080060, 'CS', 'CT'),
    ]
    const bytes = Buffer.concat([
      ...content,
      sequence(explicitLittle, 0x00081140, 'defined', item(explicitLittle, 'defined', ...content)),
      element(explicitLittle, 0x00280000, 'UL'),
      element(explicitLittle, 0x00280010, 'US', '\x00\x02'),
      element(explicitLittle, 0xfffcfffc, 'OB', Buffer.alloc(20)),
      Buffer.alloc(50),
    ])
    const expected = Buffer.concat([
      element(implicitLittle, 0x00080060, 'CS', 'CT'),
      sequence(
        implicitLittle,
        0x00081140,
        'undefined',
        item(implicitLittle, 'undefined', element(implicitLittle, 0x00080060, 'CS', 'CT')),
      ),
      element(implicitLittle, 0x00280010, 'US', '\x00\x02'),
    ])
    expect(await through([bytes], ELE, IVLE)).toEqual(expected)
    expect(await through(byteByByte(bytes), ELE, IVLE)).toEqual(expected)
  })

  it('gives US or SS by Pixel Representation, in items too', async () => {
    const smallest = element(implicitLittle, 0x00280106, '', '\xff\xff')
    const representation = element(implicitLittle, 0x00280103, '', '\x01\0')
    const bytes = Buffer.concat([
      representation,
      smallest,
      sequence(implicitLittle, 0x00283110, 'defined', item(implicitLittle, 'defined', smallest)),
    ])
    const read = parseDataset(await through([bytes], IVLE, EBE), EBE)
    expect(read.number(0x00280106)).toBe(-1)
    expect(read.items(0x00283110)[0]?.get(0x00280106)?.vr).toBe('SS')
  })

  it('turns UN of undefined length into a sequence of the new encoding', async () => {
    const content = element(implicitLittle, 0x00280010, '', '\x00\x02')
    const bytes = unknownSequence(explicitBig, 0x00091002, item(implicitLittle, 'defined', content))
    expect(await through([bytes], EBE, ELE)).toEqual(
      sequence(
        explicitLittle,
        0x00091002,
        'undefined',
        item(explicitLittle, 'undefined', element(explicitLittle, 0x00280010, 'US', '\x00\x02')),
      ),
    )
  })

  it('keeps the bytes of UN in every order, and its meaning where the dictionary has one', async () => {
    const opaque = element(explicitLittle, 0x00091001, 'UN', '\x01\x02\x03\x04')
    expect(await through([opaque], ELE, EBE)).toEqual(element(explicitBig, 0x00091001, 'UN', '\x01\x02\x03\x04'))
    // PS3.5 6.2.2: the content of UN is Implicit VR Little Endian.
    const rows = element(explicitBig, 0x00280010, 'UN', '\x00\x02')
    expect(await through([rows], EBE, IVLE, ELE)).toEqual(element(explicitLittle, 0x00280010, 'US', '\x00\x02'))
  })

  it('writes a value of over 64 KiB in a short VR as UN, and back under its own', async () => {
    const lut = Buffer.alloc(70_000, hex('0102030405060708'))
    for (const [t, vr] of [
      [0x00091001, 'UN'],
      [0x00281101, 'US'],
      [0x00104000, 'LT'],
    ] as const) {
      const bytes = element(implicitLittle, t, vr, lut)
      const explicit = await through(chunksOf(bytes, 999), IVLE, ELE)
      expect(explicit.subarray(0, 12)).toEqual(header(explicitLittle, t, 'UN', 70_000))
      for (const chain of [
        [ELE, IVLE],
        [ELE, EBE, IVLE],
        [ELE, EBE, ELE, IVLE],
        [ELE, DEFLATED, EBE, IVLE],
      ]) {
        expect((await through([explicit], ...chain)).equals(bytes)).toBe(true)
      }
    }
  })

  it('carries words over from chunk to chunk', async () => {
    const value = Buffer.from(Array.from({ length: 64 }, (_, index) => index))
    for (const vr of ['OW', 'OF', 'OD', 'OL', 'OV', 'US', 'FL', 'FD', 'UV', 'AT']) {
      const little = element(explicitLittle, 0x00091001, vr, value)
      const big = element(explicitBig, 0x00091001, vr, value)
      for (const size of [1, 3, 5, 13]) {
        expect(await through(chunksOf(little, size), ELE, EBE)).toEqual(big)
        expect(await through(chunksOf(big, size), EBE, ELE)).toEqual(little)
      }
    }
  })

  it('hands on big values in pieces before they are whole', async () => {
    const head = header(explicitBig, 0x7fe00010, 'OW', 1_000_000)
    const chunks = [head, ...chunksOf(Buffer.alloc(1_000_000), 50_000)]
    const source = streamOf(chunks)
    const takenAt: number[] = []
    let size = 0
    for await (const piece of recode(source, EBE, ELE)) {
      takenAt.push(source.taken)
      size += piece.length
    }
    expect(size).toBe(1_000_012)
    expect(takenAt[0]).toBeLessThan(5)
  })

  it('of a data set that ends too early raises an error, never an end', async () => {
    const whole = encodeDataset(
      new Dataset().set(Attribute.PatientName, 'A^B').setItems(0x00400275, [sample()]),
      ELE,
    ).subarray(0, 200)
    for (let length = 14; length < whole.length; length++) {
      const { error } = await collectUntilError(recode(streamOf([whole.subarray(0, length)]), ELE, IVLE))
      // Only behind Patient's Name is a data set whole.
      if (length === 12) expect(error).toBeUndefined()
      else expect(error).toBeInstanceOf(MalformedDataSetError)
    }
  })

  it.each(pairs.filter(([, , from, to]) => from !== to))(
    'from %s to %s ends in the failure of the body',
    async (_f, _t, from, to) => {
      const broken = new RangeError('the peer is gone')
      const plain = encodeDataset(sample(), from)
      const bytes = from.deflated ? deflateRawSync(plain) : plain
      const source = streamOf([bytes.subarray(0, bytes.length / 2)], broken)
      const { error } = await collectUntilError(recode(source, from, to))
      expect(error).toBe(broken)
      expect(source.closed).toBe(true)
    },
  )

  it.each(pairs.filter(([, , from, to]) => from !== to))(
    'from %s to %s closes the body when it is left',
    async (_f, _t, from, to) => {
      const random = new Dataset().put(Attribute.PixelData, { vr: 'OW', value: noise(2_000_000) })
      const plain = encodeDataset(random, from)
      const bytes = from.deflated ? deflateRawSync(plain) : plain
      const source = streamOf(chunksOf(bytes, 30_000))
      for await (const piece of recode(source, from, to)) {
        expect(piece.length).toBeGreaterThan(0)
        break
      }
      await new Promise(setImmediate)
      expect(source.closed).toBe(true)
      expect(source.taken).toBeLessThan(30)
    },
  )
})

describe('any data set', () => {
  it('comes back from Explicit VR through Big Endian and deflated', async () => {
    await fc.assert(
      fc.asyncProperty(randomExplicit, cuts(300), async (elements, offsets) => {
        const bytes = encodeDataset(datasetOf(elements), ELE)
        for (const chain of [
          [ELE, EBE, ELE],
          [ELE, DEFLATED, ELE],
          [ELE, EBE, DEFLATED, EBE, ELE],
        ]) {
          expect(await through(cutAt(bytes, offsets), ...chain)).toEqual(bytes)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('keeps its values, if not the VRs of private elements, from Explicit VR through Implicit VR', async () => {
    await fc.assert(
      fc.asyncProperty(randomImplicit, async (elements) => {
        const bytes = encodeDataset(datasetOf(elements), ELE)
        expect(await through([bytes], ELE, IVLE, ELE)).toEqual(bytes)
        expect(await through(byteByByte(bytes), ELE, IVLE, EBE, ELE)).toEqual(bytes)
      }),
      { numRuns: 60 },
    )
  })

  it('of private elements in any VR keeps its values through Implicit VR, as UN', async () => {
    const vr = fc.constantFrom(...allVrs.filter((name) => name !== 'SQ'))
    const elements = fc.uniqueArray(fc.tuple(fc.integer({ min: 0x1000, max: 0xffff }), vr, fc.uint8Array()), {
      selector: ([number]) => number,
    })
    await fc.assert(
      fc.asyncProperty(elements, async (list) => {
        const sorted = list.sort(([a], [b]) => a - b)
        const written = (encoding: Encoding, name?: string): Buffer =>
          Buffer.concat(
            sorted.map(([number, own, value]) => {
              const padded = Buffer.concat([value, Buffer.alloc(value.length % 2, nulPadded.includes(own) ? 0 : 0x20)])
              return element(encoding, 0x00090000 + number, name ?? own, padded)
            }),
          )
        expect(await through([written(explicitLittle)], ELE, IVLE)).toEqual(written(implicitLittle))
        expect(await through([written(explicitBig)], EBE, IVLE, ELE)).toEqual(written(explicitLittle, 'UN'))
      }),
      { numRuns: 60 },
    )
  })
})

describe('inflating', () => {
  const deflated = (length: number): Buffer => deflateRawSync(noise(length))

  it('case 115: reads a raw RFC 1951 stream and takes no notice of its pad', async () => {
    const vector = hex('4b4c4a060000')
    expect((await collect(inflate(streamOf([vector])))).toString()).toBe('abc')
    expect((await collect(inflate(streamOf(byteByByte(vector))))).toString()).toBe('abc')
    expect((await collect(inflate(streamOf([vector.subarray(0, 5), vector.subarray(5)])))).toString()).toBe('abc')
  })

  it('takes the whole body to its end, however much follows', async () => {
    const source = streamOf([deflated(50_000), Buffer.alloc(200_000, 1), Buffer.alloc(1)])
    expect(await collect(inflate(source))).toHaveLength(50_000)
    expect(source).toMatchObject({ taken: 3, closed: true })
  })

  it('gives the same for chunks of any size', async () => {
    const bytes = deflated(6000)
    const whole = await collect(inflate(streamOf([bytes])))
    expect(whole.equals(noise(6000))).toBe(true)
    for (const size of [1, 100, 7777])
      expect((await collect(inflate(streamOf(chunksOf(bytes, size))))).equals(whole)).toBe(true)
  })

  it('of a stream that ends too early is an error at every byte', async () => {
    const bytes = deflateRawSync(encodeDataset(sample(), ELE).subarray(0, 300))
    for (let length = 0; length < bytes.length; length++) {
      const { error } = await collectUntilError(inflate(streamOf([bytes.subarray(0, length)])))
      expect(error, `cut to ${length}`).toBeInstanceOf(InflateError)
      expect(error).toMatchObject({ code: 'MALFORMED_DEFLATED_DATA_SET' })
    }
  })

  it('of what is no deflated stream is an error, whole and byte by byte', async () => {
    const plain = Buffer.alloc(5000, 0xff)
    for (const chunks of [[plain], byteByByte(plain)]) {
      const source = streamOf(chunks)
      const { error } = await collectUntilError(inflate(source))
      expect(error).toBeInstanceOf(InflateError)
      expect(source.closed).toBe(true)
    }
  })

  it('of a bomb stops at the limit', async () => {
    const bomb = deflateRawSync(Buffer.alloc(20_000_000))
    const { bytes, error } = await collectUntilError(inflate(streamOf(chunksOf(bomb, 1000)), 1_000_000))
    expect(error).toBeInstanceOf(InflateError)
    expect((error as Error).message).toContain('it grows beyond 1000000 bytes')
    expect(bytes.length).toBeLessThanOrEqual(1_000_000)
    expect(await collect(inflate(streamOf([bomb]), 20_000_000))).toHaveLength(20_000_000)
  })

  it('is done byte for byte as Node does it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), cuts(3000), fc.nat(9), async (bytes, offsets, level) => {
        const stream = deflateRawSync(bytes, { level })
        expect(Buffer.compare(await collect(inflate(streamOf(cutAt(stream, offsets)))), bytes)).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  it('a deflated data set has even length', async () => {
    for (let length = 0; length < 12; length++) {
      const bytes = element(explicitLittle, 0x00091001, 'OB', noise(2 * length))
      expect((await through([bytes], ELE, DEFLATED)).length % 2).toBe(0)
    }
  })
})

/** Bytes that do not deflate, the same every time. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0, x = 1; at < length; at++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = x >>> 16
  }
  return bytes
}
