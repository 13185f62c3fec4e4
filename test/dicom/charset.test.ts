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
  return Buffer.concat(
    parts.map((part) => (part[0] === "'" ? Buffer.from(part.slice(1, -1)) : Buffer.from(part, 'hex'))),
  )
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
    const encoded =
      "1B242943 'The 1st line includes ' B1E6B5BF '.' 0D0A 1B242943 'The 2nd line includes ' B1E6B5BF ', too.' 0D0A 'ASCII.'"
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
    [['', 'ISO 2022 IR 149'], 8224],
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
        const expected = character === '\ufeff' && terms[0] === 'ISO_IR 192' ? '' : character
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
    for (const [term, sample, expected] of samples)
      expect(hex(CharacterSet.of([term]).encodeText(sample))).toBe(expected)
  })

  it('reaches beyond the Basic Multilingual Plane in UTF-8 and GB18030 only', () => {
    expect(hex(CharacterSet.of(['ISO_IR 192']).encodeText('𠮷'))).toBe('f0a0aeb7')
    expect(hex(CharacterSet.of(['GB18030']).encodeText('𠮷'))).toBe('9534b235')
    expect(hex(CharacterSet.of(['GB18030']).encodeText('\u{10FFFF}'))).toBe('e3329a35')
    expect(CharacterSet.of(['GBK']).canEncode('𠮷')).toBe(false)
    expect(CharacterSet.of(['', 'ISO 2022 IR 87']).canEncode('𠮷')).toBe(false)
  })
})

describe('code extension, reading', () => {
  const jis = ['', 'ISO 2022 IR 87']

  it('takes 5C, 5E and 3D in a two-byte G0 set for halves of characters', () => {
    expect(name(jis, '1B2442 3D55 5C21 3D5C 5C5E 5E5C 5C3D 215C 5C5C 1B2842')).toEqual(['春棔旬權湃椽＋樛'])
  })

  it('splits at 5C again after the return to ASCII', () => {
    expect(list(jis, "1B2442 5C5C 1B2842 '\\' 1B2442 3B33 1B2842 '\\z'")).toEqual(['樛', '山', 'z'])
  })

  it('keeps ASCII bytes as delimiters beside a two-byte G1 set', () => {
    expect(list(['', 'ISO 2022 IR 149'], "1B242943 C8AB '\\' 1B242943 B1E6 'a'")).toEqual(['홍', '길a'])
  })

  it('does not split text', () => {
    expect(text(jis, "'C:\\a' 1B2442 3B33 1B2842 '\\b'")).toBe('C:\\a山\\b')
  })

  const greekThenE9 = (delimiter: string) => `1B2D46 E1 ${delimiter} E9`
  it('goes back to the sets of value 1 at a value delimiter', () => {
    expect(list(['ISO 2022 IR 100', 'ISO 2022 IR 126'], greekThenE9('5C'))).toEqual(['α', 'é'])
  })

  it.each([
    ['TAB', '09'],
    ['LF', '0A'],
    ['FF', '0C'],
    ['CR', '0D'],
  ])('goes back to the sets of value 1 at %s, in text and in lists', (_, delimiter) => {
    const expected = `α${String.fromCharCode(parseInt(delimiter, 16))}é`
    expect(text(['ISO 2022 IR 100', 'ISO 2022 IR 126'], greekThenE9(delimiter))).toBe(expected)
    expect(list(['ISO 2022 IR 100', 'ISO 2022 IR 126'], greekThenE9(delimiter))).toEqual([expected])
  })

  it.each(['^', '='])('goes back to the sets of value 1 at %s in a person name only', (delimiter) => {
    const terms = ['ISO 2022 IR 100', 'ISO 2022 IR 126']
    expect(name(terms, greekThenE9(`'${delimiter}'`))).toEqual([`α${delimiter}é`])
    expect(list(terms, greekThenE9(`'${delimiter}'`))).toEqual([`α${delimiter}ι`])
    expect(text(terms, greekThenE9(`'${delimiter}'`))).toBe(`α${delimiter}ι`)
    expect(text(terms, greekThenE9('5C'))).toBe('α\\ι')
  })

  it('forgets a two-byte G0 set at a line end that came without an escape', () => {
    expect(text(jis, "1B2442 3B33 0D0A 'abc'")).toBe('山\r\nabc')
  })

  it('starts every value field afresh', () => {
    expect(text(jis, '1B2442 3B33')).toBe('山')
    expect(text(jis, "';3'")).toBe(';3')
  })

  it('has G0 and G1 side by side', () => {
    expect(text(['ISO 2022 IR 13', 'ISO 2022 IR 87'], '1B2442 3B33 D4 3B33 CF 1B284A D4')).toBe('山ﾔ山ﾏﾔ')
  })

  it('leaves spaces in a two-byte G0 set as they are', () => {
    expect(text(jis, '1B2442 3B33 20 3B33 1B2842')).toBe('山 山')
  })

  it('reads the 1978 edition of JIS X 0208 and other spellings of known designations', () => {
    expect(text(jis, "1B2440 3B33 1B2842 'a' 1B242842 3B33 1B284A 'b'")).toBe('山a山b')
    expect(text(jis, "1B2849 544F 1B2842 'T'")).toBe('ﾔﾏT')
  })

  it('honours escapes to sets that are not listed', () => {
    expect(text([], '1B2442 3B33 1B2842')).toBe('山')
    expect(text(['', 'ISO 2022 IR 100'], '1B242943 C8AB')).toBe('홍')
  })

  it('honours escapes under single-valued terms', () => {
    expect(text(['ISO_IR 100'], 'E9 1B2442 3B33 1B2842 E9')).toBe('é山é')
    expect(name(['ISO_IR 192'], "C3A9 1B2442 3B33 1B2842 C3A9 '^' C3A9")).toEqual(['é山é^é'])
    expect(list(['GBK'], "815C 1B2442 5C5C 1B2842 815C '\\' 815C")).toEqual(['乗樛乗', '乗'])
  })

  it('takes JIS X 0208 as value 1 for ASCII until its escape', () => {
    expect(name(['ISO 2022 IR 87'], "'Yamada=' 1B2442 3B33 1B2842")).toEqual(['Yamada=山'])
  })

  it('drops escape sequences nobody knows, but no delimiter with them', () => {
    expect(list([], "'a' 1B2A5A 'b' 1B242F7E 'c' 1B2820 '\\d' 1B '\\e' 1B")).toEqual(['abc', 'd', 'e'])
    expect(text([], "'a' 1B '[0m'")).toBe('a[0m')
  })
})

describe('bytes without meaning', () => {
  it.each([
    ['an odd half at the end of a value', ['', 'ISO 2022 IR 87'], '1B2442 3B33 3B', '山\ufffd'],
    ['an odd half before an escape', ['', 'ISO 2022 IR 87'], "1B2442 3B33 3B 1B2842 'a'", '山\ufffda'],
    ['an empty cell, keeping step', ['', 'ISO 2022 IR 87'], '1B2442 2921 3B33', '\ufffd山'],
    ['a KS X 1001 lead before ASCII', ['', 'ISO 2022 IR 149'], "1B242943 C8 'a' C8AB", '\ufffda홍'],
    ['a KS X 1001 lead at the end', ['ISO 2022 IR 149'], 'C8ABC8', '홍\ufffd'],
    ['truncated UTF-8', ['ISO_IR 192'], "E4B8 'a'", '\ufffda'],
    ['a lone continuation byte', ['ISO_IR 192'], "80 'a'", '\ufffda'],
    ['a GBK lead at the end', ['GBK'], "'a' 81", 'a\ufffd'],
    ['an empty place in an ISO 8859 part', ['ISO_IR 127'], 'A1 C7', '\ufffdا'],
    ['a byte that is no katakana', ['ISO_IR 13'], 'F0 D4', '\ufffdﾔ'],
  ])('become U+FFFD: %s', (_, terms, encoded, expected) => {
    expect(text(terms, encoded)).toBe(expected)
  })

  it('never cost a value delimiter', () => {
    expect(list(['ISO_IR 192'], "E4B8 '\\b'")).toEqual(['\ufffd', 'b'])
    expect(list(['', 'ISO 2022 IR 149'], "1B242943 C8 '\\b'")).toEqual(['\ufffd', 'b'])
    expect(list(['ISO 2022 IR 149'], "C8 '\\b'")).toEqual(['\ufffd', 'b'])
  })

  it('are Latin-1 in the default repertoire, ISO_IR 6, unknown sets and an undesignated G1', () => {
    for (const terms of [[], ['ISO_IR 6'], ['KLINGON'], ['', 'ISO 2022 IR 87']])
      expect(text(terms, 'E9 80')).toBe('é\x80')
  })

  it('are C1 controls from 80 to 9F in single-byte sets, not Windows characters', () => {
    for (const term of ['ISO_IR 100', 'ISO_IR 148', 'ISO_IR 166']) expect(text([term], '80 93')).toBe('\x80\x93')
  })
})

describe('sets without code extension', () => {
  it.each([
    ['GB18030', '815C', '乗'],
    ['GBK', '815E', '乛'],
    ['SHIFT_JIS', '955C', '表'],
    ['BIG5', 'A45C', '么'],
  ])('in %s a list is split after decoding', (term, encoded, character) => {
    expect(list([term], `${encoded} '\\' ${encoded} 'a\\'`)).toEqual([character, `${character}a`, ''])
  })

  it('lose a UTF-8 byte order mark', () => {
    expect(text(['ISO_IR 192'], "EFBBBF 'a' C3A9")).toBe('aé')
    expect(hex(CharacterSet.of(['ISO_IR 192']).encodeText('\ufeffé'))).toBe('c3a9')
  })

  it('are read but not written where the standard has no term for them', () => {
    for (const term of ['SHIFT_JIS', 'BIG5']) {
      expect(CharacterSet.of([term]).canEncode('表')).toBe(false)
      expect(CharacterSet.of([term]).canEncode('table')).toBe(true)
    }
  })

  it('take GB 2312 without escapes for GBK', () => {
    expect(list(['ISO_IR 58'], "D5C5 '\\' 815C")).toEqual(['张', '乗'])
  })

  it('in ISO_IR 13 still split at 5C, read as a backslash', () => {
    expect(list(['ISO_IR 13'], 'D4 5C CF')).toEqual(['ﾔ', 'ﾏ'])
    expect(text(['ISO_IR 13'], 'D4 5C 7E')).toBe('ﾔ\\~')
  })
})

describe('code extension, writing', () => {
  const encode = (terms: string[], value: string) => hex(CharacterSet.of(terms).encodeText(value))

  it('returns to ASCII before each delimiter and at the end', () => {
    const charset = CharacterSet.of(['', 'ISO 2022 IR 87'])
    expect(hex(charset.encodeList(['山', '山a']))).toBe(hex(bytes("1B2442 3B33 1B2842 '\\' 1B2442 3B33 1B2842 'a'")))
    expect(hex(charset.encodeText('山\r\n山'))).toBe(hex(bytes('1B2442 3B33 1B2842 0D0A 1B2442 3B33 1B2842')))
  })

  it('ends at ^ and = only in a person name', () => {
    const charset = CharacterSet.of(['', 'ISO 2022 IR 149'])
    expect(hex(charset.encodeList(['홍^길'], true))).toBe(hex(bytes("1B242943 C8AB '^' 1B242943 B1E6")))
    expect(hex(charset.encodeList(['홍^길']))).toBe(hex(bytes("1B242943 C8AB '^' B1E6")))
  })

  it('makes the G1 set of value 1 active again at the end', () => {
    expect(encode(['ISO 2022 IR 100', 'ISO 2022 IR 126'], 'éα')).toBe(hex(bytes('E9 1B2D46 E1 1B2D41')))
  })

  it('needs no escape for the set of value 1, nor under a single value', () => {
    expect(encode(['ISO 2022 IR 100', 'ISO 2022 IR 126'], 'é')).toBe('e9')
    expect(encode(['ISO 2022 IR 100'], 'é')).toBe('e9')
    expect(encode(['ISO_IR 149'], '홍')).toBe('c8ab')
  })

  it('takes the sets in the order they are listed', () => {
    expect(encode(['', 'ISO 2022 IR 126', 'ISO 2022 IR 87'], 'α')).toBe(hex(bytes('1B2D46 E1')))
    expect(encode(['', 'ISO 2022 IR 87', 'ISO 2022 IR 126'], 'α')).toBe(hex(bytes('1B2442 2641 1B2842')))
  })

  it('refuses what the sets do not have, without telling the text', () => {
    const charset = CharacterSet.of(['', 'ISO 2022 IR 87'])
    for (const value of ['Müller', '홍', '😀', '\u00a5', '\u203e', '\x1b', '山\x1b(B']) {
      expect(charset.canEncode(value)).toBe(false)
      expect(() => charset.encodeText(value)).toThrow(UnencodableTextError)
    }
    let caught: unknown
    try {
      charset.encodeList(['Müller'], true)
    } catch (error) {
      caught = error
    }
    expect(caught).toMatchObject({ code: 'UNENCODABLE_TEXT', terms: ['', 'ISO 2022 IR 87'] })
    expect(String(caught)).not.toContain('ller')
  })

  it('refuses a backslash within a value of a list, and yen signs in JIS sets', () => {
    expect(() => CharacterSet.of(['ISO_IR 192']).encodeList(['a', 'b\\c'])).toThrow(UnencodableTextError)
    expect(CharacterSet.of(['ISO_IR 192']).decodeText(bytes("'b\\c'"))).toBe('b\\c')
    expect(CharacterSet.of(['ISO_IR 13']).canEncode('\u00a5')).toBe(false)
  })

  it('refuses half a surrogate pair and ESC in every set', () => {
    for (const term of definedTerms) {
      expect(CharacterSet.of([term]).canEncode('a\ud800')).toBe(false)
      expect(CharacterSet.of([term]).canEncode('a\x1bb')).toBe(false)
    }
  })
})

describe('terms', () => {
  it.each([
    [[], []],
    [[''], []],
    [['ISO_IR 100 '], ['ISO_IR 100']],
    [['ISO_IR_100'], ['ISO_IR 100']],
    [['ISO-IR 100'], ['ISO_IR 100']],
    [['iso ir 100'], ['ISO_IR 100']],
    [['ISO8859-1'], ['ISO_IR 100']],
    [['ISO 8859-15'], ['ISO_IR 203']],
    [['LATIN1'], ['ISO_IR 100']],
    [['ISO_IR 58'], ['ISO 2022 IR 58']],
    [['ISO 2022 58'], ['ISO 2022 IR 58']],
    [['ISO_IR 149'], ['ISO 2022 IR 149']],
    [['EUC-KR'], ['ISO 2022 IR 149']],
    [['ISO 2022 GBK'], ['GBK']],
    [['ISO 2022 GB18030'], ['GB18030']],
    [['UTF8'], ['ISO_IR 192']],
    [['utf-8'], ['ISO_IR 192']],
    [['ISO_IR_192'], ['ISO_IR 192']],
    [['ISO IR 192'], ['ISO_IR 192']],
    [['ISO 2022 IR 192'], ['ISO_IR 192']],
    [['SJIS'], ['SHIFT_JIS']],
    [
      ['ISO_IR 100', 'ISO 2022 IR 87'],
      ['ISO 2022 IR 100', 'ISO 2022 IR 87'],
    ],
    [
      ['', 'ISO 2022 IR 87', '', 'ISO 2022 IR 87'],
      ['', 'ISO 2022 IR 87'],
    ],
    [['ISO_IR 100', ''], ['ISO_IR 100']],
    [['', 'ISO_IR 192'], ['ISO_IR 192']],
    [['ISO_IR 192', 'ISO 2022 IR 87'], ['ISO_IR 192']],
    [['ISO 2022 IR 100', 'ISO_IR 192'], ['ISO 2022 IR 100']],
  ])('%j are %j', (written, expected) => {
    const { terms, unknown } = CharacterSet.of(written)
    expect({ terms, unknown }).toEqual({ terms: expected, unknown: [] })
  })

  it('are kept apart when nobody knows them', () => {
    const first = CharacterSet.of(['KLINGON', 'ISO 2022 IR 87'])
    expect([first.terms, first.unknown]).toEqual([['', 'ISO 2022 IR 87'], ['KLINGON']])
    const second = CharacterSet.of(['ISO_IR 100', 'ISO_IR 999'])
    expect([second.terms, second.unknown]).toEqual([['ISO 2022 IR 100'], ['ISO_IR 999']])
  })

  it('give the same object for the same values, while a bounded number of them is kept', () => {
    const first = CharacterSet.of(['MADE UP'])
    expect(CharacterSet.of(['MADE UP'])).toBe(first)
    for (let number = 0; number < 1000; number++) CharacterSet.of([`MADE UP ${number}`])
    expect(CharacterSet.of(['MADE UP'])).not.toBe(first)
    expect(CharacterSet.of(['ISO_IR 100'])).toBe(CharacterSet.of(['ISO_IR 100']))
  })

  it('are not kept when they are longer than any sensible value', () => {
    const long = ['X'.repeat(10_000)]
    expect(CharacterSet.of(long)).not.toBe(CharacterSet.of(long))
  })
})

describe('any input', () => {
  const term = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('', ...definedTerms, 'SHIFT_JIS', 'BIG5', 'ISO_IR_100', 'UTF8') },
    { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
  )
  const terms = fc.array(term, { maxLength: 4 })
  const escapes = ['(B', '(J', ')I', '-A', '-F', '$B', '$(D', '$)C', '$)A', '(', '$', '[0m', '$)\\', '']
  const field = fc
    .array(
      fc.oneof(
        fc.constantFrom(...escapes.map((escape) => Buffer.from(`\x1b${escape}`))),
        fc.constantFrom(...['\\', '^', '=', '\t', '\r\n', 'Yamada'].map((piece) => Buffer.from(piece))),
        fc.uint8Array({ maxLength: 12 }),
      ),
      { maxLength: 12 },
    )
    .map((pieces) => Uint8Array.from(Buffer.concat(pieces)))

  it('decodes without throwing, without an escape left, a list without a delimiter in its values', () => {
    fc.assert(
      fc.property(terms, field, fc.boolean(), (values, value, asName) => {
        const charset = CharacterSet.of(values)
        expect(charset.decodeText(value)).not.toContain('\x1b')
        const joined = charset.decodeList(value, asName)
        expect(joined.length).toBeGreaterThan(0)
        for (const part of joined) expect(part).not.toMatch(/[\x1b\\]/)
      }),
      { numRuns: 3000 },
    )
  })

  const character = fc.oneof(
    fc.constantFrom(...Array.from('山田ﾔﾏ홍길张小éüαЖسשไğ€丂=^ \r\n\tAb')),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  )

  it('comes back as it was once it can be encoded', () => {
    let encoded = 0
    fc.assert(
      fc.property(terms, fc.array(character, { maxLength: 10 }), (values, candidates) => {
        const charset = CharacterSet.of(values)
        // What is left of a text after the characters that the terms cannot write: so that long ones are met too.
        const writable = candidates
          .filter((candidate) => charset.canEncode(candidate))
          .join('')
          .replace(/^\ufeff+/, '')
        expect(charset.canEncode(writable)).toBe(true)
        expect(charset.decodeText(charset.encodeText(writable))).toBe(writable)
        const list = writable.split('\\')
        expect(charset.decodeList(charset.encodeList(list))).toEqual(list)
        expect(charset.decodeList(charset.encodeList(list, true), true)).toEqual(list)
        if (/[^\0-\x7f]/.test(writable)) encoded++
      }),
      { numRuns: 3000 },
    )
    expect(encoded).toBeGreaterThan(500)
  })

  it('is refused by the encoders exactly when canEncode says so', () => {
    fc.assert(
      fc.property(terms, fc.string({ unit: 'binary' }), (values, value) => {
        const charset = CharacterSet.of(values)
        const encode = () => charset.encodeText(value)
        if (charset.canEncode(value)) expect(encode).not.toThrow()
        else expect(encode).toThrow(UnencodableTextError)
      }),
    )
  })

  it('decodes in a time that grows with its length, however many escapes there are', () => {
    const many = Buffer.from('\x1b(Ba\x1b$B;3'.repeat(100_000))
    expect(CharacterSet.of([]).decodeList(many)[0]).toHaveLength(200_000)
    const marks = CharacterSet.of([`ISO${' '.repeat(100_000)}X`])
    expect(marks.unknown).toHaveLength(1)
  })
})

const samples = new URL('../../../shared/testdata/charset/', import.meta.url)

describe.skipIf(!existsSync(samples))('the sample files', () => {
  it.each([
    ['chrArab.dcm', ['ISO_IR 127'], 'قباني^لنزار'],
    ['chrFren.dcm', ['ISO_IR 100'], 'Buc^Jérôme'],
    ['chrFrenMulti.dcm', ['ISO_IR 100'], 'Buc^Jérôme'],
    ['chrGerm.dcm', ['ISO_IR 100'], 'Äneas^Rüdiger'],
    ['chrGreek.dcm', ['ISO_IR 126'], 'Διονυσιος'],
    ['chrH31.dcm', ['', 'ISO 2022 IR 87'], 'Yamada^Tarou=山田^太郎=やまだ^たろう'],
    ['chrH32.dcm', ['ISO 2022 IR 13', 'ISO 2022 IR 87'], 'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう'],
    ['chrI2.dcm', ['', 'ISO 2022 IR 149'], 'Hong^Gildong=洪^吉洞=홍^길동'],
    ['chrJapMulti.dcm', ['', 'ISO 2022 IR 87'], 'やまだ^たろう'],
    ['chrRuss.dcm', ['ISO_IR 144'], 'Люкceмбypг'],
    ['chrSQEncoding.dcm', ['ISO 2022 IR 13', 'ISO 2022 IR 87'], 'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう'],
    ['chrX1.dcm', ['ISO_IR 192'], 'Wang^XiaoDong=王^小東='],
  ])('%s has the patient name its makers meant', (file, terms, expected) => {
    const content = readFileSync(new URL(file, samples))
    // The last one: in chrSQEncoding.dcm the name and its character set are in an item of a UTF-8 data set.
    const charset = CharacterSet.of(lastValue(content, '08000500', 'CS').toString('latin1').split('\\'))
    expect(charset.terms).toEqual(terms)
    const names = charset.decodeList(lastValue(content, '10001000', 'PN'), true)
    expect(names.map((value) => value.trimEnd())).toEqual([expected])
  })

  /** The value of the last such element in an Explicit VR Little Endian file. */
  function lastValue(content: Buffer, tag: string, vr: string): Buffer {
    const at = content.lastIndexOf(Buffer.concat([Buffer.from(tag, 'hex'), Buffer.from(vr)]))
    expect(at).toBeGreaterThan(0)
    return content.subarray(at + 8, at + 8 + content.readUInt16LE(at + 6))
  }
})
