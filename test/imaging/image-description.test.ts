import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { describeImage, frameBits, UnusableImageError } from '../../src/imaging/image-description.ts'
import { rawSamples, storedValue } from '../../src/imaging/draw/stored-values.ts'
import { description } from './made-images.ts'

const sized = (values: Partial<Record<keyof typeof Attribute, number | string>> = {}): Dataset => {
  const dataset = new Dataset().set(Attribute.Rows, 3).set(Attribute.Columns, 5)
  for (const [name, value] of Object.entries(values)) {
    const isFraction = typeof value === 'number' && !Number.isInteger(value)
    // As an archive may send it that does not keep to the VR.
    dataset.set(Attribute[name as keyof typeof Attribute], value, ...(isFraction ? (['DS'] as const) : []))
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

  it('may be of 256 MiB', () => {
    expect(frameBits(describeImage(sized({ Rows: 16_384, Columns: 16_384 })))).toBe(2 ** 31)
  })
})

describe('a stored value', () => {
  it.each([
    [{ bitsAllocated: 8 }, 0xff, 255],
    [{ bitsAllocated: 8, signed: true }, 0xff, -1],
    [{ bitsAllocated: 16, bitsStored: 12 }, 0xf123, 0x123],
    [{ bitsAllocated: 16, bitsStored: 12, signed: true }, 0x0fff, -1],
    [{ bitsAllocated: 16, bitsStored: 12, signed: true }, 0xf7ff, 0x7ff],
    [{ bitsAllocated: 16, bitsStored: 12, highBit: 15 }, 0x1237, 0x123],
    [{ bitsAllocated: 16, bitsStored: 12, highBit: 15, signed: true }, 0xfff7, -1],
    [{ bitsAllocated: 16, signed: true }, 0x8000, -32_768],
    [{ bitsAllocated: 32 }, 0xffffffff, 4_294_967_295],
    [{ bitsAllocated: 32, signed: true }, 0xffffffff, -1],
    [{ bitsAllocated: 1 }, 1, 1],
  ])('is the stored bits with their sign: %j of %i is %i', (image, raw, value) => {
    expect(storedValue(description(image))(raw)).toBe(value)
  })

  it.each([
    [1, [0b01100110, 0b10], [0, 1, 1, 0, 0, 1, 1, 0, 0, 1]],
    [8, [1, 2, 255], [1, 2, 255]],
    [16, [1, 2, 255, 0], [0x201, 255]],
    [32, [1, 2, 3, 4], [0x04030201]],
  ])('of %i bits is in Little Endian, wherever its bytes begin', (bitsAllocated, bytes, expected) => {
    for (const lead of [0, 1]) {
      const frame = Buffer.from([...Array<number>(lead).fill(9), ...bytes]).subarray(lead)
      expect([...rawSamples(frame, description({ bitsAllocated }), expected.length)]).toEqual(expected)
    }
  })

  it('is not there in a frame that is too short, nor in 64 bits', () => {
    expect(() => rawSamples(Buffer.alloc(3), description({ bitsAllocated: 16 }), 2)).toThrow(UnusableImageError)
    expect(() => rawSamples(Buffer.alloc(8), description({ bitsAllocated: 64 }), 1)).toThrow(UnusableImageError)
  })
})
