import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { decodeRle, encodeRle } from '../../../src/imaging/codecs/rle.ts'
import { words32 } from '../../support/images.ts'
import { description, noise } from '../made-images.ts'

/** Bytes with runs in them, short and long. */
function runs(length: number): fc.Arbitrary<Buffer> {
  const run = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat(255), fc.boolean())
  return fc.array(run, { maxLength: 12 }).map((list) => {
    const bytes = noise(length)
    let at = 0
    for (const [count, value, isRun] of list) {
      if (isRun) bytes.fill(value, at, Math.min(at + count, length))
      at += count
    }
    return bytes
  })
}

const shapes = fc
  .record({
    rows: fc.integer({ min: 1, max: 6 }),
    columns: fc.integer({ min: 1, max: 300 }),
    bitsAllocated: fc.constantFrom(1, 8, 16, 32),
    samplesPerPixel: fc.constantFrom(1, 3),
  })
  .map(({ bitsAllocated, samplesPerPixel, ...rest }) =>
    description({ ...rest, bitsAllocated, samplesPerPixel: bitsAllocated === 1 ? 1 : samplesPerPixel }),
  )
  .chain((image) => {
    const { rows, columns, samplesPerPixel, bitsAllocated } = image
    const length = Math.ceil((rows * columns * samplesPerPixel * bitsAllocated) / 8)
    return fc.record({ image: fc.constant(image), frame: runs(length) })
  })

describe('any frame', () => {
  it('comes back from RLE as it was, in segments of even length', () => {
    fc.assert(
      fc.property(shapes, ({ image, frame }) => {
        const encoded = Buffer.from(encodeRle(frame, image)!)
        expect(Buffer.compare(decodeRle(encoded, image), frame)).toBe(0)
        const count = encoded.readUInt32LE(0)
        expect(count).toBe(image.samplesPerPixel * Math.ceil(image.bitsAllocated / 8))
        for (let segment = 0; segment < count; segment++) {
          expect(encoded.readUInt32LE(4 + 4 * segment) % 2).toBe(0)
        }
        expect(encoded.length % 2).toBe(0)
        // PS3.5 G.5: what is not used of the header is 0.
        expect(encoded.subarray(4 + 4 * count, 64).every((byte) => byte === 0)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('is encoded row by row: no run goes on in the next one', () => {
    const image = description({ rows: 2, columns: 5 })
    const encoded = Buffer.from(encodeRle(Buffer.alloc(10, 7), image)!)
    expect([...encoded.subarray(64)]).toEqual([252, 7, 252, 7])
  })

  it('does not grow by more than a byte in 128 and a row', () => {
    const image = description({ rows: 4, columns: 1000 })
    expect(encodeRle(noise(4000), image)!.length).toBeLessThanOrEqual(64 + 4 * (1000 + 8))
  })

  it('of more than 15 segments is not encoded', () => {
    expect(encodeRle(Buffer.alloc(16 * 4 * 4), description({ bitsAllocated: 64, samplesPerPixel: 3 }))).toBeUndefined()
  })
})

/** A frame of 4 x 1 pixels from its segments. */
function rle(count: number, ...segments: readonly (readonly number[])[]): Buffer {
  let at = 64
  const offsets = segments.map(({ length }) => {
    const offset = at
    at += length
    return offset
  })
  return Buffer.concat([
    words32([count, ...offsets]),
    Buffer.alloc(60 - 4 * offsets.length),
    Buffer.from(segments.flat()),
  ])
}

describe('a frame in RLE', () => {
  const grey = description({ rows: 1, columns: 4 })
  const words = description({ rows: 1, columns: 4, bitsAllocated: 16 })

  it('has runs, literals and bytes that mean nothing (PS3.5 G.3.1)', () => {
    expect([...decodeRle(rle(1, [128, 255, 9, 128, 1, 7, 8]), grey)]).toEqual([9, 9, 7, 8])
  })

  it('has the most significant byte of its samples first', () => {
    expect([...decodeRle(rle(2, [253, 1], [3, 2, 3, 4, 5]), words)]).toEqual([2, 1, 3, 1, 4, 1, 5, 1])
  })

  it('has a segment for each colour', () => {
    const colour = description({ rows: 1, columns: 2, samplesPerPixel: 3 })
    expect([...decodeRle(rle(3, [1, 1, 2], [1, 3, 4], [1, 5, 6]), colour)]).toEqual([1, 3, 5, 2, 4, 6])
  })

  it('may have more than is needed in a segment', () => {
    expect([...decodeRle(rle(1, [5, 1, 2, 3, 4, 5, 6]), grey)]).toEqual([1, 2, 3, 4])
    expect([...decodeRle(rle(1, [129, 6]), grey)]).toEqual([6, 6, 6, 6])
    expect([...decodeRle(rle(1, [3, 1, 2, 3, 4, 0]), grey)]).toEqual([1, 2, 3, 4])
  })

  it.each([
    ['no segment', rle(0, [3, 1, 2, 3, 4])],
    ['two segments', rle(2, [3, 1, 2, 3, 4], [3, 1, 2, 3, 4])],
    ['many segments', rle(0xffffffff, [3, 1, 2, 3, 4])],
    ['a segment of literals that ends too early', rle(1, [3, 1, 2, 3])],
    ['a segment of runs that ends too early', rle(1, [254, 1])],
    ['a run without its value', rle(1, [253])],
    ['an empty segment', rle(1, [])],
    ['a segment of nothing', rle(1, [128, 128, 128])],
    ['a segment in the header', Buffer.concat([words32([1, 60]), Buffer.alloc(60, 3)])],
    ['a segment behind its end', Buffer.concat([words32([1, 600]), Buffer.alloc(60, 3)])],
    ['half a header', rle(1, [253, 1]).subarray(0, 63)],
    ['nothing', Buffer.alloc(0)],
  ])('with %s is refused', (_, frame) => {
    expect(() => decodeRle(frame, grey)).toThrow(CodestreamError)
  })

  it('with segments that are not in order is refused', () => {
    const frame = Buffer.concat([words32([2, 66, 64]), Buffer.alloc(52), Buffer.of(253, 1, 253, 2)])
    expect(() => decodeRle(frame, words)).toThrow(CodestreamError)
  })

  it('is refused wherever it is cut', () => {
    const image = description({ rows: 3, columns: 7, bitsAllocated: 16 })
    const encoded = encodeRle(noise(42), image)!
    // The last byte may be there to make the length even.
    for (let end = 0; end < encoded.length - 1; end++) {
      expect(() => decodeRle(encoded.subarray(0, end), image), `cut at ${end}`).toThrow(CodestreamError)
    }
  })
})
