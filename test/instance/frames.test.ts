import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import { frameOf, layoutOf, NoSuchFrameError, run, wholePixelData, type SizedBytes } from '../../src/instance/frames.ts'
import { collect } from '../support/byte-stream.ts'
import { explicitLittle } from '../support/dicom-bytes.ts'
import { readable } from '../support/readable.ts'
import { encapsulatedImage, itemOffsets, nativeImage, nativeSyntaxes, sourceOf } from '../support/images.ts'

async function read({ length, bytes }: SizedBytes): Promise<Buffer> {
  const all = await collect(bytes())
  expect(all.length).toBe(length)
  return all
}

async function frame(source: DataSetSource, n: number): Promise<Buffer> {
  const little = readable(source)
  return read(await frameOf(little, (await layoutOf(little))!, n))
}

async function whole(source: DataSetSource): Promise<Buffer> {
  const little = readable(source)
  return read(await wholePixelData(little, (await layoutOf(little))!))
}

const cases = {
  rows: fc.integer({ min: 1, max: 5 }),
  columns: fc.integer({ min: 1, max: 7 }),
  count: fc.integer({ min: 1, max: 5 }),
  chunk: fc.integer({ min: 1, max: 90 }),
  window: fc.tuple(fc.nat({ max: 80 }), fc.nat({ max: 80 })),
}
const bytesOfLength = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes))

/** Bits one after another, the first in the lowest bit of its byte, zeros behind the last (PS3.5 8.1.1). */
function packed(bits: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8))
  bits.forEach((bit, index) => {
    bytes[index >> 3]! |= bit << (index % 8)
  })
  return bytes
}

/** Every frame, whole and in part, is what was put in, and there is none behind the last. */
async function expectFrames(source: DataSetSource, frames: readonly Bytes[], window: [number, number]): Promise<void> {
  const little = readable(source)
  const layout = (await layoutOf(little))!
  // The last first: nothing may hang on the order.
  for (const [index, expected] of [...frames.entries()].reverse()) {
    const { length, bytes } = await frameOf(little, layout, index + 1)
    expect(length).toBe(expected.length)
    expect(await collect(bytes())).toEqual(Buffer.from(expected))
    const [from, to] = [Math.min(...window), Math.max(...window)]
    expect(await collect(bytes(from, to))).toEqual(Buffer.from(expected.subarray(from, to)))
  }
  await expect(frameOf(little, layout, frames.length + 1)).rejects.toThrow(NoSuchFrameError)
}

describe('any native image', () => {
  const native = fc
    .record({ ...cases, bits: fc.constantFrom(8, 16, 32), samples: fc.constantFrom(undefined, 1, 3, 4) })
    .chain((shape) => {
      const length = (shape.rows * shape.columns * (shape.samples ?? 1) * shape.bits) / 8
      return fc.record({
        shape: fc.constant(shape),
        frames: fc.array(bytesOfLength(length), { minLength: shape.count, maxLength: shape.count }),
        vr: fc.constantFrom('OW', ...(shape.bits === 8 ? ['OB'] : [])),
      })
    })

  it.each(nativeSyntaxes)('gives each frame as it was put in: $syntax.name', async ({ syntax, encoding }) => {
    await fc.assert(
      fc.asyncProperty(native, async ({ shape, frames, vr }) => {
        const { rows, columns, samples, bits, count } = shape
        const image = { rows, columns, bits, frames: count, ...(samples !== undefined && { samples }) }
        const pixels = Buffer.concat(frames)
        const source = sourceOf(nativeImage(encoding, image, pixels, vr), syntax, shape.chunk)
        await expectFrames(source, frames, shape.window)
        expect((await whole(source)).subarray(0, pixels.length)).toEqual(pixels)
      }),
      { numRuns: 60 },
    )
  })

  const single = fc.record(cases).chain((shape) => {
    const length = shape.rows * shape.columns
    const bits = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: length, maxLength: length })
    return fc.record({
      shape: fc.constant(shape),
      frames: fc.array(bits, { minLength: shape.count, maxLength: shape.count }),
      vr: fc.constantFrom('OW', 'OB'),
      // What stands in the pad bits belongs to no frame.
      rest: fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 8 }),
    })
  })

  it.each(nativeSyntaxes)('gives each frame of single bits from its first bit: $syntax.name', async (native) => {
    await fc.assert(
      fc.asyncProperty(single, async ({ shape, frames, vr, rest }) => {
        const { rows, columns, count } = shape
        const pixels = packed([...frames.flat(), ...rest])
        const image = { rows, columns, bits: 1, samples: 1, frames: count }
        const source = sourceOf(nativeImage(native.encoding, image, pixels, vr), native.syntax, shape.chunk)
        await expectFrames(source, frames.map(packed), shape.window)
      }),
      { numRuns: 80 },
    )
  })
})

describe('any encapsulated image', () => {
  const signatures = ['ffd8', 'ff4fff51', '0000000c6a502020'].map((hex) => Buffer.from(hex, 'hex'))
  const piece = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes))
  const bitstream = fc
    .tuple(fc.constantFrom(...signatures), piece)
    .map(([signature, rest]) => Buffer.concat([signature, rest]))
  // Nothing but the first fragment of a frame begins as a bitstream does.
  const further = fc.oneof(
    piece.map((bytes) => Buffer.concat([Buffer.of(0x5a), bytes])),
    fc.constant(Buffer.alloc(0)),
  )
  const even = (bytes: Buffer): Buffer => (bytes.length % 2 ? Buffer.concat([bytes, Buffer.of(0)]) : bytes)
  const alone = fc.array(bitstream, { minLength: 1, maxLength: 6 })
  const inPieces = fc.array(
    fc.tuple(bitstream, fc.array(further, { maxLength: 3 })).map(([first, rest]) => [first, ...rest].map(even)),
    { minLength: 1, maxLength: 6 },
  )
  const options = { chunk: cases.chunk, window: cases.window }

  it('gives each frame by the Basic Offset Table, of one fragment or several', async () => {
    await fc.assert(
      fc.asyncProperty(inPieces, fc.record(options), async (frames, { chunk, window }) => {
        const fragments = frames.flat()
        const offsets = itemOffsets(fragments)
        const firsts = frames.map((_, index) => offsets[frames.slice(0, index).flat().length]!)
        const image = encapsulatedImage({ frames: frames.length }, firsts, fragments)
        await expectFrames(
          sourceOf(image, undefined, chunk),
          frames.map((one) => Buffer.concat(one)),
          window,
        )
        expect(await whole(sourceOf(image, undefined, chunk))).toEqual(Buffer.concat(fragments))
      }),
      { numRuns: 120 },
    )
  })

  it('gives each frame by the Extended Offset Table, without its pad', async () => {
    await fc.assert(
      fc.asyncProperty(alone, fc.record(options), async (frames, { chunk, window }) => {
        const lengths = frames.map(({ length }) => length)
        const table = itemOffsets(frames).map((offset, index) => ({ offset, length: lengths[index]! }))
        const image = encapsulatedImage({ frames: frames.length }, [], frames, table)
        await expectFrames(sourceOf(image, undefined, chunk), frames, window)
      }),
      { numRuns: 120 },
    )
  })

  it('gives each frame without a table, one fragment each', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.record(options), async (frames, options) => {
        const image = encapsulatedImage({ frames: frames.length }, [], frames)
        await expectFrames(sourceOf(image, undefined, options.chunk), frames.map(even), options.window)
      }),
      { numRuns: 120 },
    )
  })

  it('gives each frame without a table, by where bitstreams begin', async () => {
    await fc.assert(
      fc.asyncProperty(inPieces, fc.record(options), async (frames, { chunk, window }) => {
        const image = encapsulatedImage({ frames: frames.length }, [], frames.flat())
        await expectFrames(
          sourceOf(image, undefined, chunk),
          frames.map((one) => Buffer.concat(one)),
          window,
        )
      }),
      { numRuns: 120 },
    )
  })
})

describe('native frames', () => {
  const shape = { rows: 4, columns: 4, samples: 1, bits: 8 }
  const counting = Buffer.from(Array.from({ length: 48 }, (_, at) => at))

  it('case 61: are Rows times Columns bytes each, one behind the other', async () => {
    const source = sourceOf(nativeImage(explicitLittle, { ...shape, frames: 3 }, counting, 'OB'))
    expect(await frame(source, 2)).toEqual(counting.subarray(0x10, 0x20))
  })

  it.each([undefined, 0, '', -1, 'x', '1.5'])('case 77: are one where Number of Frames is %j', async (frames) => {
    const image = nativeImage(explicitLittle, { ...shape, ...(frames !== undefined && { frames }) }, counting, 'OB')
    expect(await frame(sourceOf(image), 1)).toEqual(counting.subarray(0, 0x10))
    await expect(frame(sourceOf(image), 2)).rejects.toMatchObject({ code: 'NO_SUCH_FRAME', frame: 2, frames: 1 })
  })

  it('have two bytes a pixel in YBR_FULL_422, though it has three samples', async () => {
    const image = { ...shape, rows: 2, samples: 3, photometric: 'YBR_FULL_422', frames: 3 }
    const source = sourceOf(nativeImage(explicitLittle, image, counting, 'OB'))
    expect(await frame(source, 3)).toEqual(counting.subarray(0x20, 0x30))
  })

  it.each([
    ['Float', 0x7fe00008, 'OF', 4],
    ['Double Float', 0x7fe00009, 'OD', 8],
  ])('of %s Pixel Data have the size of its numbers, whatever Bits Allocated says', async (_, tag, vr, size) => {
    const pixels = Buffer.alloc(2 * 3 * size * 2, '0123456789')
    for (const { syntax, encoding } of nativeSyntaxes) {
      const image = nativeImage(encoding, { rows: 2, columns: 3, bits: 16, samples: 3, frames: 2 }, pixels, vr, tag)
      expect(await frame(sourceOf(image, syntax), 2)).toEqual(pixels.subarray(6 * size))
    }
  })

  it('that are not all there are given as far as they are whole', async () => {
    const image = nativeImage(explicitLittle, { ...shape, frames: 5 }, counting.subarray(0, 40), 'OB')
    expect(await frame(sourceOf(image), 2)).toEqual(counting.subarray(0x10, 0x20))
    await expect(frame(sourceOf(image), 3)).rejects.toMatchObject({
      code: 'FRAME_CUT_SHORT',
      message: 'The pixel data has 40 bytes, too few for frame 3: each takes 16',
    })
    await expect(frame(sourceOf(image), 6)).rejects.toMatchObject({ code: 'NO_SUCH_FRAME', frame: 6, frames: 5 })
  })

  it.each([{ rows: 0, columns: 4 }, { columns: 4 }, { rows: 65535, columns: 65535, samples: 65535, bits: 65535 }])(
    'are not to be had where the image says %j of itself',
    async (image) => {
      const source = sourceOf(nativeImage(explicitLittle, { ...image, frames: 2147483647 }, counting, 'OB'))
      for (const n of [1, 2, 1_000_000]) {
        await expect(frame(source, n)).rejects.toMatchObject({ code: 'FRAME_CUT_SHORT' })
      }
    },
  )

  it('are not given in part where their last bit is missing', async () => {
    // 3 frames of 15 bits are 45 bits: 6 bytes hold them, 4 hold only two.
    const image = { rows: 3, columns: 5, bits: 1, frames: 3 }
    const source = sourceOf(nativeImage(explicitLittle, image, Buffer.alloc(4, 0xff)))
    expect(await frame(source, 2)).toEqual(Buffer.of(0xff, 0x7f))
    await expect(frame(source, 3)).rejects.toMatchObject({ code: 'FRAME_CUT_SHORT' })
  })
})

describe('a run of bytes', () => {
  it('ends where it ends, whatever is asked of it', async () => {
    const bytes = Buffer.from('0123456789')
    const five = run(readable(sourceOf(bytes, undefined, 3)), 2, 5)
    expect(five.length).toBe(5)
    expect((await collect(five.bytes())).toString()).toBe('23456')
    expect((await collect(five.bytes(1, 100))).toString()).toBe('3456')
    expect((await collect(five.bytes(4, 5))).toString()).toBe('6')
    expect((await collect(five.bytes(5))).toString()).toBe('')
  })
})
