import sharp, { type Sharp } from 'sharp'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodecStoppedError } from '../codecs/codec-error.ts'
import { gifPieces } from './gif.ts'
import type { Picture } from './picture.ts'
import type { Placement } from './place-picture.ts'
import type { Turn } from './turn.ts'

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
  /** The turn of the frame that it is made of: what is left of its time is rounded up to seconds, but for GIF. */
  readonly turn: Pick<Turn, 'left' | 'gif'>
}

/** Quality of JPEG by default. */
export const QUALITY = 90

/** Writes the placed picture as a file of a type. @throws CodecStoppedError */
export async function encodePicture(picture: Picture, placement: Placement, options: PictureOptions): Promise<Bytes> {
  const { type, quality = QUALITY, profile = false, overlay, turn } = options
  if (type === 'image/gif') {
    const image = await turn.gif(await placedPicture(picture, placement, overlay, turn.left))
    return Buffer.concat(gifPieces([image], placement))
  }
  const coloured = placePixels(picture, placement, overlay)
  const tagged = profile && picture.channels === 3 ? coloured.withIccProfile('srgb') : coloured
  switch (type) {
    case 'image/jpeg':
      return inTime(tagged.jpeg({ quality, chromaSubsampling: quality >= QUALITY ? '4:4:4' : '4:2:0' }), turn.left)
    case 'image/png':
      return inTime(tagged.png({ compressionLevel: 6 }), turn.left)
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

/** The region of a picture that is shown, flipped and scaled, with its overlay. @throws CodecStoppedError */
export async function placedPicture(
  picture: Picture,
  placement: Placement,
  overlay: Bytes | undefined,
  timeout: number,
): Promise<Picture> {
  const { width, height } = placement
  const data = await inTime(placePixels(picture, placement, overlay).raw(), timeout)
  return { width, height, channels: data.length === width * height ? 1 : 3, data }
}

/** sharp lays the overlay on after scaling, in whatever order it is told. */
function placePixels({ data, ...picture }: Picture, placement: Placement, overlay: Bytes | undefined): Sharp {
  const { region, flipHorizontally, flipVertically } = placement
  const { width, height, channels } = picture
  const isScaled = placement.width !== region.width || placement.height !== region.height
  const placed = sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .extract(region)
    .flop(flipHorizontally)
    .flip(flipVertically)
    .resize(isScaled ? { width: placement.width, height: placement.height, fit: 'fill' } : undefined)
  const shown = overlay ? placed.composite([{ input: Buffer.from(overlay) }]).removeAlpha() : placed
  return shown.toColourspace(channels === 1 ? 'b-w' : 'srgb')
}
