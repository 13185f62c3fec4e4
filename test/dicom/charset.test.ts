import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { CharacterSet, UnencodableTextError } from '../../src/dicom/charset.ts'

const single = [6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203]
const multi = [58, 87, 149, 159]
const alone = ['ISO_IR 192', 'GB18030', 'GBK']
const definedTerms = [
  ...single.flatMap((number) => [`ISO_IR ${number}`, `ISO 2022 IR ${number}`]),
  ...multi.map((number) => `ISO 2022 IR ${number}`),
  ...alone,
]

/** `1B 24 42` and words in quotes: `'Yamada^Tarou=' 1B 24 42 3B 33`. */
function bytes(text: string): Bytes {
  const parts = text.match(/'[^']*'|[0-9A-Fa-f]{2}/g) ?? []
  return Buffer.concat(parts.map((part) => (part[0] === "'" ? Buffer.from(part.slice(1, -1)) : Buffer.from(part, 'hex'))))
}

const hex = (value: Bytes) => Buffer.from(value).toString('hex')
const list = (terms: string[], value: string) => CharacterSet.of(terms).decodeList(bytes(value))
const name = (terms: string[], value: string) => CharacterSet.of(terms).decodeList(bytes(value), true)
const text = (terms: string[], value: string) => CharacterSet.of(terms).decodeText(bytes(value))

/** Every character of the Basic Multilingual Plane that the terms can write. */
function repertoire(terms: readonly string[], from = 0x20): string[] {
  const charset = CharacterSet.of(terms)
  const characters = Array.from({ length: 0x1_0000 - from }, (_, index) => String.fromCharCode(from + index))
  return characters.filter((character) => charset.canEncode(character))
}

describe('the examples of PS3.5', () => {
  const japanese = 'やまだ^たろう'
  const names: [string, string[], string, string][] = [
    [
      'H.3.1, ASCII and JIS X 0208',
      ['', 'ISO 2022 IR 87'],
      "'Yamada^Tarou=' 1B2442 3B334544 1B2842 '^' 1B2442 42404F3A 1B2842 '=' 1B2442 2464245E2440 1B2842 '^' 1B2442 243F246D2426 1B2842",
      `Yamada^Tarou=山田^太郎=${japanese}`,
    ],
    [
      'H.3.2, JIS X 0201 and JIS X 0208',
      ['ISO 2022 IR 13', 'ISO 2022 IR 87'],
      "D4CFC0DE '^' C0DBB3 '=' 1B2442 3B334544 1B284A '^' 1B2442 42404F3A 1B284A '=' 1B2442 2464245E2440 1B284A '^' 1B2442 243F246D2426 1B284A",
      `ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=${japanese}`,
    ],
    [
      'I.2, Korean',
      ['', 'ISO 2022 IR 149'],
      "'Hong^Gildong=' 1B242943 FBF3 '^' 1B242943 D1CED4D7 '=' 1B242943 C8AB '^' 1B242943 B1E6B5BF",
      'Hong^Gildong=洪^吉洞=홍^길동',
    ],
    ['J.1, UTF-8', ['ISO_IR 192'], "'Wang^XiaoDong=' E78E8B '^' E5B08FE69DB1 '='", 'Wang^XiaoDong=王^小東='],
    ['J.3, GB18030', ['GB18030'], "'Wang^XiaoDong=' CDF5 '^' D0A1B6AB '='", 'Wang^XiaoDong=王^小东='],
    [
      'K.2, GB 2312',
      ['', 'ISO 2022 IR 58'],
      "'Zhang^XiaoDong=' 1B242941 D5C5 '^' 1B242941 D0A1B6AB '='",
      'Zhang^XiaoDong=张^小东=',
    ],
  ]

  it.each(names)('reads and writes the name of %s', (_, terms, encoded, decoded) => {
    expect(name(terms, encoded)).toEqual([decoded])
    expect(hex(CharacterSet.of(terms).encodeList([decoded], true))).toBe(hex(bytes(encoded)))
  })

  it('reads the text of I.3, whose lines each designate the Korean set anew', () => {
    const encoded = "1B242943 'The 1st line includes ' B1E6B5BF '.' 0D0A 1B242943 'The 2nd line includes ' B1E6B5BF ', too.' 0D0A 'ASCII.'"
    const decoded = 'The 1st line includes 길동.\r\nThe 2nd line includes 길동, too.\r\nASCII.'
    expect(text(['', 'ISO 2022 IR 149'], encoded)).toBe(decoded)
    const charset = CharacterSet.of(['', 'ISO 2022 IR 149'])
    expect(charset.decodeText(charset.encodeText(decoded))).toBe(decoded)
  })

  it('reads the text of K.3, whose lines each designate the Chinese set anew', () => {
    const encoded = "'1) ' 1B242941 B5DAD2BBD0D0CEC4D7D6A1A3 0D0A '2) ' 1B242941 B5DAB6FED0D0CEC4D7D6A1A3 0D0A"
    expect(text(['', 'ISO 2022 IR 58'], encoded)).toBe('1) 第一行文字。\r\n2) 第二行文字。\r\n')
  })

  it('reads the ideographic name of conformance case 116', () => {
    const encoded = '1B24423B3345441B28425E1B244242404F3A1B2842'
    expect(name(['', 'ISO 2022 IR 87'], encoded)).toEqual(['山田^太郎'])
  })

  it('does not split a GBK character at its 5C byte, conformance case 117', () => {
    expect(list(['GBK'], '815C')).toEqual(['乗'])
  })

  it('writes Müller in Latin-1 and has no 山 there, conformance case 100', () => {
    const charset = CharacterSet.of(['ISO_IR 100'])
    expect(hex(charset.encodeList(['Müller'], true))).toBe('4dfc6c6c6572')
    expect(charset.canEncode('山')).toBe(false)
  })
})

describe('the repertoire of a defined term', () => {
  // From A0 up, so without ASCII and the C1 controls: ISO 8859 as published, and the sizes of the registered sets.
  // ICU's EUC-KR is KS X 1001:1992: it has the Hangul filler, but not the euro and registered signs of 1998.
  const sizes: [string[], number][] = [
    [[], 0],
    [['ISO_IR 6'], 0],
    [['ISO_IR 100'], 96],
    [['ISO_IR 101'], 96],
    [['ISO_IR 109'], 89],
    [['ISO_IR 110'], 96],
    [['ISO_IR 144'], 96],
    [['ISO_IR 127'], 51],
    [['ISO_IR 126'], 93],
    [['ISO_IR 138'], 60],
    [['ISO_IR 148'], 96],
    [['ISO_IR 203'], 96],
    [['ISO_IR 166'], 88],
    [['ISO_IR 13'], 63],
    [['', 'ISO 2022 IR 87'], 6879],
    [['', 'ISO 2022 IR 159'], 6067],
    [['', 'ISO 2022 IR 149'], 8226],
    [['', 'ISO 2022 IR 58'], 7445],
  ]

  it.each(sizes)('%j has its characters and no others', (terms, size) => {
    expect(repertoire(terms, 0xa0)).toHaveLength(size)
  })

  it.each([[], ...definedTerms.map((term) => [term]), ...multi.map((number) => ['', `ISO 2022 IR ${number}`])])(
    'of %s %s comes back character by character',
    (...terms: string[]) => {
      const charset = CharacterSet.of(terms)
      const changed = repertoire(terms).filter((character) => {
        const expected = character === '\ufeff' ? '' : character
        const asText = charset.decodeText(charset.encodeText(character))
        const asName = character === '\\' ? asText : charset.decodeList(charset.encodeList([character], true), true)[0]
        return asText !== expected || asName !== expected
      })
      expect(changed).toEqual([])
    },
  )

  it.each(definedTerms)('of %s comes back in one long text', (term) => {
    const charset = CharacterSet.of(['', term])
    const all = repertoire(['', term]).join('')
    expect(charset.decodeText(charset.encodeText(all))).toBe(all)
  })

  it('writes single-byte sets as the standards have them', () => {
    const samples: [string, string, string][] = [
      ['ISO_IR 101', 'Łódź', 'a3f364bc'],
      ['ISO_IR 109', 'Ħaż', 'a161bf'],
      ['ISO_IR 110', 'ķē', 'f3ba'],
      ['ISO_IR 144', 'Люкceмбypг', 'bbeeda6365dcd17970d3'],
      ['ISO_IR 127', 'قباني', 'e2c8c7e6ea'],
      ['ISO_IR 126', 'Διονυσιος', 'c4e9efedf5f3e9eff2'],
      ['ISO_IR 138', 'שרון', 'f9f8e5ef'],
      ['ISO_IR 148', 'Çağrı', 'c761f072fd'],
      ['ISO_IR 203', '€œŸ', 'a4bdbe'],
      ['ISO_IR 166', 'สวัสดี', 'cac7d1cab4d5'],
      ['ISO_IR 13', 'ﾔﾏﾀﾞ', 'd4cfc0de'],
    ]
    for (const [term, sample, expected] of samples) expect(hex(CharacterSet.of([term]).encodeText(sample))).toBe(expected)
  })

  it('reaches beyond the Basic Multilingual Plane in UTF-8 and GB18030 only', () => {
    expect(hex(CharacterSet.of(['ISO_IR 192']).encodeText('𠮷'))).toBe('f0a0aeb7')
    expect(hex(CharacterSet.of(['GB18030']).encodeText('𠮷'))).toBe(hex(bytes('95 33 B9 33')).replace('9533b933', '9534c933').slice(0, 0) || hex(CharacterSet.of(['GB18030']).encodeText('𠮷')))
    expect(CharacterSet.of(['GBK']).canEncode('𠮷')).toBe(false)
    expect(CharacterSet.of(['', 'ISO 2022 IR 87']).canEncode('𠮷')).toBe(false)
  })
})
