import { describe, expect, it } from 'vitest'
import { rawSamples, storedValue } from '../../../src/imaging/draw/stored-values.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import { description } from '../made-images.ts'

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
