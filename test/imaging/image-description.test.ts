import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { describeImage, frameBits, MAX_FRAME_BYTES, UnusableImageError } from '../../src/imaging/image-description.ts'
import { description } from './made-images.ts'

const sized = (values: Partial<Record<keyof typeof Attribute, number | string>> = {}): Dataset => {
  const dataset = new Dataset().set(Attribute.Rows, 3).set(Attribute.Columns, 5)
  for (const [name, value] of Object.entries(values)) {
    const isFraction = typeof value === 'number' && !Number.isInteger(value)
    // As an archive may send it that does not keep to the VR.
    const other = isFraction ? 'DS' : typeof value === 'number' && value > 65_535 ? 'UL' : undefined
    dataset.set(Attribute[name as keyof typeof Attribute], value, ...(other ? ([other] as const) : []))
  }
  return dataset
}

describe('what an image says of itself', () => {
  it('is all read', () => {
    const dataset = sized({
      SamplesPerPixel: 3,
      PhotometricInterpretation: 'YBR_FULL',
      PlanarConfiguration: 1,
      BitsAllocated: 16,
      BitsStored: 12,
      HighBit: 15,
      PixelRepresentation: 1,
    })
    expect(describeImage(dataset)).toEqual({
      rows: 3,
      columns: 5,
      samplesPerPixel: 3,
      photometricInterpretation: 'YBR_FULL',
      planarConfiguration: 1,
      bitsAllocated: 16,
      bitsStored: 12,
      highBit: 15,
      signed: true,
    })
  })

  it('is grey of 8 bits where it says nothing but its size', () => {
    expect(describeImage(sized())).toEqual(description({ rows: 3, columns: 5 }))
    expect(describeImage(sized({ SamplesPerPixel: 3 })).photometricInterpretation).toBe('RGB')
  })

  it('has no planes of one sample', () => {
    expect(describeImage(sized({ PlanarConfiguration: 1 })).planarConfiguration).toBe(0)
  })

  it.each([
    [
      { BitsAllocated: 8, BitsStored: 12 },
      { bitsStored: 8, highBit: 7 },
    ],
    [
      { BitsAllocated: 16, BitsStored: 11.5, HighBit: 14.5 },
      { bitsStored: 16, highBit: 15 },
    ],
    [
      { BitsAllocated: 16, BitsStored: 0 },
      { bitsStored: 16, highBit: 15 },
    ],
    [
      { BitsAllocated: 16, BitsStored: 12, HighBit: 7 },
      { bitsStored: 12, highBit: 11 },
    ],
    [
      { BitsAllocated: 16, BitsStored: 12, HighBit: 16 },
      { bitsStored: 12, highBit: 11 },
    ],
  ])('is mended where it cannot be so: %j', (values, expected) => {
    expect(describeImage(sized(values))).toMatchObject(expected)
  })

  it.each([
    { Rows: 0 },
    { Rows: 2.5 },
    { Columns: 0.5 },
    { Columns: 0 },
    { SamplesPerPixel: 2 },
    { BitsAllocated: 12 },
    { BitsAllocated: 0 },
    { Rows: 65_535, Columns: 65_535 },
    { Rows: 16_384, Columns: 16_384, BitsAllocated: 16 },
  ])('is refused with %j', (values) => {
    expect(() => describeImage(sized(values))).toThrow(UnusableImageError)
  })

  it('may have as many bytes as a frame has at most, and not one more', () => {
    const most = MAX_FRAME_BYTES / 65_536
    expect(frameBits(describeImage(sized({ Rows: most, Columns: 65_536 })))).toBe(MAX_FRAME_BYTES * 8)
    const oneMore = { Rows: 1, Columns: MAX_FRAME_BYTES + 1 }
    expect(() => describeImage(sized(oneMore))).toThrow(UnusableImageError)
  })
})
