import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
} from '../../../src/dicom/transfer-syntax.ts'
import type { EncodeOptions } from '../../../src/dicomweb/encode/encoded-model.ts'
import { encodeJson } from '../../../src/dicomweb/encode/json.ts'
import {
  element,
  explicitLittle,
  hex,
  implicitLittle,
  item,
  pixelSequence,
  sequence,
  unknownSequence,
} from '../../support/dicom-bytes.ts'
import { schemaOf } from '../../support/contract.ts'
import { datasetOf, randomEncapsulated } from '../../support/random-dataset.ts'

const PATIENT_NAME = 0x00100010
const CHARSET = 0x00080005

/** The JSON of a data set in Explicit VR Little Endian. */
function json(...elements: readonly Bytes[]): unknown {
  return JSON.parse(text(...elements))
}

function text(...elements: readonly Bytes[]): string {
  return encodeJson(parseDataset(Buffer.concat(elements), EXPLICIT_VR_LITTLE_ENDIAN))
}

const explicit = (tag: number, vr: string, value?: Bytes | string): Buffer => element(explicitLittle, tag, vr, value)

describe('strings (PS3.18 F.2.3)', () => {
  it('splits a multi-valued LO at backslashes, and leaves LT whole (case 102)', () => {
    expect(json(explicit(0x00081030, 'LO', 'A\\B '))).toEqual({ '00081030': { vr: 'LO', Value: ['A', 'B'] } })
    expect(json(explicit(0x00204000, 'LT', 'A\\B '))).toEqual({ '00204000': { vr: 'LT', Value: ['A\\B'] } })
  })

  it.each(['ST', 'LT', 'UT', 'UR'])('does not split %s', (vr) => {
    expect(json(explicit(0x00101234, vr, 'a\\b\\c '))).toEqual({ '00101234': { vr, Value: ['a\\b\\c'] } })
  })

  it('writes null for an empty value among others (case 103)', () => {
    expect(json(explicit(0x00081030, 'LO', 'A\\\\C '))).toEqual({ '00081030': { vr: 'LO', Value: ['A', null, 'C'] } })
    expect(json(explicit(0x00200032, 'DS', '1\\\\3 '))).toEqual({ '00200032': { vr: 'DS', Value: [1, null, 3] } })
    expect(json(explicit(0x00200013, 'IS', '1\\ '))).toEqual({ '00200013': { vr: 'IS', Value: [1, null] } })
    expect(json(explicit(0x00081048, 'PN', 'A^B\\\\C '))).toEqual({
      '00081048': { vr: 'PN', Value: [{ Alphabetic: 'A^B' }, null, { Alphabetic: 'C' }] },
    })
  })

  it('strips the padding of a UID (case 110)', () => {
    expect(json(explicit(0x0020000d, 'UI', '1.2.3\0'))).toEqual({ '0020000D': { vr: 'UI', Value: ['1.2.3'] } })
  })

  it('strips insignificant spaces, and keeps those inside and those that begin a text', () => {
    expect(json(explicit(0x00081030, 'LO', '  a  b  \\ c '))).toEqual({
      '00081030': { vr: 'LO', Value: ['a  b', 'c'] },
    })
    expect(json(explicit(0x00204000, 'LT', '  a  b  '))).toEqual({ '00204000': { vr: 'LT', Value: ['  a  b'] } })
    expect(json(explicit(0x00404033, 'UT', ' \r\n\tb '))).toEqual({ '00404033': { vr: 'UT', Value: [' \r\n\tb'] } })
  })

  it('escapes control characters and quotes', () => {
    const written = text(explicit(0x00204000, 'LT', 'a"b\x07\f\r\nc'))

    expect(written).not.toMatch(/[\x00-\x1f]/)
    expect(JSON.parse(written)).toEqual({ '00204000': { vr: 'LT', Value: ['a"b\x07\f\r\nc'] } })
  })
})

describe('no value (PS3.18 F.2.5)', () => {
  it('leaves Value out of a zero-length element and of a sequence without items (case 104)', () => {
    expect(json(explicit(0x00081030, 'LO'), sequence(explicitLittle, 0x00400275, 'defined'))).toEqual({
      '00081030': { vr: 'LO' },
      '00400275': { vr: 'SQ' },
    })
  })

  it('writes an empty item as an empty object (case 104)', () => {
    const empty = sequence(explicitLittle, 0x00400275, 'undefined', item(explicitLittle, 'defined'))
    expect(json(empty)).toEqual({ '00400275': { vr: 'SQ', Value: [{}] } })
  })

  it.each(['OB', 'OW', 'UN', 'UT', 'US', 'FD', 'AT', 'UV', 'PN', 'DS', 'UI'])(
    'writes an empty %s as its VR alone',
    (vr) => {
      expect(json(explicit(0x00091001, vr))).toEqual({ '00091001': { vr } })
    },
  )

  it.each([
    ['LO', '  '],
    ['UI', '\0\0'],
    ['PN', '= '],
    ['PN', '==  '],
    ['DS', '  '],
    ['UT', '  '],
  ])('a %s of nothing but %j has no value', (vr, value) => {
    expect(json(explicit(0x00091001, vr, value))).toEqual({ '00091001': { vr } })
  })

  it('a number whose bytes are not one whole has no value', () => {
    expect(json(explicit(0x00091001, 'US', Uint8Array.of(1)))).toEqual({ '00091001': { vr: 'US' } })
  })
})

describe('person names (PS3.18 F.2.2)', () => {
  const characterSet = explicit(CHARSET, 'CS', 'ISO_IR 192')
  const name = (value: string): unknown => {
    const written = json(characterSet, explicit(PATIENT_NAME, 'PN', Buffer.from(value)))
    return (written as Record<string, { Value?: unknown[] }>)['00100010']!.Value?.[0]
  }

  it('names the component groups, and those only that are there (case 105)', () => {
    expect(name('Yamada^Tarou=山田^太郎=やまだ^たろう')).toEqual({
      Alphabetic: 'Yamada^Tarou',
      Ideographic: '山田^太郎',
      Phonetic: 'やまだ^たろう',
    })
    expect(name('=山田^太郎')).toEqual({ Ideographic: '山田^太郎' })
    expect(name('A^B==か')).toEqual({ Alphabetic: 'A^B', Phonetic: 'か' })
    expect(name('A^B==')).toEqual({ Alphabetic: 'A^B' })
  })

  it('keeps carets at the end', () => {
    expect(name('Doe^John^^^')).toEqual({ Alphabetic: 'Doe^John^^^' })
  })

  it('drops a fourth component group', () => {
    expect(name('a=b=c=d')).toEqual({ Alphabetic: 'a', Ideographic: 'b', Phonetic: 'c' })
  })
})

describe('numbers (PS3.18 F.2.3)', () => {
  it('writes AT as eight upper-case digits (case 106)', () => {
    expect(json(explicit(0x00200009, 'AT', hex('10002000 e07f1000')))).toEqual({
      '00200009': { vr: 'AT', Value: ['00100020', '7FE00010'] },
    })
  })

  it('writes UV and SV that JSON numbers cannot hold as strings, others as numbers (case 107)', () => {
    expect(json(explicit(0x0008040c, 'UV', hex('ffffffffffffffff')))).toEqual({
      '0008040C': { vr: 'UV', Value: ['18446744073709551615'] },
    })
    expect(json(explicit(0x0008040c, 'UV', hex('ffffffffffff1f00 0000000000002000')))).toEqual({
      '0008040C': { vr: 'UV', Value: [9007199254740991, '9007199254740992'] },
    })
    expect(json(explicit(0x00720082, 'SV', hex('0000000000000080 ffffffffffffffff')))).toEqual({
      '00720082': { vr: 'SV', Value: ['-9223372036854775808', -1] },
    })
  })

  it.each([
    [' 1.50 ', 1.5],
    ['1.0E2', 100],
    ['-.5', -0.5],
    ['+7.', 7],
    ['1,5', '1,5'],
    ['1e999', '1e999'],
    ['0x10', '0x10'],
    ['NaN', 'NaN'],
    ['1 2', '1 2'],
  ])('DS %j is %j: a number where it is one, its text where not (case 108)', (value, expected) => {
    expect(json(explicit(0x00101030, 'DS', value))).toEqual({ '00101030': { vr: 'DS', Value: [expected] } })
  })

  it.each([
    ['12 ', 12],
    ['-007', -7],
    ['+3', 3],
    ['1.5', '1.5'],
    ['9007199254740993', '9007199254740993'],
    ['x', 'x'],
  ])('IS %j is %j (case 108)', (value, expected) => {
    expect(json(explicit(0x00200013, 'IS', value))).toEqual({ '00200013': { vr: 'IS', Value: [expected] } })
  })

  it('a long DS that is no number takes no long time', () => {
    const started = performance.now()
    const digits = '1'.repeat(60_000)
    expect(json(explicit(0x00101030, 'DS', `${digits}xx`))).toMatchObject({ '00101030': { Value: [`${digits}xx`] } })
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('writes every double exactly', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        const bytes = Buffer.alloc(8)
        bytes.writeDoubleLE(number)
        expect(json(explicit(0x00186028, 'FD', bytes))).toEqual({
          '00186028': { vr: 'FD', Value: [number === 0 ? 0 : number] },
        })
      }),
    )
  })

  it('writes what JSON has no number for as a string', () => {
    const bytes = Buffer.alloc(24)
    for (const [index, number] of [NaN, Infinity, -Infinity].entries()) bytes.writeDoubleLE(number, index * 8)
    expect(json(explicit(0x00186028, 'FD', bytes))).toEqual({
      '00186028': { vr: 'FD', Value: ['NaN', 'Infinity', '-Infinity'] },
    })
  })

  it('writes binary integers by their signs and sizes', () => {
    expect(
      json(
        explicit(0x00091001, 'US', hex('ffff')),
        explicit(0x00091002, 'SS', hex('ffff')),
        explicit(0x00091003, 'UL', hex('ffffffff')),
        explicit(0x00091004, 'SL', hex('ffffffff')),
      ),
    ).toEqual({
      '00091001': { vr: 'US', Value: [65535] },
      '00091002': { vr: 'SS', Value: [-1] },
      '00091003': { vr: 'UL', Value: [4294967295] },
      '00091004': { vr: 'SL', Value: [-1] },
    })
  })
})

describe('binary values (PS3.18 F.2.6, F.2.7)', () => {
  it('writes them inline in base64 (case 109)', () => {
    expect(json(explicit(0x00091001, 'OB', hex('01020300')))).toEqual({
      '00091001': { vr: 'OB', InlineBinary: 'AQIDAA==' },
    })
  })

  it('writes words of Big Endian data as Little Endian', () => {
    const bytes = element({ explicit: true, bigEndian: true }, 0x7fe00010, 'OW', hex('01020304'))
    const dataset = parseDataset(bytes, transferSyntax('1.2.840.10008.1.2.2'))
    expect(JSON.parse(encodeJson(dataset))).toEqual({ '7FE00010': { vr: 'OW', InlineBinary: 'AQIDBA==' } })
  })

  it('gives encapsulated pixel data no value', () => {
    const pixels = pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), hex('ffd8ffd9'))
    expect(json(pixels)).toEqual({ '7FE00010': { vr: 'OB' } })
  })

  it('puts BulkDataURI where it is asked for, by the path to the element', () => {
    const inner = explicit(0x00091001, 'OB', hex('0102'))
    const nested = sequence(
      explicitLittle,
      0x00400275,
      'undefined',
      item(explicitLittle, 'defined'),
      item(explicitLittle, 'defined', inner),
    )
    const pixels = pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), hex('ffd8ffd9'))
    const dataset = parseDataset(Buffer.concat([inner, nested, pixels]), EXPLICIT_VR_LITTLE_ENDIAN)
    const paths: string[] = []
    const options: EncodeOptions = {
      bulkDataUri: (path, { vr }) => {
        paths.push(path)
        return vr === 'OB' ? `http://x/bulkdata/${path}` : undefined
      },
    }
    expect(JSON.parse(encodeJson(dataset, options))).toEqual({
      '00091001': { vr: 'OB', BulkDataURI: 'http://x/bulkdata/00091001' },
      '00400275': {
        vr: 'SQ',
        Value: [{}, { '00091001': { vr: 'OB', BulkDataURI: 'http://x/bulkdata/00400275/1/00091001' } }],
      },
      '7FE00010': { vr: 'OB', BulkDataURI: 'http://x/bulkdata/7FE00010' },
    })
    expect(paths).toEqual(['00091001', '00400275/1/00091001', '7FE00010'])
  })
})

describe('private and unknown elements', () => {
  it('writes a private creator as LO and private elements of Implicit VR as UN (case 111)', () => {
    const bytes = Buffer.concat([
      element(implicitLittle, 0x00090010, '', 'ACME'),
      element(implicitLittle, 0x00091001, '', hex('0102')),
    ])
    expect(JSON.parse(encodeJson(parseDataset(bytes, IMPLICIT_VR_LITTLE_ENDIAN)))).toEqual({
      '00090010': { vr: 'LO', Value: ['ACME'] },
      '00091001': { vr: 'UN', InlineBinary: 'AQI=' },
    })
  })

  it('leaves the bytes of UN in the encoding they have', () => {
    const characterSet = explicit(CHARSET, 'CS', 'ISO_IR 100')
    expect(json(characterSet, explicit(0x00091001, 'UN', hex('4dfc')))).toMatchObject({
      '00091001': { vr: 'UN', InlineBinary: 'Tfw=' },
    })
  })

  it('writes UN of undefined length as the sequence it is (PS3.5 6.2.2)', () => {
    const inner = item(implicitLittle, 'undefined', element(implicitLittle, 0x00080100, '', 'T-1 '))
    expect(json(unknownSequence(explicitLittle, 0x00091001, inner))).toEqual({
      '00091001': { vr: 'SQ', Value: [{ '00080100': { vr: 'SH', Value: ['T-1'] } }] },
    })
  })
})

describe('character sets', () => {
  it('writes UTF-8 and keeps the attribute as the source has it', () => {
    const characterSet = explicit(CHARSET, 'CS', 'ISO_IR 100')
    expect(json(characterSet, explicit(PATIENT_NAME, 'PN', hex('4dfc6c6c6572')))).toEqual({
      '00080005': { vr: 'CS', Value: ['ISO_IR 100'] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller' }] },
    })
  })

  it('leaves no escape sequence of ISO 2022 behind', () => {
    const characterSet = explicit(CHARSET, 'CS', '\\ISO 2022 IR 87')
    const name = hex('1B24423B3345441B2842 5E 1B244242404F3A1B2842')
    const written = text(characterSet, explicit(PATIENT_NAME, 'PN', name))
    expect(written).not.toContain('\\u001b')
    expect(JSON.parse(written)).toMatchObject({ '00100010': { vr: 'PN', Value: [{ Alphabetic: '山田^太郎' }] } })
  })

  it('decodes bytes that are invalid in the set by U+FFFD, and goes on', () => {
    const characterSet = explicit(CHARSET, 'CS', 'ISO_IR 192')
    expect(
      json(characterSet, explicit(0x00081030, 'LO', hex('41ff42')), explicit(0x00100020, 'LO', 'X1')),
    ).toMatchObject({
      '00081030': { vr: 'LO', Value: ['A\ufffdB'] },
      '00100020': { vr: 'LO', Value: ['X1'] },
    })
  })

  it('reads an item by its own character set, and by the one around it where it has none', () => {
    const own = item(
      explicitLittle,
      'defined',
      explicit(CHARSET, 'CS', 'ISO_IR 192'),
      explicit(0x00400007, 'LO', Buffer.from('ü')),
    )
    const inherited = item(explicitLittle, 'defined', explicit(0x00400007, 'LO', hex('fc20')))
    const items = sequence(explicitLittle, 0x00400275, 'defined', own, inherited)
    expect(json(explicit(CHARSET, 'CS', 'ISO_IR 100'), items)).toMatchObject({
      '00400275': { Value: [{ '00400007': { Value: ['ü'] } }, { '00400007': { Value: ['ü'] } }] },
    })
  })
})

describe('the object', () => {
  it('has upper-case keys in ascending order, whatever the order of the elements (case 55)', () => {
    const written = text(
      explicit(0x7fe00010, 'OW', hex('0102')),
      explicit(0x0020000e, 'UI', '1.2'),
      explicit(0x0008103e, 'LO', 'X '),
    )
    expect(Object.keys(JSON.parse(written) as object)).toEqual(['0008103E', '0020000E', '7FE00010'])
    expect(written.indexOf('0008103E')).toBeLessThan(written.indexOf('0020000E'))
  })

  it('leaves out groups 0000 and 0002, group lengths, Length to End and trailing padding (case 55)', () => {
    const dataset = new Dataset()
    for (const tag of [0x00000100, 0x00020010, 0x00080000, 0x00080001, 0x00090000, 0xfffcfffc]) {
      dataset.put(tag, { vr: 'UN', value: Uint8Array.of(1, 2) })
    }
    dataset
      .set(0x00100020, '1')
      .setItems(0x00400275, [new Dataset().put(0x00400000, { vr: 'UL', value: hex('00000000') })])
    expect(JSON.parse(encodeJson(dataset))).toEqual({
      '00100020': { vr: 'LO', Value: ['1'] },
      '00400275': { vr: 'SQ', Value: [{}] },
    })
  })

  it('is DICOM JSON by the schema of the contract, whatever the data set', () => {
    const valid = schemaOf('DicomJsonDataset')
    fc.assert(
      fc.property(randomEncapsulated, (list) => {
        expect(valid(JSON.parse(encodeJson(datasetOf(list))))).toEqual([])
      }),
    )
  })

  it('has its keys in ascending order, whatever the data set', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0x00090001, max: 0xff000000 })), (tags) => {
        const dataset = new Dataset()
        for (const tag of tags) dataset.put(tag, { vr: 'UN', value: Uint8Array.of(1) })
        // Not by JSON.parse: JavaScript puts keys that are numbers first.
        const keys = [...encodeJson(dataset).matchAll(/"([0-9A-F]{8})":/g)].map(([, key]) => key)
        expect(keys).toEqual([...keys].sort())
      }),
    )
  })
})
