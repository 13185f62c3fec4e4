import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { DatasetReader, encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError, MAX_NESTING } from '../../src/dicom/element-reader.ts'
import {
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { byteByByte, cutAt, cuts } from '../support/chunking.ts'
import { differences } from '../support/dataset-differences.ts'
import {
  allVrs,
  isVr,
  element,
  explicitBig,
  explicitLittle,
  hex,
  implicitLittle,
  item,
  pixelSequence,
  sequence,
  unknownSequence,
} from '../support/dicom-bytes.ts'
import { datasetOf, randomEncapsulated, randomExplicit, randomImplicit } from '../support/random-dataset.ts'

const syntaxes = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]
const JPEG = transferSyntax('1.2.840.10008.1.2.4.70')

function parseChunks(chunks: readonly Bytes[], syntax: TransferSyntax): Dataset {
  const reader = new DatasetReader(syntax)
  for (const chunk of chunks) reader.push(chunk)
  return reader.end()
}

const value = (dataset: Dataset, tag: number): string => Buffer.from(dataset.get(tag)!.value as Bytes).toString('hex')

describe('a data set', () => {
  it('case 112: is the same from explicit and implicit VR', () => {
    const explicit = parseDataset(hex('08006000 4353 0200 4354'), EXPLICIT_VR_LITTLE_ENDIAN)
    const implicit = parseDataset(hex('08006000 02000000 4354'), IMPLICIT_VR_LITTLE_ENDIAN)
    for (const dataset of [explicit, implicit]) {
      expect([...dataset.entries()]).toEqual([[Attribute.Modality, { vr: 'CS', value: Buffer.from('CT') }]])
      expect(dataset.strings(Attribute.Modality)).toEqual(['CT'])
    }
  })

  it.each(syntaxes)('case 113: keeps each VR and value through $name', (syntax) => {
    const dataset = new Dataset()
    const bytes = hex('000102030405060708090a0b0c0d0e0f')
    allVrs.filter(isVr).forEach((vr, index) => {
      if (vr === 'SQ')
        dataset.setItems(0x00091000 + index, [new Dataset(), new Dataset().set(Attribute.Modality, 'CT')])
      else dataset.put(0x00091000 + index, { vr, value: bytes })
    })
    const read = parseDataset(encodeDataset(dataset, syntax), syntax)
    expect(read.size).toBe(34)
    expect(differences(dataset, read, { anyVr: !syntax.explicit })).toEqual([])
  })

  it('has its binary values in Little Endian form, whatever it was written in', () => {
    const bytes = element(explicitBig, 0x00280010, 'US', '\x00\x02')
    expect(bytes).toEqual(hex('00280010 5553 0002 0200'))
    expect(value(parseDataset(bytes, EXPLICIT_VR_BIG_ENDIAN), 0x00280010)).toBe('0002')
    expect(parseDataset(bytes, EXPLICIT_VR_BIG_ENDIAN).number(0x00280010)).toBe(512)
  })

  it('case 111: has private creators as LO and other private elements as UN in implicit VR', () => {
    const bytes = [element(implicitLittle, 0x00090010, '', 'ACME'), element(implicitLittle, 0x00091001, '', 'xy')]
    const dataset = parseDataset(Buffer.concat(bytes), IMPLICIT_VR_LITTLE_ENDIAN)
    expect([...dataset.entries()].map(([t, { vr }]) => [t, vr])).toEqual([
      [0x00090010, 'LO'],
      [0x00091001, 'UN'],
    ])
  })

  it('is without group lengths and trailing padding', () => {
    const bytes = Buffer.concat([
      element(explicitLittle, 0x00080000, 'UL', '\x0a\0\0\0'),
      element(explicitLittle, 0x00080060, 'CS', 'CT'),
      element(explicitLittle, 0x00090000, 'UL', '\x0a\0\0\0'),
      sequence(
        explicitLittle,
        0x00081140,
        'defined',
        item(explicitLittle, 'defined', element(explicitLittle, 0x00080000, 'UL', '\0\0\0\0')),
      ),
      element(explicitLittle, 0xfffcfffc, 'OB', '\0\0'),
    ])
    const dataset = parseDataset(bytes, EXPLICIT_VR_LITTLE_ENDIAN)
    expect([...dataset.entries()].map(([t]) => t)).toEqual([Attribute.Modality, 0x00081140])
    expect(dataset.items(0x00081140)[0]?.size).toBe(0)
  })

  it('has the last of repeated elements, and is in order of tags', () => {
    const bytes = Buffer.concat([
      element(explicitLittle, 0x00100010, 'PN', 'C^D '),
      sequence(explicitLittle, 0x00081140, 'undefined', item(explicitLittle, 'defined')),
      element(explicitLittle, 0x00080060, 'CS', 'CT'),
      element(explicitLittle, 0x00100010, 'PN', 'A^B '),
      sequence(
        explicitLittle,
        0x00081140,
        'undefined',
        item(explicitLittle, 'defined'),
        item(explicitLittle, 'undefined'),
      ),
    ])
    const dataset = parseDataset(bytes, EXPLICIT_VR_LITTLE_ENDIAN)
    expect([...dataset.entries()].map(([t]) => t)).toEqual([Attribute.Modality, 0x00081140, Attribute.PatientName])
    expect(dataset.string(Attribute.PatientName)).toBe('A^B')
    expect(dataset.items(0x00081140)).toHaveLength(2)
    expect(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN).subarray(0, 10)).toEqual(
      element(explicitLittle, 0x00080060, 'CS', 'CT'),
    )
  })

  it('case 104: tells an empty sequence from one of an empty item', () => {
    const dataset = new Dataset()
      .setItems(0x00081140, [])
      .setItems(0x00081150, [new Dataset()])
      .setEmpty(Attribute.PatientID)
    for (const syntax of [EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]) {
      const read = parseDataset(encodeDataset(dataset, syntax), syntax)
      expect(read.get(0x00081140)).toEqual({ vr: 'SQ', value: [] })
      expect(read.items(0x00081150)).toHaveLength(1)
      expect(read.items(0x00081150)[0]?.size).toBe(0)
      expect(read.get(Attribute.PatientID)).toEqual({ vr: 'LO', value: new Uint8Array(0) })
    }
  })

  it('case 114: has UN of undefined length as a sequence, in Big Endian too', () => {
    const content = [
      element(implicitLittle, 0x00280010, '', '\x00\x02'),
      element(implicitLittle, 0x00100010, '', 'A^B '),
    ]
    for (const encoding of [explicitLittle, explicitBig]) {
      const syntax = encoding.bigEndian ? EXPLICIT_VR_BIG_ENDIAN : EXPLICIT_VR_LITTLE_ENDIAN
      const bytes = unknownSequence(encoding, 0x00091002, item(implicitLittle, 'defined', ...content))
      const dataset = parseDataset(bytes, syntax)
      expect(dataset.get(0x00091002)?.vr).toBe('SQ')
      expect(dataset.items(0x00091002)[0]?.number(0x00280010)).toBe(512)
      expect(differences(dataset, parseDataset(encodeDataset(dataset, syntax), syntax))).toEqual([])
    }
  })

  it('has a value too long for its VR as UN of the same bytes after explicit VR', () => {
    const long = Buffer.alloc(66_000, 'ab')
    for (const syntax of [EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]) {
      for (const vr of ['LT', 'US', 'FD'] as const) {
        const dataset = new Dataset().put(0x00091001, { vr, value: long })
        const read = parseDataset(encodeDataset(dataset, syntax), syntax)
        expect(read.get(0x00091001)?.vr).toBe('UN')
        expect(differences(dataset, read, { anyVr: true })).toEqual([])
      }
    }
  })

  it('has fragments with the empty Basic Offset Table', () => {
    const list = [Buffer.alloc(0), hex('ffd8ffd9'), hex('0102')]
    const dataset = parseDataset(pixelSequence(explicitLittle, 'OB', ...list), JPEG)
    expect(dataset.get(Attribute.PixelData)).toEqual({
      vr: 'OB',
      value: { fragments: [new Uint8Array(0), list[1], list[2]] },
    })
  })

  it('written to no bytes is empty', () => {
    expect(encodeDataset(new Dataset(), EXPLICIT_VR_LITTLE_ENDIAN)).toHaveLength(0)
    expect(parseDataset(new Uint8Array(0), EXPLICIT_VR_LITTLE_ENDIAN).size).toBe(0)
  })

  it(`may be nested ${MAX_NESTING} deep`, () => {
    let dataset = new Dataset().set(Attribute.Modality, 'CT')
    for (let depth = 0; depth < MAX_NESTING; depth++) dataset = new Dataset().setItems(0x00081140, [dataset])
    const bytes = encodeDataset(dataset, IMPLICIT_VR_LITTLE_ENDIAN)
    expect(differences(dataset, parseDataset(bytes, IMPLICIT_VR_LITTLE_ENDIAN))).toEqual([])
    const deeper = encodeDataset(new Dataset().setItems(0x00081140, [dataset]), IMPLICIT_VR_LITTLE_ENDIAN)
    expect(() => parseDataset(deeper, IMPLICIT_VR_LITTLE_ENDIAN)).toThrow(MalformedDataSetError)
  })
})

describe('any data set', () => {
  const explicit = fc.tuple(randomExplicit, fc.constantFrom(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN))
  const implicit = fc.tuple(randomImplicit, fc.constant(IMPLICIT_VR_LITTLE_ENDIAN))
  const encapsulated = fc.tuple(randomEncapsulated, fc.constant(JPEG))
  const any = fc.oneof(explicit, implicit, encapsulated)

  it('comes back as it was written', () => {
    fc.assert(
      fc.property(any, ([elements, syntax]) => {
        const read = parseDataset(encodeDataset(datasetOf(elements), syntax), syntax)
        expect(differences(datasetOf(elements, true), read)).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  it('is written the same again', () => {
    fc.assert(
      fc.property(any, ([elements, syntax]) => {
        const bytes = encodeDataset(datasetOf(elements), syntax)
        expect(encodeDataset(parseDataset(bytes, syntax), syntax)).toEqual(bytes)
      }),
    )
  })

  it('is the same from chunks of any size', () => {
    fc.assert(
      fc.property(any, cuts(400), ([elements, syntax], offsets) => {
        const bytes = encodeDataset(datasetOf(elements), syntax)
        const whole = parseDataset(bytes, syntax)
        expect(differences(whole, parseChunks(cutAt(bytes, offsets), syntax))).toEqual([])
        expect(differences(whole, parseChunks(byteByByte(bytes), syntax))).toEqual([])
      }),
    )
  })
})

describe('reading up to an attribute', () => {
  const bytes = Buffer.concat([
    element(explicitLittle, 0x00080060, 'CS', 'CT'),
    sequence(
      explicitLittle,
      0x00081140,
      'undefined',
      item(explicitLittle, 'undefined', element(explicitLittle, 0x7fe00010, 'OB', '\x01\x02')),
    ),
    element(explicitLittle, 0x00100010, 'PN', 'A^B '),
    element(explicitLittle, 0x7fe00010, 'OW', Buffer.alloc(1000)),
  ])

  it('leaves out that attribute and what follows, but not in items', () => {
    const dataset = parseDataset(bytes, EXPLICIT_VR_LITTLE_ENDIAN, { until: Attribute.PixelData })
    expect([...dataset.entries()].map(([t]) => t)).toEqual([Attribute.Modality, 0x00081140, Attribute.PatientName])
    expect(dataset.items(0x00081140)[0]?.has(Attribute.PixelData)).toBe(true)
  })

  it('is complete as soon as its header is there, and takes no notice of what then comes', () => {
    const reader = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, { until: Attribute.PixelData })
    const headerEnd = bytes.length - 1000
    reader.push(bytes.subarray(0, headerEnd - 1))
    expect(reader.complete).toBe(false)
    reader.push(bytes.subarray(headerEnd - 1, headerEnd))
    expect(reader.complete).toBe(true)
    reader.push(Buffer.from('no data set at all'))
    expect(reader.end().size).toBe(3)
  })

  it('stops before a sequence and before fragments too', () => {
    const reader = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, { until: 0x00081140 })
    reader.push(bytes.subarray(0, 30))
    expect(reader.complete).toBe(true)
    expect(reader.dataset.size).toBe(1)
    const encapsulated = Buffer.concat([bytes.subarray(0, 10), pixelSequence(explicitLittle, 'OB', Buffer.alloc(2))])
    expect(parseDataset(encapsulated.subarray(0, -3), JPEG, { until: Attribute.PixelData }).size).toBe(1)
  })

  it('is complete at the end of a data set that does not have it', () => {
    const reader = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, { until: Attribute.PixelData })
    reader.push(bytes.subarray(0, 10))
    expect(reader.complete).toBe(false)
    reader.end()
    expect(reader.complete).toBe(true)
  })

  it('raises an error for a cut before it, and none for one behind it', () => {
    const until = { until: Attribute.PixelData }
    expect(parseDataset(bytes.subarray(0, -5), EXPLICIT_VR_LITTLE_ENDIAN, until).size).toBe(3)
    const cut = bytes.subarray(0, bytes.length - 1000 - 12 - 1)
    expect(() => parseDataset(cut, EXPLICIT_VR_LITTLE_ENDIAN, until)).toThrow(MalformedDataSetError)
  })

  it('stops at the first attribute of which a predicate is true, and tells where its value begins', () => {
    const reader = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, { until: (t) => t > 0x00100000 && t % 16 === 0 })
    reader.push(bytes.subarray(0, -1000))
    expect(reader.complete).toBe(true)
    expect([...reader.dataset.entries()].map(([t]) => t)).toEqual([Attribute.Modality, 0x00081140])
    const name = bytes.indexOf('A^B ')
    expect(reader.stoppedAt).toEqual({
      header: { tag: Attribute.PatientName, vr: 'PN', length: 4 },
      offset: name,
    })
  })

  it('tells of fragments where their first item is, and nothing of an attribute that is not there', () => {
    const encapsulated = Buffer.concat([bytes.subarray(0, 10), pixelSequence(explicitLittle, 'OB', Buffer.alloc(2))])
    const reader = new DatasetReader(JPEG, { until: Attribute.PixelData })
    reader.push(encapsulated)
    expect(reader.stoppedAt).toEqual({ header: { tag: Attribute.PixelData, vr: 'OB', length: undefined }, offset: 22 })
    const other = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, { until: 0x7fe10000 })
    other.push(bytes)
    other.end()
    expect(other.stoppedAt).toBeUndefined()
    expect(other.complete).toBe(true)
  })

  it('goes together with a choice of attributes: it stops at one that is not among them', () => {
    const options = { until: Attribute.PixelData, only: new Set([Attribute.PatientName]) }
    const reader = new DatasetReader(EXPLICIT_VR_LITTLE_ENDIAN, options)
    reader.push(bytes)
    expect([...reader.dataset.entries()].map(([t]) => t)).toEqual([Attribute.PatientName])
    expect(reader.stoppedAt?.offset).toBe(bytes.length - 1000)
  })
})

describe('reading without some values', () => {
  const e = explicitLittle
  const icon = pixelSequence(e, 'OB', Buffer.alloc(0), Buffer.from('ffd8', 'hex'))
  const bytes = Buffer.concat([
    element(e, 0x00080060, 'CS', 'CT'),
    sequence(e, 0x00880200, 'undefined', item(e, 'undefined', icon, element(e, 0x7fe10010, 'LO', 'in'))),
    element(e, 0x00091001, 'OB', Buffer.alloc(1000)),
    element(e, 0x00091002, 'OB', 'xy'),
    element(e, 0x00091003, 'OB'),
    pixelSequence(e, 'OW', Buffer.alloc(0), Buffer.alloc(300)),
    element(e, 0xfffcfffc, 'OB', Buffer.alloc(10)),
  ])
  const omit = ({ vr, length }: { vr: string; length: number | undefined }): boolean =>
    vr.startsWith('O') && length !== 2 && length !== 10

  it.each([1, 7, 5000])('marks them as omitted, at any depth, and keeps the rest: in chunks of %i', (size) => {
    const reader = new DatasetReader(JPEG, { omit })
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
    const dataset = reader.end()
    const omitted = (vr: string): object => ({ vr, value: new Uint8Array(0), omitted: true })
    expect(dataset.get(0x00091001)).toEqual(omitted('OB'))
    expect(dataset.get(0x00091003)).toEqual(omitted('OB'))
    expect(dataset.get(Attribute.PixelData)).toEqual(omitted('OW'))
    const [one] = dataset.items(0x00880200)
    expect(one?.get(Attribute.PixelData)).toEqual(omitted('OB'))
    expect(one?.string(0x7fe10010)).toBe('in')
    expect(value(dataset, 0x00091002)).toBe(Buffer.from('xy').toString('hex'))
    expect(dataset.string(Attribute.Modality)).toBe('CT')
    expect(dataset.size).toBe(6)
  })

  it('counts the bytes of the values that are kept, and no others', () => {
    const without = new DatasetReader(JPEG, { omit })
    without.push(bytes)
    // CT, in, xy, and the padding.
    expect(without.keptBytes).toBe(2 + 2 + 2 + 10)
    const all = new DatasetReader(JPEG)
    all.push(bytes)
    expect(all.keptBytes).toBe(16 + 2 + 1000 + 300)
  })

  it('marks nothing unless it is told to', () => {
    const entries = [...parseDataset(bytes, JPEG).entries()]
    expect(entries).toHaveLength(6)
    expect(entries.filter(([, { omitted }]) => omitted === true)).toEqual([])
  })
})

describe('the character set', () => {
  const latin = element(explicitLittle, 0x00100010, 'PN', 'M\xfcller^A')
  const terms = (text: string): Buffer => element(explicitLittle, 0x00080005, 'CS', text)

  it('of a data set holds in its items, unless they have their own', () => {
    const inner = item(
      explicitLittle,
      'undefined',
      terms('ISO_IR 144'),
      element(explicitLittle, 0x00100010, 'PN', '\xbb\xee'),
    )
    const bytes = Buffer.concat([
      terms('ISO_IR 101'),
      sequence(explicitLittle, 0x00081140, 'undefined', item(explicitLittle, 'undefined', latin), inner),
    ])
    const [first, second] = parseDataset(bytes, EXPLICIT_VR_LITTLE_ENDIAN).items(0x00081140)
    expect(first?.characterSet.terms).toEqual(['ISO_IR 101'])
    expect(second?.string(Attribute.PatientName)).toBe('Лю')
  })
})

describe('what is written as UN though the dictionary knows it (PS3.5 6.2.2)', () => {
  const REQUEST = 0x00400275
  const nested = 0x00400008
  const implicitItem = (...content: readonly Bytes[]): Buffer => item(implicitLittle, 'defined', ...content)
  const unknown = (t: number, content: Bytes): Buffer => element(explicitLittle, t, 'UN', content)
  const read = (...elements: readonly Bytes[]): Dataset =>
    parseDataset(Buffer.concat(elements), EXPLICIT_VR_LITTLE_ENDIAN)

  it.each([
    [0x00100010, 'PN', 'A^B '],
    [0x0020000d, 'UI', '1.2.3\0'],
    [0x30060050, 'DS', '1.5\\2 '],
    [0x0040a160, 'UT', 'text'],
    [0x00420011, 'OB', 'AB'],
  ] as const)('has its VR: %i is %s', (t, vr, text) => {
    const { vr: found, value: bytes } = read(unknown(t, Buffer.from(text))).get(t)!
    expect([found, Buffer.from(bytes as Bytes).toString()]).toEqual([vr, text])
  })

  it('has the VR that others decide on: US or SS', () => {
    const signed = element(explicitLittle, 0x00280103, 'US', Buffer.from([1, 0]))
    expect(read(signed, unknown(0x00280106, Buffer.from([0xff, 0xff]))).values(0x00280106)).toEqual([-1])
    expect(read(unknown(0x00280106, Buffer.from([0xff, 0xff]))).values(0x00280106)).toEqual([0xffff])
  })

  it('has the items of a sequence, at any depth, in the character set around them', () => {
    const inner = implicitItem(element(implicitLittle, 0x00080104, 'LO', Buffer.from('\xe4 ', 'latin1')))
    const outer = implicitItem(
      element(implicitLittle, 0x00400009, 'SH', 'P-1 '),
      element(implicitLittle, nested, 'SQ', inner),
    )
    const charset = element(explicitLittle, 0x00080005, 'CS', 'ISO_IR 100')
    const dataset = read(charset, unknown(REQUEST, Buffer.concat([outer, outer])))
    expect(dataset.get(REQUEST)!.vr).toBe('SQ')
    expect(dataset.items(REQUEST)).toHaveLength(2)
    for (const one of dataset.items(REQUEST)) {
      expect(one.string(0x00400009)).toBe('P-1')
      expect(one.items(nested)[0]!.string(0x00080104)).toBe('ä')
    }
  })

  it('stays UN where it is no sequence of items, or the dictionary does not know it', () => {
    for (const content of ['garbage!', '\xfe\xff\x00\xe0\xff\x00\x00\x00', ''].map((text) =>
      Buffer.from(text, 'latin1'),
    )) {
      const dataset = read(unknown(REQUEST, content), element(explicitLittle, 0x00400280, 'ST', 'AB'))
      expect(content.length === 0 ? 'UN' : dataset.get(REQUEST)!.vr).toBe('UN')
      expect(dataset.string(0x00400280)).toBe('AB')
    }
    expect(read(unknown(0x00091001, implicitItem())).get(0x00091001)!.vr).toBe('UN')
  })

  it('is followed no deeper than MAX_NESTING', () => {
    let content: Bytes = implicitItem()
    for (let depth = 0; depth < 5_000; depth++) {
      content = Buffer.concat([
        hex('FEFF00E0'),
        Buffer.from(new Uint32Array([content.length + 12]).buffer),
        hex('08004011'),
        Buffer.from('UN\0\0'),
        Buffer.from(new Uint32Array([content.length]).buffer),
        content,
      ])
    }
    expect(() => read(unknown(REQUEST, content))).not.toThrow()
  })
})
