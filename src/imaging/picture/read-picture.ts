import sharp from 'sharp'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { MAX_FRAME_BYTES, type ImageDescription } from '../image-description.ts'
import { inTime } from './encode-picture.ts'
import type { Turn } from './turn.ts'

/** A picture as one native frame. */
export interface NativePicture {
  readonly frame: Bytes
  readonly image: ImageDescription
}

/**
 * Reads a picture of a type of its own, PNG or JPEG, as a frame: grey or RGB, of 8 bits or 16, turned as its EXIF says;
 * what is transparent is laid on black.
 * @throws CodestreamError, CodecStoppedError
 */
export async function readPicture(bytes: Bytes, turn: Pick<Turn, 'left'>): Promise<NativePicture> {
  // Warnings are of pictures that are cut short: they are read to where they end otherwise.
  const options = { limitInputPixels: MAX_FRAME_BYTES / 8, failOn: 'warning', sequentialRead: true } as const
  const metadata = await sharp(bytes, options)
    .metadata()
    .catch((cause: unknown) => Promise.reject(new CodestreamError('it is no picture that can be read', { cause })))
  if (metadata.format !== 'png' && metadata.format !== 'jpeg') throw new CodestreamError('it is neither PNG nor JPEG')
  const isGrey = metadata.space === 'b-w' || metadata.space === 'grey16'
  const isDeep = metadata.depth === 'ushort'
  const picture = sharp(bytes, options).autoOrient().flatten({ background: '#000' })
  const toned = isGrey
    ? picture.toColourspace(isDeep ? 'grey16' : 'b-w')
    : picture.toColourspace(isDeep ? 'rgb16' : 'srgb')
  const isTurned = (metadata.orientation ?? 1) >= 5
  const [columns, rows] = isTurned ? [metadata.height, metadata.width] : [metadata.width, metadata.height]
  const raw = toned.raw({ depth: isDeep ? 'ushort' : 'uchar' })
  const frame = await inTime(raw, turn.left).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause) throw cause
    throw new CodestreamError('it is damaged, or cut short', { cause })
  })
  const samplesPerPixel = isGrey ? 1 : 3
  const bits = isDeep ? 16 : 8
  if (frame.length !== (rows * columns * samplesPerPixel * bits) / 8)
    throw new CodestreamError('it is not what it says')
  return {
    frame,
    image: {
      ...{ rows, columns, samplesPerPixel, planarConfiguration: 0, signed: false },
      ...{ photometricInterpretation: isGrey ? 'MONOCHROME2' : 'RGB' },
      ...{ bitsAllocated: bits, bitsStored: bits, highBit: bits - 1 },
    },
  }
}

/** Whether a picture says that it is to be turned when it is shown, which no image says of itself (EXIF 4.6.4). */
export async function isTurnedPicture(bytes: Bytes): Promise<boolean> {
  try {
    return ((await sharp(bytes, { limitInputPixels: MAX_FRAME_BYTES }).metadata()).orientation ?? 1) !== 1
  } catch {
    // Not for sharp to say: lossless JPEG is none that it reads.
    return false
  }
}
