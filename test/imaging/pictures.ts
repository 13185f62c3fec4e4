import sharp from 'sharp'
import { expect } from 'vitest'
import { gifImage } from '../../src/imaging/picture/gif.ts'
import type { Picture } from '../../src/imaging/picture/picture.ts'
import { placePicture, WHOLE, type Placement, type Viewport } from '../../src/imaging/picture/place-picture.ts'
import type { Turn } from '../../src/imaging/picture/turn.ts'

/** Of a slope. */
export const [WIDTH, HEIGHT] = [48, 32]

/** A slope of greys from the upper left down to the right: no flip of it is itself. */
export function slope(shade = 0): Picture {
  const data = Buffer.alloc(WIDTH * HEIGHT)
  for (let n = 0; n < data.length; n++) data[n] = 3 * (n % WIDTH) + 2 * Math.floor(n / WIDTH) + shade
  return { width: WIDTH, height: HEIGHT, channels: 1, data }
}

/** In its own size, or as a viewport has it. */
export const place = (picture: Picture, viewport?: Partial<Viewport>): Placement =>
  placePicture(
    picture.width,
    picture.height,
    viewport && {
      width: picture.width,
      height: picture.height,
      ...WHOLE,
      ...viewport,
    },
  )

/** A turn that begins now, with no thread behind it. */
export function turnOf(limit: number): Turn {
  const started = performance.now()
  return {
    limit,
    get spent() {
      return performance.now() - started
    },
    get left() {
      return Math.max(1, limit - this.spent)
    },
    gif: async (picture) => gifImage(picture),
  }
}

export interface Decoded {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly data: Buffer
}

/** A page of what was encoded. */
export async function decode(file: Uint8Array, page = 0): Promise<Decoded> {
  const { data, info } = await sharp(file, { page }).raw().toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, channels: info.channels, data }
}

/** One channel of what was decoded. */
export function channel({ data, channels }: Decoded, which = 0): Buffer {
  return Buffer.from(data.filter((_, at) => at % channels === which))
}

/** The greatest difference. */
export function farthest(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length)
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0)
}

/** Grey values, row by row, changed as a viewport would. */
export function moved(
  from: Picture,
  at: (x: number, y: number) => [number, number],
  width: number,
  height: number,
): Buffer {
  return Buffer.from(
    Array.from({ length: width * height }, (_, n) => {
      const [x, y] = at(n % width, Math.floor(n / width))
      return from.data[y * from.width + x]!
    }),
  )
}
