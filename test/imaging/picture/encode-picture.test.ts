import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { CodecStoppedError } from '../../../src/imaging/codecs/codec-error.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import { encodePicture, type PictureOptions } from '../../../src/imaging/picture/encode-picture.ts'
import type { Viewport } from '../../../src/imaging/picture/place-picture.ts'
import { channel, decode, farthest, HEIGHT, moved, place, slope, turnOf, WIDTH } from '../pictures.ts'

/** Levels of 255 that JPEG of high quality may be off for smooth pictures. */
const JPEG_TOLERANCE = 4
const TIMEOUT_MS = 20_000
const types = ['image/jpeg', 'image/png', 'image/gif'] as const

function colours(): Picture {
  const data = Buffer.alloc(WIDTH * HEIGHT * 3)
  for (let n = 0; n < WIDTH * HEIGHT; n++) {
    data.set([4 * (n % WIDTH), 6 * Math.floor(n / WIDTH), 128], 3 * n)
  }
  return { width: WIDTH, height: HEIGHT, channels: 3, data }
}

function noise(side: number): Picture {
  let seed = 1
  const data = Buffer.alloc(side * side)
  for (let n = 0; n < data.length; n++) data[n] = (seed = (seed * 48_271) % 0x7fffffff) & 0xff
  return { width: side, height: side, channels: 1, data }
}

const encode = (
  picture: Picture,
  options: Omit<PictureOptions, 'turn'>,
  viewport?: Partial<Viewport>,
): Promise<Uint8Array> => encodePicture(picture, place(picture, viewport), { turn: turnOf(TIMEOUT_MS), ...options })

describe('a picture as a file', () => {
  it.each(types)('is of the type asked for: %s', async (type) => {
    for (const picture of [slope(), colours()]) {
      const file = await encode(picture, { type })
      const { format, width, height, pages = 1 } = await sharp(file).metadata()
      expect(`image/${format}`).toBe(type)
      expect([width, height, pages]).toEqual([WIDTH, HEIGHT, 1])
    }
  })

  it('of JPEG is baseline: 8 bits, not progressive', async () => {
    const file = await encode(slope(), { type: 'image/jpeg' })
    const { isProgressive, depth } = await sharp(file).metadata()
    expect([isProgressive, depth]).toEqual([false, 'uchar'])
  })

  it.each(['image/jpeg', 'image/png'] as const)('has one channel where it is grey: %s', async (type) => {
    const file = await encode(slope(), { type })
    const { channels, space, depth } = await sharp(file).metadata()
    expect([channels, space, depth]).toEqual([1, 'b-w', 'uchar'])
  })

  it('has the greys it is drawn with: exactly in PNG and GIF, closely in JPEG', async () => {
    const picture = slope()
    const got = async (type: PictureOptions['type']): Promise<number> =>
      farthest(channel(await decode(await encode(picture, { type }))), picture.data)
    expect(await got('image/png')).toBe(0)
    expect(await got('image/gif')).toBe(0)
    expect(await got('image/jpeg')).toBeLessThanOrEqual(JPEG_TOLERANCE)
  })

  it('has all 256 greys in GIF', async () => {
    const all: Picture = {
      width: 16,
      height: 16,
      channels: 1,
      data: Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
    }
    const decoded = await decode(await encode(all, { type: 'image/gif' }))
    for (const which of [0, 1, 2]) expect(farthest(channel(decoded, which), all.data)).toBe(0)
  })

  it('has the colours it is drawn with: exactly in PNG, closely in JPEG', async () => {
    const picture = colours()
    expect((await decode(await encode(picture, { type: 'image/png' }))).data.equals(picture.data)).toBe(true)
    const jpeg = await decode(await encode(picture, { type: 'image/jpeg' }))
    expect(farthest(jpeg.data, picture.data)).toBeLessThanOrEqual(2 * JPEG_TOLERANCE)
  })

  it('is flipped', async () => {
    const picture = slope()
    const got = async (viewport: Partial<Viewport>): Promise<Buffer> =>
      channel(await decode(await encode(picture, { type: 'image/png' }, viewport)))
    const [right, bottom] = [WIDTH - 1, HEIGHT - 1]
    const expected = (at: (x: number, y: number) => [number, number]): Buffer => moved(picture, at, WIDTH, HEIGHT)
    expect(await got({ flipHorizontally: true })).toEqual(expected((x, y) => [right - x, y]))
    expect(await got({ flipVertically: true })).toEqual(expected((x, y) => [x, bottom - y]))
    expect(await got({ flipHorizontally: true, flipVertically: true })).toEqual(
      expected((x, y) => [right - x, bottom - y]),
    )
  })

  it('is a region, which is cut out before it is flipped', async () => {
    const picture = slope()
    const region = { width: 10, height: 6, left: 5, top: 3, regionWidth: 10, regionHeight: 6 }
    const plain = await decode(await encode(picture, { type: 'image/png' }, region))
    expect([plain.width, plain.height]).toEqual([10, 6])
    expect(channel(plain)).toEqual(moved(picture, (x, y) => [x + 5, y + 3], 10, 6))
    const flipped = await decode(await encode(picture, { type: 'image/png' }, { ...region, flipHorizontally: true }))
    expect(channel(flipped)).toEqual(moved(picture, (x, y) => [14 - x, y + 3], 10, 6))
  })

  it.each(types)('is brought to a size: %s', async (type) => {
    for (const [width, height, size] of [
      [24, 100, [24, 16]],
      [100, 64, [96, 64]],
    ] as const) {
      const decoded = await decode(await encode(slope(), { type }, { width, height }))
      expect([decoded.width, decoded.height]).toEqual(size)
    }
  })

  it('is the same slope when it is made smaller or larger', async () => {
    const picture = slope()
    for (const factor of [0.5, 2]) {
      const [width, height] = [WIDTH * factor, HEIGHT * factor]
      const file = await encode(picture, { type: 'image/png' }, { width, height })
      expect((await sharp(file).metadata()).channels).toBe(1)
      const data = channel(await decode(file))
      // Away from the edges, where what is behind them is guessed.
      for (const [x, y] of [
        [8, 8],
        [20, 12],
        [38, 24],
      ] as const) {
        const value = data[Math.round(y * factor) * width + Math.round(x * factor)]!
        expect(Math.abs(value - picture.data[y * WIDTH + x]!)).toBeLessThanOrEqual(5)
      }
    }
  })

  it('of JPEG is the larger the better it is', async () => {
    const sizes: number[] = []
    for (const quality of [1, 50, 90, 100])
      sizes.push((await encode(noise(64), { type: 'image/jpeg', quality })).length)
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b))
    expect(new Set(sizes).size).toBe(4)
    const usual = await encode(noise(64), { type: 'image/jpeg' })
    expect(usual.length).toBe(sizes[2])
  })

  it('of PNG and GIF is the same whatever the quality', async () => {
    for (const type of ['image/png', 'image/gif'] as const) {
      const [low, high] = [
        await encode(noise(64), { type, quality: 1 }),
        await encode(noise(64), { type, quality: 100 }),
      ]
      expect(Buffer.from(low).equals(high)).toBe(true)
    }
  })

  it.each(['image/jpeg', 'image/png'] as const)('has a colour profile only where it is asked for: %s', async (type) => {
    const hasProfile = async (picture: Picture, profile?: boolean): Promise<boolean> => {
      const file = await encode(picture, profile === undefined ? { type } : { type, profile })
      return (await sharp(file).metadata()).icc !== undefined
    }
    expect(await hasProfile(colours())).toBe(false)
    expect(await hasProfile(colours(), false)).toBe(false)
    expect(await hasProfile(colours(), true)).toBe(true)
    expect(await hasProfile(slope(), true)).toBe(false)
  })

  it('has the same colours with a profile', async () => {
    const picture = colours()
    const decoded = await decode(await encode(picture, { type: 'image/png', profile: true }))
    expect(farthest(decoded.data, picture.data)).toBeLessThanOrEqual(1)
  })

  it.each(types)('says nothing of where it comes from: %s', async (type) => {
    const { exif, xmp, iptc, comments } = await sharp(await encode(slope(), { type })).metadata()
    expect([exif, xmp, iptc, comments]).toEqual([undefined, undefined, undefined, undefined])
  })

  it('has what is laid over it where that is opaque', async () => {
    const picture = slope()
    const [left, top] = [4, 2]
    const overlay = Buffer.alloc(WIDTH * HEIGHT * 4)
    overlay.set([255, 255, 255, 255], 4 * (top * WIDTH + left))
    const input = await sharp(overlay, { raw: { width: WIDTH, height: HEIGHT, channels: 4 } })
      .png()
      .toBuffer()
    const decoded = await decode(await encode(picture, { type: 'image/png', overlay: input }))
    const expected = Buffer.from(picture.data)
    expected[top * WIDTH + left] = 255
    expect(farthest(channel(decoded), expected)).toBe(0)
  })

  it('is not made any further when it takes too long', async () => {
    // Of noise in colours a PNG of this size takes some seconds.
    const side = 8000
    const picture: Picture = { width: side, height: side, channels: 3, data: randomBytes(side * side * 3) }
    const late = encodePicture(picture, place(picture), { type: 'image/png', turn: turnOf(1) })
    // Its bytes, if it has any, are not for a report.
    expect(
      await late.then(
        () => 'made',
        (error: unknown) => error,
      ),
    ).toBeInstanceOf(CodecStoppedError)
  })

  it('of one pixel is one', async () => {
    const one: Picture = { width: 1, height: 1, channels: 1, data: Buffer.of(77) }
    for (const type of types) {
      const decoded = await decode(await encode(one, { type }))
      expect([decoded.width, decoded.height]).toEqual([1, 1])
      expect(Math.abs(decoded.data[0]! - 77)).toBeLessThanOrEqual(1)
    }
  })
})
