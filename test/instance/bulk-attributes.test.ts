import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { INLINE_BYTES, isBulkData, isPixelData } from '../../src/instance/bulk-attributes.ts'
import { allVrs, isVr } from '../support/dicom-bytes.ts'

const vrs = allVrs.filter(isVr)
const BINARY = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']
const PRIVATE = 0x00291010

describe('bulk data', () => {
  it.each(vrs)('of VR %s is what is binary and large', (vr) => {
    const isBinary = BINARY.includes(vr)
    expect(isBulkData({ tag: PRIVATE, vr, length: INLINE_BYTES })).toBe(false)
    expect(isBulkData({ tag: PRIVATE, vr, length: INLINE_BYTES + 1 })).toBe(isBinary)
    expect(isBulkData({ tag: PRIVATE, vr, length: 0xfffffffe })).toBe(isBinary)
    expect(isBulkData({ tag: PRIVATE, vr, length: 0 })).toBe(false)
  })

  it.each([
    ['Pixel Data', 0x7fe00010, 'OW'],
    ['Float Pixel Data', 0x7fe00008, 'OF'],
    ['Double Float Pixel Data', 0x7fe00009, 'OD'],
    ['Waveform Data', 0x54001010, 'OB'],
    ['an encapsulated document', 0x00420011, 'OB'],
    ['an overlay', 0x60003000, 'OW'],
    ['the last overlay', 0x601e3000, 'OB'],
  ] as const)('is %s of any size but none', (_, tag, vr) => {
    expect(isBulkData({ tag, vr, length: 1 })).toBe(true)
    expect(isBulkData({ tag, vr, length: 0 })).toBe(false)
  })

  it.each([
    ['a group behind the overlays', 0x60203000],
    ['a group before them', 0x5ffe3000],
    ['another element of an overlay', 0x60003002],
    ['a palette', 0x00281201],
  ])('is not %s, while it is small', (_, tag) => {
    expect(isBulkData({ tag, vr: 'OW', length: 512 })).toBe(false)
  })

  it('is what is encapsulated, and no sequence of undefined length', () => {
    expect(isBulkData({ tag: Attribute.PixelData, vr: 'OB', length: undefined })).toBe(true)
    expect(isBulkData({ tag: PRIVATE, vr: 'OW', length: undefined })).toBe(true)
    expect(isBulkData({ tag: PRIVATE, vr: 'SQ', length: undefined })).toBe(false)
  })

  it('tells the three forms of pixel data from the tables in front of them', () => {
    const group = Array.from({ length: 0x20 }, (_, element) => 0x7fe00000 + element)
    expect(group.filter(isPixelData)).toEqual([0x7fe00008, 0x7fe00009, 0x7fe00010])
  })
})
