import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import {
  Animation,
  ANIMATION_TURNS,
  AnimationTooLargeError,
  checkAnimation,
  MAX_ANIMATION_BYTES,
  MAX_ANIMATION_FRAMES,
} from '../../../src/imaging/picture/animation.ts'
import { CodecStoppedError } from '../../../src/imaging/codecs/codec-error.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import type { Placement } from '../../../src/imaging/picture/place-picture.ts'
import type { Turn } from '../../../src/imaging/picture/turn.ts'
import { channel, decode, farthest, HEIGHT, moved, place, slope, turnOf, WIDTH } from '../pictures.ts'

describe('an animation', () => {
  async function animated(pictures: readonly Picture[], placement: Placement, delay: number): Promise<Uint8Array> {
    const animation = new Animation(pictures.length, placement)
    for (const picture of pictures) await animation.add(picture, turnOf(timeout))
    return Buffer.concat(animation.pieces(delay))
  }
  const shades = [0, 10, 20, 40]
  const timeout = 20_000
  it('has all its frames, in their order, with their greys', async () => {
    const pictures = shades.map(slope)
    const file = await animated(pictures, place(pictures[0]!), 100)
    const { format, pages, width, pageHeight, loop } = await sharp(file, { animated: true }).metadata()
    expect([format, pages, width, pageHeight, loop]).toEqual(['gif', 4, WIDTH, HEIGHT, 0])
    for (const [page, { data }] of pictures.entries()) {
      const decoded = await decode(file, page)
      for (const which of [0, 1, 2]) expect(farthest(channel(decoded, which), data)).toBe(0)
    }
  })

  it.each([
    [100, 100],
    [40, 40],
    [33, 30],
    [0, 20],
    [-5, 20],
    [1000, 1000],
    [700_000, 655_350],
  ])('shows each frame for %i ms, which are %i in a GIF', async (delay, told) => {
    const pictures = shades.map(slope)
    const file = await animated(pictures, place(pictures[0]!), delay)
    const { delay: delays } = await sharp(file, { animated: true }).metadata()
    expect(delays).toEqual(shades.map(() => told))
  })

  it('is placed as a picture is', async () => {
    const pictures = shades.map(slope)
    const viewport = { width: 10, height: 6, left: 5, top: 3, regionWidth: 10, regionHeight: 6, flipVertically: true }
    const file = await animated(pictures, place(pictures[0]!, viewport), 100)
    for (const [page, picture] of pictures.entries()) {
      const decoded = await decode(file, page)
      expect([decoded.width, decoded.height]).toEqual([10, 6])
      expect(
        farthest(
          channel(decoded),
          moved(picture, (x, y) => [x + 5, 8 - y], 10, 6),
        ),
      ).toBe(0)
    }
  })

  it('has frames that are the same as others', async () => {
    const pictures = [slope(), slope(), slope(9), slope(9)]
    const file = await animated(pictures, place(pictures[0]!), 100)
    const { pages, delay } = await sharp(file, { animated: true }).metadata()
    // What shows no difference may be shown longer instead.
    expect(delay).toHaveLength(pages!)
    expect(delay!.reduce((sum, one) => sum + one, 0)).toBe(400)
  })

  it('is refused before a frame is drawn where its frames are too large together', () => {
    const [width, height] = [8000, 2666]
    const most = Math.floor(MAX_ANIMATION_BYTES / (width * height * 3))
    const placement = { ...place(slope()), width, height }
    expect(() => new Animation(most + 1, placement)).toThrow(AnimationTooLargeError)
  })

  it('is not made any further when its frames have taken too long together', async () => {
    const slow = (spent: number): Turn => ({ ...turnOf(timeout), limit: 100, spent })
    const animation = new Animation(3, place(slope()))
    await animation.add(slope(), slow(60 * ANIMATION_TURNS))
    await animation.add(slope(), slow(40 * ANIMATION_TURNS))
    await expect(animation.add(slope(), slow(1))).rejects.toThrow(CodecStoppedError)
  })

  it.each([
    [MAX_ANIMATION_FRAMES, 1, false],
    [MAX_ANIMATION_FRAMES + 1, 1, true],
    [64, 1024, false],
    [65, 1024, true],
  ])('of %i frames of %i pixels squared is too large before the first is drawn: %s', (frames, side, isTooLarge) => {
    const check = (): void => checkAnimation(frames, { width: side, height: side })
    if (isTooLarge) expect(check).toThrow(AnimationTooLargeError)
    else expect(check).not.toThrow()
  })
})
