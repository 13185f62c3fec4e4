import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BitJoiner } from '../../../src/imaging/transcode/bit-joiner.ts'

/** Bits in bytes, the first in the lowest bit of its byte; what is behind the last is `fill`. */
function packed(bits: readonly number[], fill = 0): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8), fill === 0 ? 0 : 0xff)
  bits.forEach((bit, n) => {
    const mask = 1 << (n % 8)
    bytes[n >> 3] = bit === 1 ? bytes[n >> 3]! | mask : bytes[n >> 3]! & ~mask
  })
  return bytes
}

describe('frames of single bits', () => {
  it('stand one behind the other, as if they were one array of bits', () => {
    const size = fc.integer({ min: 1, max: 40 })
    const frames = size.chain((length) =>
      fc.array(fc.array(fc.integer({ min: 0, max: 1 }), { minLength: length, maxLength: length }), {
        minLength: 1,
        maxLength: 9,
      }),
    )
    fc.assert(
      // What is in the pad bits of a frame is of no frame.
      fc.property(frames, fc.integer({ min: 0, max: 1 }), (frames, fill) => {
        const joiner = new BitJoiner()
        const parts = frames.map((bits, n) => joiner.join(packed(bits, fill), bits.length, n === frames.length - 1))
        expect(Buffer.concat(parts)).toEqual(packed(frames.flat()))
      }),
      { numRuns: 500 },
    )
  })

  it('are given as far as their bytes are whole', () => {
    const joiner = new BitJoiner()
    expect(joiner.join(Buffer.of(0b111), 3, false).length).toBe(0)
    expect([...joiner.join(Buffer.of(0b00000), 5, false)]).toEqual([0b00000111])
    expect([...joiner.join(Buffer.of(0xff, 0x01), 9, false)]).toEqual([0xff])
    expect([...joiner.join(Buffer.of(0b10), 2, true)]).toEqual([0b101])
  })
})
