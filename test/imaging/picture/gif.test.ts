import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { gifImage, gifPieces } from '../../../src/imaging/picture/gif.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import { channel, decode, farthest } from '../pictures.ts'

const file = (picture: Picture): Buffer => Buffer.concat(gifPieces([gifImage(picture)], picture))

async function read(picture: Picture): Promise<Buffer> {
  const { data, info } = await sharp(file(picture))
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  expect([info.width, info.height]).toEqual([picture.width, picture.height])
  return data
}

describe('a GIF', () => {
  it.each([
    [1, 1],
    [2, 1],
    [255, 3],
    [256, 1],
    [300, 200],
    [997, 1003],
  ])('has its greys exactly, of %i x %i pixels', async (width, height) => {
    for (const data of [randomBytes(width * height), Buffer.alloc(width * height, 7)]) {
      const decoded = await decode(file({ width, height, channels: 1, data }))
      expect(farthest(channel(decoded), data)).toBe(0)
    }
  })

  it('has up to 256 colours exactly', async () => {
    const palette = randomBytes(3 * 256)
    const data = Buffer.alloc(3 * 64 * 64)
    for (let n = 0; n < 64 * 64; n++) palette.copy(data, 3 * n, 3 * (n % 256), 3 * (n % 256) + 3)
    expect(await read({ width: 64, height: 64, channels: 3, data })).toEqual(data)
  })

  it('has colours close to those of a picture of more', async () => {
    const [width, height] = [256, 256]
    const data = Buffer.alloc(3 * width * height)
    for (let n = 0; n < width * height; n++) data.set([n % width, Math.floor(n / width), 128], 3 * n)
    const got = await read({ width, height, channels: 3, data })
    // 256 colours for 65,536: squares of 16 x 16.
    expect(farthest(got, data)).toBeLessThanOrEqual(16)
  })

  it('of many pieces of the same colours as of one is shown for as long', async () => {
    const picture: Picture = { width: 2, height: 2, channels: 1, data: Buffer.alloc(4) }
    const images = Array.from({ length: 3 }, () => gifImage(picture))
    const { pages, delay } = await sharp(Buffer.concat(gifPieces(images, { ...picture, delay: 400_000 })), {
      animated: true,
    }).metadata()
    // As long as one number can say.
    expect([pages, delay]).toEqual([3, [400_000, 400_000, 400_000]])
  })
})
