import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { decodeJson } from '../../../src/dicomweb/decode/json.ts'
import { ModelError } from '../../../src/dicomweb/decode/model-error.ts'
import { modelOfXml } from '../../../src/dicomweb/decode/xml.ts'
import { encodeXml } from '../../../src/dicomweb/encode/xml.ts'
import { differences } from '../../support/dataset-differences.ts'

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
const ROOT = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
const of = (...attributes: readonly string[]): string => `${HEAD}${ROOT}${attributes.join('')}</NativeDicomModel>`
const attribute = (tag: string, vr: string, content = '', more = ''): string =>
  `<DicomAttribute tag="${tag}" vr="${vr}"${more}>${content}</DicomAttribute>`

async function problemOf(text: string): Promise<ModelError> {
  try {
    await modelOfXml(text)
  } catch (error) {
    if (error instanceof ModelError) return error
    throw error
  }
  throw new Error('It was read')
}

describe('a Native DICOM Model (PS3.19 A.1)', () => {
  it.each([
    [
      'values by their numbers',
      attribute('00080008', 'CS', '<Value number="1">A</Value><Value number="2">B</Value>'),
      { '00080008': { vr: 'CS', Value: ['A', 'B'] } },
    ],
    [
      'values that are left out',
      attribute('00080008', 'CS', '<Value number="2">B</Value>'),
      { '00080008': { vr: 'CS', Value: [null, 'B'] } },
    ],
    [
      'a value without a number',
      attribute('00080008', 'CS', '<Value>A</Value>'),
      { '00080008': { vr: 'CS', Value: ['A'] } },
    ],
    [
      'characters that are written otherwise',
      attribute('00081030', 'LO', '<Value number="1">a &amp; b &#x41;<![CDATA[<c>]]></Value>'),
      { '00081030': { vr: 'LO', Value: ['a & b A<c>'] } },
    ],
    [
      'spaces and lines of a text',
      attribute('00204000', 'LT', '<Value number="1"> a\n b </Value>'),
      { '00204000': { vr: 'LT', Value: [' a\n b '] } },
    ],
    [
      'the groups and components of a name',
      attribute(
        '00100010',
        'PN',
        '<PersonName number="1"><Alphabetic><FamilyName>A</FamilyName><MiddleName>C</MiddleName></Alphabetic><Phonetic><GivenName>b</GivenName></Phonetic></PersonName>',
      ),
      { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'A^^C', Phonetic: '^b' }] } },
    ],
    [
      'the groups of a name in another order',
      attribute(
        '00100010',
        'PN',
        '<PersonName><Ideographic><FamilyName>Y</FamilyName></Ideographic><Alphabetic><FamilyName>D</FamilyName></Alphabetic></PersonName>',
      ),
      { '00100010': { vr: 'PN', Value: [{ Alphabetic: 'D', Ideographic: 'Y' }] } },
    ],
    [
      'binary',
      attribute('00420011', 'OB', '<InlineBinary>AQI=</InlineBinary>'),
      { '00420011': { vr: 'OB', InlineBinary: 'AQI=' } },
    ],
    [
      'a value that stands elsewhere',
      attribute('00420011', 'OB', '<BulkData uri="x/1"/>'),
      { '00420011': { vr: 'OB', BulkDataURI: 'x/1' } },
    ],
    [
      'items',
      attribute(
        '00400275',
        'SQ',
        `<Item number="1">${attribute('00400007', 'LO', '<Value number="1">A</Value>')}</Item><Item number="2"/>`,
      ),
      { '00400275': { vr: 'SQ', Value: [{ '00400007': { vr: 'LO', Value: ['A'] } }, {}] } },
    ],
    ['an attribute without a value', attribute('00080008', 'CS'), { '00080008': { vr: 'CS' } }],
    ['spaces between elements', `\n  ${attribute('00080008', 'CS', '\n')}\n`, { '00080008': { vr: 'CS' } }],
    [
      'a private attribute, in the block of its creator',
      attribute('00090011', 'LO', '<Value number="1">ACME</Value>') +
        attribute('00090001', 'LO', '<Value number="1">x</Value>', ' privateCreator="ACME"'),
      { '00090011': { vr: 'LO', Value: ['ACME'] }, '00091101': { vr: 'LO', Value: ['x'] } },
    ],
    [
      'private attributes of two creators, in blocks of their own',
      attribute('00090001', 'LO', '', ' privateCreator="A"') + attribute('00090001', 'SH', '', ' privateCreator="B"'),
      {
        '00090010': { vr: 'LO', Value: ['A'] },
        '00091001': { vr: 'LO' },
        '00090011': { vr: 'LO', Value: ['B'] },
        '00091101': { vr: 'SH' },
      },
    ],
  ])('has %s', async (_, attributes, model) => {
    expect(await modelOfXml(of(attributes))).toEqual(model)
  })

  it('is the same data set when it is read again', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .map((one) => one.replace(/[\\\x00-\x1f\x7f^=\s\u0085\u200b\ufeff\ufffe\uffff]/g, 'x'))
    await fc.assert(
      fc.asyncProperty(text, text, fc.uint8Array({ minLength: 2, maxLength: 8 }), async (one, other, bytes) => {
        const item = new Dataset().set(0x00080005, 'ISO_IR 192').set(0x00400007, other)
        const whole = new Dataset()
          .set(0x00080005, 'ISO_IR 192')
          .set(0x00081030, [one, other])
          .set(0x00100010, `${one}^${other}==${one}`)
          .setItems(0x00400275, [new Dataset(item.characterSet).set(0x00400007, other), new Dataset()])
          .put(0x00420011, { vr: 'OB', value: bytes.length % 2 === 0 ? bytes : bytes.subarray(1) })
        const again = await decodeJson(await modelOfXml(encodeXml(whole)))
        whole.delete(0x00080005)
        again.delete(0x00080005)
        expect(differences(whole, again)).toEqual([])
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ['what is cut', of().slice(0, -5), '', /well-formed/],
    ['two roots', of() + ROOT, '', /well-formed|no NativeDicomModel/],
    ['another root', `${HEAD}<html/>`, '', /no NativeDicomModel/],
    ['nothing', '', '', /no NativeDicomModel|well-formed/],
    ['a document type', `${HEAD}<!DOCTYPE x [<!ENTITY a "aaaa">]>${ROOT}</NativeDicomModel>`, '', /document type/],
    ['a declaration that does not end', `<!DOC${'x'.repeat(2_000_000)}`, '', /document type/],
    ['entities of its own', of(attribute('00080008', 'CS', '<Value>&a;</Value>')), '', /well-formed/],
    ['no tag', of('<DicomAttribute vr="CS"/>'), '', /without a tag/],
    ['a tag twice', of(attribute('00080008', 'CS'), attribute('00080008', 'CS')), '00080008', /twice/],
    [
      'a number twice',
      of(attribute('00080008', 'CS', '<Value number="1"/><Value number="1"/>')),
      '00080008',
      /own number/,
    ],
    ['a number that is none', of(attribute('00080008', 'CS', '<Value number="0"/>')), '00080008', /own number/],
    ['a number far off', of(attribute('00080008', 'CS', '<Value number="100000000"/>')), '00080008', /too many values/],
    [
      'a group twice',
      of(attribute('00100010', 'PN', '<PersonName><Alphabetic/><Alphabetic/></PersonName>')),
      '00100010',
      /two of Alphabetic/,
    ],
    [
      'a component twice',
      of(attribute('00100010', 'PN', '<PersonName><Alphabetic><GivenName/><GivenName/></Alphabetic></PersonName>')),
      '00100010',
      /two of GivenName/,
    ],
    [
      'delimiters in a component',
      of(
        attribute(
          '00100010',
          'PN',
          `<PersonName><Alphabetic><GivenName>${'^'.repeat(100_000)}x</GivenName></Alphabetic></PersonName>`,
        ),
      ),
      '00100010',
      /delimiter/,
    ],
    ['binary twice', of(attribute('00420011', 'OB', '<InlineBinary/><InlineBinary/>')), '00420011', /two values/],
    [
      'many attributes',
      of(`<DicomAttribute ${Array.from({ length: 17 }, (_, n) => `a${n}=""`).join(' ')}/>`),
      '',
      /too many attributes/,
    ],
    ['text where none may be', of('text'), '', /text between/],
    ['elements that nobody knows', of('<Extra/>'), '', /no place/],
    ['elements in a value', of(attribute('00080008', 'CS', '<Value><b/></Value>')), '00080008', /no place/],
  ])('is refused with %s', async (_, text, path, problem) => {
    expect(await problemOf(text)).toMatchObject({
      code: 'INVALID_MODEL',
      path,
      problem: expect.stringMatching(problem) as string,
    })
  })

  it('is refused where it is nested too deep, and taken where it is not', async () => {
    const nested = (depth: number): string =>
      depth === 0 ? '' : attribute('00400275', 'SQ', `<Item number="1">${nested(depth - 1)}</Item>`)
    await modelOfXml(of(nested(60)))
    expect((await problemOf(of(nested(80)))).problem).toMatch(/nested deeper/)
  })
})
