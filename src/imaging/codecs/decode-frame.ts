import { inflateRawSync } from 'node:zlib'
import type { Bytes } from '../../dicom/bytes.ts'
import { sharesChrominance } from '../../dicom/photometric-interpretation.ts'
import { SyntaxUid } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import { frameBits, type ImageDescription } from '../image-description.ts'
import { allocated } from './allocated-samples.ts'
import { CodestreamError } from './codec-error.ts'
import { checkHeader } from './codestream-header.ts'
import { withEndOfImage } from './end-of-image.ts'
import { jpegHeader, jpegScans, MAX_SCANS, withColorTransform } from './jpeg-codestream.ts'
import { bareJpeg2000, isWholeJpeg2000, jpeg2000Header, withoutSign } from './jpeg2000-codestream.ts'
import { checkJpeg2000Coding } from './jpeg2000-coding.ts'
import { charls, ijg, openjpeg, openjph, turbo } from './libraries.ts'
import { decodeRle } from './rle.ts'
import type { Samples } from './wasm-codec.ts'

type Decode = (frame: Bytes, image: ImageDescription) => Bytes | Promise<Bytes>

const decoders = new Map<Uid, Decode>(
  Object.entries({
    [SyntaxUid.jpegBaseline]: decodeJpeg8,
    [SyntaxUid.jpegExtended]: (frame, image) =>
      jpegHeader(frame)?.bits === 8 ? decodeJpeg8(frame, image) : decodeIjg(frame, image),
    [SyntaxUid.jpegLossless]: decodeIjg,
    [SyntaxUid.jpegLosslessSv1]: decodeIjg,
    [SyntaxUid.jpegLsLossless]: decodeJpegLs,
    [SyntaxUid.jpegLsNearLossless]: decodeJpegLs,
    [SyntaxUid.jpeg2000Lossless]: decodeJpeg2000,
    [SyntaxUid.jpeg2000]: decodeJpeg2000,
    [SyntaxUid.htj2kLossless]: decodeHtj2k,
    [SyntaxUid.htj2kLosslessRpcl]: decodeHtj2k,
    [SyntaxUid.htj2k]: decodeHtj2k,
    [SyntaxUid.rleLossless]: decodeRle,
    [SyntaxUid.encapsulatedUncompressed]: (frame) => frame,
    [SyntaxUid.deflatedImageFrame]: (frame, image) => inflateFrame(frame, image),
  } satisfies Record<Uid, Decode>),
)

/** Whether frames of a transfer syntax can be decoded. */
export function isDecodable(syntax: Uid): boolean {
  return decoders.has(syntax)
}

/**
 * Decodes a frame of encapsulated pixel data: samples interleaved unless the syntax keeps the planes of the image,
 * Little Endian, in as many bytes as are allocated, as `decodedDescription` describes it.
 * @throws CodestreamError
 */
export async function decodeFrame(frame: Bytes, image: ImageDescription, syntax: Uid): Promise<Bytes> {
  const decode = decoders.get(syntax)
  if (!decode) throw new CodestreamError(`there is no decoder for ${syntax}`)
  const decoded = await decode(frame, image)
  const expected = Math.ceil(frameBits(image) / 8)
  // One pad byte makes an odd frame even (PS3.5 A.4).
  if (decoded.length === expected + 1 && expected % 2 === 1) return decoded.subarray(0, expected)
  if (decoded.length !== expected) throw new CodestreamError('it does not hold the whole frame')
  return decoded
}

/** What the attributes of an image become when its frames are decoded (PS3.5 8.2). */
export function decodedDescription(image: ImageDescription, syntax: Uid): ImageDescription {
  if (syntax === SyntaxUid.encapsulatedUncompressed || syntax === SyntaxUid.deflatedImageFrame) return image
  const isJpeg = syntax === SyntaxUid.jpegBaseline || syntax === SyntaxUid.jpegExtended
  const { photometricInterpretation: stored, samplesPerPixel } = image
  const isRgb = samplesPerPixel === 3 && (isJpeg || ['YBR_ICT', 'YBR_RCT'].includes(stored))
  // Only JPEG leaves out every other colour sample, and its decoders fill them in.
  const full = sharesChrominance(stored) ? 'YBR_FULL' : stored
  return { ...image, planarConfiguration: 0, photometricInterpretation: isRgb ? 'RGB' : full }
}

async function decodeJpeg8(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  checkHeader(jpegHeader(frame), image)
  const whole = withEndOfImage(wholeJpeg(frame))
  const isAsStored = image.photometricInterpretation === 'RGB'
  const stream = image.samplesPerPixel === 3 ? withColorTransform(whole, isAsStored ? 0 : 1) : whole
  return allocated(await turbo.decode(stream, image), image)
}

function decodeIjg(frame: Bytes, image: ImageDescription): Bytes {
  const { bits } = checkHeader(jpegHeader(frame), image)
  // The module goes by Bits Allocated, not by the precision of the stream: it would write bytes in place of words.
  const width = bits > 8 ? 16 : 8
  const coded = { ...image, bitsAllocated: width, bitsStored: Math.min(image.bitsStored, width) }
  return allocated({ bits: width, signed: false, planar: false, data: ijg.decode(wholeJpeg(frame), coded) }, image)
}

async function decodeJpegLs(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  checkHeader(jpegHeader(frame), image)
  return allocated(await charls.decode(withEndOfImage(frame), image), image)
}

async function decodeJpeg2000(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  return allocated(await decodeWavelets(openjpeg, frame, image), image)
}

async function decodeHtj2k(frame: Bytes, image: ImageDescription): Promise<Bytes> {
  return allocated(clamped(await decodeWavelets(openjph, frame, image)), image)
}

/** @throws CodestreamError where a scan is missing, which decoders draw in silence, or there are too many */
function wholeJpeg(frame: Bytes): Bytes {
  const { isWhole, scans } = jpegScans(frame)
  if (scans > MAX_SCANS) throw new CodestreamError(`it has over ${MAX_SCANS} scans`)
  if (!isWhole) throw new CodestreamError('it ends too early')
  return frame
}

/**
 * Decodes JPEG 2000 and HTJ2K. For signed samples of 8 bits or less both decoders give 0 in place of negative values:
 * the stream is made an unsigned one, and the sign put back.
 */
async function decodeWavelets(codec: typeof openjpeg, stored: Bytes, image: ImageDescription): Promise<Samples> {
  const header = checkHeader(jpeg2000Header(stored), image)
  const frame = bareJpeg2000(stored)
  checkJpeg2000Coding(frame)
  if (!isWholeJpeg2000(frame)) throw new CodestreamError('it ends too early')
  if (!header.signed || header.bits > 8) return codec.decode(frame, image)
  const samples = await codec.decode(withoutSign(frame), image)
  const middle = 2 ** (header.bits - 1)
  return { ...samples, signed: true, data: samples.data.map((value) => (value - middle) & 0xff) }
}

function inflateFrame(frame: Bytes, image: ImageDescription): Bytes {
  try {
    // PS3.5 A.4.13; a pad byte may follow the stream.
    return inflateRawSync(frame, { maxOutputLength: Math.ceil(frameBits(image) / 8) + 1 })
  } catch (error) {
    throw new CodestreamError('it cannot be inflated', { cause: error })
  }
}

/** Samples within the range of their bits: OpenJPH gives greater ones where they were coded with loss. */
function clamped(samples: Samples): Samples {
  const { bits, signed, data } = samples
  if (signed || bits <= 8 || bits === 16) return samples
  const most = 2 ** bits - 1
  const words = new Uint16Array(data.buffer, data.byteOffset, data.length / 2)
  for (let n = 0; n < words.length; n++) if (words[n]! > most) words[n] = most
  return samples
}
