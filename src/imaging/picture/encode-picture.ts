import sharp, { type Sharp } from 'sharp'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodecStoppedError } from '../codecs/codec-error.ts'
import type { Picture } from './picture.ts'
import type { Placement } from './place-picture.ts'

// libvips works in threads of its own: the event loop goes on. One at a time for each picture, and nothing kept.
sharp.concurrency(1)
sharp.cache(false)

export type PictureType = 'image/jpeg' | 'image/png' | 'image/gif'

export interface PictureOptions {
  readonly type: PictureType
  /** Of JPEG, 1 to 100; QUALITY unless told. */
  readonly quality?: number | undefined
  /** An ICC profile in colour pictures: that of sRGB. */
  readonly profile?: boolean
  /** What is laid over the picture when it has its size: an image with transparency. */
  readonly overlay?: Bytes | undefined
  /** Milliseconds it may take, in whole seconds; a GIF looks at it when its colours are chosen. */
  readonly timeout: number
}

/** Of JPEG where nothing is said. */
export const QUALITY = 90
/** A picture as a file, in its place. @throws CodecStoppedError */
export async function encodePicture(picture: Picture, placement: Placement, options: PictureOptions): Promise<Bytes> {
  const placed = placePixels(picture, placement)
  const { type, quality = QUALITY, profile = false, overlay, timeout } = options
  const shown = laidOver(placed, overlay)
  const coloured = picture.channels === 1 ? shown.toColourspace('b-w') : shown.toColourspace('srgb')
  const tagged = profile && picture.channels === 3 ? coloured.withIccProfile('srgb') : coloured
  switch (type) {
    case 'image/jpeg':
      return inTime(tagged.jpeg({ quality, chromaSubsampling: quality >= QUALITY ? '4:4:4' : '4:2:0' }), timeout)
    case 'image/png':
      return inTime(tagged.png({ compressionLevel: 6 }), timeout)
    case 'image/gif':
      return inTime(tagged.gif({ dither: 0 }), timeout)
  }
}

const MAX_SECONDS = 3600

/** What a picture comes to in its file, if that does not take longer, in ms rounded up to seconds. @throws CodecStoppedError */
export async function inTime(picture: Sharp, timeout: number): Promise<Bytes> {
  try {
    return await picture.timeout({ seconds: Math.min(MAX_SECONDS, Math.ceil(timeout / 1000)) }).toBuffer()
  } catch (error) {
    // libvips tells it by its text alone.
    if (error instanceof Error && error.message.startsWith('timeout')) throw new CodecStoppedError({ cause: error })
    throw error
  }
}

/** An overlay comes behind scaling, wherever it is asked for. */
export function laidOver(picture: Sharp, overlay: Bytes | undefined): Sharp {
  return overlay ? picture.composite([{ input: Buffer.from(overlay) }]).removeAlpha() : picture
}

/** The pixels of a picture that are shown, in their size. */
export function placePixels({ data, width, height, channels }: Picture, placement: Placement): Sharp {
  const { region, flipHorizontally, flipVertically } = placement
  const isScaled = placement.width !== region.width || placement.height !== region.height
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .extract(region)
    .flop(flipHorizontally)
    .flip(flipVertically)
    .resize(isScaled ? { width: placement.width, height: placement.height, fit: 'fill' } : undefined)
}
