import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { MAX_DRAWN_PIXELS, planDrawing } from '../../../src/imaging/draw/drawing-plan.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'

/** A grey image of 12 bits. */
function header(change: (dataset: Dataset) => void = () => undefined): Dataset {
  const dataset = new Dataset()
    .set(Attribute.Rows, 4)
    .set(Attribute.Columns, 4)
    .set(Attribute.SamplesPerPixel, 1)
    .set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
    .set(Attribute.BitsAllocated, 16)
    .set(Attribute.BitsStored, 12)
    .set(Attribute.HighBit, 11)
    .set(Attribute.PixelRepresentation, 0)
  change(dataset)
  return dataset
}

const draw = (dataset: Dataset, frame = 1) => planDrawing(dataset, frame, undefined)
const window = (center: string, width: string): Dataset =>
  new Dataset().set(Attribute.WindowCenter, center).set(Attribute.WindowWidth, width)
const rescale = (slope: string, intercept: string): Dataset =>
  new Dataset().set(Attribute.RescaleSlope, slope).set(Attribute.RescaleIntercept, intercept)
/** A table of three entries. */
const table = (first: number, bits = 16): Dataset =>
  new Dataset()
    .set(Attribute.LUTDescriptor, [3, first, bits], 'US')
    .put(Attribute.LUTData, { vr: 'OW', value: Buffer.of(1, 0, 2, 0, 3, 0) })

describe('the modality transformation', () => {
  it('is none unless something is said', () => {
    expect(draw(header()).modality).toEqual({ kind: 'rescale', slope: 1, intercept: 0 })
  })

  it('is a line', () => {
    const dataset = header((d) => d.set(Attribute.RescaleSlope, '2.5').set(Attribute.RescaleIntercept, '-1024'))
    expect(draw(dataset).modality).toEqual({ kind: 'rescale', slope: 2.5, intercept: -1024 })
  })

  it('without a slope keeps values apart', () => {
    expect(draw(header((d) => d.set(Attribute.RescaleSlope, '0'))).modality).toMatchObject({ slope: 1 })
  })

  it('is a table, which goes before a line', () => {
    const dataset = header((d) =>
      d.set(Attribute.RescaleSlope, '2').setItems(Attribute.ModalityLUTSequence, [table(5)]),
    )
    expect(draw(dataset).modality).toEqual({
      kind: 'lut',
      lut: { first: 5, bits: 16, entries: Uint16Array.of(1, 2, 3) },
    })
  })

  it('with a table that has no data is refused', () => {
    const broken = table(0)
    broken.delete(Attribute.LUTData)
    expect(() => draw(header((d) => d.setItems(Attribute.ModalityLUTSequence, [broken])))).toThrow(UnusableImageError)
  })
})

describe('the values of interest', () => {
  it('are all that occur unless something is said', () => {
    expect(draw(header()).voi).toEqual({ kind: 'range' })
  })

  it.each([
    [undefined, 'linear'],
    ['LINEAR', 'linear'],
    ['LINEAR_EXACT', 'linear-exact'],
    ['SIGMOID', 'sigmoid'],
    ['NEW', 'linear'],
  ])('are those of the first window, by its function: %s is %s', (name, expected) => {
    const dataset = header((d) => {
      d.set(Attribute.WindowCenter, ['40', '500']).set(Attribute.WindowWidth, ['400', '2000'])
      if (name !== undefined) d.set(Attribute.VOILUTFunction, name)
    })
    expect(draw(dataset).voi).toEqual({ kind: 'window', center: 40, width: 400, function: expected })
  })

  it.each([
    ['0', 'LINEAR', 'range'],
    ['0.5', 'LINEAR', 'range'],
    ['-1', 'LINEAR', 'range'],
    ['1', 'LINEAR', 'window'],
    ['0.5', 'LINEAR_EXACT', 'window'],
    ['0', 'LINEAR_EXACT', 'range'],
    ['0', 'SIGMOID', 'range'],
  ])('are not those of a window that has no width: %s, %s', (width, name, kind) => {
    const dataset = header((d) =>
      d.set(Attribute.WindowCenter, '40').set(Attribute.WindowWidth, width).set(Attribute.VOILUTFunction, name),
    )
    expect(draw(dataset).voi.kind).toBe(kind)
  })

  it('are all where a window has no center', () => {
    expect(draw(header((d) => d.set(Attribute.WindowWidth, '400'))).voi).toEqual({ kind: 'range' })
  })

  it('are those of a table where there is no window', () => {
    const dataset = header((d) => d.setItems(Attribute.VOILUTSequence, [table(7), table(9)]))
    expect(draw(dataset).voi).toMatchObject({ kind: 'lut', lut: { first: 7 } })
    dataset.set(Attribute.WindowCenter, '40').set(Attribute.WindowWidth, '400')
    expect(draw(dataset).voi.kind).toBe('window')
  })

  it('begin below zero in a table where the rescaled values may, however its descriptor is written', () => {
    const first = (intercept: string, value: number, vr: 'US' | 'SS'): number => {
      const lut = table(7).set(Attribute.LUTDescriptor, [3, value, 16], vr)
      const dataset = header((d) => d.set(Attribute.RescaleIntercept, intercept).set(Attribute.RescaleSlope, '1'))
      const { voi } = draw(dataset.setItems(Attribute.VOILUTSequence, [lut]))
      return voi.kind === 'lut' ? voi.lut.first : Number.NaN
    }
    expect(first('-1024', 0xffe0, 'US')).toBe(-32)
    expect(first('-1024', -32, 'SS')).toBe(-32)
    expect(first('0', 0xffe0, 'US')).toBe(0xffe0)
  })
})

describe('the functional groups', () => {
  const groups = (voi?: Dataset, transformation?: Dataset): Dataset => {
    const group = new Dataset()
    if (voi) group.setItems(Attribute.FrameVOILUTSequence, [voi])
    if (transformation) group.setItems(Attribute.PixelValueTransformationSequence, [transformation])
    return group
  }
  const enhanced = header((d) =>
    d
      .set(Attribute.WindowCenter, '1')
      .set(Attribute.WindowWidth, '10')
      .set(Attribute.RescaleIntercept, '100')
      .set(Attribute.NumberOfFrames, '3')
      .setItems(Attribute.SharedFunctionalGroupsSequence, [groups(window('2', '20'), rescale('2', '200'))])
      .setItems(Attribute.PerFrameFunctionalGroupsSequence, [
        groups(window('3', '30'), rescale('3', '300')),
        groups(undefined, rescale('4', '400')),
        groups(window('5', '50')),
      ]),
  )

  it.each([
    [1, 3, 300],
    [2, 2, 400],
    [3, 5, 200],
  ])('of frame %i go before those of all', (frame, center, intercept) => {
    expect(draw(enhanced, frame)).toMatchObject({ voi: { center }, modality: { intercept } })
  })

  it('of all go before what the instance says, where the frame has none', () => {
    expect(draw(enhanced, 4)).toMatchObject({ voi: { center: 2, width: 20 }, modality: { slope: 2, intercept: 200 } })
  })

  it('do without: then it is what the instance says', () => {
    enhanced.delete(Attribute.SharedFunctionalGroupsSequence)
    expect(draw(enhanced, 2)).toMatchObject({ voi: { center: 1, width: 10 }, modality: { intercept: 400 } })
    expect(draw(enhanced, 3)).toMatchObject({ voi: { center: 5 }, modality: { intercept: 100 } })
  })
})

describe('black and white', () => {
  it.each([
    ['MONOCHROME1', undefined, true],
    ['MONOCHROME1', 'INVERSE', true],
    ['MONOCHROME2', undefined, false],
    ['MONOCHROME2', 'IDENTITY', false],
    ['MONOCHROME2', 'INVERSE', true],
  ])('are the other way round for %s with %s: %s', (photometric, shape, inverse) => {
    const dataset = header((d) => {
      d.set(Attribute.PhotometricInterpretation, photometric)
      if (shape !== undefined) d.set(Attribute.PresentationLUTShape, shape)
    })
    expect(draw(dataset).inverse).toBe(inverse)
  })
})

describe('padding', () => {
  const padding = (signed: boolean, value: number, limit?: number, vr: 'US' | 'SS' = 'US') =>
    draw(
      header((d) => {
        d.set(Attribute.PixelRepresentation, signed ? 1 : 0).set(Attribute.PixelPaddingValue, value, vr)
        if (limit !== undefined) d.set(Attribute.PixelPaddingRangeLimit, limit, vr)
      }),
    ).padding

  it('is one value, or all between two in any order', () => {
    expect(draw(header()).padding).toBeUndefined()
    expect(padding(false, 10)).toEqual({ from: 10, to: 10 })
    expect(padding(false, 10, 20)).toEqual({ from: 10, to: 20 })
    expect(padding(false, 20, 10)).toEqual({ from: 10, to: 20 })
  })

  it('has the sign of the pixels, whatever VR it was written in', () => {
    expect(padding(true, 63_536)).toEqual({ from: -2000, to: -2000 })
    expect(padding(true, -2000, -1000, 'SS')).toEqual({ from: -2000, to: -1000 })
    expect(padding(false, 63_536)).toEqual({ from: 63_536, to: 63_536 })
  })
})

describe('a palette', () => {
  it('is needed by an image that says so, and by no other', () => {
    const dataset = header((d) => d.set(Attribute.PhotometricInterpretation, 'PALETTE COLOR'))
    expect(() => draw(dataset)).toThrow(UnusableImageError)
    expect(draw(header()).palette).toBeUndefined()
  })
})

describe('an image that says nothing of its size', () => {
  it.each([Attribute.Rows, Attribute.Columns])('cannot be drawn: without %i', (tag) => {
    expect(() => draw(header((d) => void d.delete(tag)))).toThrow(UnusableImageError)
    expect(() => draw(header((d) => d.set(tag, 0)))).toThrow(UnusableImageError)
  })
})

describe('an image of single bits', () => {
  const ofBits = (rows: number, columns: number): Dataset =>
    header((d) => {
      // In VRs that hold numbers of this size: only the number counts.
      d.set(Attribute.Rows, rows, 'UL').set(Attribute.Columns, columns, 'UL')
      d.set(Attribute.BitsAllocated, 1).set(Attribute.BitsStored, 1).set(Attribute.HighBit, 0)
    })

  it('is drawn if it has as many pixels as a picture may have, and not with one more', () => {
    expect(draw(ofBits(1, MAX_DRAWN_PIXELS)).image.columns).toBe(MAX_DRAWN_PIXELS)
    expect(() => draw(ofBits(1, MAX_DRAWN_PIXELS + 1))).toThrow(UnusableImageError)
  })
})
