import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodedDescription } from '../../../src/imaging/codecs/encode-frame.ts'
import {
  changed,
  encodedFrames,
  files,
  fragmentsOf,
  get,
  greatestDifference,
  imageFile,
  code,
  even,
  madeImage,
  pixelsOf,
  type MadeOptions,
} from '../../support/conversion.ts'
import { differences } from '../../support/dataset-differences.ts'
import { E, I, instanceFile, S, Syntax } from '../../support/dicom-files.ts'
import { inflateRawSync } from 'node:zlib'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { splitPart10 } from '../../support/part10.ts'

// Instances whose pixel data is in another syntax than the client wants, end to end.

const MULTIPART = 'multipart/related; type="application/dicom"'
const inSyntax = (uid: string): string => `${MULTIPART}; transfer-syntax=${uid}`
const STORED = inSyntax('*')
const PATH = `/studies/${S}/series/${E}/instances/${I}`
const PREFIX = '1.2.840.10008.1.2'
const HTJ2K = `${PREFIX}.4.201`
const DEFLATED_FRAMES = `${PREFIX}.8.1`

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

describe('an instance that is stored compressed, asked for in the default syntax', () => {
  const kinds: [name: string, syntax: string, options: MadeOptions][] = [
    ['JPEG-LS', Syntax.jpegLs, {}],
    ['JPEG-LS in colour', Syntax.jpegLs, { samples: 3, bits: 8 }],
    ['JPEG 2000', Syntax.jpeg2000, {}],
    ['JPEG 2000 in colour', Syntax.jpeg2000, { samples: 3, bits: 8 }],
    ['HTJ2K', HTJ2K, {}],
    ['HTJ2K in colour', HTJ2K, { samples: 3, bits: 8 }],
    ['RLE', Syntax.rle, {}],
    ['RLE in colour', Syntax.rle, { samples: 3, bits: 16 }],
    ['deflated frames', DEFLATED_FRAMES, {}],
    ['deflated frames in colour', DEFLATED_FRAMES, { samples: 3, bits: 8 }],
  ]

  it.each(kinds)('comes uncompressed, every bit as it was: %s', async (_, syntax, options) => {
    for (const frames of [1, 3]) {
      const made = madeImage({ ...options, frames })
      await holds(await imageFile(made, syntax))
      const [file, ...others] = files(await get(setup.url + PATH, MULTIPART))
      expect(others).toEqual([])
      expect(file!.syntax).toBe(Syntax.explicit)
      expect(pixelsOf(file!.dataset).equals(Buffer.concat(made.frames))).toBe(true)
      await holds(await imageFile(made, Syntax.explicit))
      const [native] = files(await get(setup.url + PATH, MULTIPART))
      expect(differences(native!.dataset, file!.dataset)).toEqual([])
    }
  })

  it('comes so too as a single file, by series, by study, and deflated', async () => {
    const made = madeImage({ frames: 2 })
    await holds(await imageFile(made, Syntax.jpegLs))
    const pixels = Buffer.concat(made.frames)
    const single = await get(setup.url + PATH, 'application/dicom')
    expect({ status: single.status, type: single.type }).toEqual({ status: 200, type: 'application/dicom' })
    expect(splitPart10(single.body).syntax).toBe(Syntax.explicit)
    expect(splitPart10(single.body).data.subarray(-pixels.length).equals(pixels)).toBe(true)
    for (const path of [`/studies/${S}`, `/studies/${S}/series/${E}`]) {
      const [file] = files(await get(setup.url + path, MULTIPART))
      expect(pixelsOf(file!.dataset).equals(pixels)).toBe(true)
    }
    const deflated = await get(setup.url + PATH, `application/dicom; transfer-syntax=${Syntax.deflated}`)
    const { syntax, data } = splitPart10(deflated.body)
    expect(syntax).toBe(Syntax.deflated)
    expect(inflateRawSync(data).subarray(-pixels.length).equals(pixels)).toBe(true)
  })

  it('has the even length that a value has, where its frame has an odd one', async () => {
    const made = madeImage({ rows: 33, columns: 35, samples: 1, bits: 8 })
    await holds(await imageFile(made, Syntax.jpegLs))
    const [file] = files(await get(setup.url + PATH, MULTIPART))
    expect(pixelsOf(file!.dataset).equals(Buffer.concat([made.frames[0]!, Buffer.of(0)]))).toBe(true)
  })

  it('keeps what is before and behind its pixel data', async () => {
    const made = madeImage()
    const change = (dataset: Dataset): unknown =>
      dataset
        .setItems(0x00081140, [new Dataset().set(Attribute.SOPInstanceUID, '1.2.9')])
        .put(0x00281202, { vr: 'OW', value: Buffer.alloc(9000, 7) })
        .put(0x7fe10010, { vr: 'LO', value: Buffer.from('MAKER ') })
        .put(0x7fe11001, { vr: 'OB', value: Buffer.alloc(70_000, 9) })
    const stored = await imageFile(made, Syntax.jpegLs, { change: (dataset) => change(dataset) })
    await holds(stored)
    const [before] = files(await get(setup.url + PATH, STORED))
    const [after] = files(await get(setup.url + PATH, MULTIPART))
    expect(changed(before!.dataset, after!.dataset)).toEqual([])
    expect(after!.dataset.get(0x7fe11001)!.value).toHaveLength(70_000)
  })

  it('has no offset table any more', async () => {
    const made = madeImage({ frames: 2 })
    const u64 = (...values: number[]): Buffer => {
      const bytes = Buffer.alloc(8 * values.length)
      values.forEach((value, at) => bytes.writeBigUInt64LE(BigInt(value), 8 * at))
      return bytes
    }
    const [first, second] = await encodedFrames(made, Syntax.jpegLs)
    const stored = await imageFile(made, Syntax.jpegLs, {
      change: (dataset) =>
        dataset
          .put(Attribute.ExtendedOffsetTable, { vr: 'OV', value: u64(0, 8 + even(first!).length) })
          .put(Attribute.ExtendedOffsetTableLengths, { vr: 'OV', value: u64(first!.length, second!.length) }),
    })
    await holds(stored)
    const [file] = files(await get(setup.url + PATH, MULTIPART))
    expect(file!.dataset.has(Attribute.ExtendedOffsetTable)).toBe(false)
    expect(file!.dataset.has(Attribute.ExtendedOffsetTableLengths)).toBe(false)
    expect(pixelsOf(file!.dataset).equals(Buffer.concat(made.frames))).toBe(true)
  })
})

describe('an instance that is stored uncompressed, asked for in a compressed syntax', () => {
  const lossless: [name: string, syntax: string, options: MadeOptions, photometric: string][] = [
    ['JPEG-LS', Syntax.jpegLs, {}, 'MONOCHROME2'],
    ['JPEG-LS in colour', Syntax.jpegLs, { samples: 3, bits: 8 }, 'RGB'],
    ['JPEG 2000', Syntax.jpeg2000, {}, 'MONOCHROME2'],
    ['JPEG 2000 in colour', Syntax.jpeg2000, { samples: 3, bits: 8 }, 'YBR_RCT'],
    ['HTJ2K', HTJ2K, {}, 'MONOCHROME2'],
    ['HTJ2K in colour', HTJ2K, { samples: 3, bits: 8 }, 'YBR_RCT'],
    ['RLE', Syntax.rle, {}, 'MONOCHROME2'],
    ['RLE in colour', Syntax.rle, { samples: 3, bits: 16 }, 'RGB'],
  ]

  it.each(lossless)('comes in it, and decodes to what it was: %s', async (_, syntax, options, photometric) => {
    for (const stored of [Syntax.explicit, Syntax.implicit, Syntax.bigEndian]) {
      const made = madeImage({ ...options, frames: 2 })
      await holds(await imageFile(made, stored))
      const [native] = files(await get(setup.url + PATH))
      const [file] = files(await get(setup.url + PATH, inSyntax(syntax)))
      expect(file!.syntax).toBe(syntax)
      expect(changed(native!.dataset, file!.dataset)).toEqual([])
      expect(file!.dataset.string(Attribute.PhotometricInterpretation)).toBe(photometric)
      const [table, ...fragments] = fragmentsOf(file!.dataset)
      expect(table).toHaveLength(0)
      expect(fragments).toHaveLength(2)
      for (const [at, fragment] of fragments.entries()) {
        const decoded = await decodeFrame(fragment, encodedDescription(made.image, syntax), syntax)
        expect(made.frames[at]!.equals(decoded)).toBe(true)
      }
    }
  })

  it('is a 406 where its pixels are floating-point numbers, which have no compressed form', async () => {
    const floats = instanceFile({
      change(dataset) {
        dataset.delete(Attribute.PixelData)
        dataset
          .set(Attribute.Rows, 2)
          .set(Attribute.Columns, 2)
          .set(Attribute.SamplesPerPixel, 1)
          .set(Attribute.BitsAllocated, 32)
          .put(Attribute.FloatPixelData, { vr: 'OF', value: Buffer.alloc(16, 1) })
      },
    })
    await holds(floats)
    expect(code(await get(setup.url + PATH, inSyntax(Syntax.rle)))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each([1, 3] as const)('comes in JPEG, and says that it was lossy: %d samples', async (samples) => {
    const made = madeImage({ samples, bits: 8, frames: 2 })
    await holds(await imageFile(made, Syntax.explicit))
    const [file] = files(await get(setup.url + PATH, inSyntax(Syntax.jpegBaseline)))
    expect(file!.syntax).toBe(Syntax.jpegBaseline)
    const { dataset } = file!
    expect(dataset.string(Attribute.PhotometricInterpretation)).toBe(samples === 3 ? 'YBR_FULL' : 'MONOCHROME2')
    expect(dataset.string(Attribute.LossyImageCompression)).toBe('01')
    expect(dataset.string(Attribute.LossyImageCompressionMethod)).toBe('ISO_10918_1')
    const [, ...fragments] = fragmentsOf(dataset)
    expect(fragments).toHaveLength(2)
    for (const [at, fragment] of fragments.entries()) {
      const given = encodedDescription(made.image, Syntax.jpegBaseline)
      const decoded = await decodeFrame(fragment, given, Syntax.jpegBaseline)
      expect(greatestDifference(made.frames[at]!, decoded)).toBeLessThan(12)
    }
  })

  it.each([
    ['lossless JPEG', Syntax.jpegLossless, {}],
    ['JPEG XL', Syntax.jpegXlLossless, {}],
    ['near-lossless JPEG-LS', `${PREFIX}.4.81`, {}],
    ['JPEG 2000 with loss', `${PREFIX}.4.91`, {}],
    ['a video', `${PREFIX}.4.102`, {}],
    ['JPEG of 16 bits', Syntax.jpegBaseline, {}],
    ['JPEG 2000 of colours of 16 bits', Syntax.jpeg2000, { samples: 3, bits: 16 }],
  ] as const)('is a 406 where it cannot be made: %s', async (_, syntax, options) => {
    await holds(await imageFile(madeImage(options), Syntax.explicit))
    expect(code(await get(setup.url + PATH, inSyntax(syntax)))).toBe('406 NOT_ACCEPTABLE')
    // What else the client takes it gets.
    const [file] = files(await get(setup.url + PATH, `${inSyntax(syntax)}, ${MULTIPART};q=0.1`))
    expect(file!.syntax).toBe(Syntax.explicit)
  })

  it('comes in the first syntax that can be made, by what the client prefers', async () => {
    await holds(await imageFile(madeImage(), Syntax.explicit))
    const syntaxOf = async (...accept: string[]): Promise<string> =>
      files(await get(setup.url + PATH, accept.join()))[0]!.syntax
    const [jls, rle, lossless] = [inSyntax(Syntax.jpegLs), inSyntax(Syntax.rle), inSyntax(Syntax.jpegLossless)]
    expect(await syntaxOf(`${jls};q=0.5`, `${rle};q=0.9`)).toBe(Syntax.rle)
    expect(await syntaxOf(`${jls};q=0.9`, `${rle};q=0.5`)).toBe(Syntax.jpegLs)
    expect(await syntaxOf(lossless, `${jls};q=0.2`, `${rle};q=0.1`)).toBe(Syntax.jpegLs)
    expect(await syntaxOf(`${jls};q=0`, `${rle};q=0.1`)).toBe(Syntax.rle)
  })

  it('is a 406 where single bits begin within a byte: frames could not be told apart', async () => {
    const shape = { rows: 3, columns: 4, bitsAllocated: 1, bitsStored: 1, highBit: 0 }
    const image = { ...madeImage().image, ...shape }
    const stored = await imageFile({ image, frames: [Buffer.from('ff0f00bc0a', 'hex')] }, Syntax.explicit, {
      change: (dataset) => dataset.set(Attribute.NumberOfFrames, '3'),
    })
    await holds(stored)
    expect(code(await get(setup.url + PATH, inSyntax(Syntax.rle)))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each([Syntax.jpeg2000, Syntax.jpegBaseline])('comes in it however small it is: %s', async (syntax) => {
    const made = madeImage({ rows: 5, columns: 9, bits: 8 })
    await holds(await imageFile(made, Syntax.explicit))
    const [file] = files(await get(setup.url + PATH, inSyntax(syntax)))
    const decoded = await decodeFrame(fragmentsOf(file!.dataset)[1]!, made.image, syntax)
    expect(greatestDifference(made.frames[0]!, decoded)).toBeLessThan(syntax === Syntax.jpegBaseline ? 12 : 1)
  })

  it('is a 406 where loss would make other colours of a palette', async () => {
    const change = (dataset: Dataset): unknown => dataset.set(Attribute.PhotometricInterpretation, 'PALETTE COLOR')
    const made = madeImage({ bits: 8 })
    await holds(await imageFile(made, Syntax.explicit, { change: (dataset) => change(dataset) }))
    expect(code(await get(setup.url + PATH, inSyntax(Syntax.jpegBaseline)))).toBe('406 NOT_ACCEPTABLE')
    expect(files(await get(setup.url + PATH, inSyntax(Syntax.jpegLs)))[0]!.syntax).toBe(Syntax.jpegLs)
  })

  it('comes in it though it tells an order of samples of which it has one', async () => {
    const change = (dataset: Dataset): unknown => dataset.set(Attribute.PlanarConfiguration, 1)
    await holds(await imageFile(madeImage(), Syntax.explicit, { change: (dataset) => change(dataset) }))
    expect(files(await get(setup.url + PATH, inSyntax(Syntax.jpegLs)))[0]!.syntax).toBe(Syntax.jpegLs)
  })

  it('has what is not an image as it is', async () => {
    const change = (dataset: Dataset): unknown => dataset.delete(Attribute.PixelData)
    await holds(instanceFile({ change: (dataset) => change(dataset) }))
    expect(code(await get(setup.url + PATH, inSyntax(Syntax.jpegLs)))).toBe('406 NOT_ACCEPTABLE')
    expect(files(await get(setup.url + PATH, `${inSyntax(Syntax.jpegLs)}, ${MULTIPART};q=0.1`))).toHaveLength(1)
  })
})

describe('an instance in one compressed syntax, asked for in another', () => {
  it.each([
    [Syntax.rle, Syntax.jpegLs],
    [Syntax.jpegLs, Syntax.jpeg2000],
    [Syntax.jpeg2000, Syntax.rle],
    [HTJ2K, Syntax.jpegLs],
  ])('is decoded and encoded anew: %s as %s', async (stored, wanted) => {
    const made = madeImage({ samples: 3, bits: 8, frames: 2 })
    await holds(await imageFile(made, stored))
    const [file] = files(await get(setup.url + PATH, inSyntax(wanted)))
    expect(file!.syntax).toBe(wanted)
    const given = encodedDescription(made.image, wanted)
    expect(file!.dataset.string(Attribute.PhotometricInterpretation)).toBe(given.photometricInterpretation)
    const [, ...fragments] = fragmentsOf(file!.dataset)
    for (const [at, frame] of made.frames.entries()) {
      expect(frame.equals(await decodeFrame(fragments[at]!, given, wanted))).toBe(true)
    }
  })

  it.each([Syntax.jpegLs, Syntax.jpeg2000, Syntax.rle, DEFLATED_FRAMES])(
    'is given byte for byte to who takes it as it is stored: %s',
    async (syntax) => {
      const stored = await imageFile(madeImage({ frames: 2 }), syntax)
      await holds(stored)
      for (const accept of [STORED, inSyntax(syntax), `${inSyntax(syntax)};q=0.4, ${inSyntax(Syntax.jpegLossless)}`]) {
        const [file] = files(await get(setup.url + PATH, accept))
        expect(file!.syntax).toBe(syntax)
        expect(file!.data.equals(splitPart10(stored).data)).toBe(true)
      }
    },
  )
})

describe('an icon in an image that is converted', () => {
  const withIcon = async (stored: string): Promise<Buffer> => {
    const icon = madeImage({ bits: 8 })
    const [bitstream] = await encodedFrames(icon, stored)
    const change = (dataset: Dataset): unknown =>
      dataset.setItems(0x00880200, [
        new Dataset()
          .set(Attribute.Rows, 40)
          .set(Attribute.Columns, 48)
          .set(Attribute.BitsAllocated, 8)
          .put(Attribute.PixelData, { vr: 'OB', value: { fragments: [Buffer.alloc(0), even(bitstream!)] } }),
      ])
    return imageFile(madeImage(), stored, { change: (dataset) => change(dataset) })
  }

  it.each([Syntax.explicit, Syntax.jpeg2000])('is not left in the syntax that it was in: as %s', async (wanted) => {
    await holds(await withIcon(Syntax.jpegLs))
    const [file] = files(await get(setup.url + PATH, inSyntax(wanted)))
    expect(file!.syntax).toBe(wanted)
    const [item] = file!.dataset.items(0x00880200)
    const value = item?.get(Attribute.PixelData)?.value
    // PS3.5 A.4: it would be taken for what the file says that it is.
    expect(value === undefined || value instanceof Uint8Array).toBe(true)
  })
})
