import type { Bytes } from '../../dicom/bytes.ts'
import { SyntaxUid } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import sharp from 'sharp'
import { charls, openjpeg, openjph } from './libraries.ts'
import type { ImageDescription } from '../image-description.ts'
import { encodeRle } from './rle.ts'
import { withTileLengths } from './tile-lengths.ts'
import type { Encoder } from './wasm-codec.ts'

type Encode = (frame: Bytes, image: ImageDescription) => Bytes | Promise<Bytes>

interface FrameEncoder {
  /** Whether it can hold the samples of an image. */
  fits(image: ImageDescription): boolean
  readonly encode: Encode
  /** Photometric Interpretation of an RGB image in this syntax (PS3.5 8.2). */
  readonly rgbAs: string
}

/** Quality of JPEG, 1 to 100: high enough for the loss not to be seen. */
const JPEG_QUALITY = 90
/** Number of the progression order by resolution (ITU-T T.800 Table A.16). */
const RPCL = 2
/** Greatest side, in pixels, of the lowest resolution in the syntax by resolution (PS3.5 10.18). */
const LEAST_SIDE = 64

const isGreyOrRgb = ({ samplesPerPixel, photometricInterpretation }: ImageDescription): boolean =>
  samplesPerPixel === 1 || (samplesPerPixel === 3 && photometricInterpretation === 'RGB')
const hasWholeBytes = ({ bitsAllocated }: ImageDescription): boolean => bitsAllocated === 8 || bitsAllocated === 16
/** Images that OpenJPEG and OpenJPH encode without loss: they spoil colours of 16 bits. */
const fitsWavelets = (image: ImageDescription): boolean =>
  hasWholeBytes(image) &&
  isGreyOrRgb(image) &&
  (image.samplesPerPixel === 1 || image.bitsAllocated === 8) &&
  // Negative bytes become 0, and a single row or column loses bits.
  !(image.signed && image.bitsAllocated === 8) &&
  image.rows > 1 &&
  image.columns > 1

const encoders = new Map<Uid, FrameEncoder>(
  Object.entries({
    [SyntaxUid.jpegBaseline]: {
      fits: (image) =>
        image.bitsAllocated === 8 &&
        image.bitsStored === 8 &&
        !image.signed &&
        ['MONOCHROME1', 'MONOCHROME2', 'RGB'].includes(image.photometricInterpretation),
      encode: jpeg,
      rgbAs: 'YBR_FULL',
    },
    [SyntaxUid.jpegLsLossless]: {
      fits: (image) => hasWholeBytes(image) && isGreyOrRgb(image) && image.bitsStored >= 2,
      encode: (frame, image) =>
        wasm(charls, frame, image, (encoder) => {
          encoder.setNearLossless?.(0)
          encoder.setInterleaveMode?.(image.samplesPerPixel === 3 ? 2 : 0)
        }),
      rgbAs: 'RGB',
    },
    [SyntaxUid.jpeg2000Lossless]: {
      fits: fitsWavelets,
      encode: (frame, image) =>
        wasm(openjpeg, frame, image, (encoder) => {
          encoder.setQuality?.(true, 0)
          encoder.setCompressionRatio?.(0, 0)
          encoder.setDecompositions?.(decompositions(image))
        }),
      rgbAs: 'YBR_RCT',
    },
    [SyntaxUid.htj2kLossless]: { fits: fitsWavelets, encode: (frame, image) => htj2k(frame, image), rgbAs: 'YBR_RCT' },
    [SyntaxUid.htj2kLosslessRpcl]: { fits: fitsWavelets, encode: htj2kByResolution, rgbAs: 'YBR_RCT' },
    [SyntaxUid.rleLossless]: {
      fits: ({ samplesPerPixel, bitsAllocated }) => (samplesPerPixel * bitsAllocated) / 8 <= 15,
      encode: (frame, image) => encodeRle(frame, image)!,
      rgbAs: 'RGB',
    },
  } satisfies Record<Uid, FrameEncoder>),
)

/** Whether an image can be given in a compressed syntax; its frames are native and interleaved. */
export function isEncodable(image: ImageDescription, syntax: Uid): boolean {
  return encoders.get(syntax)?.fits(image) === true
}

/** A frame could not be encoded. */
export class FrameNotEncodedError extends Error {
  readonly code = 'FRAME_NOT_ENCODED'
  constructor(options?: ErrorOptions) {
    super('A frame cannot be given in the syntax asked for', options)
    this.name = 'FrameNotEncodedError'
  }
}

/** Encodes a native, interleaved frame. @throws FrameNotEncodedError; only for images that `isEncodable` */
export async function encodeFrame(frame: Bytes, image: ImageDescription, syntax: Uid): Promise<Bytes> {
  try {
    return await encoders.get(syntax)!.encode(frame, image)
  } catch (error) {
    throw new FrameNotEncodedError({ cause: error })
  }
}

/** What the attributes of an image become when its frames are encoded (PS3.5 8.2). */
export function encodedDescription(image: ImageDescription, syntax: Uid): ImageDescription {
  const { photometricInterpretation: stored } = image
  const rgbAs = encoders.get(syntax)?.rgbAs ?? stored
  return { ...image, planarConfiguration: 0, photometricInterpretation: stored === 'RGB' ? rgbAs : stored }
}

/** Colours at full size: nothing is lost but by quantisation. */
async function jpeg(frame: Bytes, { columns, rows, samplesPerPixel }: ImageDescription): Promise<Bytes> {
  const channels = samplesPerPixel === 3 ? 3 : 1
  const picture = sharp(frame, { raw: { width: columns, height: rows, channels }, limitInputPixels: false })
  const bytes = await picture
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4', progressive: false })
    .toBuffer()
  // Memory of libvips cannot be moved to another thread.
  return Uint8Array.from(bytes)
}

/** Times that an image can be halved: five, or as often as its shorter side allows (ITU-T T.800 A.6.1). */
function decompositions({ rows, columns }: ImageDescription): number {
  return Math.min(5, Math.floor(Math.log2(Math.min(rows, columns))))
}

function htj2k(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  return wasm(openjph, frame, image, (encoder) => {
    encoder.setQuality?.(true, 0)
    encoder.setDecompositions?.(decompositions(image))
  })
}

/** PS3.5 10.18: by resolution, of which the least has a side of at most 64 pixels, with the lengths of tile-parts. */
async function htj2kByResolution(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  const levels = Math.ceil(Math.log2(Math.min(image.rows, image.columns) / LEAST_SIDE))
  const codestream = await wasm(openjph, frame, image, (encoder) => {
    encoder.setQuality?.(true, 0)
    encoder.setDecompositions?.(Math.max(decompositions(image), levels))
    encoder.setProgressionOrder?.(RPCL)
  })
  return withTileLengths(codestream)
}

async function wasm(
  codec: typeof charls,
  frame: Bytes,
  image: ImageDescription,
  setUp: (encoder: Encoder) => void,
): Promise<Bytes> {
  const bits = hasOnlyStoredBits(frame, image) ? image.bitsStored : image.bitsAllocated
  return codec.encode({ bits, signed: image.signed, planar: false, data: frame }, image, setUp)
}

/**
 * Whether all bits above the stored ones are 0. Where they are not (PS3.5 8.1.1 allows it), all allocated bits are
 * coded, so that they come back.
 */
function hasOnlyStoredBits(frame: Bytes, { bitsAllocated, bitsStored, highBit, signed }: ImageDescription): boolean {
  if (bitsStored === bitsAllocated) return true
  // JPEG-LS knows no sign; an image of 8 bits or less is given in bytes whatever its precision.
  if (signed || highBit !== bitsStored - 1 || (bitsAllocated === 16 && bitsStored <= 8)) return false
  const samples = bitsAllocated === 16 ? new Uint16Array(frame.buffer, frame.byteOffset, frame.length / 2) : frame
  const most = 2 ** bitsStored - 1
  for (const sample of samples) if (sample > most) return false
  return true
}
