import { deflateRawSync } from 'node:zlib'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { decodedDescription, decodeFrame, isDecodable } from '../../../src/imaging/codecs/decode-frame.ts'
import { testdataFolder } from '../../support/testdata.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import { description, picture } from '../made-images.ts'
import { greatestDifference, readImage, rootMeanSquare, withFiles, type RealImage } from '../real-images.ts'

const PREFIX = '1.2.840.10008.1.2'
const UNCOMPRESSED = `${PREFIX}.1.98`
const DEFLATED_FRAMES = `${PREFIX}.8.1`

/** Native frames, whatever the file has. */
async function nativeFrames({ frames, image, syntax }: RealImage): Promise<Buffer[]> {
  if (!syntax.encapsulated) return [...frames]
  return Promise.all(frames.map(async (frame) => Buffer.from(await decodeFrame(frame, image, syntax.uid))))
}

const wg04 = (image: string, ...kinds: string[]): [string, string][] =>
  kinds.map((kind) => [`wg04/${image}_${kind}`, `wg04/${image}_UNC`])

const isMissing = testdataFolder() === undefined

describe.skipIf(isMissing)('a frame that was compressed without loss', () => {
  const pydicom = (name: string, ...others: string[]): [string, string][] =>
    others.map((other) => [`pydicom/${other}.dcm`, `pydicom/${name}.dcm`])
  it.each(
    withFiles(2, [
      ...wg04('CT1', 'J2KR', 'JLSL', 'JPLL', 'RLE'),
      ...wg04('MR1', 'J2KR', 'JLSL', 'JPLL', 'RLE'),
      ...wg04('NM1', 'J2KR', 'JLSL', 'JPLL', 'RLE'),
      ...wg04('VL1', 'J2KR', 'RLE'),
      ...wg04('XA1', 'J2KR', 'JLSL', 'JPLL', 'RLE'),
      ...pydicom('MR_small', 'MR_small_RLE', 'MR_small_jp2klossless', 'MR_small_jpeg_ls_lossless'),
      ...pydicom('emri_small', 'emri_small_RLE', 'emri_small_jpeg_2k_lossless'),
      ...pydicom('liver', 'liver_rle', 'liver_j2k', 'liver_deflate'),
      ...pydicom('liver_nonbyte_aligned', 'liver_nonbyte_aligned_rle', 'liver_nonbyte_aligned_j2k'),
      ...pydicom('SC_rgb', 'SC_rgb_rle', 'SC_rgb_jpeg_gdcm', 'SC_rgb_gdcm_KY'),
      ...pydicom('SC_rgb_2frame', 'SC_rgb_rle_2frame'),
      ...pydicom('SC_rgb_16bit', 'SC_rgb_rle_16bit'),
      ...pydicom('SC_rgb_16bit_2frame', 'SC_rgb_rle_16bit_2frame'),
      ...pydicom('SC_rgb_32bit', 'SC_rgb_rle_32bit'),
      ...pydicom('OBXXXX1A', 'OBXXXX1A_rle'),
      ...pydicom('OBXXXX1A_2frame', 'OBXXXX1A_rle_2frame'),
      ...pydicom('693_UNCR', '693_J2KR'),
      ...pydicom('rtdose_1frame', 'rtdose_rle_1frame'),
      // Both are compressed: colours by plane, and by pixel.
      ...pydicom('JLSL_RGB_ILV2', 'JLSL_RGB_ILV0'),
      // With loss, but the reference is what was lost to (a decoder's output, published next to it).
      ...pydicom('693_UNCI', '693_J2KI'),
      ...pydicom('JPEG2000_UNC', 'JPEG2000'),
      ...pydicom('SC_rgb_jpeg_dcmd', 'SC_rgb_jpeg'),
      ...pydicom('SC_rgb_dcmtk_ebcr_dcmd', 'SC_rgb_dcmtk_+eb+cr'),
      ...pydicom('SC_rgb_dcmtk_ebcyn1_dcmd', 'SC_rgb_dcmtk_+eb+cy+n1'),
      ...pydicom('SC_rgb_dcmtk_ebcyn2_dcmd', 'SC_rgb_dcmtk_+eb+cy+n2'),
      ...pydicom('SC_rgb_dcmtk_ebcynp_dcmd', 'SC_rgb_dcmtk_+eb+cy+np'),
      ...pydicom('SC_rgb_dcmtk_ebcys2_dcmd', 'SC_rgb_dcmtk_+eb+cy+s2'),
      ...pydicom('SC_rgb_dcmtk_ebcys4_dcmd', 'SC_rgb_dcmtk_+eb+cy+s4'),
    ]),
  )('is again what it was, bit for bit: %s as %s', async (compressed, reference) => {
    const [image, original] = await Promise.all([readImage(compressed), readImage(reference)])
    const [decoded, expected] = await Promise.all([nativeFrames(image), nativeFrames(original)])
    expect(decoded.length).toBe(expected.length)
    decoded.forEach((frame, n) => expect(frame.equals(expected[n]!), `frame ${n + 1}`).toBe(true))
    const { photometricInterpretation } = decodedDescription(image.image, image.syntax.uid)
    expect(photometricInterpretation).toBe(original.image.photometricInterpretation)
  })
})

// The bounds are what the files have lost: of JPEG-LS it is the bound in its stream (NEAR), of JPEG what DCMTK finds too.
describe.skipIf(isMissing)('a frame that was compressed with loss', () => {
  it.each(
    withFiles(2, [
      ['wg04/CT1_JLSN', 'wg04/CT1_UNC', 4],
      ['wg04/MR1_JLSN', 'wg04/MR1_UNC', 4],
      ['wg04/NM1_JLSN', 'wg04/NM1_UNC', 4],
      ['wg04/XA1_JLSN', 'wg04/XA1_UNC', 4],
      ['wg04/SC1_JLSN', 'wg04/SC1_RLE', 4],
      ['pydicom/SC_rgb_jls_lossy_line.dcm', 'pydicom/SC_rgb.dcm', 2],
      ['pydicom/SC_rgb_jls_lossy_sample.dcm', 'pydicom/SC_rgb.dcm', 2],
      ['wg04/CT1_J2KI', 'wg04/CT1_UNC', 352],
      ['wg04/MR1_J2KI', 'wg04/MR1_UNC', 396],
      ['wg04/NM1_J2KI', 'wg04/NM1_UNC', 101],
      ['wg04/VL1_J2KI', 'wg04/VL1_UNC', 44],
      ['wg04/XA1_J2KI', 'wg04/XA1_UNC', 8],
      ['wg04/SC1_J2KI', 'wg04/SC1_RLE', 71],
      ['pydicom/RG3_J2KI.dcm', 'pydicom/RG3_J2KR.dcm', 9],
      ['wg04/MR1_JPLY', 'wg04/MR1_UNC', 128],
      ['wg04/NM1_JPLY', 'wg04/NM1_UNC', 36],
      ['wg04/XA1_JPLY', 'wg04/XA1_UNC', 116],
      ['wg04/SC1_JPLY', 'wg04/SC1_RLE', 123],
    ] as const),
  )('is near what it was: %s to %s by %i', async (compressed, reference, bound) => {
    const [image, original] = await Promise.all([readImage(compressed), readImage(reference)])
    const [[decoded], [expected]] = await Promise.all([nativeFrames(image), nativeFrames(original)])
    expect(greatestDifference(decoded!, expected!, image.image)).toBeLessThanOrEqual(bound)
    // One pixel may be far off, the picture may not.
    expect(rootMeanSquare(decoded!, expected!, image.image)).toBeLessThanOrEqual(Math.max(bound / 4, 3))
  })
})

describe('frames that are not compressed by a codec', () => {
  const image = description({ rows: 3, columns: 3, samplesPerPixel: 3 })
  const pixels = Buffer.from(Array.from({ length: 27 }, (_, n) => n))

  it('are given as they are, without their pad byte', async () => {
    expect(Buffer.from(await decodeFrame(pixels, image, UNCOMPRESSED))).toEqual(pixels)
    const padded = Buffer.concat([pixels, Buffer.of(0)])
    expect(Buffer.from(await decodeFrame(padded, image, UNCOMPRESSED))).toEqual(pixels)
  })

  it.each([26, 29, 0])('are refused when they have %i bytes in place of 27', async (length) => {
    await expect(decodeFrame(Buffer.alloc(length), image, UNCOMPRESSED)).rejects.toThrow(CodestreamError)
  })

  it('are not given with more than a pad byte when their length is even', async () => {
    const even = description({ rows: 2, columns: 2 })
    await expect(decodeFrame(Buffer.alloc(5), even, UNCOMPRESSED)).rejects.toThrow(CodestreamError)
  })

  it('are inflated, whether a pad byte follows or not', async () => {
    const deflated = deflateRawSync(pixels)
    for (const frame of [deflated, Buffer.concat([deflated, Buffer.of(0)])]) {
      expect(Buffer.from(await decodeFrame(frame, image, DEFLATED_FRAMES))).toEqual(pixels)
    }
  })

  it.each([
    ['cut', deflateRawSync(Buffer.alloc(27, 'abcdefghi')).subarray(0, -3)],
    ['too short', deflateRawSync(Buffer.alloc(20))],
    ['much too long', deflateRawSync(Buffer.alloc(100_000_000))],
    ['not deflated', Buffer.alloc(27, 0xff)],
    ['empty', Buffer.alloc(0)],
  ])('are refused when the deflated frame is %s', async (_, frame) => {
    await expect(decodeFrame(frame, image, DEFLATED_FRAMES)).rejects.toThrow(CodestreamError)
  })
})

describe('a JPEG of several scans', () => {
  it('is drawn whole or not at all', async () => {
    const image = description({ rows: 64, columns: 80 })
    const raw = { width: 80, height: 64, channels: 1 } as const
    const stream = await sharp(picture(image), { raw })
      .toColourspace('b-w')
      .jpeg({ progressive: true, quality: 95 })
      .toBuffer()
    const starts = [...stream.keys()].filter((at) => stream[at] === 0xff && stream[at + 1] === 0xda)
    expect(starts.length).toBeGreaterThan(3)
    const whole = Buffer.from(await decodeFrame(stream, image, `${PREFIX}.4.50`))
    expect(greatestDifference(whole, picture(image), image)).toBeLessThan(20)
    for (const end of [...starts.slice(1), stream.length - 2]) {
      await expect(decodeFrame(stream.subarray(0, end), image, `${PREFIX}.4.50`)).rejects.toThrow(CodestreamError)
    }
  })
})

describe('wavelets of signed bytes', () => {
  it.each(['.4.90', '.4.201'])('keep their sign, as bytes and as words: %s', async (suffix) => {
    const made = description({ rows: 24, columns: 30 })
    const pixels = picture(made)
    // What no encoder here writes: a stream of no sign whose samples are lower by half their range (ITU-T T.800 G.1).
    const codestream = Buffer.from(await encodeFrame(pixels, made, PREFIX + suffix))
    codestream[codestream.indexOf(Buffer.of(0xff, 0x51)) + 40]! |= 0x80
    const expected = pixels.map((value) => value - 128)
    const bytes = await decodeFrame(codestream, { ...made, signed: true }, PREFIX + suffix)
    expect(Buffer.from(bytes).equals(expected)).toBe(true)
    const words = await decodeFrame(codestream, { ...made, signed: true, bitsAllocated: 16 }, PREFIX + suffix)
    expect([...new Int16Array(Uint8Array.from(words).buffer)]).toEqual([
      ...new Int8Array(Uint8Array.from(expected).buffer),
    ])
  })
})

describe('a syntax without a decoder', () => {
  it.each(['.4.102', '.4.110', '.4.92', '.1', ''])('is not decodable: %s', async (suffix) => {
    expect(isDecodable(PREFIX + suffix)).toBe(false)
    await expect(decodeFrame(Buffer.alloc(64), description({}), PREFIX + suffix)).rejects.toThrow(CodestreamError)
  })
})

describe('what the attributes become when frames are decoded', () => {
  const [baseline, extended, lossless, jpegLs, j2k, j2kLossy, rle] = ['50', '51', '70', '80', '90', '91', '5'].map(
    (suffix) => (suffix === '5' ? `${PREFIX}.5` : `${PREFIX}.4.${suffix}`),
  ) as [string, string, string, string, string, string, string]

  it.each([
    [baseline, 3, 'YBR_FULL_422', 'RGB'],
    [baseline, 3, 'YBR_FULL', 'RGB'],
    [baseline, 3, 'RGB', 'RGB'],
    [baseline, 1, 'MONOCHROME1', 'MONOCHROME1'],
    [extended, 3, 'YBR_FULL_422', 'RGB'],
    [lossless, 3, 'YBR_FULL', 'YBR_FULL'],
    [lossless, 3, 'RGB', 'RGB'],
    [lossless, 1, 'PALETTE COLOR', 'PALETTE COLOR'],
    [jpegLs, 3, 'YBR_FULL', 'YBR_FULL'],
    [j2k, 3, 'YBR_RCT', 'RGB'],
    [j2kLossy, 3, 'YBR_ICT', 'RGB'],
    [j2kLossy, 3, 'YBR_FULL', 'YBR_FULL'],
    [rle, 3, 'YBR_FULL_422', 'YBR_FULL'],
    [rle, 3, 'YBR_FULL', 'YBR_FULL'],
  ])('%s, %i samples: %s is %s', (syntax, samplesPerPixel, photometricInterpretation, expected) => {
    const image = description({ samplesPerPixel, photometricInterpretation, planarConfiguration: 1 })
    const decoded = decodedDescription(image, syntax)
    expect(decoded).toEqual({ ...image, photometricInterpretation: expected, planarConfiguration: 0 })
  })

  it.each([UNCOMPRESSED, DEFLATED_FRAMES])('%s keeps the planes, and what it says of its colours', (syntax) => {
    const image = description({
      samplesPerPixel: 3,
      photometricInterpretation: 'YBR_FULL_422',
      planarConfiguration: 1,
    })
    expect(decodedDescription(image, syntax)).toEqual(image)
  })
})
