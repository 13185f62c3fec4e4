import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import { drawOverlays } from '../../../src/imaging/draw/draw-overlays.ts'
import type { Overlay } from '../../../src/imaging/draw/overlay.ts'
import { MAX_OVERLAY_BYTES, OVERLAYS, readOverlays } from '../../../src/imaging/draw/read-overlays.ts'
import { setOverlay } from '../../support/image-attributes.ts'
import { description } from '../made-images.ts'

// What DCMTK draws too is in draw-against-dcmtk.test.ts.

const image = description({ rows: 3, columns: 4, bitsAllocated: 16, bitsStored: 12 })

/** An overlay of three rows by four columns, of which the first bits are set as in `bits`. */
function header(change: (dataset: Dataset) => unknown = () => undefined, bits = Buffer.of(0b1001, 0b0100)): Dataset {
  const dataset = setOverlay(new Dataset(), { rows: 3, columns: 4, bits })
  change(dataset)
  return dataset
}

/** With data from the header itself. */
const overlaysOf = (dataset: Dataset, frame = 1, of = image, inSamples = true): Promise<readonly Overlay[]> =>
  readOverlays(dataset, { frame, image: of, inSamples }, async (tag, from, to) => {
    const value = dataset.get(tag)?.value
    return value instanceof Uint8Array ? value.subarray(from, to) : new Uint8Array(0)
  })

interface Drawn {
  readonly frame?: number
  readonly channels?: 1 | 3
  readonly of?: typeof image
  readonly pixels?: Buffer
}

/** What is white of a grey picture. */
async function drawn(
  dataset: Dataset,
  { frame = 1, channels = 1, of = image, pixels = Buffer.alloc(24) }: Drawn = {},
): Promise<string> {
  const { rows, columns } = of
  const picture: Picture = { width: columns, height: rows, channels, data: Buffer.alloc(rows * columns * channels, 7) }
  drawOverlays(picture, await overlaysOf(dataset, frame, of), pixels, of)
  const shades = Array.from({ length: rows * columns }, (_, n) => [
    ...picture.data.subarray(n * channels, (n + 1) * channels),
  ])
  const signs = shades.map((one) =>
    one.every((shade) => shade === 255) ? '#' : one.every((shade) => shade === 7) ? '.' : '?',
  )
  return Array.from({ length: rows }, (_, row) => signs.slice(row * columns, (row + 1) * columns).join('')).join('/')
}

describe('an overlay', () => {
  it.each([1, 3] as const)('is white where it is set, in a picture of %i channels', async (channels) => {
    expect(await drawn(header(), { channels })).toBe('#..#/..../..#.')
  })

  it('begins at its origin, which may be outside, and ends with the image', async () => {
    const at = (row: number, column: number): Promise<string> =>
      drawn(header((d) => d.set(Attribute.OverlayOrigin, [row, column])))
    expect(await at(2, 2)).toBe('..../.#../....')
    expect(await at(0, -1)).toBe('..../#.../....')
    expect(await at(-5, 1)).toBe('..../..../....')
    expect(await at(1, 5)).toBe('..../..../....')
  })

  it('without an origin begins in the first pixel', async () => {
    expect(await drawn(header((d) => d.delete(Attribute.OverlayOrigin)))).toBe('#..#/..../..#.')
  })

  it('with an origin that is no number begins in the first pixel', async () => {
    const strange = header((d) => d.put(Attribute.OverlayOrigin, { vr: 'LO', value: Buffer.from('here\\1.5') }))
    expect(await drawn(strange)).toBe('#..#/..../..#.')
    const wide = description({ rows: 60_000, columns: 1 })
    strange.set(Attribute.OverlayRows, 60_000).set(Attribute.OverlayColumns, 16_384)
    await expect(overlaysOf(strange, 1, wide)).rejects.toThrow(UnusableImageError)
  })

  it('may be smaller than the image', async () => {
    const small = header((d) => d.set(Attribute.OverlayRows, 2).set(Attribute.OverlayColumns, 2), Buffer.of(0b0110))
    expect(await drawn(small)).toBe('.#../#.../....')
  })

  it('may be in any of 16 groups, several at once', async () => {
    const dataset = header()
    for (const [tag, element] of [...header(undefined, Buffer.of(0, 0b1000)).entries()]) {
      dataset.put(tag + 0x001e_0000, element)
    }
    expect(await drawn(dataset)).toBe('#..#/..../..##')
    expect(OVERLAYS).toContain(0x601e0010)
    expect(OVERLAYS).toHaveLength(16 * 9)
  })

  it('of a region of interest is not drawn: it would hide what is of interest', async () => {
    expect(await drawn(header((d) => d.set(Attribute.OverlayType, 'R')))).toBe('..../..../....')
  })

  it('of the active area of an image is not drawn either', async () => {
    const area = header((d) => d.set(Attribute.OverlaySubtype, 'ACTIVE IMAGE AREA'))
    expect(await drawn(area)).toBe('..../..../....')
    expect(await drawn(header((d) => d.set(Attribute.OverlaySubtype, 'USER')))).toBe('#..#/..../..#.')
  })

  it('without a type is drawn', async () => {
    expect(await drawn(header((d) => d.delete(Attribute.OverlayType)))).toBe('#..#/..../..#.')
  })

  it.each<[string, (dataset: Dataset) => unknown]>([
    ['rows', (d) => d.delete(Attribute.OverlayRows)],
    ['columns', (d) => d.set(Attribute.OverlayColumns, 0)],
    ['data', (d) => d.delete(Attribute.OverlayData)],
    ['data in its data', (d) => d.put(Attribute.OverlayData, { vr: 'OW', value: Buffer.alloc(0) })],
  ])('without %s is none', async (_, change) => {
    expect(await overlaysOf(header(change), 1, image)).toEqual([])
  })

  it('that is cut is drawn as far as it goes', async () => {
    expect(await drawn(header(undefined, Buffer.of(0b1001)))).toBe('#..#/..../....')
  })
})

describe('the data of overlays', () => {
  it('is in a buffer of its own, which holds one plane', async () => {
    const many = Buffer.alloc(10_000, 0xff)
    const [overlay] = await overlaysOf(
      header((d) => d.set(Attribute.NumberOfFramesInOverlay, 1000), many),
      3,
    )
    const { plane } = overlay!
    if (plane.kind !== 'bits') throw new Error('It is not in bits')
    expect([plane.bits.length, plane.bits.buffer.byteLength]).toEqual([2, 2])
  })

  it('is read up to the lower edge of the image', async () => {
    const asked: number[][] = []
    const tall = header((d) => d.set(Attribute.OverlayRows, 65_535).set(Attribute.OverlayOrigin, [2, 1]))
    await readOverlays(tall, { frame: 1, image, inSamples: true }, async (_, from, to) => {
      asked.push([from, to])
      return new Uint8Array(0)
    })
    expect(asked).toEqual([[0, 1]])
  })

  it('is refused before it is read where it is too much', async () => {
    const wide = description({ rows: 60_000, columns: 1 })
    const at = (rows: number): Dataset =>
      header((d) => d.set(Attribute.OverlayRows, rows).set(Attribute.OverlayColumns, 16_384))
    const most = (MAX_OVERLAY_BYTES * 8) / 16_384
    await expect(overlaysOf(at(most), 1, wide)).resolves.toHaveLength(1)
    await expect(overlaysOf(at(most + 1), 1, wide)).rejects.toThrow(UnusableImageError)
  })

  it('of 16 groups takes no longer than it has bits, whatever it says of their size', async () => {
    const dataset = new Dataset()
    for (let group = 0; group <= 0x001e_0000; group += 0x0002_0000) {
      for (const [tag, element] of header((d) =>
        d.set(Attribute.OverlayColumns, 65_535).set(Attribute.OverlayOrigin, [-32_768, -32_768]),
      ).entries()) {
        dataset.put(tag + group, element)
      }
    }
    expect(await drawn(dataset)).toBe('..../..../....')
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
  const frames = (dataset: Dataset): Promise<string[]> =>
    Promise.all([1, 2, 3, 4].map((frame) => drawn(dataset, { frame })))
  const [none, first, second] = ['..../..../....', '#.../..../....', '.#../..../...#']

  it('are over the frames from the first on, unless told otherwise', async () => {
    expect(await frames(two(undefined, 2))).toEqual([first, second, none, none])
    expect(await frames(two(2, 2))).toEqual([none, first, second, none])
    expect(await frames(two(3, 1))).toEqual([none, none, first, none])
  })

  it('are one over all frames where neither is told, and one over one where the frame is', async () => {
    expect(await frames(two())).toEqual([first, first, first, first])
    expect(await frames(two(2))).toEqual([none, first, none, none])
  })

  it('are one over all frames where they begin with the first and are not counted, or are counted as none', async () => {
    const all = [first, first, first, first]
    expect(await frames(two(1))).toEqual(all)
    expect(await frames(two(undefined, 0))).toEqual(all)
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

  it('is the bit that it names', async () => {
    expect(await drawn(embedded(14), { pixels })).toBe('.#../..../....')
    expect(await drawn(embedded(12), { pixels })).toBe('..#./..../....')
  })

  it('may be below the values', async () => {
    const of = description({ rows: 3, columns: 4, bitsAllocated: 16, bitsStored: 12, highBit: 15 })
    expect(await drawn(embedded(0), { pixels, of })).toBe('.##./..../....')
  })

  it.each([
    ['a bit of the values', embedded(11), image],
    ['the signs above signed values', embedded(15), { ...image, signed: true }],
    ['a bit beyond the samples', embedded(16), image],
    ['samples of another size', embedded(14, 8), image],
    [
      'colours',
      embedded(14),
      description({ rows: 3, columns: 4, samplesPerPixel: 3, bitsAllocated: 16, bitsStored: 12 }),
    ],
    ['an image that is smaller', embedded(14), description({ ...image, columns: 3 })],
  ])('is none in %s', async (_, dataset, of) => {
    expect(await overlaysOf(dataset, 1, of)).toEqual([])
  })

  it('is none where the samples are not as they were stored', async () => {
    expect(await overlaysOf(embedded(14), 1, image, false)).toEqual([])
  })

  it('may be smaller than the image', async () => {
    const small = embedded(14).set(Attribute.OverlayRows, 2).set(Attribute.OverlayColumns, 2)
    const all = Buffer.alloc(24)
    for (let n = 0; n < 12; n++) all.writeUInt16LE(0x4000, 2 * n)
    expect(await drawn(small, { pixels: all })).toBe('##../##../....')
  })
})
