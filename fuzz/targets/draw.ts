import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { drawFrame } from '../../src/imaging/draw/draw-frame.ts'
import { planDrawing } from '../../src/imaging/draw/drawing-plan.ts'
import { readOverlays } from '../../src/imaging/draw/read-overlays.ts'
import { UnusableImageError } from '../../src/imaging/image-description.ts'
import { dataSetTokens } from '../seeds.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

const FLOATS = [
  [Attribute.FloatPixelData, 32],
  [Attribute.DoubleFloatPixelData, 64],
] as const

/** A native frame drawn by the attributes around it (PS3.4 N.2): tables, windows, palettes, overlays. */
export const draw: Target = {
  name: 'draw',
  errors: [MalformedDataSetError, UnusableImageError],
  dictionary: [
    ...dataSetTokens,
    ...tokens('MONOCHROME1 ', 'MONOCHROME2 ', 'PALETTE COLOR ', 'RGB ', 'YBR_FULL', 'YBR_FULL_422', 'YBR_PARTIAL_422 '),
    ...tokens('SIGMOID ', 'LINEAR_EXACT', 'INVERSE ', 'ROI ', '\x00\x60', '\x02\x60', '\x1e\x60'),
  ],
  maxLength: 16_384,
  async seeds() {
    return [
      image('MONOCHROME2', 16).set(Attribute.WindowCenter, '40').set(Attribute.WindowWidth, '400'),
      withOverlay(image('MONOCHROME1', 8)).set(Attribute.PixelPaddingValue, 0),
      image('MONOCHROME2', 1),
      withTable(image('MONOCHROME2', 16), Attribute.ModalityLUTSequence),
      withTable(image('MONOCHROME2', 16), Attribute.VOILUTSequence),
      withPalette(image('PALETTE COLOR', 8), false),
      withPalette(image('PALETTE COLOR', 8), true),
      image('MONOCHROME2', 32)
        .set(Attribute.VOILUTFunction, 'LINEAR_EXACT')
        .set(Attribute.WindowCenter, '9')
        .set(Attribute.WindowWidth, '0.5'),
      image('MONOCHROME2', 16)
        .set(Attribute.VOILUTFunction, 'SIGMOID')
        .set(Attribute.WindowCenter, '9')
        .set(Attribute.WindowWidth, '8'),
      withOverlay(image('MONOCHROME2', 16).set(Attribute.BitsStored, 12), true),
      ofFloats(Attribute.FloatPixelData, 'OF', 4),
      ofFloats(Attribute.DoubleFloatPixelData, 'OD', 8),
      ...['RGB', 'YBR_FULL', 'YBR_FULL_422', 'YBR_PARTIAL_422'].map((kind) => image(kind, 8, 3)),
    ].map((dataset) => encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN))
  },
  async run(input) {
    const dataset = parseDataset(input, EXPLICIT_VR_LITTLE_ENDIAN)
    const [tag, float] = FLOATS.find(([one]) => dataset.has(one)) ?? [Attribute.PixelData, undefined]
    const plan = planDrawing(dataset, 1, float)
    const request = { frame: 1, image: plan.image, inSamples: true }
    const overlays = await readOverlays(dataset, request, async (t, from, to) => bytesOf(dataset, t).subarray(from, to))
    const { width, height, channels, data } = drawFrame(bytesOf(dataset, tag), { ...plan, overlays })
    if (data.length !== width * height * channels) {
      throw new BrokenPropertyError(`A picture of ${width} x ${height} x ${channels} has ${data.length} bytes`)
    }
  },
}

function bytesOf(dataset: Dataset, tag: number): Uint8Array {
  const value = dataset.get(tag)?.value
  return value instanceof Uint8Array ? value : new Uint8Array(0)
}

function image(kind: string, bits: number, samples = 1): Dataset {
  return new Dataset()
    .set(Attribute.SamplesPerPixel, samples)
    .set(Attribute.PhotometricInterpretation, kind)
    .set(Attribute.Rows, 4)
    .set(Attribute.Columns, 6)
    .set(Attribute.BitsAllocated, bits)
    .put(Attribute.PixelData, { vr: 'OW', value: Buffer.from(Array.from({ length: 3 * bits * samples }, (_, n) => n)) })
}

function ofFloats(tag: number, vr: 'OF' | 'OD', bytes: number): Dataset {
  const dataset = image('MONOCHROME2', 8 * bytes).put(tag, { vr, value: Buffer.alloc(4 * 6 * bytes, 0x3f) })
  dataset.delete(Attribute.PixelData)
  return dataset
}

function withOverlay(dataset: Dataset, inSamples = false): Dataset {
  dataset
    .set(Attribute.OverlayRows, 2)
    .set(Attribute.OverlayColumns, 3)
    .set(Attribute.OverlayType, 'G')
    .set(Attribute.OverlayOrigin, [1, 2])
  if (inSamples) return dataset.set(Attribute.OverlayBitsAllocated, 16).set(Attribute.OverlayBitPosition, 15)
  return dataset.put(Attribute.OverlayData, { vr: 'OW', value: Buffer.of(0x2a, 0) })
}

function withTable(dataset: Dataset, sequence: number): Dataset {
  const table = new Dataset()
    .set(Attribute.LUTDescriptor, [4, 1, 12])
    .put(Attribute.LUTData, { vr: 'OW', value: Buffer.of(0, 0, 0, 4, 0, 8, 255, 15) })
  return dataset.setItems(sequence, [table])
}

function withPalette(dataset: Dataset, isSegmented: boolean): Dataset {
  const plain = Buffer.of(0, 0, 0, 64, 0, 128, 255, 255)
  // Discrete, linear, and a repetition of the first (PS3.3 C.7.9.2).
  const segments = Buffer.from([0, 0, 1, 0, 7, 0, 1, 0, 2, 0, 99, 0, 2, 0, 1, 0, 0, 0, 0, 0])
  const tables = [
    [
      Attribute.RedPaletteColorLookupTableDescriptor,
      Attribute.RedPaletteColorLookupTableData,
      Attribute.SegmentedRedPaletteColorLookupTableData,
    ],
    [
      Attribute.GreenPaletteColorLookupTableDescriptor,
      Attribute.GreenPaletteColorLookupTableData,
      Attribute.SegmentedGreenPaletteColorLookupTableData,
    ],
    [
      Attribute.BluePaletteColorLookupTableDescriptor,
      Attribute.BluePaletteColorLookupTableData,
      Attribute.SegmentedBluePaletteColorLookupTableData,
    ],
  ] as const
  for (const [descriptor, data, segmented] of tables) {
    dataset.set(descriptor, [4, 0, 16])
    dataset.put(isSegmented ? segmented : data, { vr: 'OW', value: isSegmented ? segments : plain })
  }
  return dataset
}
