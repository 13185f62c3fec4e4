import { describe, expect, it } from 'vitest'
import { drawFrame } from '../../../src/imaging/draw/draw-frame.ts'
import type { DrawingPlan } from '../../../src/imaging/draw/drawing-plan.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import type { Lut } from '../../../src/imaging/draw/lut.ts'
import { description } from '../made-images.ts'

function drawing(image: Parameters<typeof description>[0], others: Partial<DrawingPlan> = {}): DrawingPlan {
  return {
    image: description({ rows: 1, columns: 4, ...image }),
    float: undefined,
    modality: { kind: 'rescale', slope: 1, intercept: 0 },
    voi: { kind: 'range' },
    inverse: false,
    padding: undefined,
    palette: undefined,
    overlays: [],
    ...others,
  }
}

const shades = (frame: Uint8Array, how: DrawingPlan): number[] => [...drawFrame(frame, how).data]
const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  values.forEach((value, n) => bytes.writeUInt16LE(value & 0xffff, 2 * n))
  return bytes
}

describe('a grey frame', () => {
  it('has the size of its image and one channel', () => {
    const picture = drawFrame(Buffer.alloc(6), drawing({ rows: 2, columns: 3 }))
    expect(picture).toMatchObject({ width: 3, height: 2, channels: 1 })
    expect(picture.data.length).toBe(6)
  })

  it.each([
    ['8 bits', { bitsAllocated: 8 }, Buffer.of(10, 20, 60, 110)],
    ['16 bits', { bitsAllocated: 16 }, words(10, 20, 60, 110)],
    ['signed 8 bits', { bitsAllocated: 8, signed: true }, Buffer.of(-50, -40, 0, 50)],
    ['signed 16 bits', { bitsAllocated: 16, signed: true }, words(-1000, -900, -500, 0)],
    ['12 bits, what is above them left out', { bitsAllocated: 16, bitsStored: 12 }, words(0xf00a, 0x1014, 60, 0x806e)],
    ['signed 12 bits', { bitsAllocated: 16, bitsStored: 12, signed: true }, words(0xf38, 0xf9c, 0x12c, 0x320)],
    ['12 bits at the top', { bitsAllocated: 16, bitsStored: 12, highBit: 15 }, words(0xa0, 0x140, 0x3c0, 0x6e0)],
    ['32 bits', { bitsAllocated: 32 }, Buffer.concat([10, 20, 60, 110].map((n) => words(n, 0)))],
    [
      'signed 32 bits',
      { bitsAllocated: 32, signed: true },
      Buffer.concat([-50, -40, 0, 50].map((n) => words(n, n >> 16))),
    ],
  ])('is drawn from the least to the greatest stored value: %s', (_, image, frame) => {
    expect(shades(frame, drawing(image))).toEqual([0, 26, 128, 255])
  })

  it('of single bits is black and white, the first in the lowest bit', () => {
    expect(shades(Buffer.of(0b0110), drawing({ bitsAllocated: 1 }))).toEqual([0, 255, 255, 0])
  })

  it.each([
    [32, (values: number[]) => Buffer.from(Float32Array.from(values).buffer)],
    [64, (values: number[]) => Buffer.from(Float64Array.from(values).buffer)],
  ] as const)('of floating-point numbers of %i bits is black where there is no number', (float, encode) => {
    const how = drawing({ bitsAllocated: float }, { float, voi: window(0, 2) })
    expect(shades(encode([-1, 0, 1, NaN]), how)).toEqual([0, 128, 255, 0])
    // Bytes that do not begin at a multiple of their size.
    const shifted = Buffer.concat([Buffer.of(0), encode([-1, 0, 1, NaN])]).subarray(1)
    expect(shades(shifted, how)).toEqual([0, 128, 255, 0])
  })

  it('passes its modality transformation before its window', () => {
    const how = drawing(
      { bitsAllocated: 16 },
      { voi: window(0, 200), modality: { kind: 'rescale', slope: 2, intercept: -1000 } },
    )
    expect(shades(words(400, 450, 500, 550), how)).toEqual([0, 0, 128, 255])
  })

  it('with a table passes it before its window', () => {
    const lut: Lut = { first: 1, bits: 16, entries: Uint16Array.of(1000, 0, 500) }
    const how = drawing({}, { modality: { kind: 'lut', lut }, voi: { kind: 'range' } })
    expect(shades(Buffer.of(0, 1, 2, 3), how)).toEqual([255, 255, 0, 128])
  })

  it('with a slope below 0 is drawn the other way round', () => {
    const how = drawing({}, { modality: { kind: 'rescale', slope: -1, intercept: 0 } })
    expect(shades(Buffer.of(0, 51, 204, 255), how)).toEqual([255, 204, 51, 0])
  })

  it('is inverted at the end', () => {
    expect(shades(Buffer.of(0, 51, 204, 255), drawing({}, { inverse: true }))).toEqual([255, 204, 51, 0])
    expect(
      shades(Buffer.of(0, 51, 204, 255), drawing({ photometricInterpretation: 'MONOCHROME1' }, { inverse: true })),
    ).toEqual([255, 204, 51, 0])
  })

  it('has no padding between its least and greatest value', () => {
    const frame = words(-2000, 0, 100, 200)
    const image = { bitsAllocated: 16, signed: true }
    expect(shades(frame, drawing(image, { padding: { from: -2000, to: -2000 } }))).toEqual([0, 0, 128, 255])
    expect(shades(frame, drawing(image))).toEqual([0, 232, 243, 255])
    expect(shades(words(-2000, -1990, 0, 10), drawing(image, { padding: { from: -2000, to: -1990 } }))).toEqual([
      0, 0, 0, 255,
    ])
  })

  it('of nothing but padding is black', () => {
    expect(shades(Buffer.of(7, 7, 7, 7), drawing({}, { padding: { from: 7, to: 7 } }))).toEqual([0, 0, 0, 0])
  })

  it.each([
    ['8 bits', { bitsAllocated: 8 }, 3],
    ['16 bits', { bitsAllocated: 16 }, 7],
    ['1 bit', { bitsAllocated: 1, columns: 9 }, 1],
  ])('that is too short is refused: %s', (_, image, length) => {
    expect(() => drawFrame(Buffer.alloc(length), drawing(image))).toThrow(UnusableImageError)
  })
})

function window(center: number, width: number): DrawingPlan['voi'] {
  return { kind: 'window', center, width, function: 'linear-exact' }
}

describe('a frame of colours', () => {
  const rgb = { rows: 1, columns: 2, samplesPerPixel: 3 }

  it('is given by pixel, however its planes are', () => {
    expect(shades(Buffer.of(1, 2, 3, 4, 5, 6), drawing(rgb))).toEqual([1, 2, 3, 4, 5, 6])
    expect(shades(Buffer.of(1, 4, 2, 5, 3, 6), drawing({ ...rgb, planarConfiguration: 1 }))).toEqual([1, 2, 3, 4, 5, 6])
    expect(drawFrame(Buffer.alloc(6), drawing(rgb))).toMatchObject({ width: 2, height: 1, channels: 3 })
  })

  it('of more than 8 bits is scaled', () => {
    expect(shades(words(0, 0x8000, 0xffff, 257, 514, 771), drawing({ ...rgb, bitsAllocated: 16 }))).toEqual([
      0, 128, 255, 1, 2, 3,
    ])
    const twelve = drawing({ ...rgb, bitsAllocated: 16, bitsStored: 12 })
    expect(shades(words(0, 4095, 2048, 16, 32, 4080), twelve)).toEqual([0, 255, 128, 1, 2, 254])
  })

  // ITU-R BT.601 by hand: white, black, red, green, blue.
  it.each([
    [
      [255, 128, 128],
      [255, 255, 255],
    ],
    [
      [0, 128, 128],
      [0, 0, 0],
    ],
    [
      [76, 85, 255],
      [254, 0, 0],
    ],
    [
      [150, 44, 21],
      [0, 255, 1],
    ],
    [
      [29, 255, 107],
      [0, 0, 254],
    ],
  ])('in YBR_FULL: %j is %j', (ycc, expected) => {
    const image = { ...rgb, photometricInterpretation: 'YBR_FULL' }
    expect(shades(Buffer.of(...ycc, ...ycc), drawing(image))).toEqual([...expected, ...expected])
    const planes = Buffer.from(ycc.flatMap((one) => [one, one]))
    expect(shades(planes, drawing({ ...image, planarConfiguration: 1 }))).toEqual([...expected, ...expected])
  })

  it('in YBR_FULL_422 has two bytes a pixel, and one chrominance for two of them', () => {
    const image = { ...rgb, columns: 4, photometricInterpretation: 'YBR_FULL_422' }
    const frame = Buffer.of(255, 0, 128, 128, 76, 76, 85, 255)
    expect(shades(frame, drawing(image))).toEqual([255, 255, 255, 0, 0, 0, 254, 0, 0, 254, 0, 0])
    expect(() => drawFrame(frame.subarray(1), drawing(image))).toThrow(UnusableImageError)
  })

  it('in YBR_PARTIAL_422 has its black at 16 and its white at 235', () => {
    const image = { ...rgb, photometricInterpretation: 'YBR_PARTIAL_422' }
    expect(shades(Buffer.of(16, 235, 128, 128), drawing(image))).toEqual([0, 0, 0, 255, 255, 255])
  })

  it.each([
    ['CIELAB', { ...rgb, photometricInterpretation: 'HSV' }],
    ['4 samples', { ...rgb, samplesPerPixel: 4, photometricInterpretation: 'CMYK' }],
    ['1 sample', { ...rgb, samplesPerPixel: 1, photometricInterpretation: 'YBR_FULL' }],
  ])('that there is no way to draw is refused: %s', (_, image) => {
    expect(() => drawFrame(Buffer.alloc(8), drawing(image))).toThrow(UnusableImageError)
  })

  it('that is too short is refused', () => {
    expect(() => drawFrame(Buffer.alloc(5), drawing(rgb))).toThrow(UnusableImageError)
  })
})

describe('a frame of palette colours', () => {
  it('takes entries of 16 bits for what they are, though it says 8', () => {
    const one: Lut = { first: 0, bits: 8, entries: Uint16Array.of(0, 0x4141, 0x8080, 0xff00) }
    const how = drawing({}, { palette: { red: one, green: one, blue: one } })
    const image = { ...how.image, photometricInterpretation: 'PALETTE COLOR' }
    const red = shades(Buffer.of(0, 1, 2, 3), { ...how, image })
    expect(red.filter((_, at) => at % 3 === 0)).toEqual([0, 65, 128, 255])
  })

  it('has its brightest colour where an entry has more bits than it should', () => {
    const entries = Uint16Array.of(0, 255, 300, 511)
    for (const [bits, expected] of [
      [8, [0, 0, 1, 1]],
      [9, [0, 127, 150, 255]],
      [10, [0, 63, 75, 127]],
      [16, [0, 0, 1, 1]],
    ] as const) {
      const one: Lut = { first: 0, bits, entries }
      const how = drawing({}, { palette: { red: one, green: one, blue: one } })
      const red = shades(Buffer.of(0, 1, 2, 3), {
        ...how,
        image: { ...how.image, photometricInterpretation: 'PALETTE COLOR' },
      })
      expect(red.filter((_, at) => at % 3 === 0)).toEqual(expected)
    }
  })

  const image = { photometricInterpretation: 'PALETTE COLOR' }
  const lut = (bits: number, ...entries: readonly number[]): Lut => ({
    first: 1,
    bits,
    entries: Uint16Array.from(entries),
  })

  it('has the colours of its tables: the first for what is below, the last for what is above', () => {
    const palette = { red: lut(16, 0xff00, 0x1000), green: lut(16, 0x100, 0x200), blue: lut(16, 0, 0xffff) }
    expect(shades(Buffer.of(0, 1, 2, 200), drawing(image, { palette }))).toEqual([
      ...[255, 1, 0, 255, 1, 0],
      ...[16, 2, 255, 16, 2, 255],
    ])
  })

  it('of 16 bits has them though one of its tables has small numbers only', () => {
    const palette = { red: lut(16, 0xffff, 0), green: lut(16, 0, 0xffff), blue: lut(16, 200, 0) }
    expect(shades(Buffer.of(1, 2, 1, 1), drawing(image, { palette })).slice(0, 6)).toEqual([255, 0, 0, 0, 255, 0])
  })

  it.each([8, 16])('of 8 bits has them as they are, though their tables are said to have %i', (bits) => {
    const palette = { red: lut(bits, 7, 255), green: lut(bits, 1, 2), blue: lut(bits, 0, 9) }
    expect(shades(Buffer.of(1, 2, 1, 2), drawing(image, { palette }))).toEqual([7, 1, 0, 255, 2, 9, 7, 1, 0, 255, 2, 9])
  })
})
