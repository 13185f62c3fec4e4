import { describe, expect, it } from 'vitest'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import { DamagedInstanceError } from '../../src/instance/damage.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { MAX_FRAMES } from '../../src/instance/frame-table.ts'
import { layoutOf } from '../../src/instance/frames.ts'
import { collect } from '../support/byte-stream.ts'
import { explicitLittle, hex } from '../support/dicom-bytes.ts'
import { readable } from '../support/readable.ts'
import { encapsulatedImage, imageHeader, nativeImage, nativeSyntaxes, sourceOf } from '../support/images.ts'

const asReadable = (data: Buffer) => readable(sourceOf(data))

const PIXELS = Buffer.from('the very pixels!')

describe('the layout of pixel data', () => {
  it.each(nativeSyntaxes)('is what the image says of itself, not its icon: $syntax.name', async (native) => {
    const shape = { rows: 2, columns: 3, samples: 3, bits: 16, frames: 7 }
    const source = readable(sourceOf(nativeImage(native.encoding, shape, PIXELS), native.syntax))
    const layout = (await layoutOf(source))!
    expect(layout).toMatchObject({ tag: 0x7fe00010, vr: 'OW', length: 16, frames: 7, frameBits: 2 * 3 * 3 * 16 })
    expect(layout.extended).toBeUndefined()
    const little = Buffer.from(PIXELS)
    expect(await collect(source.bytes(layout.offset, layout.offset + 16))).toEqual(little)
  })

  it.each([
    [{ rows: 2, columns: 3 }, 2 * 3 * 8],
    [{ rows: 2, columns: 3, bits: 1, samples: 1 }, 6],
    [{ rows: 2, columns: 3, bits: 32, samples: 1 }, 6 * 32],
    [{ rows: 2, columns: 4, bits: 8, samples: 3, photometric: 'YBR_FULL_422' }, 8 * 2 * 8],
    [{ rows: 2, columns: 4, bits: 8, samples: 3, photometric: 'YBR_PARTIAL_422' }, 8 * 2 * 8],
    [{ rows: 2, columns: 4, bits: 8, samples: 3, photometric: 'YBR_FULL' }, 8 * 3 * 8],
    [{ columns: 4 }, 0],
    [{}, 0],
  ])('of %j has frames of %i bits', async (shape, bits) => {
    const layout = await layoutOf(asReadable(nativeImage(explicitLittle, shape, PIXELS)))
    expect(layout).toMatchObject({ frames: 1, frameBits: bits })
  })

  it.each([
    ['YBR_FULL_422', 2 * 4 * 3, 1, 'YBR_FULL'],
    ['YBR_PARTIAL_422', 2 * 4 * 3, 2, 'YBR_FULL'],
    ['ybr_full_422', 2 * 4 * 3, 2, 'YBR_FULL'],
    ['YBR_FULL_422', 2 * 4 * 2, 2, 'YBR_FULL_422'],
    ['YBR_FULL_422', 7, 1, 'YBR_FULL_422'],
    ['RGB', 2 * 4 * 3, 1, 'RGB'],
  ])(
    'of %s with %i bytes a frame, %i of them, is that of %s: the length decides',
    async (photometric, bytes, frames, is) => {
      const shape = { rows: 2, columns: 4, bits: 8, samples: 3, photometric, frames }
      const layout = (await layoutOf(asReadable(nativeImage(explicitLittle, shape, Buffer.alloc(bytes * frames)))))!
      expect(layout.frameBits).toBe(is === 'YBR_FULL_422' ? 8 * 16 : 8 * 24)
      expect(layout.header.string(Attribute.PhotometricInterpretation)?.toUpperCase()).toBe(is)
    },
  )

  it.each([
    [undefined, 1],
    ['', 1],
    ['0', 1],
    ['-3', 1],
    ['2.5', 1],
    ['x', 1],
    ['12', 12],
    [' 3', 3],
    ['3\\4', 3],
    [String(MAX_FRAMES), MAX_FRAMES],
    ['2147483647', MAX_FRAMES],
    ['1e9', MAX_FRAMES],
  ])('takes a Number of Frames of %j for %i', async (stated, frames) => {
    const shape = stated === undefined ? {} : { frames: stated }
    expect(await layoutOf(asReadable(nativeImage(explicitLittle, shape, PIXELS)))).toMatchObject({ frames })
  })

  it('has no extended table of more than its frames', async () => {
    const entry = { offset: 0, length: 12 }
    for (const [frames, entries] of [
      [1, 2],
      [2, 1],
      [1, MAX_FRAMES + 1],
    ] as const) {
      const table = Array.from({ length: entries }, () => entry)
      const image = encapsulatedImage({ frames }, [], [Buffer.alloc(12), Buffer.alloc(12)], table)
      const layout = await layoutOf(asReadable(image))
      expect([layout!.frames, layout!.extended]).toEqual([frames, undefined])
    }
  })

  it('has fragments behind the header, and their extended table where it has an entry a frame', async () => {
    const table = [
      { offset: 0, length: 11 },
      { offset: 20, length: 2 ** 40 },
    ]
    const fragments = [Buffer.alloc(12), Buffer.alloc(12)]
    const image = encapsulatedImage({ frames: 2 }, [], fragments, table)
    const layout = (await layoutOf(asReadable(image)))!
    const extended = { offsets: Float64Array.of(0, 20), lengths: Float64Array.of(11, 2 ** 40) }
    expect(layout).toMatchObject({ vr: 'OB', length: undefined, frames: 2, extended })
    expect(image.subarray(layout.offset, layout.offset + 8)).toEqual(hex('feff00e0 00000000'))
    for (const frames of [1, 3]) {
      const other = sourceOf(encapsulatedImage({ frames }, [], fragments, table))
      expect((await layoutOf(readable(other)))!.extended).toBeUndefined()
    }
  })

  it('is none where there is no pixel data', async () => {
    expect(await layoutOf(asReadable(imageHeader(explicitLittle, { rows: 2 })))).toBeUndefined()
  })

  it('is an error where the header does not come to its end', async () => {
    const header = imageHeader(explicitLittle, { rows: 2 })
    await expect(layoutOf(asReadable(header.subarray(0, -4)))).rejects.toThrow(DamagedInstanceError)
  })

  it('waits for no pixel', async () => {
    const bytes = nativeImage(explicitLittle, { rows: 2, columns: 4, bits: 16 }, PIXELS)
    const source: DataSetSource = {
      ...sourceOf(bytes),
      async *bytes() {
        await Promise.resolve()
        yield bytes.subarray(0, -PIXELS.length)
        throw new Error('read on')
      },
    }
    expect(await layoutOf(readable(source))).toMatchObject({
      offset: bytes.length - PIXELS.length,
      length: PIXELS.length,
    })
  })
})
