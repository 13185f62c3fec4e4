import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { decodeJson, type DecodeOptions } from '../../../src/dicomweb/decode/json.ts'
import { ModelError } from '../../../src/dicomweb/decode/model-error.ts'
import { encodeJson } from '../../../src/dicomweb/encode/json.ts'

const NAME = '00100010'

/** The value field of one element, as it would be sent. */
async function valueOf(tag: string, member: object, options?: DecodeOptions): Promise<string> {
  const dataset = await decodeJson({ [tag]: member }, options)
  return Buffer.from(dataset.get(parseInt(tag, 16))!.value as Uint8Array).toString('latin1')
}

async function problemOf(model: unknown, options?: DecodeOptions): Promise<ModelError> {
  try {
    await decodeJson(model, options)
  } catch (error) {
    if (error instanceof ModelError) return error
    throw error
  }
  throw new Error('It was decoded')
}

/** What an archive reads of a data set that was sent to it. */
const sent = (dataset: Dataset): Dataset =>
  parseDataset(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .map((one) => one.replace(/[\\\x00-\x1f\x7f^=\s\u0085\u200b\ufeff]/g, 'x').normalize('NFC'))
const component = text.map((one) => `${one}^${one}`)
const scalar = fc.oneof(
  fc.record({ vr: fc.constantFrom('LO', 'SH', 'UC'), Value: fc.array(text, { minLength: 1, maxLength: 3 }) }),
  fc.record({ vr: fc.constantFrom('LT', 'ST', 'UT'), Value: fc.tuple(text) }),
  fc.record({ vr: fc.constant('US'), Value: fc.array(fc.integer({ min: 0, max: 65_535 }), { minLength: 1 }) }),
  fc.record({ vr: fc.constant('SL'), Value: fc.array(fc.integer(), { minLength: 1 }) }),
  fc.record({ vr: fc.constant('IS'), Value: fc.array(fc.integer(), { minLength: 1 }) }),
  fc.record({
    vr: fc.constant('FD'),
    Value: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
  }),
  fc.record({
    vr: fc.constant('DS'),
    Value: fc.array(
      fc.integer({ min: -1e9, max: 1e9 }).map((n) => n / 1000),
      { minLength: 1 },
    ),
  }),
  fc.record({
    vr: fc.constant('PN'),
    Value: fc.array(fc.record({ Alphabetic: component, Ideographic: component }, { requiredKeys: ['Alphabetic'] }), {
      minLength: 1,
      maxLength: 2,
    }),
  }),
  fc.record({
    vr: fc.constant('OB'),
    InlineBinary: fc
      .uint8Array({ minLength: 2, maxLength: 20 })
      .filter((bytes) => bytes.length % 2 === 0)
      .map((bytes) => Buffer.from(bytes).toString('base64')),
  }),
  fc.record({ vr: fc.constantFrom('LO', 'OB', 'SQ', 'FL') }),
)
const { model } = fc.letrec<{ model: object; sequence: object }>((tie) => ({
  model: fc
    .uniqueArray(
      fc.tuple(
        fc.integer({ min: 0x1001, max: 0x10ff }),
        fc.oneof({ maxDepth: 3, depthIdentifier: 'nesting' }, scalar, scalar, tie('sequence')),
      ),
      { maxLength: 5, selector: ([low]) => low },
    )
    .map((list) =>
      Object.fromEntries(
        list
          .sort(([a], [b]) => a - b)
          .map(([low, member]) => [`0011${low.toString(16).toUpperCase().padStart(4, '0')}`, member]),
      ),
    ),
  sequence: fc.record({ vr: fc.constant('SQ'), Value: fc.array(tie('model'), { minLength: 1, maxLength: 3 }) }),
}))

describe('a data set in DICOM JSON (PS3.18 F.2)', () => {
  it('is the same when it is written as JSON again', async () => {
    await fc.assert(
      fc.asyncProperty(model, async (one) => {
        const { '00080005': _, ...again } = JSON.parse(encodeJson(sent(await decodeJson(one)))) as Record<
          string,
          unknown
        >
        // A double that is no integer is written as it is read; -0 has no sign in JSON.
        expect(again).toEqual(JSON.parse(JSON.stringify(one)))
      }),
      { numRuns: 200 },
    )
  })

  it('names its character set where a text needs one, and only there', async () => {
    const plain = await decodeJson({
      '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
      [NAME]: { vr: 'PN', Value: [{ Alphabetic: 'A' }] },
    })
    expect(plain.has(Attribute.SpecificCharacterSet)).toBe(false)
    const needy = await decodeJson({ [NAME]: { vr: 'PN', Value: [{ Alphabetic: 'Müller' }] } })
    expect(needy.string(Attribute.SpecificCharacterSet)).toBe('ISO_IR 192')
    expect(sent(needy).string(Attribute.PatientName)).toBe('Müller')
  })

  it('is written in the character set that is asked for, in items too', async () => {
    const options = { charset: 'ISO_IR 100' }
    expect(await valueOf(NAME, { vr: 'PN', Value: [{ Alphabetic: 'Müller' }] }, options)).toBe('M\xfcller')
    const nested = { '00400275': { vr: 'SQ', Value: [{ '00400007': { vr: 'LO', Value: ['Schädel'] } }] } }
    const dataset = sent(await decodeJson(nested, options))
    expect(dataset.string(Attribute.SpecificCharacterSet)).toBe('ISO_IR 100')
    expect(dataset.items(0x00400275)[0]!.string(0x00400007)).toBe('Schädel')
  })

  it.each([
    ['groups of a name', NAME, { vr: 'PN', Value: [{ Alphabetic: 'A^B', Phonetic: 'C' }] }, 'A^B==C'],
    ['a name as text', NAME, { vr: 'PN', Value: ['A^B=C '] }, 'A^B=C '],
    ['an empty value among others', '00081030', { vr: 'LO', Value: ['A', null, 'CD'] }, 'A\\\\CD'],
    ['numbers as text', '00280030', { vr: 'DS', Value: [0.5, '1.0'] }, '0.5\\1.0 '],
    [
      'a number that is too long for a DS',
      '00280030',
      { vr: 'DS', Value: [-1.2345678901234567e-7] },
      '-1.2345678901e-7',
    ],
    ['one third', '00280030', { vr: 'DS', Value: [1 / 3] }, '0.33333333333333'],
    ['an IS', '00200013', { vr: 'IS', Value: [12] }, '12'],
    ['tags', '00081150', { vr: 'AT', Value: ['00100020'] }, '\x10\x00\x20\x00'],
    ['a value without a vr, which the dictionary has', '00100020', { Value: ['4711'] }, '4711'],
    ['no value', '00100020', { vr: 'LO' }, ''],
    ['no value, by an empty list', '00100020', { vr: 'LO', Value: [] }, ''],
    ['binary', '00420011', { vr: 'OB', InlineBinary: 'AQID' }, '\x01\x02\x03\0'],
    ['a text of several lines', '00204000', { vr: 'LT', Value: ['a\\b'] }, 'a\\b '],
    ['big integers', '00081234', { vr: 'UV', Value: ['18446744073709551615'] }, '\xff'.repeat(8)],
    ['numbers that JSON has not', '00081235', { vr: 'FL', Value: ['-Infinity'] }, '\x00\x00\x80\xff'],
  ])('takes %s', async (_, tag, member, value) => {
    const trimmed = (one: string): string => one.replace(/ +$/, '')
    expect(trimmed(await valueOf(tag, member))).toBe(trimmed(value))
  })

  it('takes values that stand elsewhere, where somebody fetches them', async () => {
    const asked: unknown[] = []
    const bulkData = (...one: unknown[]): Uint8Array => {
      asked.push(one)
      return Uint8Array.of(1, 2)
    }
    const model = { '00400275': { vr: 'SQ', Value: [{}, { '00420011': { vr: 'OB', BulkDataURI: 'x/1' } }] } }
    const dataset = await decodeJson(model, { bulkData })
    expect(dataset.items(0x00400275)[1]!.get(0x00420011)!.value).toEqual(Uint8Array.of(1, 2))
    expect(asked).toEqual([['x/1', { path: '00400275/1/00420011', vr: 'OB' }]])
  })

  it.each<[string, unknown, string, RegExp]>([
    ['a list', [], '', /no JSON object/],
    ['a name that is no tag', { PatientName: {} }, '', /no tag of eight digits/],
    ['a tag twice', { '0008002a': {}, '0008002A': {} }, '0008002A', /twice/],
    ['an element that is none', { [NAME]: 'A^B' }, NAME, /no JSON object/],
    ['a VR that is none', { [NAME]: { vr: 'XX' } }, NAME, /no value representation/],
    ['a VR of the prototype', { [NAME]: { vr: 'toString' } }, NAME, /no value representation/],
    ['two values', { [NAME]: { vr: 'PN', Value: [], InlineBinary: '' } }, NAME, /both Value and InlineBinary/],
    ['a value beside a list', { [NAME]: { vr: 'PN', Value: 'A' } }, NAME, /no list/],
    ['a truth', { [NAME]: { vr: 'PN', Value: [true] } }, NAME, /no object of component groups/],
    [
      'a group of a name that is no text',
      { [NAME]: { vr: 'PN', Value: [{ Alphabetic: 1 }] } },
      NAME,
      /Alphabetic is no text/,
    ],
    ['a name that would end its group', { [NAME]: { vr: 'PN', Value: [{ Alphabetic: 'A=B' }] } }, NAME, /equals sign/],
    ['a value that would be two', { '00100020': { vr: 'LO', Value: ['a\\b'] } }, '00100020', /backslash/],
    ['a UID that would be two', { '0020000D': { vr: 'UI', Value: ['1\\2'] } }, '0020000D', /backslash/],
    ['a number for a text', { '00100020': { vr: 'LO', Value: [12] } }, '00100020', /takes text/],
    ['an object for a text', { '00100020': { vr: 'LO', Value: [{}] } }, '00100020', /neither text nor number/],
    ['a fraction for an IS', { '00200013': { vr: 'IS', Value: [1.5] } }, '00200013', /no integer of 32 bits/],
    ['a number out of range', { '00280010': { vr: 'US', Value: [65_536] } }, '00280010', /out of its range/],
    [
      'a number that takes long to read',
      { '00280010': { vr: 'US', Value: ['9'.repeat(1_000_000)] } },
      '00280010',
      /more than 64 characters/,
    ],
    ['a code with an umlaut', { '00080060': { vr: 'CS', Value: ['Ä'] } }, '00080060', /default repertoire/],
    ['binary as values', { '00420011': { vr: 'OB', Value: [1] } }, '00420011', /takes InlineBinary/],
    ['text as binary', { '00100020': { vr: 'LO', InlineBinary: 'QQ==' } }, '00100020', /does not take/],
    ['binary that is no Base64', { '00420011': { vr: 'OB', InlineBinary: 'A' } }, '00420011', /not Base64/],
    ['half a word', { '00420011': { vr: 'OF', InlineBinary: 'AQI=' } }, '00420011', /no whole words/],
    ['an item that is none', { '00400275': { vr: 'SQ', Value: [1] } }, '00400275/0', /no JSON object/],
    ['what stands elsewhere', { '00420011': { vr: 'OB', BulkDataURI: 'x' } }, '00420011', /value itself is needed/],
  ])('is refused with %s, and where', async (_, model, path, problem) => {
    expect(await problemOf(model)).toMatchObject({
      code: 'INVALID_MODEL',
      path,
      problem: expect.stringMatching(problem) as string,
    })
  })

  it('is refused, without its text, where its character set has not all of it', async () => {
    const error = await problemOf({ [NAME]: { vr: 'PN', Value: [{ Alphabetic: '山田' }] } }, { charset: 'ISO_IR 100' })
    expect(error.message).toBe(`Element ${NAME} has characters that its character set does not have`)
  })

  it('is refused with one element more than may be, and taken without', async () => {
    const of = (count: number) => ({ '00400275': { vr: 'SQ', Value: Array.from({ length: count }, () => ({})) } })
    expect((await decodeJson(of(9), { most: 10 })).items(0x00400275)).toHaveLength(9)
    expect(await problemOf(of(10), { most: 10 })).toMatchObject({ path: '00400275/9' })
  })

  it('is refused with one value more than may be', async () => {
    const of = (count: number) => ({ '00200032': { vr: 'DS', Value: Array.from({ length: count }, () => 1) } })
    await decodeJson(of(9), { most: 10 })
    expect(await problemOf(of(10), { most: 10 })).toMatchObject({ path: '00200032' })
  })

  it('is refused where it is nested too deep', async () => {
    const of = (depth: number): object => (depth === 0 ? {} : { '00400275': { vr: 'SQ', Value: [of(depth - 1)] } })
    await decodeJson(of(64))
    expect((await problemOf(of(65))).problem).toMatch(/nested deeper than 64/)
  })
})
