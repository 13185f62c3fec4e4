import { describe, expect, it } from 'vitest'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  encapsulatedSyntaxes,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  isKnownTransferSyntax,
  isNative,
  isWebSyntax,
  transferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { isUid } from '../../src/dicom/uids.ts'

const PREFIX = '1.2.840.10008.1.2'

describe('a transfer syntax', () => {
  it.each([
    ['', IMPLICIT_VR_LITTLE_ENDIAN, { explicit: false, bigEndian: false, deflated: false }],
    ['.1', EXPLICIT_VR_LITTLE_ENDIAN, { explicit: true, bigEndian: false, deflated: false }],
    ['.1.99', DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, { explicit: true, bigEndian: false, deflated: true }],
    ['.2', EXPLICIT_VR_BIG_ENDIAN, { explicit: true, bigEndian: true, deflated: false }],
  ])('1.2.840.10008.1.2%s is native', (suffix, syntax, encoding) => {
    expect(transferSyntax(PREFIX + suffix)).toBe(syntax)
    expect(syntax).toMatchObject({ ...encoding, encapsulated: false, lossy: false })
    expect(isNative(syntax)).toBe(true)
    expect(isKnownTransferSyntax(syntax.uid)).toBe(true)
  })

  it.each(encapsulatedSyntaxes)('$uid, $name, is encapsulated Explicit VR Little Endian', (syntax) => {
    expect(transferSyntax(syntax.uid)).toBe(syntax)
    expect(isUid(syntax.uid)).toBe(true)
    expect(syntax).toMatchObject({ explicit: true, bigEndian: false, deflated: false, encapsulated: true })
    expect(isNative(syntax)).toBe(false)
    expect(isWebSyntax(syntax)).toBe(true)
  })

  it('is in the table once', () => {
    const uids = encapsulatedSyntaxes.map(({ uid }) => uid)
    expect(new Set(uids).size).toBe(uids.length)
  })

  it('may have changed pixels in the lossy ones only', () => {
    const lossless = '.4.70 .4.90 .4.80 .5 .4.57 .4.201 .4.202 .4.110 .4.92 .1.98 .8.1'
      .split(' ')
      .map((suffix) => PREFIX + suffix)
    expect(
      encapsulatedSyntaxes
        .filter(({ lossy }) => !lossy)
        .map(({ uid }) => uid)
        .sort(),
    ).toEqual(lossless.sort())
  })

  it('that nobody knows is passed on as encapsulated', () => {
    for (const uid of [`${PREFIX}.4.100.1`, `${PREFIX}.4.52`, '1.2.3']) {
      expect(isKnownTransferSyntax(uid)).toBe(false)
      expect(transferSyntax(uid)).toMatchObject({
        uid,
        explicit: true,
        bigEndian: false,
        deflated: false,
        encapsulated: true,
        lossy: true,
      })
      expect(isNative(transferSyntax(uid))).toBe(false)
    }
  })

  it('of Implicit VR or Big Endian does not leave in a web response', () => {
    expect(isWebSyntax(IMPLICIT_VR_LITTLE_ENDIAN)).toBe(false)
    expect(isWebSyntax(EXPLICIT_VR_BIG_ENDIAN)).toBe(false)
    expect(isWebSyntax(EXPLICIT_VR_LITTLE_ENDIAN)).toBe(true)
    expect(isWebSyntax(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)).toBe(true)
  })
})

describe('a UID', () => {
  it('is digits and dots, at most 64 of them', () => {
    for (const uid of ['1', '1.2.3', '1.02.3', `1.${'2'.repeat(62)}`]) expect(isUid(uid)).toBe(true)
    for (const uid of ['', '.', '1.', '.1', '1..2', '1.a', ' 1.2', '1.2\0', '1.2\n', '*', `1.${'2'.repeat(63)}`])
      expect(isUid(uid)).toBe(false)
  })
})
