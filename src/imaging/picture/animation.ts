import sharp from 'sharp'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Picture } from './picture.ts'
import { inTime, laidOver, placePixels } from './encode-picture.ts'
import type { Placement } from './place-picture.ts'

/** Bytes of all pictures of an animation together: libvips wants them all at once. */
export const MAX_ANIMATION_BYTES = 192 * 1024 * 1024
export const MAX_ANIMATION_FRAMES = 4096
/** GIF counts in hundredths of a second, and viewers show a frame of less than two for ten. */
const LEAST_DELAY_MS = 20
/** The longest that libvips takes, in whole hundredths of a second. */
const MOST_DELAY_MS = 65_530

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

/** Holds an animation against its bounds before it is begun. @throws AnimationTooLargeError */
export function checkAnimation(frames: number, { width, height }: Pick<Placement, 'width' | 'height'>): void {
  const isTooLarge = frames > MAX_ANIMATION_FRAMES || frames * width * height * 3 > MAX_ANIMATION_BYTES
  if (isTooLarge) throw new AnimationTooLargeError()
}

/** An animation (GIF) of pictures of one size, played again and again. */
export class Animation {
  readonly #frames: number
  readonly #placement: Placement
  readonly #overlay: Bytes | undefined
  readonly #pixels: Buffer
  #filled = 0

  /** For so many frames, each with the overlay on it (see PictureOptions). @throws AnimationTooLargeError */
  constructor(frames: number, placement: Placement, overlay?: Bytes) {
    checkAnimation(frames, placement)
    this.#frames = frames
    this.#placement = placement
    this.#overlay = overlay
    this.#pixels = Buffer.alloc(frames * placement.width * placement.height * 3)
  }

  /** Adds the next picture. @throws CodecStoppedError when it takes longer than `timeout` ms to bring it to its size */
  async add(picture: Picture, timeout: number): Promise<void> {
    const shown = laidOver(placePixels(picture, this.#placement).toColourspace('srgb'), this.#overlay)
    const pixels = await inTime(shown.removeAlpha().raw(), timeout)
    this.#pixels.set(pixels, this.#filled)
    this.#filled += pixels.length
  }

  /** The file: each frame is shown for `delay` ms. @throws CodecStoppedError when it takes longer than `timeout` ms */
  encode({ delay, timeout }: { readonly delay: number; readonly timeout: number }): Promise<Bytes> {
    const { width, height } = this.#placement
    const raw = { width, height: height * this.#frames, channels: 3, pageHeight: height } as const
    const file = sharp(this.#pixels, { raw, limitInputPixels: false }).gif({
      delay: Array.from({ length: this.#frames }, () => Math.min(Math.max(delay, LEAST_DELAY_MS), MOST_DELAY_MS)),
      loop: 0,
      dither: 0,
      effort: 1,
      interPaletteMaxError: 0,
    })
    return inTime(file, timeout)
  }
}
