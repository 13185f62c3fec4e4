import type { Bytes } from '../../dicom/bytes.ts'
import { CodecStoppedError } from '../codecs/codec-error.ts'
import { gifPieces } from './gif.ts'
import type { Picture } from './picture.ts'
import { placedPicture } from './encode-picture.ts'
import type { Placement } from './place-picture.ts'
import type { Turn } from './turn.ts'

/** Bytes of all pictures of an animation together, with three of each pixel. */
export const MAX_ANIMATION_BYTES = 192 * 1024 * 1024
export const MAX_ANIMATION_FRAMES = 4096
/** Times a frame that all frames of an animation may take together. */
export const ANIMATION_TURNS = 10

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
  readonly #placement: Placement
  readonly #overlay: Bytes | undefined
  readonly #images: Bytes[] = []
  #spent = 0

  /** For so many frames, each with the overlay on it (see PictureOptions). @throws AnimationTooLargeError */
  constructor(frames: number, placement: Placement, overlay?: Bytes) {
    checkAnimation(frames, placement)
    this.#placement = placement
    this.#overlay = overlay
  }

  /** Adds the next picture, in its turn. @throws CodecStoppedError when it takes too long, or all so far have */
  async add(picture: Picture, turn: Turn): Promise<void> {
    this.#images.push(await turn.gif(await placedPicture(picture, this.#placement, this.#overlay, turn.left)))
    this.#spent += turn.spent
    if (this.#spent > ANIMATION_TURNS * turn.limit) throw new CodecStoppedError()
  }

  /** The file, in pieces: each frame is shown for `delay` ms. */
  pieces(delay: number): readonly Bytes[] {
    const { width, height } = this.#placement
    return gifPieces(this.#images, { width, height, delay })
  }
}
