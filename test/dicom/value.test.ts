import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { CharacterSet, UnencodableTextError } from '../../src/dicom/charset.ts'
import { decodeValues, encodeValues, InvalidValueError, pad, type Value } from '../../src/dicom/value.ts'
import { representation, valueRepresentations, vrOfCode, type Vr } from '../../src/dicom/vr.ts'
import { allVrs, hex, isVr, longVrs, nulPadded, wordBytes } from '../support/dicom-bytes.ts'

const ascii = CharacterSet.of([])
const bytesOf = (text: string): Bytes => Buffer.from(text, 'latin1')
const decode = (vr: Vr, text: string): Value[] => decodeValues(vr, bytesOf(text), ascii)
const encode = (vr: Vr, ...values: Value[]): string => Buffer.from(encodeValues(vr, values, ascii)).toString('latin1')
const vrs = allVrs.filter(isVr)

const strings: Vr[] = ['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'LO', 'PN', 'SH', 'TM', 'UC', 'UI']
const texts: Vr[] = ['LT', 'ST', 'UR', 'UT']
const numbers: Vr[] = ['FD', 'FL', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']
const bulk: Vr[] = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN', 'SQ']

describe('the table of VRs', () => {
  it('has the 34 of PS3.5 Table 6.2-1', () => {
    expect(Object.keys(valueRepresentations).sort()).toEqual([...allVrs].sort())
    expect([...strings, ...texts, ...numbers, ...bulk, 'AT'].sort()).toEqual([...allVrs].sort())
  })

  it.each(vrs)('has the length, words and pad of %s', (vr) => {
    expect(representation(vr)).toMatchObject({
      lengthBytes: longVrs.includes(vr) ? 4 : 2,
      wordBytes: wordBytes[vr] ?? 1,
      pad: nulPadded.includes(vr) ? 0 : 0x20,
    })
  })

  it('finds a VR by its two bytes, and no other', () => {
    for (const vr of vrs) expect(vrOfCode((vr.charCodeAt(0) << 8) | vr.charCodeAt(1))).toBe(vr)
    for (const name of ['ZZ', 'ob', '  ', '\0\0', 'BO']) {
      expect(vrOfCode((name.charCodeAt(0) << 8) | name.charCodeAt(1))).toBeUndefined()
    }
  })

  it('subjects to the character set SH LO ST LT PN UC UT', () => {
    expect(vrs.filter((vr) => representation(vr).charset).sort()).toEqual(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT'])
  })
})

describe('reading strings', () => {
  it.each(strings)('of VR %s splits them at backslashes', (vr) => {
    expect(decode(vr, 'A\\B')).toEqual(['A', 'B'])
    expect(decode(vr, 'A')).toEqual(['A'])
  })

  it('case 102: splits LO and not LT', () => {
    expect(decode('LO', 'A\\B ')).toEqual(['A', 'B'])
    expect(decode('LT', 'A\\B ')).toEqual(['A\\B'])
  })

  it('case 103: has an empty value between others as undefined', () => {
    expect(decode('LO', 'A\\\\C')).toEqual(['A', undefined, 'C'])
    expect(decode('LO', '\\C')).toEqual([undefined, 'C'])
    expect(decode('CS', 'A\\ ')).toEqual(['A', undefined])
    expect(decode('PN', '\\')).toEqual([undefined, undefined])
  })

  it.each([...strings, ...texts])('of VR %s that are nothing but padding gives no value', (vr) => {
    for (const text of ['', ' ', '  ', '\0', '\0\0', ' \0']) expect(decode(vr, text)).toEqual([])
  })

  it('cuts spaces on both sides of AE AS CS DS IS LO PN SH, and UI', () => {
    for (const vr of ['AE', 'AS', 'CS', 'DS', 'IS', 'LO', 'PN', 'SH', 'UI'] as const) {
      expect(decode(vr, '  A B \\ C ')).toEqual(['A B', 'C'])
    }
  })

  it('cuts spaces only behind DA DT TM UC', () => {
    for (const vr of ['DA', 'DT', 'TM', 'UC'] as const) expect(decode(vr, ' A B  \\ C ')).toEqual([' A B', ' C'])
  })

  it.each(texts)('of VR %s cuts spaces only behind them, and keeps line ends', (vr) => {
    expect(decode(vr, '  A\r\nB \\ C\r\n  ')).toEqual(['  A\r\nB \\ C\r\n'])
  })

  it.each([...strings, ...texts])('of VR %s cuts NULs behind them', (vr) => {
    expect(decode(vr, 'A\0')).toEqual(['A'])
    expect(decode(vr, 'A\0 \0')).toEqual(['A'])
  })

  it('case 110: cuts the NUL of UI', () => {
    expect(decode('UI', '1.2.3\0')).toEqual(['1.2.3'])
    expect(decode('UI', '1.2\\1.3\0')).toEqual(['1.2', '1.3'])
  })

  it('case 108: leaves DS and IS as they were written', () => {
    expect(decode('DS', ' 1.50 ')).toEqual(['1.50'])
    expect(decode('DS', '1,5 ')).toEqual(['1,5'])
    expect(decode('IS', '+007')).toEqual(['+007'])
  })

  it('case 105: keeps the groups of a name', () => {
    const utf8 = CharacterSet.of(['ISO_IR 192'])
    const name = 'Yamada^Tarou=山田^太郎=やまだ^たろう'
    expect(decodeValues('PN', Buffer.from(name), utf8)).toEqual([name])
    expect(decodeValues('PN', Buffer.from('=山田^太郎'), utf8)).toEqual(['=山田^太郎'])
  })

  it('cases 116 and 117: asks the character set where values end', () => {
    const japanese = hex('1b24423b3345441b28425e1b244242404f3a1b2842')
    expect(decodeValues('PN', japanese, CharacterSet.of(['', 'ISO 2022 IR 87']))).toEqual(['山田^太郎'])
    expect(decodeValues('LO', hex('815c'), CharacterSet.of(['GBK']))).toEqual(['乗'])
    expect(decodeValues('UC', hex('815c5c41'), CharacterSet.of(['GBK']))).toEqual(['乗', 'A'])
  })

  it('does not ask it for VRs of the default repertoire', () => {
    expect(decodeValues('CS', hex('c3a4'), CharacterSet.of(['ISO_IR 192']))).toEqual(['Ã¤'])
    expect(decodeValues('UR', hex('c3a4'), CharacterSet.of(['ISO_IR 192']))).toEqual(['Ã¤'])
  })

  it('reads from the middle of a larger buffer', () => {
    const larger = Buffer.from('....1.2.3\0....', 'latin1')
    expect(decodeValues('UI', larger.subarray(4, 10), ascii)).toEqual(['1.2.3'])
    expect(decodeValues('LO', new Uint8Array(larger.buffer, larger.byteOffset + 4, 5), ascii)).toEqual(['1.2.3'])
  })
})

describe('reading numbers', () => {
  const samples: [Vr, string, Value[]][] = [
    ['US', '0000 0100 ffff', [0, 1, 65_535]],
    ['SS', '0080 ffff ff7f', [-32_768, -1, 32_767]],
    ['UL', '00000000 ffffffff', [0, 4_294_967_295]],
    ['SL', '00000080 ffffffff', [-2_147_483_648, -1]],
    ['FL', '0000c03f 0000807f', [1.5, Infinity]],
    ['FD', '000000000000f83f 000000000000f8ff', [1.5, NaN]],
    ['UV', 'ffffffffffffffff 0100000000000000', [18_446_744_073_709_551_615n, 1n]],
    ['SV', '0000000000000080 ffffffffffffffff', [-9_223_372_036_854_775_808n, -1n]],
    ['AT', '10002000 e07f1000', ['00100020', '7FE00010']],
  ]

  it.each(samples)('of VR %s (%s)', (vr, bytes, values) => {
    expect(decodeValues(vr, hex(bytes), ascii)).toEqual(values)
    expect(Buffer.from(encodeValues(vr, values, ascii)).toString('hex')).toBe(
      hex(bytes).toString('hex').replace('f8ff', 'f87f'),
    )
  })

  it('case 106: reads AT', () => {
    expect(decodeValues('AT', hex('10002000'), ascii)).toEqual(['00100020'])
  })

  it('case 107: reads UV beyond 2^53 exactly', () => {
    expect(decodeValues('UV', hex('ffffffffffffffff'), ascii).map(String)).toEqual(['18446744073709551615'])
  })

  it('leaves out what is less than a value, and reads from any offset', () => {
    expect(decodeValues('UL', hex('01000000 0200'), ascii)).toEqual([1])
    expect(decodeValues('US', hex('01'), ascii)).toEqual([])
    expect(decodeValues('FD', Buffer.concat([hex('00'), hex('000000000000f83f')]).subarray(1), ascii)).toEqual([1.5])
  })

  it.each(bulk)('does not read %s', (vr) => {
    expect(decodeValues(vr, hex('0102030405060708'), ascii)).toEqual([])
    expect(() => encodeValues(vr, ['1'], ascii)).toThrow(InvalidValueError)
  })
})

describe('writing values', () => {
  it('joins strings by backslashes and pads them', () => {
    expect(encode('LO', 'A', 'B')).toBe('A\\B ')
    expect(encode('UI', '1.2', '1.3')).toBe('1.2\\1.3\0')
    expect(encode('CS', 'A', undefined, 'C')).toBe('A\\\\C')
    expect(encode('IS', 12)).toBe('12')
    expect(encode('DS', 1.5, '2')).toBe('1.5\\2 ')
  })

  it('has nothing for an empty text', () => {
    for (const vr of [...strings, ...texts]) {
      expect(encode(vr, undefined)).toBe('')
      expect(encode(vr, '')).toBe('')
    }
  })

  it('pads to even length by the pad of the VR', () => {
    for (const vr of vrs) {
      expect(pad(vr, Buffer.of(1))).toEqual(Uint8Array.of(1, nulPadded.includes(vr) ? 0 : 0x20))
      const even = Buffer.of(1, 2)
      expect(pad(vr, even)).toBe(even)
    }
  })

  it('in the character set, where it applies', () => {
    const latin = CharacterSet.of(['ISO_IR 100'])
    expect(Buffer.from(encodeValues('PN', ['Müller'], latin)).toString('hex')).toBe('4dfc6c6c6572')
    expect(() => encodeValues('PN', ['山'], latin)).toThrow(UnencodableTextError)
    expect(() => encodeValues('LO', ['A\\B'], latin)).toThrow(UnencodableTextError)
    expect(Buffer.from(encodeValues('LT', ['A\\B'], latin)).toString()).toBe('A\\B ')
    for (const vr of ['CS', 'UI', 'UR', 'DA'] as const)
      expect(() => encodeValues(vr, ['ü'], latin)).toThrow(InvalidValueError)
  })

  const impossible: [Vr, Value[]][] = [
    ['US', [-1, 65_536, 1.5, 'x', '', ' ', undefined, NaN, Infinity, '1-2', 1n << 16n]],
    ['SS', [-32_769, 32_768, '', 'x']],
    ['UL', [-1, 2 ** 32, '1e3', undefined]],
    ['SL', [-(2 ** 31) - 1, 2 ** 31]],
    ['UV', [-1, 1n << 64n, 1.5, 'x', '', undefined]],
    ['SV', [-(1n << 63n) - 1n, 1n << 63n, 'x']],
    ['FL', ['x', '', undefined, '1,5']],
    ['FD', ['x', ' ', undefined]],
    ['AT', ['', '1234', 'PatientID', '001000200', '0010002G', undefined]],
  ]

  it.each(impossible)('of VR %s refuses what is none', (vr, values) => {
    for (const value of values) expect(() => encode(vr, value), String(value)).toThrow(InvalidValueError)
  })

  it('names the VR in its error, and not the value, which may be patient data', () => {
    const refusal = (vr: Vr, value: string): unknown => {
      try {
        return encode(vr, value)
      } catch (error) {
        return error
      }
    }
    for (const vr of ['US', 'UV', 'FD', 'AT', 'OB', 'UI'] as const) {
      expect(refusal(vr, 'Müller')).toMatchObject({ code: 'VALUE_NOT_OF_VR', vr })
      expect(String(refusal(vr, 'Müller'))).not.toContain('Müller')
    }
  })

  it('takes numbers as text too', () => {
    expect(decode('US', encode('US', ' 7 ', '+8', 9n))).toEqual([7, 8, 9])
    expect(decode('SV', encode('SV', '-9223372036854775808'))).toEqual([-(1n << 63n)])
    expect(decode('FD', encode('FD', '1.5e3', 'NaN', '-Infinity'))).toEqual([1500, NaN, -Infinity])
    expect(decode('AT', encode('AT', '7fe00010'))).toEqual(['7FE00010'])
  })

  it('gives back what was written', () => {
    const word = fc.stringMatching(/^[!-[\]-~]([ -[\]-~]{0,14}[!-[\]-~])?$/)
    fc.assert(
      fc.property(
        fc.constantFrom(...strings),
        fc.array(fc.option(word, { nil: undefined }), { minLength: 2 }),
        (vr, values) => {
          expect(decode(vr, encode(vr, ...values))).toEqual(values)
        },
      ),
    )
    const line = fc.stringMatching(/^[ -~]{0,30}[!-~]$/)
    fc.assert(
      fc.property(fc.constantFrom(...texts), line, (vr, value) => {
        expect(decode(vr, encode(vr, value))).toEqual([value])
      }),
    )
  })

  it('gives back the numbers that were written', () => {
    const ranges: [Vr, bigint, bigint][] = [
      ['US', 0n, 0xffffn],
      ['SS', -0x8000n, 0x7fffn],
      ['UL', 0n, 0xffff_ffffn],
      ['SL', -0x8000_0000n, 0x7fff_ffffn],
      ['UV', 0n, (1n << 64n) - 1n],
      ['SV', -(1n << 63n), (1n << 63n) - 1n],
    ]
    for (const [vr, min, max] of ranges) {
      fc.assert(
        fc.property(fc.array(fc.bigInt({ min, max })), (values) => {
          expect(decode(vr, encode(vr, ...values)).map((value) => BigInt(value!))).toEqual(values)
        }),
      )
    }
    const floats = fc.oneof(
      fc.tuple(fc.constant<Vr>('FD'), fc.array(fc.double())),
      fc.tuple(fc.constant<Vr>('FL'), fc.array(fc.float())),
    )
    fc.assert(
      fc.property(floats, ([vr, values]) => {
        expect(decode(vr, encode(vr, ...values))).toEqual(values)
      }),
    )
  })
})
