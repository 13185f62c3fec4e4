import sharp, { type Sharp } from 'sharp'
import { concat, type Bytes } from '../dicom/bytes.ts'
import { CodecStoppedError } from './codec-error.ts'
import type { Picture } from './draw-frame.ts'
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
/** Bytes of all pictures of an animation together: an animation is made of all of them at once. */
export const MAX_ANIMATION_BYTES = 192 * 1024 * 1024
export const MAX_ANIMATION_FRAMES = 4096
/** GIF counts in hundredths of a second; viewers take less than two of them for ten. */
const LEAST_DELAY_MS = 20

/** The frames of an animation are too many, or too large. */
export class AnimationTooLargeError extends Error {
  readonly code = 'ANIMATION_TOO_LARGE'
  constructor() {
    super(
      `The animation has more than ${MAX_ANIMATION_FRAMES} frames, or its frames have together more than ${MAX_ANIMATION_BYTES} bytes`,
    )
    this.name = 'AnimationTooLargeError'
  }
}

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

export interface AnimationOptions {
  /** Milliseconds that each picture is shown. */
  readonly delay: number
  /** As of PictureOptions. */
  readonly overlay?: Bytes | undefined
  /** Encodes, with the bytes it holds, when it may, in the milliseconds it is told: what a frame may take. */
  readonly turn: (bytes: number, encode: (timeout: number) => Promise<Bytes>) => Promise<Bytes>
}

/** Whether an animation can be made of so many pictures. @throws AnimationTooLargeError */
export function checkAnimation(frames: number, { width, height }: Pick<Placement, 'width' | 'height'>): void {
  const isTooLarge = frames > MAX_ANIMATION_FRAMES || frames * width * height * 3 > MAX_ANIMATION_BYTES
  if (isTooLarge) throw new AnimationTooLargeError()
}

/**
 * Pictures of one size as an animation (GIF) that begins anew at its end.
 * @throws AnimationTooLargeError, CodecStoppedError
 */
export async function encodeAnimation(
  pictures: AsyncIterable<Picture>,
  placement: Placement,
  { delay, overlay, turn }: AnimationOptions,
): Promise<Bytes> {
  const { width, height } = placement
  const frames: Bytes[] = []
  for await (const picture of pictures) {
    checkAnimation(frames.length + 1, placement)
    const shown = laidOver(placePixels(picture, placement).toColourspace('srgb'), overlay)
    frames.push(await shown.removeAlpha().raw().toBuffer())
  }
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const
  const animation = sharp(concat(frames), { raw, limitInputPixels: false }).gif({
    delay: frames.map(() => Math.max(delay, LEAST_DELAY_MS)),
    loop: 0,
    dither: 0,
    effort: 1,
    interPaletteMaxError: 0,
  })
  return turn(width * height * 3 * frames.length, (timeout) => inTime(animation, timeout * frames.length))
}

const MAX_SECONDS = 3600

async function inTime(picture: Sharp, timeout: number): Promise<Bytes> {
  try {
    return await picture.timeout({ seconds: Math.min(MAX_SECONDS, Math.ceil(timeout / 1000)) }).toBuffer()
  } catch (error) {
    // libvips tells it by its text alone.
    if (error instanceof Error && error.message.startsWith('timeout')) throw new CodecStoppedError({ cause: error })
    throw error
  }
}

/** An overlay comes behind scaling, wherever it is asked for. */
function laidOver(picture: Sharp, overlay: Bytes | undefined): Sharp {
  return overlay ? picture.composite([{ input: Buffer.from(overlay) }]).removeAlpha() : picture
}

function placePixels({ data, width, height, channels }: Picture, placement: Placement): Sharp {
  const { region, flipHorizontally, flipVertically } = placement
  const isScaled = placement.width !== region.width || placement.height !== region.height
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .extract(region)
    .flop(flipHorizontally)
    .flip(flipVertically)
    .resize(isScaled ? { width: placement.width, height: placement.height, fit: 'fill' } : undefined)
}
