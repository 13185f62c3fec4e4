import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import type { Picture } from '../../src/imaging/draw-frame.ts'
import { drawOverlays, OVERLAYS, readOverlays } from '../../src/imaging/overlay.ts'
import { description } from './made-images.ts'

// What DCMTK draws too is in draw-against-dcmtk.test.ts.

const image = description({ rows: 3, columns: 4, bitsAllocated: 16, bitsStored: 12 })

/** An overlay of three rows by four columns, of which the first bits are set as in `bits`. */
function header(change: (dataset: Dataset) => unknown = () => undefined, bits = Buffer.of(0b1001, 0b0100)): Dataset {
  const dataset = new Dataset()
    .set(Attribute.OverlayRows, 3)
    .set(Attribute.OverlayColumns, 4)
    .set(Attribute.OverlayType, 'G')
    .set(Attribute.OverlayOrigin, [1, 1])
    .set(Attribute.OverlayBitsAllocated, 1)
    .set(Attribute.OverlayBitPosition, 0)
    .put(Attribute.OverlayData, { vr: 'OW', value: bits })
  change(dataset)
  return dataset
}

interface Drawn {
  readonly frame?: number
  readonly channels?: 1 | 3
  readonly of?: typeof image
  readonly pixels?: Buffer
}

/** What is white of a grey picture. */
function drawn(
  dataset: Dataset,
  { frame = 1, channels = 1, of = image, pixels = Buffer.alloc(24) }: Drawn = {},
): string {
  const { rows, columns } = of
  const picture: Picture = { width: columns, height: rows, channels, data: Buffer.alloc(rows * columns * channels, 7) }
  drawOverlays(picture, readOverlays(dataset, frame, of), pixels, of)
  const shades = Array.from({ length: rows * columns }, (_, n) => [
    ...picture.data.subarray(n * channels, (n + 1) * channels),
  ])
  const signs = shades.map((one) =>
    one.every((shade) => shade === 255) ? '#' : one.every((shade) => shade === 7) ? '.' : '?',
  )
  return Array.from({ length: rows }, (_, row) => signs.slice(row * columns, (row + 1) * columns).join('')).join('/')
}

describe('an overlay', () => {
  it.each([1, 3] as const)('is white where it is set, in a picture of %i channels', (channels) => {
    expect(drawn(header(), { channels })).toBe('#..#/..../..#.')
  })

  it('begins at its origin, which may be outside, and ends with the image', () => {
    const at = (row: number, column: number): string =>
      drawn(header((d) => d.set(Attribute.OverlayOrigin, [row, column])))
    expect(at(2, 2)).toBe('..../.#../....')
    expect(at(0, -1)).toBe('..../#.../....')
    expect(at(-5, 1)).toBe('..../..../....')
    expect(at(1, 5)).toBe('..../..../....')
  })

  it('without an origin begins in the first pixel', () => {
    expect(drawn(header((d) => d.delete(Attribute.OverlayOrigin)))).toBe('#..#/..../..#.')
  })

  it('may be smaller than the image', () => {
    const small = header((d) => d.set(Attribute.OverlayRows, 2).set(Attribute.OverlayColumns, 2), Buffer.of(0b0110))
    expect(drawn(small)).toBe('.#../#.../....')
  })

  it('may be in any of 16 groups, several at once', () => {
    const dataset = header()
    for (const [tag, element] of [...header(undefined, Buffer.of(0, 0b1000)).entries()]) {
      dataset.put(tag + 0x001e_0000, element)
    }
    expect(drawn(dataset)).toBe('#..#/..../..##')
    expect(OVERLAYS).toContain(0x601e3000)
    expect(OVERLAYS).toHaveLength(16 * 9)
  })

  it('of a region of interest is not drawn: it would hide what is of interest', () => {
    expect(drawn(header((d) => d.set(Attribute.OverlayType, 'R')))).toBe('..../..../....')
  })

  it('without a type is drawn', () => {
    expect(drawn(header((d) => d.delete(Attribute.OverlayType)))).toBe('#..#/..../..#.')
  })

  it.each<[string, (dataset: Dataset) => unknown]>([
    ['rows', (d) => d.delete(Attribute.OverlayRows)],
    ['columns', (d) => d.set(Attribute.OverlayColumns, 0)],
    ['data', (d) => d.delete(Attribute.OverlayData)],
    ['data in its data', (d) => d.put(Attribute.OverlayData, { vr: 'OW', value: Buffer.alloc(0) })],
  ])('without %s is none', (_, change) => {
    expect(readOverlays(header(change), 1, image)).toEqual([])
  })

  it('that is cut is drawn as far as it goes', () => {
    expect(drawn(header(undefined, Buffer.of(0b1001)))).toBe('#..#/..../....')
  })
})

describe('planes of an overlay', () => {
  // 24 bits: the second plane begins within a byte.
  const two = (origin?: number, count?: number): Dataset =>
    header(
      (d) => {
        if (origin !== undefined) d.set(Attribute.ImageFrameOrigin, origin)
        if (count !== undefined) d.set(Attribute.NumberOfFramesInOverlay, count)
      },
      Buffer.of(0b0001, 0b0010_0000, 0b1000_0000),
    )
  const frames = (dataset: Dataset): string[] => [1, 2, 3, 4].map((frame) => drawn(dataset, { frame }))
  const [none, first, second] = ['..../..../....', '#.../..../....', '.#../..../...#']

  it('are over the frames from the first on, unless told otherwise', () => {
    expect(frames(two(undefined, 2))).toEqual([first, second, none, none])
    expect(frames(two(2, 2))).toEqual([none, first, second, none])
    expect(frames(two(3, 1))).toEqual([none, none, first, none])
  })

  it('are one over all frames where neither is told, and one over one where the frame is', () => {
    expect(frames(two())).toEqual([first, first, first, first])
    expect(frames(two(2))).toEqual([none, first, none, none])
  })
})

describe('an overlay in the samples of the image', () => {
  const embedded = (position: number, allocated = 16): Dataset =>
    header((d) => {
      d.delete(Attribute.OverlayData)
      d.set(Attribute.OverlayBitsAllocated, allocated).set(Attribute.OverlayBitPosition, position)
    })
  const pixels = Buffer.alloc(24)
  pixels.writeUInt16LE(0x4fff, 2)
  pixels.writeUInt16LE(0xb001, 4)

  it('is the bit that it names', () => {
    expect(drawn(embedded(14), { pixels })).toBe('.#../..../....')
    expect(drawn(embedded(12), { pixels })).toBe('..#./..../....')
  })

  it('may be below the values', () => {
    const of = description({ rows: 3, columns: 4, bitsAllocated: 16, bitsStored: 12, highBit: 15 })
    expect(drawn(embedded(0), { pixels, of })).toBe('.##./..../....')
  })

  it.each([
    ['a bit of the values', embedded(11), image],
    ['a bit beyond the samples', embedded(16), image],
    ['samples of another size', embedded(14, 8), image],
    [
      'colours',
      embedded(14),
      description({ rows: 3, columns: 4, samplesPerPixel: 3, bitsAllocated: 16, bitsStored: 12 }),
    ],
    ['an image of another size', embedded(14), description({ ...image, columns: 3 })],
  ])('is none in %s', (_, dataset, of) => {
    expect(readOverlays(dataset, 1, of)).toEqual([])
  })
})
