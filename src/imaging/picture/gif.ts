import type { Bytes } from '../../dicom/bytes.ts'
import { indexed } from './gif-palette.ts'
import type { Picture } from './picture.ts'
import { encodeLzw } from './lzw.ts'

// GIF89a, of pictures that fill the screen and have a table of colours of their own. libvips chooses colours for as long
// as it takes: no time ends that.

/** GIF counts in hundredths of a second, and viewers show a frame of less than two for ten. */
const LEAST_DELAY = 2
const MOST_DELAY = 0xffff
/** Bits of a pixel. */
const DEPTH = 8
/** A local table of 2 to the power of 7 + 1 colours follows. */
const LOCAL_TABLE = 0x87

/** One picture as the image of a GIF, with its colours: descriptor, table, data. */
export function gifImage(picture: Picture): Bytes {
  const { palette, pixels } = indexed(picture)
  const descriptor = Buffer.alloc(10)
  descriptor[0] = 0x2c
  descriptor.writeUInt16LE(picture.width, 5)
  descriptor.writeUInt16LE(picture.height, 7)
  descriptor[9] = LOCAL_TABLE
  return Buffer.concat([descriptor, palette, Buffer.of(DEPTH), encodeLzw(pixels, DEPTH), Buffer.of(0)])
}

export interface GifOptions {
  readonly width: number
  readonly height: number
  /** Milliseconds each image is shown; undefined for a picture that does not move. */
  readonly delay?: number
}

/** The file of some images, in pieces: each is shown in its turn, again and again; those that are alike as one. */
export function gifPieces(images: readonly Bytes[], { width, height, delay }: GifOptions): readonly Bytes[] {
  const screen = Buffer.alloc(13)
  screen.write('GIF89a', 'latin1')
  screen.writeUInt16LE(width, 6)
  screen.writeUInt16LE(height, 8)
  const trailer = Buffer.of(0x3b)
  if (delay === undefined) return [screen, ...images, trailer]
  const shown = Math.min(Math.max(Math.floor(delay / 10), LEAST_DELAY), MOST_DELAY)
  const pieces: Bytes[] = [screen, LOOP]
  for (const { image, times } of runs(images, Math.floor(MOST_DELAY / shown))) {
    pieces.push(control(shown * times), image)
  }
  return [...pieces, trailer]
}

/** For ever. */
const LOOP = Buffer.concat([Buffer.of(0x21, 0xff, 11), Buffer.from('NETSCAPE2.0'), Buffer.of(3, 1, 0, 0, 0)])

function control(hundredths: number): Bytes {
  return Buffer.of(0x21, 0xf9, 4, 0, hundredths & 0xff, hundredths >> 8, 0, 0)
}

function* runs(images: readonly Bytes[], most: number): Generator<{ image: Bytes; times: number }> {
  let times = 0
  for (const [n, image] of images.entries()) {
    times++
    const next = images[n + 1]
    if (next && times < most && Buffer.compare(image, next) === 0) continue
    yield { image, times }
    times = 0
  }
}
