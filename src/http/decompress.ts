import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import { HeadTooLargeError, readHead } from '../dicom/head.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import { CorruptFragmentsError } from '../dicomweb/fragments.ts'
import { NoSuchFrameError } from '../dicomweb/frames.ts'
import { AnimationTooLargeError } from '../imaging/animation.ts'
import { CodecStoppedError, CodestreamError } from '../imaging/codec-error.ts'
import { FrameNotEncodedError } from '../imaging/encode-frame.ts'
import { UnusableImageError } from '../imaging/image-description.ts'
import { RegionOutsideError } from '../imaging/place-picture.ts'
import { planTranscoding, transcode, TRANSCODED, type Transcoding } from '../imaging/transcode.ts'
import type { Instance } from '../pacs/instance.ts'
import { resumed } from './body.ts'
import type { HttpContext } from './environment.ts'
import { RequestError } from './problem.ts'

/** What is held of an instance before its pixel data: the functional groups of many frames are long. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024

/**
 * A data set with its pixel data converted, as soon as its first frame is there: what is damaged can be left out then.
 * @throws as transcode
 */
export async function converted(c: HttpContext, body: ByteStream, plan: Transcoding): Promise<ByteStream> {
  const { imaging, signal } = c.var
  const stream = transcode(body, plan, imaging, signal)
  const first = await stream.next()
  return resumed(first.done === true ? [] : [first.value], stream)
}

/** The image is at fault, not how it was fetched. */
export function isUndrawable(error: unknown): boolean {
  return (
    error instanceof UnusableImageError ||
    error instanceof CodestreamError ||
    error instanceof CodecStoppedError ||
    error instanceof FrameNotEncodedError
  )
}

/** Of several instances, one that cannot be given is left out: it is at fault itself, or has not what is asked for. */
export function concernsOneInstance(error: unknown): boolean {
  return (
    isUndrawable(error) ||
    error instanceof AnimationTooLargeError ||
    error instanceof RegionOutsideError ||
    error instanceof NoSuchFrameError ||
    error instanceof CorruptFragmentsError ||
    error instanceof RequestError
  )
}

/** An instance that is to be stored, uncompressed, if archives[].store.decompress allows it and it can be done. */
export async function decompressed(c: HttpContext, instance: Instance): Promise<ByteStream | undefined> {
  const { syntax } = instance
  const { decompress } = c.var.archive.config.store
  if (decompress === 'never' || (decompress === 'lossless' && syntax.lossy)) return undefined
  const wanted = { until: Attribute.PixelData, only: TRANSCODED, maxBytes: MAX_HEADER_BYTES }
  try {
    const { head, body } = await readHead(instance.body, syntax, wanted)
    const plan = planTranscoding(head, syntax, EXPLICIT_VR_LITTLE_ENDIAN)
    return plan && (await converted(c, body, plan))
  } catch (error) {
    if (error instanceof HeadTooLargeError) return undefined
    throw error
  }
}
