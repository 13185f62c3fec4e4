import type { Dataset } from '../../dicom/dataset.ts'
import { sharesChrominance } from '../../dicom/photometric-interpretation.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { decodedDescription, isDecodable } from '../codecs/decode-frame.ts'
import { encodedDescription, isEncodable } from '../codecs/encode-frame.ts'
import { describeImage, frameBits, UnusableImageError, type ImageDescription } from '../image-description.ts'

/** How the pixel data of an instance is rewritten. */
export interface Transcoding {
  readonly from: TransferSyntax
  readonly to: TransferSyntax
  readonly frames: number
  /** The image as it is stored, as it is uncompressed, and as it is given. */
  readonly stored: ImageDescription
  readonly native: ImageDescription
  readonly given: ImageDescription
}

/**
 * Frames of an instance that is converted whole: each is a piece of work by itself, however small. Of more, single frames
 * are converted.
 */
export const MAX_CONVERTED_FRAMES = 200_000

/** Length of an element: 32 bits, of which FFFFFFFF stands for undefined length (PS3.5 7.1.1). */
const MAX_VALUE_BYTES = 0xfffffffe

/** What is to be rewritten: the attributes that describe its samples, and how many frames it has. */
export interface StoredPixels {
  readonly header: Dataset
  readonly frames: number
}

/**
 * Plans how pixel data is rewritten from one transfer syntax to another; undefined where that cannot be done. Both are
 * encapsulated or Explicit VR Little Endian.
 */
export function planTranscoding(
  { header, frames }: StoredPixels,
  from: TransferSyntax,
  to: TransferSyntax,
): Transcoding | undefined {
  if (from.encapsulated && !isDecodable(from.uid)) return undefined
  let stored: ImageDescription
  try {
    stored = describeImage(header)
  } catch (error) {
    if (error instanceof UnusableImageError) return undefined
    throw error
  }
  const native = from.encapsulated ? decodedDescription(stored, from.uid) : stored
  if (to.encapsulated) {
    // Encoders take no pixels that share their colour samples.
    const isShared = !from.encapsulated && sharesChrominance(stored.photometricInterpretation)
    if (isShared || native.planarConfiguration === 1 || !isEncodable(native, to.uid)) return undefined
    return { from, to, frames, stored, native, given: encodedDescription(native, to.uid) }
  }
  if ((frameBits(native) * frames) / 8 > MAX_VALUE_BYTES) return undefined
  return { from, to, frames, stored, native, given: native }
}

/**
 * Looks, before the first frame, whether all of an instance can be converted; `length` is that of native pixel data.
 * @throws UnusableImageError where it has too many frames, CodestreamError where it has not as many as it says
 */
export function checkWhole({ frames, from, native }: Transcoding, length: number | undefined): void {
  if (frames > MAX_CONVERTED_FRAMES) {
    throw new UnusableImageError(
      `it has over ${MAX_CONVERTED_FRAMES} frames, more than are converted; take it as it is stored, or single frames`,
    )
  }
  const bytes = Math.ceil((frameBits(native) * frames) / 8)
  if (!from.encapsulated && length !== undefined && length < bytes) {
    throw new CodestreamError(`the pixel data has ${length} bytes, its ${frames} frames take ${bytes}`)
  }
}

/** Whether frames can be cut apart while they stream: native ones that begin within a byte cannot. */
export function isStreamable({ from, native }: Transcoding): boolean {
  return from.encapsulated || frameBits(native) % 8 === 0
}
