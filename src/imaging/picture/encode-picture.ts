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
  /** Quality of JPEG, 1 to 100; by default QUALITY. */
  readonly quality?: number | undefined
  /** Whether colour pictures carry the ICC profile of sRGB. */
  readonly profile?: boolean
  /** An image with transparency, of the size of the placed picture, laid over it. */
  readonly overlay?: Bytes | undefined
  /** Milliseconds it may take, rounded up to seconds; for GIF it is not looked at while colours are chosen. */
  readonly timeout: number
}

/** Quality of JPEG by default. */
export const QUALITY = 90

/** Writes the placed picture as a file of a type. @throws CodecStoppedError */
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

/** Writes a picture to bytes. @throws CodecStoppedError where that takes over `timeout` ms, rounded up to seconds */
export async function inTime(picture: Sharp, timeout: number): Promise<Bytes> {
  try {
    return await picture.timeout({ seconds: Math.min(MAX_SECONDS, Math.ceil(timeout / 1000)) }).toBuffer()
  } catch (error) {
    // libvips has no code for it, only this text.
    if (error instanceof Error && error.message.startsWith('timeout')) throw new CodecStoppedError({ cause: error })
    throw error
  }
}

/** A picture with an overlay on it; sharp lays it on after scaling, in whatever order it is told. */
export function laidOver(picture: Sharp, overlay: Bytes | undefined): Sharp {
  return overlay ? picture.composite([{ input: Buffer.from(overlay) }]).removeAlpha() : picture
}

/** The region of a picture that is shown, flipped and scaled. */
export function placePixels({ data, width, height, channels }: Picture, placement: Placement): Sharp {
  const { region, flipHorizontally, flipVertically } = placement
  const isScaled = placement.width !== region.width || placement.height !== region.height
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .extract(region)
    .flop(flipHorizontally)
    .flip(flipVertically)
    .resize(isScaled ? { width: placement.width, height: placement.height, fit: 'fill' } : undefined)
}
