import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import { expandSegments, readPalette } from '../../../src/imaging/draw/palette.ts'

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  values.forEach((value, n) => bytes.writeUInt16LE(value & 0xffff, 2 * n))
  return bytes
}

const [DISCRETE, LINEAR, INDIRECT] = [0, 1, 2]

describe('a segmented palette', () => {
  it.each([
    ['discrete', [DISCRETE, 3, 7, 8, 9], 3, [7, 8, 9]],
    ['linear, from what was last', [DISCRETE, 1, 100, LINEAR, 4, 500], 5, [100, 200, 300, 400, 500]],
    ['linear, falling', [DISCRETE, 1, 9, LINEAR, 3, 0], 4, [9, 6, 3, 0]],
    ['linear, rounded', [DISCRETE, 1, 0, LINEAR, 3, 10], 4, [0, 3, 7, 10]],
    ['linear, over all of 16 bits', [DISCRETE, 1, 65_535, LINEAR, 2, 1], 3, [65_535, 32_768, 1]],
    ['flat', [DISCRETE, 1, 5, LINEAR, 3, 5], 4, [5, 5, 5, 5]],
    ['indirect: two segments again', [DISCRETE, 2, 1, 2, LINEAR, 2, 4, INDIRECT, 2, 0, 0], 8, [1, 2, 3, 4, 1, 2, 3, 4]],
    [
      'indirect: a line once more, from another start',
      [DISCRETE, 1, 0, LINEAR, 2, 20, DISCRETE, 1, 40, INDIRECT, 1, 6, 0],
      6,
      [0, 10, 20, 40, 30, 20],
    ],
  ])('of 16 bits has segments that are %s', (_, data, count, expected) => {
    expect([...expandSegments(words(...data), 16, count)]).toEqual(expected)
  })

  it('finds what an indirect segment points to beyond 64 Ki', () => {
    const far = Array.from({ length: 40_000 }, () => 1)
    const offset = 2 * (2 + far.length)
    const data = [DISCRETE, far.length, ...far, DISCRETE, 2, 3, 4, INDIRECT, 1, offset & 0xffff, offset >> 16]
    expect([...expandSegments(words(...data), 16, 40_004).subarray(40_000)]).toEqual([3, 4, 3, 4])
  })

  it('of 8 bits has bytes in place of words', () => {
    const data = Buffer.of(DISCRETE, 2, 10, 20, LINEAR, 3, 50, INDIRECT, 2, 0, 0, 0, 0)
    expect([...expandSegments(data, 8, 10)]).toEqual([10, 20, 30, 40, 50, 10, 20, 30, 40, 50])
  })

  it.each([
    ['a segment', [DISCRETE, 3, 7, 8]],
    ['the end of a line', [DISCRETE, 1, 7, LINEAR, 3]],
    ['the whole', []],
    ['the second segment', [DISCRETE, 1, 7]],
    ['what is pointed to', [DISCRETE, 1, 7, INDIRECT, 1, 5000, 0]],
  ])('is refused when %s is not there', (_, data) => {
    expect(() => expandSegments(words(...data), 16, 8)).toThrow(UnusableImageError)
  })

  it.each([
    ['an unknown kind', [DISCRETE, 1, 7, 3, 1, 0]],
    ['an indirect segment that points to itself', [DISCRETE, 1, 7, INDIRECT, 1, 6, 0]],
    ['an empty segment', [DISCRETE, 0, DISCRETE, 1, 7]],
    ['an empty line', [DISCRETE, 1, 7, LINEAR, 0, 9]],
    ['an indirect segment that repeats nothing', [DISCRETE, 1, 7, INDIRECT, 0, 0, 0]],
  ])('is refused with %s', (_, data) => {
    expect(() => expandSegments(words(...data), 16, 8)).toThrow(UnusableImageError)
  })

  it('is cut where it has more than its descriptor says', () => {
    expect([...expandSegments(words(DISCRETE, 5, 1, 2, 3, 4, 5), 16, 3)]).toEqual([1, 2, 3])
    expect([...expandSegments(words(DISCRETE, 1, 0, LINEAR, 65_535, 65_535), 16, 3)]).toEqual([0, 1, 2])
  })

  it('of anything at all is expanded or refused, and soon', () => {
    const value = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 65_535 }))
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), fc.constantFrom(8, 16), fc.nat(300), (data, bits, count) => {
        try {
          expect(expandSegments(words(...data), bits, count).length).toBe(count)
        } catch (error) {
          expect(error).toBeInstanceOf(UnusableImageError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

const COLOURS = ['Red', 'Green', 'Blue'] as const

/** A palette whose colours have the same descriptor. */
function paletteOf(descriptor: readonly number[], data: (colour: number) => Buffer, segmented = false): Dataset {
  const dataset = new Dataset()
  COLOURS.forEach((colour, n) => {
    const tag = segmented
      ? Attribute[`Segmented${colour}PaletteColorLookupTableData`]
      : Attribute[`${colour}PaletteColorLookupTableData`]
    dataset
      .put(Attribute[`${colour}PaletteColorLookupTableDescriptor`], { vr: 'US', value: words(...descriptor) })
      .put(tag, { vr: 'OW', value: data(n) })
  })
  return dataset
}

describe('a palette', () => {
  it('is none where there is no descriptor', () => {
    expect(readPalette(new Dataset(), false)).toBeUndefined()
  })

  it('has a table of each colour', () => {
    const palette = readPalette(
      paletteOf([2, 0, 16], (colour) => words(colour, 1000 * colour)),
      false,
    )!
    expect([...palette.red.entries]).toEqual([0, 0])
    expect([...palette.green.entries]).toEqual([1, 1000])
    expect([...palette.blue.entries]).toEqual([2, 2000])
  })

  it('has the sign of the pixels in the first value of its tables', () => {
    const dataset = paletteOf([2, 0xfffe, 16], () => words(1, 2))
    expect(readPalette(dataset, true)!.red.first).toBe(-2)
    expect(readPalette(dataset, false)!.red.first).toBe(0xfffe)
  })

  it('is expanded where it is segmented', () => {
    const dataset = paletteOf([4, 0, 16], (colour) => words(DISCRETE, 1, 0, LINEAR, 3, 3000 * colour), true)
    const palette = readPalette(dataset, false)!
    expect([...palette.green.entries]).toEqual([0, 1000, 2000, 3000])
    expect([...palette.blue.entries]).toEqual([0, 2000, 4000, 6000])
  })

  it('is refused where a colour is not there', () => {
    for (const missing of [
      Attribute.GreenPaletteColorLookupTableDescriptor,
      Attribute.BluePaletteColorLookupTableData,
    ]) {
      const dataset = paletteOf([2, 0, 16], () => words(1, 2))
      dataset.delete(missing)
      expect(() => readPalette(dataset, false)).toThrow(UnusableImageError)
    }
  })
})
