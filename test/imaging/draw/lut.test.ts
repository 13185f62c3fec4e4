import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import { lookUp, readDescriptor, readEntries } from '../../../src/imaging/draw/lut.ts'

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  values.forEach((value, n) => bytes.writeUInt16LE(value & 0xffff, 2 * n))
  return bytes
}

const tableOf = (descriptor: readonly number[], data: Buffer, vr: 'US' | 'SS' = 'US'): Dataset =>
  new Dataset()
    .put(Attribute.LUTDescriptor, { vr, value: words(...descriptor) })
    .put(Attribute.LUTData, { vr: 'OW', value: data })

describe('the descriptor of a lookup table', () => {
  it.each([
    [[256, 0, 8], false, { count: 256, first: 0, bits: 8 }],
    [[0, 0, 16], false, { count: 65_536, first: 0, bits: 16 }],
    [[40_000, 50_000, 12], false, { count: 40_000, first: 50_000, bits: 12 }],
    [[40_000, 50_000, 12], true, { count: 40_000, first: -15_536, bits: 12 }],
    [[4096, -1024, 16], true, { count: 4096, first: -1024, bits: 16 }],
  ] as const)('%j is read by the sign of what goes in (%s), whatever VR it has', (descriptor, signed, expected) => {
    for (const vr of ['US', 'SS'] as const) {
      const dataset = tableOf(descriptor, Buffer.alloc(0), vr)
      expect(readDescriptor(dataset, Attribute.LUTDescriptor, signed)).toEqual(expected)
    }
  })

  it('is none where one of its values is not there', () => {
    expect(readDescriptor(new Dataset(), Attribute.LUTDescriptor, false)).toBeUndefined()
    expect(readDescriptor(tableOf([256, 0], Buffer.alloc(0)), Attribute.LUTDescriptor, false)).toBeUndefined()
  })

  it.each([0, 17, 65_535])('is refused with %i bits', (bits) => {
    const dataset = tableOf([256, 0, bits], Buffer.alloc(0))
    expect(() => readDescriptor(dataset, Attribute.LUTDescriptor, false)).toThrow(UnusableImageError)
  })
})

describe('the entries of a lookup table', () => {
  it('are words in Little Endian', () => {
    const dataset = tableOf([3, 0, 16], words(1, 0x1234, 0xffff))
    const lut = readEntries(dataset, Attribute.LUTData, { count: 3, first: 7, bits: 16 })
    expect(lut).toEqual({ first: 7, bits: 16, entries: Uint16Array.of(1, 0x1234, 0xffff) })
  })

  it('are words where 8 bits are in words', () => {
    const dataset = tableOf([3, 0, 8], words(1, 2, 255))
    const lut = readEntries(dataset, Attribute.LUTData, { count: 3, first: 0, bits: 8 })
    expect([...lut.entries]).toEqual([1, 2, 255])
  })

  it.each([3, 4])('are bytes where 8 bits are packed two in a word, %i of them', (count) => {
    const dataset = tableOf([count, 0, 8], Buffer.of(9, 8, 7, 6))
    const lut = readEntries(dataset, Attribute.LUTData, { count, first: 0, bits: 8 })
    expect([...lut.entries]).toEqual([9, 8, 7, 6].slice(0, count))
  })

  it('can be 65536', () => {
    const data = words(...Array.from({ length: 65_536 }, (_, n) => 65_535 - n))
    const lut = readEntries(tableOf([0, 0, 16], data), Attribute.LUTData, { count: 65_536, first: 0, bits: 16 })
    expect(lut.entries.length).toBe(65_536)
    expect(lookUp(lut, 65_535)).toBe(0)
    expect(lookUp(lut, 1)).toBe(65_534)
  })

  it.each([
    ['words', 16, 5],
    ['bytes', 8, 2],
  ])('are refused where there are too few %s', (_, bits, length) => {
    const dataset = tableOf([3, 0, bits], Buffer.alloc(length))
    const descriptor = { count: 3, first: 0, bits }
    expect(() => readEntries(dataset, Attribute.LUTData, descriptor)).toThrow(UnusableImageError)
    expect(() => readEntries(new Dataset(), Attribute.LUTData, descriptor)).toThrow(UnusableImageError)
  })
})

describe('looking up a value', () => {
  const lut = { first: -2, bits: 16, entries: Uint16Array.of(10, 20, 30, 40) }

  it.each([
    [-100, 10],
    [-3, 10],
    [-2, 10],
    [-1, 20],
    [0, 30],
    [0.4, 30],
    [0.6, 40],
    [1, 40],
    [2, 40],
    [1e9, 40],
  ])('%f has the entry %i: the first below, the last above', (value, entry) => {
    expect(lookUp(lut, value)).toBe(entry)
  })
})
