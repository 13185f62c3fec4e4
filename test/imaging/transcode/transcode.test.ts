import { afterAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { ElementReader, MalformedDataSetError } from '../../../src/dicom/element-reader.ts'
import { recode } from '../../../src/dicom/recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax, type TransferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import { describeImage, UnusableImageError, type ImageDescription } from '../../../src/imaging/image-description.ts'
import { ImagingPool } from '../../../src/imaging/pool/imaging-pool.ts'
import { frameCount } from '../../../src/instance/pixel-layout.ts'
import {
  isStreamable,
  checkWhole,
  MAX_CONVERTED_FRAMES,
  planTranscoding,
  type StoredPixels,
  type Transcoding,
} from '../../../src/imaging/transcode/plan-transcoding.ts'
import { transcode } from '../../../src/imaging/transcode/transcode.ts'
import { storedFrames } from '../../e2e/stored-frames.ts'
import { collect, collectUntilError, streamOf } from '../../support/byte-stream.ts'
import { byteByByte, chunksOf, cutAt } from '../../support/chunking.ts'
import { differences } from '../../support/dataset-differences.ts'
import { setImage } from '../../support/image-attributes.ts'
import { description, noise, picture } from '../made-images.ts'
import { greatestDifference, readImage, withFiles } from '../real-images.ts'

const PREFIX = '1.2.840.10008.1.2'
const EXPLICIT = EXPLICIT_VR_LITTLE_ENDIAN
const syntaxOf = (suffix: string): TransferSyntax => transferSyntax(PREFIX + suffix)
const [JPEG, JPEG_LS, J2K, RLE, HTJ2K] = ['.4.50', '.4.80', '.4.90', '.5', '.4.201'].map(syntaxOf) as [
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
]

const pool = new ImagingPool({ threads: 2, timeout: 20_000 })
afterAll(() => pool[Symbol.asyncDispose]())
const never = new AbortController().signal

/** All that a transcoding is allowed to touch, besides the pixel data. */
const CHANGED = [
  Attribute.PhotometricInterpretation,
  Attribute.PlanarConfiguration,
  Attribute.LossyImageCompression,
  Attribute.LossyImageCompressionMethod,
  Attribute.ExtendedOffsetTable,
  Attribute.ExtendedOffsetTableLengths,
  Attribute.EncapsulatedPixelDataValueTotalLength,
  Attribute.PixelData,
]

function pixelsOf(header: Dataset): StoredPixels {
  return { header, frames: frameCount(header) }
}

function planOf(dataset: Dataset, from: TransferSyntax, to: TransferSyntax): Transcoding {
  const plan = planTranscoding(pixelsOf(dataset), from, to)
  if (!plan) throw new Error(`There is no way from ${from.name} to ${to.name}`)
  return plan
}

/** The data set in another syntax. */
function through(
  data: Bytes,
  from: TransferSyntax,
  to: TransferSyntax,
  chunks = chunksOf(data, 4099),
): Promise<Buffer> {
  const header = parseDataset(data, from, { until: Attribute.PixelData })
  return collect(transcode(streamOf(chunks), planOf(header, from, to), pool, never))
}

/** Tags of the data set itself, in their order. */
function tagsOf(data: Bytes, syntax: TransferSyntax): number[] {
  const reader = new ElementReader(syntax)
  reader.push(data)
  reader.end()
  const tags: number[] = []
  for (let depth = reader.depth, token = reader.next(); token; depth = reader.depth, token = reader.next()) {
    if (depth === 0 && 'header' in token) tags.push(token.header.tag)
  }
  return tags
}

const textOf = (dataset: Dataset, tag: number): string => dataset.strings(tag).join('\\')
const framesOf = (dataset: Dataset): Buffer[] => storedFrames({ dataset, name: 'what was made' })!

const ICON = [Attribute.IconImageSequence]

/** A copy without some elements. */
function without(dataset: Dataset, tags: readonly number[]): Dataset {
  const copy = new Dataset(dataset.characterSet)
  for (const [tag, element] of dataset.entries()) if (!tags.includes(tag)) copy.put(tag, element)
  return copy
}

/**
 * The elements that a transcoding may not touch are as they were, and the order of all is right. An icon in a compressed
 * data set, which may be compressed too, is not kept.
 */
function expectKept(made: Bytes, syntax: TransferSyntax, original: Dataset): Dataset {
  const tags = tagsOf(made, syntax)
  expect(tags).toEqual([...new Set(tags)].sort((a, b) => a - b))
  const dataset = parseDataset(made, syntax)
  const { value } = original.get(Attribute.PixelData)!
  const changed = 'fragments' in value ? [...CHANGED, Attribute.IconImageSequence] : CHANGED
  expect(differences(without(original, changed), without(dataset, changed))).toEqual([])
  if ('fragments' in value) expect(dataset.has(Attribute.IconImageSequence)).toBe(false)
  return dataset
}

describe.skipIf(withFiles(1, [['pydicom/MR_small.dcm']]).length === 0)('a compressed file', () => {
  it.each(
    withFiles(2, [
      ['wg04/CT1_J2KR', 'wg04/CT1_UNC'],
      ['wg04/MR1_JPLL', 'wg04/MR1_UNC'],
      ['wg04/NM1_JLSL', 'wg04/NM1_UNC'],
      ['wg04/XA1_RLE', 'wg04/XA1_UNC'],
      ['wg04/VL1_J2KR', 'wg04/VL1_UNC'],
      ['pydicom/MR_small_jpeg_ls_lossless.dcm', 'pydicom/MR_small.dcm'],
      ['pydicom/emri_small_jpeg_2k_lossless.dcm', 'pydicom/emri_small.dcm'],
      ['pydicom/emri_small_RLE.dcm', 'pydicom/emri_small.dcm'],
      ['pydicom/liver_rle.dcm', 'pydicom/liver.dcm'],
      ['pydicom/liver_j2k.dcm', 'pydicom/liver.dcm'],
      ['pydicom/liver_deflate.dcm', 'pydicom/liver.dcm'],
      ['pydicom/liver_nonbyte_aligned_rle.dcm', 'pydicom/liver_nonbyte_aligned.dcm'],
      ['pydicom/liver_nonbyte_aligned_j2k.dcm', 'pydicom/liver_nonbyte_aligned.dcm'],
      ['pydicom/OBXXXX1A_rle_2frame.dcm', 'pydicom/OBXXXX1A_2frame.dcm'],
      ['pydicom/SC_rgb_rle_16bit_2frame.dcm', 'pydicom/SC_rgb_16bit_2frame.dcm'],
      ['pydicom/SC_rgb_rle_32bit.dcm', 'pydicom/SC_rgb_32bit.dcm'],
      ['pydicom/SC_rgb_small_odd_jpeg.dcm', 'pydicom/SC_rgb_small_odd.dcm'],
    ] as const),
  )('becomes native with the pixel data of its reference: %s', async (name, reference) => {
    const [image, original] = await Promise.all([readImage(name), readImage(reference)])
    const made = await through(image.data, image.syntax, EXPLICIT)
    const dataset = expectKept(made, EXPLICIT, image.dataset)
    const [pixels, expected] = [dataset, original.dataset].map((one) => one.get(Attribute.PixelData)!)
    expect(pixels!.vr).toBe(image.image.bitsAllocated > 8 ? 'OW' : 'OB')
    if (name.includes('_jpeg.dcm')) {
      // Lost is what was lost: only the size is the reference's.
      expect((pixels!.value as Bytes).length).toBe((expected!.value as Bytes).length)
    } else expect(Buffer.compare(pixels!.value as Bytes, expected!.value as Bytes)).toBe(0)
    const photometric = textOf(dataset, Attribute.PhotometricInterpretation)
    expect(photometric).toBe(textOf(original.dataset, Attribute.PhotometricInterpretation))
    if (image.image.samplesPerPixel > 1) expect(dataset.number(Attribute.PlanarConfiguration)).toBe(0)
  })

  it.each(
    withFiles(1, [
      ['wg04/CT1_J2KR', RLE],
      ['wg04/VL1_J2KR', JPEG_LS],
      ['wg04/VL1_RLE', J2K],
      ['wg04/NM1_JPLL', HTJ2K],
      ['pydicom/emri_small_RLE.dcm', J2K],
      ['pydicom/emri_small_jpeg_2k_lossless.dcm', JPEG_LS],
      ['pydicom/liver_j2k.dcm', RLE],
      ['pydicom/liver_nonbyte_aligned_j2k.dcm', RLE],
      ['pydicom/SC_rgb_rle_2frame.dcm', HTJ2K],
      ['pydicom/OBXXXX1A_rle_2frame.dcm', JPEG_LS],
    ] as const),
  )('becomes another compressed one without loss: %s', async (name, to) => {
    const image = await readImage(name)
    const [native, made] = await Promise.all([
      through(image.data, image.syntax, EXPLICIT),
      through(image.data, image.syntax, to),
    ])
    const compressed = expectKept(made, to, image.dataset)
    expect(framesOf(compressed).length).toBe(image.frames.length)
    expect(compressed.get(Attribute.PixelData)!.vr).toBe('OB')
    const again = await through(made, to, EXPLICIT)
    expect(differences(parseDataset(native, EXPLICIT), parseDataset(again, EXPLICIT))).toEqual([])
  })

  it.each(
    withFiles(1, [
      ['pydicom/MR_small.dcm'],
      ['pydicom/CT_small.dcm'],
      ['pydicom/liver.dcm'],
      ['pydicom/emri_small.dcm'],
    ]),
  )('is made of a native one, and becomes the same again: %s', async (name) => {
    const image = await readImage(name)
    const to = image.image.bitsAllocated === 1 ? RLE : J2K
    const made = await through(image.data, EXPLICIT, to)
    expectKept(made, to, image.dataset)
    const again = await through(made, to, EXPLICIT)
    expect(differences(image.dataset, parseDataset(again, EXPLICIT))).toEqual([])
  })
})

interface Shape extends Partial<ImageDescription> {
  readonly frames?: number
  readonly change?: (dataset: Dataset) => void
}

/** The native data set of an image, with elements around the pixel data, and an icon that has pixel data of its own. */
function nativeDataset(shape: Shape, pixels: readonly Buffer[]): Dataset {
  const image = description(shape)
  const icon = new Dataset()
    .set(Attribute.Rows, 2)
    .set(Attribute.PhotometricInterpretation, 'RGB')
    .set(Attribute.PlanarConfiguration, 1)
    .put(Attribute.PixelData, { vr: 'OB', value: Buffer.alloc(4, 7) })
  const all = Buffer.concat(pixels)
  const dataset = new Dataset()
    .set(Attribute.SOPInstanceUID, '1.2.3')
    .set(Attribute.PatientName, 'Doe^Jane')
    .setItems(0x00880200, [icon])
    .put(0x00091001, { vr: 'LO', value: Buffer.from('private ') })
    .put(Attribute.PixelData, {
      vr: image.bitsAllocated > 8 ? 'OW' : 'OB',
      value: all.length % 2 === 0 ? all : Buffer.concat([all, Buffer.of(0)]),
    })
    .put(0x7fe11001, { vr: 'OB', value: Buffer.alloc(100_000, 9) })
  setImage(dataset, image)
  if (pixels.length > 1) dataset.set(Attribute.NumberOfFrames, pixels.length)
  shape.change?.(dataset)
  return dataset
}

/** The same, its pixel data in fragments. */
async function compressedDataset(shape: Shape, pixels: readonly Buffer[], to: TransferSyntax): Promise<Dataset> {
  const image = description(shape)
  const frames = await Promise.all(pixels.map((frame) => encodeFrame(frame, image, to.uid)))
  const fragments = frames.map((frame) => (frame.length % 2 === 0 ? frame : Buffer.concat([frame, Buffer.of(0)])))
  return nativeDataset(shape, pixels).put(Attribute.PixelData, {
    vr: 'OB',
    value: { fragments: [new Uint8Array(0), ...fragments] },
  })
}

const grey: Shape = { rows: 12, columns: 10, bitsAllocated: 16, bitsStored: 12 }
const colour: Shape = { rows: 12, columns: 10, samplesPerPixel: 3 }
const pictures = (shape: Shape, count: number): Buffer[] =>
  Array.from({ length: count }, (_, n) => picture(description(shape), n + 1))

describe('a native data set', () => {
  const lossless = [JPEG_LS, J2K, HTJ2K, syntaxOf('.4.202'), RLE]
  const shapes: [string, Shape, number][] = [
    ['of 12 bits', grey, 1],
    ['of 12 bits, 5 frames', grey, 5],
    ['of signed samples', { ...grey, bitsStored: 16, signed: true }, 2],
    ['of 8 bits, odd in size', { rows: 3, columns: 5 }, 3],
    ['of colours', colour, 3],
    ['of palette colours', { ...colour, samplesPerPixel: 1, photometricInterpretation: 'PALETTE COLOR' }, 2],
  ]
  const cases = shapes.flatMap(([name, shape, count]) =>
    lossless.map((to): [string, string, Shape, number, TransferSyntax] => [name, to.name, shape, count, to]),
  )

  it.each(cases)('%s goes to %s and back', async (_, _to, shape, count, to) => {
    const original = nativeDataset(shape, pictures(shape, count))
    const made = await through(encodeDataset(original, EXPLICIT), EXPLICIT, to)
    const compressed = expectKept(made, to, original)
    const [table, ...fragments] = (compressed.get(Attribute.PixelData)!.value as { fragments: Bytes[] }).fragments
    expect(table!.length).toBe(0)
    expect(fragments.length).toBe(count)
    expect(fragments.every(({ length }) => length % 2 === 0)).toBe(true)
    const isWavelet = to.uid !== JPEG_LS.uid && to.uid !== RLE.uid
    expect(textOf(compressed, Attribute.PhotometricInterpretation)).toBe(
      isWavelet && shape.samplesPerPixel === 3 ? 'YBR_RCT' : textOf(original, Attribute.PhotometricInterpretation),
    )
    expect(compressed.has(Attribute.LossyImageCompression)).toBe(false)
    const back = await through(made, to, EXPLICIT)
    expect(differences(without(original, ICON), parseDataset(back, EXPLICIT))).toEqual([])
  })

  it('of single bits goes to RLE and back', async () => {
    const shape: Shape = { rows: 3, columns: 8, bitsAllocated: 1 }
    const original = nativeDataset(shape, [noise(12, 3)]).set(Attribute.NumberOfFrames, 4)
    const made = await through(encodeDataset(original, EXPLICIT), EXPLICIT, RLE)
    expect(framesOf(expectKept(made, RLE, original)).length).toBe(4)
    const back = await through(made, RLE, EXPLICIT)
    expect(differences(without(original, ICON), parseDataset(back, EXPLICIT))).toEqual([])
  })

  it('gives the frames that it says it has, and nothing of what is behind them', async () => {
    const frames = pictures(grey, 4)
    for (const stated of [1, 3]) {
      const original = nativeDataset(grey, frames).set(Attribute.NumberOfFrames, stated)
      const made = await through(encodeDataset(original, EXPLICIT), EXPLICIT, RLE)
      const back = parseDataset(await through(made, RLE, EXPLICIT), EXPLICIT)
      expect(framesOf(back)).toEqual(frames.slice(0, stated))
    }
  })

  it('of colours loses something in JPEG, and says so', async () => {
    const frames = pictures(colour, 2)
    const original = nativeDataset(colour, frames)
    const made = await through(encodeDataset(original, EXPLICIT), EXPLICIT, JPEG)
    const compressed = expectKept(made, JPEG, original)
    expect(textOf(compressed, Attribute.PhotometricInterpretation)).toBe('YBR_FULL')
    expect(textOf(compressed, Attribute.LossyImageCompression)).toBe('01')
    expect(textOf(compressed, Attribute.LossyImageCompressionMethod)).toBe('ISO_10918_1')
    const back = parseDataset(await through(made, JPEG, EXPLICIT), EXPLICIT)
    expect(textOf(back, Attribute.PhotometricInterpretation)).toBe('RGB')
    expect(textOf(back, Attribute.LossyImageCompression)).toBe('01')
    expect(textOf(back, Attribute.LossyImageCompressionMethod)).toBe('ISO_10918_1')
    framesOf(back).forEach((frame, n) => {
      expect(greatestDifference(frame, frames[n]!, describeImage(back))).toBeLessThanOrEqual(24)
    })
  })

  it.each([
    ['JPEG Baseline of more than 8 bits', grey, JPEG],
    ['JPEG Baseline of YCbCr', { ...colour, photometricInterpretation: 'YBR_FULL' }, JPEG],
    ['JPEG-LS of 32 bits', { ...grey, bitsAllocated: 32, bitsStored: 32 }, JPEG_LS],
    ['JPEG 2000 of single bits', { ...grey, bitsAllocated: 1, bitsStored: 1 }, J2K],
    ['RLE of planes', { ...colour, planarConfiguration: 1 }, RLE],
    ['MPEG2', colour, syntaxOf('.4.100')],
  ] as [string, Shape, TransferSyntax][])('has no way to %s', (_, shape, to) => {
    expect(planTranscoding(pixelsOf(nativeDataset(shape, [])), EXPLICIT, to)).toBeUndefined()
  })
})

describe('the attributes of what was compressed with loss', () => {
  const frames = pictures({ rows: 8, columns: 8 }, 1)
  const lossy = (change: (dataset: Dataset) => void): Promise<Dataset> =>
    compressedDataset({ rows: 8, columns: 8, change }, frames, JPEG)

  it.each([
    ['nothing', (): void => undefined, '01', 'ISO_10918_1'],
    ['so', (d: Dataset) => void d.set(Attribute.LossyImageCompression, '01'), '01', 'ISO_10918_1'],
    [
      'how often',
      (d: Dataset) =>
        void d
          .set(Attribute.LossyImageCompression, '01')
          .set(Attribute.LossyImageCompressionMethod, ['ISO_15444_1', 'ISO_10918_1']),
      '01',
      'ISO_15444_1\\ISO_10918_1',
    ],
  ])('say so when it is native, where they said %s', async (_, change, flag, method) => {
    const original = await lossy(change)
    const made = await through(encodeDataset(original, JPEG), JPEG, EXPLICIT)
    const dataset = expectKept(made, EXPLICIT, original)
    expect(textOf(dataset, Attribute.LossyImageCompression)).toBe(flag)
    expect(textOf(dataset, Attribute.LossyImageCompressionMethod)).toBe(method)
  })

  it('say so when it is compressed without loss', async () => {
    const original = await lossy(() => undefined)
    const made = await through(encodeDataset(original, JPEG), JPEG, RLE)
    const dataset = expectKept(made, RLE, original)
    expect(textOf(dataset, Attribute.LossyImageCompression)).toBe('01')
    expect(textOf(dataset, Attribute.LossyImageCompressionMethod)).toBe('ISO_10918_1')
  })

  it('say so when that nothing was lost is said no more', async () => {
    const change = (d: Dataset): void => void d.set(Attribute.LossyImageCompression, '00')
    const original = nativeDataset({ rows: 8, columns: 8, change }, frames)
    const made = await through(encodeDataset(original, EXPLICIT), EXPLICIT, JPEG)
    expect(textOf(expectKept(made, JPEG, original), Attribute.LossyImageCompression)).toBe('01')
  })
})

describe('the tables of offsets', () => {
  it('are dropped, with group lengths and trailing padding', async () => {
    const original = (await compressedDataset(grey, pictures(grey, 3), RLE))
      .put(Attribute.ExtendedOffsetTable, { vr: 'OV', value: Buffer.alloc(24) })
      .put(Attribute.ExtendedOffsetTableLengths, { vr: 'OV', value: Buffer.alloc(24) })
      .put(Attribute.EncapsulatedPixelDataValueTotalLength, { vr: 'UV', value: Buffer.alloc(8) })
      .put(0x00280000, { vr: 'UL', value: Buffer.alloc(4, 1) })
      .put(0xfffcfffc, { vr: 'OB', value: Buffer.alloc(10) })
    for (const to of [EXPLICIT, J2K]) {
      const made = await through(encodeDataset(original, RLE), RLE, to)
      const tags = tagsOf(made, to)
      for (const tag of [0x7fe00001, 0x7fe00002, 0x7fe00003, 0x00280000, 0xfffcfffc]) expect(tags).not.toContain(tag)
      expect(tags).toContain(0x7fe11001)
    }
  })

  it.each([
    ['that is right', [0, 1, 2]],
    ['that is wrong', [0, 2, 2]],
  ])('do not matter to what comes out: a Basic Offset Table %s', async (_, which) => {
    const frames = pictures(grey, 3)
    const original = await compressedDataset(grey, frames, J2K)
    const { fragments } = original.get(Attribute.PixelData)!.value as { fragments: Bytes[] }
    const starts = [0, 8 + fragments[1]!.length, 16 + fragments[1]!.length + fragments[2]!.length]
    const table = Buffer.alloc(12)
    which.forEach((start, n) => table.writeUInt32LE(starts[start]!, 4 * n))
    original.put(Attribute.PixelData, { vr: 'OB', value: { fragments: [table, ...fragments.slice(1)] } })
    const made = parseDataset(await through(encodeDataset(original, J2K), J2K, EXPLICIT), EXPLICIT)
    expect(framesOf(made)).toEqual(frames)
  })
})

describe('a transcoding', () => {
  it('gives the same whatever chunks come in', async () => {
    const small: Shape = { ...grey, change: (dataset) => void dataset.delete(0x7fe11001) }
    const native = encodeDataset(nativeDataset(small, pictures(grey, 3)), EXPLICIT)
    const compressed = await through(native, EXPLICIT, J2K)
    const ways: [Bytes, TransferSyntax, TransferSyntax][] = [
      [native, EXPLICIT, RLE],
      [compressed, J2K, EXPLICIT],
      [compressed, J2K, HTJ2K],
    ]
    for (const [data, from, to] of ways) {
      const whole = await through(data, from, to, [data])
      const others = [byteByByte(data), chunksOf(data, 7), chunksOf(data, 239), cutAt(data, [9, 100, data.length - 9])]
      for (const chunks of others) expect((await through(data, from, to, chunks)).equals(whole)).toBe(true)
    }
  })

  it('takes a data set from Implicit VR and Big Endian by way of Explicit VR Little Endian', async () => {
    const original = nativeDataset(grey, pictures(grey, 2))
    const straight = await through(encodeDataset(original, EXPLICIT), EXPLICIT, RLE)
    for (const suffix of ['', '.2']) {
      const recoded = await collect(
        recode(streamOf([encodeDataset(original, syntaxOf(suffix))]), syntaxOf(suffix), EXPLICIT),
      )
      const made = parseDataset(await through(recoded, EXPLICIT, RLE), RLE)
      expect(differences(parseDataset(straight, RLE), made, { anyVr: true })).toEqual([])
    }
  })

  it('that is not wanted any more ends with the reason', async () => {
    const data = encodeDataset(nativeDataset(grey, pictures(grey, 3)), EXPLICIT)
    const plan = planOf(parseDataset(data, EXPLICIT), EXPLICIT, RLE)
    const reason = new Error('no more')
    const source = streamOf(chunksOf(data, 50))
    const { error } = await collectUntilError(transcode(source, plan, pool, AbortSignal.abort(reason)))
    expect(error).toBe(reason)
    expect(source.closed).toBe(true)
  })

  it('that is left early closes its source', async () => {
    const data = encodeDataset(nativeDataset(grey, pictures(grey, 6)), EXPLICIT)
    const source = streamOf(chunksOf(data, 50))
    const plan = planOf(parseDataset(data, EXPLICIT), EXPLICIT, RLE)
    for await (const chunk of transcode(source, plan, pool, never)) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect(source.closed).toBe(true)
  })
})

describe('a data set that is not what it should be', () => {
  const frames = pictures(grey, 4)

  it.each([
    ['native', EXPLICIT, RLE],
    ['compressed', RLE, EXPLICIT],
    ['compressed', J2K, JPEG_LS],
  ])('ends in an error when it is cut, wherever: %s', async (_, from, to) => {
    const shape: Shape = { ...grey, change: (dataset) => void dataset.delete(0x7fe11001) }
    const original = from === EXPLICIT ? nativeDataset(shape, frames) : await compressedDataset(shape, frames, from)
    const data = encodeDataset(original, from)
    const plan = planOf(parseDataset(data, from), from, to)
    for (let share = 0.05; share < 1; share += 0.05) {
      const cut = data.subarray(0, Math.floor(share * data.length))
      const { error } = await collectUntilError(transcode(streamOf(chunksOf(cut, 100)), plan, pool, never))
      expect(error instanceof MalformedDataSetError || error instanceof CodestreamError, `${share}`).toBe(true)
    }
    for (const missing of [1, 4, 8, 9]) {
      const cut = data.subarray(0, data.length - missing)
      const { error } = await collectUntilError(transcode(streamOf([cut]), plan, pool, never))
      expect(error, `${missing} bytes are missing`).toBeInstanceOf(MalformedDataSetError)
    }
  })

  it.each([
    ['native', 5, EXPLICIT, RLE],
    ['RLE', 3, RLE, EXPLICIT],
    ['RLE', 5, RLE, EXPLICIT],
    ['JPEG 2000', 3, J2K, EXPLICIT],
    ['JPEG 2000', 5, J2K, RLE],
  ])('ends in an error when it has another number of frames: %s, 4 in place of %i', async (_, stated, from, to) => {
    const change = (dataset: Dataset): void => void dataset.set(Attribute.NumberOfFrames, stated)
    const shape: Shape = { ...grey, change }
    const original = from === EXPLICIT ? nativeDataset(shape, frames) : await compressedDataset(shape, frames, from)
    const plan = planOf(original, from, to)
    expect(plan.frames).toBe(stated)
    const { error } = await collectUntilError(transcode(streamOf([encodeDataset(original, from)]), plan, pool, never))
    expect(error).toBeInstanceOf(CodestreamError)
  })

  it.each([1, 2])('gives the frames before the one that is damaged, %i before it', async (damaged) => {
    const original = await compressedDataset(grey, frames, JPEG_LS)
    const { fragments } = original.get(Attribute.PixelData)!.value as { fragments: Bytes[] }
    fragments[damaged + 1] = Buffer.concat([fragments[damaged + 1]!.subarray(0, 30), Buffer.alloc(20)])
    const data = encodeDataset(original, JPEG_LS)
    const plan = planOf(original, JPEG_LS, EXPLICIT)
    const { bytes, error } = await collectUntilError(transcode(streamOf(chunksOf(data, 64)), plan, pool, never))
    expect(error).toBeInstanceOf(CodestreamError)
    expect(bytes.indexOf(frames[damaged - 1]!)).toBeGreaterThan(0)
    expect(bytes.subarray(-frames[0]!.length).equals(frames[damaged - 1]!)).toBe(true)
  })

  it('gives nothing at all where the first frame is damaged', async () => {
    const original = await compressedDataset(grey, frames, JPEG_LS)
    const { fragments } = original.get(Attribute.PixelData)!.value as { fragments: Bytes[] }
    fragments[1] = Buffer.from(fragments[1]!.subarray(0, 30))
    const data = encodeDataset(original, JPEG_LS)
    const plan = planOf(original, JPEG_LS, EXPLICIT)
    const { bytes, error } = await collectUntilError(transcode(streamOf(chunksOf(data, 64)), plan, pool, never))
    expect(error).toBeInstanceOf(CodestreamError)
    expect(bytes.length).toBe(0)
  })

  it.each([
    ['no pixel data', (dataset: Dataset) => void dataset.delete(Attribute.PixelData)],
    [
      'empty pixel data',
      (dataset: Dataset) => void dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(0) }),
    ],
    [
      'no fragments',
      (dataset: Dataset) => void dataset.put(Attribute.PixelData, { vr: 'OB', value: { fragments: [] } }),
    ],
    [
      'half a frame',
      (dataset: Dataset) => void dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(120) }),
    ],
  ])('ends in an error when it has %s', async (_, change) => {
    const original = nativeDataset({ ...grey, change }, pictures(grey, 1))
    const isFragments = original.get(Attribute.PixelData)?.vr === 'OB'
    const [from, to] = isFragments ? [RLE, EXPLICIT] : [EXPLICIT, RLE]
    const plan = planOf(original, from, to)
    const { error } = await collectUntilError(transcode(streamOf([encodeDataset(original, from)]), plan, pool, never))
    expect(error).toBeInstanceOf(CodestreamError)
  })

  it('has no way to be read where its attributes are of no image', () => {
    for (const shape of [{ rows: 0 }, { columns: 0 }, { samplesPerPixel: 2 }, { bitsAllocated: 12 }]) {
      const dataset = nativeDataset({ ...grey, ...shape }, [])
      expect(planTranscoding(pixelsOf(dataset), EXPLICIT, RLE)).toBeUndefined()
      expect(planTranscoding(pixelsOf(dataset), RLE, EXPLICIT)).toBeUndefined()
    }
    expect(planTranscoding(pixelsOf(nativeDataset(grey, [])), syntaxOf('.4.102'), EXPLICIT)).toBeUndefined()
  })

  it('does not stream where frames begin within its bytes', () => {
    const bits = (columns: number): Dataset => nativeDataset({ rows: 3, columns, bitsAllocated: 1 }, [])
    expect(isStreamable(planOf(bits(8), EXPLICIT, RLE))).toBe(true)
    expect(isStreamable(planOf(bits(5), EXPLICIT, RLE))).toBe(false)
    expect(isStreamable(planOf(bits(5), RLE, EXPLICIT))).toBe(true)
  })

  it('has no way to be native where that does not fit a length', () => {
    const dataset = nativeDataset({ ...grey, rows: 8000, columns: 8000 }, [])
    expect(planTranscoding(pixelsOf(dataset.set(Attribute.NumberOfFrames, 33)), RLE, EXPLICIT)).toBeDefined()
    expect(planTranscoding(pixelsOf(dataset.set(Attribute.NumberOfFrames, 34)), RLE, EXPLICIT)).toBeUndefined()
    expect(planTranscoding(pixelsOf(dataset), RLE, J2K)).toBeDefined()
  })
})

describe('an instance that is to be converted whole', () => {
  const tiny = nativeDataset({ rows: 1, columns: 1, bitsAllocated: 8 }, [])
  const plan = (frames: number) => planTranscoding({ header: tiny, frames }, EXPLICIT, JPEG_LS)!

  it('has so many frames at most', () => {
    expect(() => checkWhole(plan(MAX_CONVERTED_FRAMES), MAX_CONVERTED_FRAMES)).not.toThrow()
    expect(() => checkWhole(plan(MAX_CONVERTED_FRAMES + 1), MAX_CONVERTED_FRAMES + 1)).toThrow(UnusableImageError)
  })

  it('has as many bytes as its frames take', () => {
    expect(() => checkWhole(plan(100), 100)).not.toThrow()
    expect(() => checkWhole(plan(101), 100)).toThrow(CodestreamError)
  })
})
