import { CorruptFragmentsError } from '../../instance/frame-table.ts'
import { DamagedInstanceError } from '../../instance/damage.ts'
import { FrameCutShortError, NoSuchFrameError } from '../../instance/frames.ts'
import { AnimationTooLargeError } from '../../imaging/picture/animation.ts'
import { CodecStoppedError, CodestreamError } from '../../imaging/codecs/codec-error.ts'
import { FrameNotEncodedError } from '../../imaging/codecs/encode-frame.ts'
import { UnusableImageError } from '../../imaging/image-description.ts'
import { RegionOutsideError } from '../../imaging/picture/place-picture.ts'
import { RequestError } from '../problem.ts'

/** The image is at fault, not how it was fetched. */
export function isUndrawable(error: unknown): boolean {
  return (
    error instanceof UnusableImageError ||
    error instanceof CodestreamError ||
    error instanceof CodecStoppedError ||
    error instanceof FrameNotEncodedError
  )
}

/** What is wrong with an image is found when its bytes are read. */
export function isOfImage(error: unknown): boolean {
  return isUndrawable(error) || error instanceof CorruptFragmentsError || error instanceof FrameCutShortError
}

/** Of several instances, one that cannot be given is left out: it is at fault itself, or has not what is asked for. */
export function concernsOneInstance(error: unknown): boolean {
  return (
    isOfImage(error) ||
    error instanceof AnimationTooLargeError ||
    error instanceof RegionOutsideError ||
    error instanceof NoSuchFrameError ||
    error instanceof DamagedInstanceError ||
    error instanceof RequestError
  )
}
