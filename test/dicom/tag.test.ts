import { describe, expect, it } from 'vitest'
import {
  elementOf,
  formatTag,
  groupOf,
  isGroupLength,
  isPrivate,
  isPrivateCreator,
  ITEM,
  parseTag,
  privateBlock,
  tag,
} from '../../src/dicom/tag.ts'

describe('a tag', () => {
  it('is unsigned, with the group in the high half', () => {
    expect(tag(0x0010, 0x0020)).toBe(0x00100020)
    expect(tag(0xfffe, 0xe000)).toBe(ITEM)
    expect(tag(0xffff, 0xffff)).toBe(0xffffffff)
    expect([groupOf(ITEM), elementOf(ITEM)]).toEqual([0xfffe, 0xe000])
  })

  it('is written as eight upper-case hexadecimal digits', () => {
    expect(formatTag(0x00100020)).toBe('00100020')
    expect(formatTag(0x7fe00010)).toBe('7FE00010')
    expect(formatTag(0)).toBe('00000000')
  })

  it('is read from eight hexadecimal digits of either case, and from nothing else', () => {
    expect(parseTag('7FE00010')).toBe(0x7fe00010)
    expect(parseTag('fffee00d')).toBe(0xfffee00d)
    for (const text of ['', '0010002', '001000200', '0010,0020', '0x100020', ' 0010020', '0010002g', 'PatientID']) {
      expect(parseTag(text)).toBeUndefined()
    }
  })

  it('is private in odd groups above 0008, but not in FFFF', () => {
    for (const t of [0x00090010, 0x00091001, 0x7fe10010, 0xfffd0010]) expect(isPrivate(t)).toBe(true)
    for (const t of [0x00080010, 0x00010010, 0x00030010, 0x00070010, 0xffff0010, 0x7fe00010])
      expect(isPrivate(t)).toBe(false)
  })

  it('is a private creator from (gggg,0010) to (gggg,00FF)', () => {
    for (const t of [0x00090010, 0x000900ff, 0x7fe10010]) expect(isPrivateCreator(t)).toBe(true)
    for (const t of [0x0009000f, 0x00090100, 0x00091010, 0x00080010, 0x00070010])
      expect(isPrivateCreator(t)).toBe(false)
  })

  it('is of the block that its creator reserves, in its own group', () => {
    expect(privateBlock(0x00091001)).toBe(privateBlock(0x00090010))
    expect(privateBlock(0x0009ff42)).toBe(privateBlock(0x000900ff))
    expect(privateBlock(0x00091101)).not.toBe(privateBlock(0x00090010))
    expect(privateBlock(0x000b1001)).not.toBe(privateBlock(0x00090010))
    expect([0x00080010, 0x00010010].map(privateBlock)).toEqual([undefined, undefined])
  })

  it('is a group length at (gggg,0000)', () => {
    for (const t of [0, 0x00020000, 0x00090000, 0x7fe00000]) expect(isGroupLength(t)).toBe(true)
    for (const t of [0x00020001, 0x00100010]) expect(isGroupLength(t)).toBe(false)
  })
})
