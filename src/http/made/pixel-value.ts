import { Attribute } from '../../dicom/attributes.ts'
import { once, type Bytes, type ByteStream } from '../../dicom/bytes.ts'
import { MAX_VALUE_BYTES, type Streamed } from '../../dicom/composed-file.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { ElementHeader } from '../../dicom/element-reader.ts'
import type { Tag } from '../../dicom/tag.ts'
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  isNative,
  OCTET_STREAM,
  SyntaxUid,
  transferSyntax,
  type TransferSyntax,
} from '../../dicom/transfer-syntax.ts'
import type { Vr } from '../../dicom/vr.ts'
import { codestreamKind, type CodestreamKind } from '../../imaging/codecs/codestream-kind.ts'
import { describeImage, type ImageDescription } from '../../imaging/image-description.ts'
import {
  checkKind,
  describeByCodestream,
  fillImageAttributes,
  tellLossyCompression,
} from '../../imaging/codecs/image-attributes.ts'
import { rleSegments } from '../../imaging/codecs/rle.ts'
import { readPicture } from '../../imaging/picture/read-picture.ts'
import { frameCount, pixelLayout } from '../../instance/pixel-layout.ts'
import type { HttpContext } from '../context.ts'
import { wholeValue, type BulkValue } from './bulk-value.ts'
import type { Held } from './holding.ts'
import { describeByVideo } from './video-attributes.ts'
import { videoValue } from './video-value.ts'

/** Pixel data that does not fit the attributes that describe it, or says two things of itself. */
export class UnfitPixelDataError extends Error {
  readonly code = 'UNFIT_PIXEL_DATA'
  constructor(problem: string, options?: ErrorOptions) {
    super(`The pixel data ${problem}`, options)
    this.name = 'UnfitPixelDataError'
  }
}

/** Pixel data as it goes into an instance. */
export interface MadePixels {
  readonly syntax: TransferSyntax
  readonly streamed: Streamed
}

/** What a frame is read from, and the frames behind it. */
export interface PixelSource {
  readonly c: HttpContext
  readonly held: Held
  /** The attributes that are told; those of the pixels that are missing are filled in. */
  readonly dataset: Dataset
  readonly tag: Tag
  readonly vr: Vr
  /** The next frame of several; undefined where there is none. */
  readonly next: () => Promise<BulkValue | undefined>
}

/** Media types that are pictures of their own; the syntaxes of others begin where their parameter says so. */
const CODESTREAMS = ['image/jpeg', 'image/jls', 'image/jp2', 'image/jpx', 'image/jphc', 'image/j2c', 'image/jph']
const RLE = 'image/dicom-rle'

/**
 * Makes pixel data of what a client sent (PS3.18 Table 10.5.2-1): raw as it is; codestreams as frames, with the attributes
 * of the pixels by the first one; PNG, and JPEG that no transfer syntax is for, decoded.
 * @throws UnfitPixelDataError, CodestreamError, UnusableImageError, CodecStoppedError, ImagingBusyError, RequestError
 */
export async function madePixels(value: BulkValue, source: PixelSource): Promise<MadePixels> {
  const { media, syntax } = value
  if (!value.isPlain) throw new UnfitPixelDataError('is encoded for its way, or in an order that raw values are not in')
  checkNumbers(source.dataset)
  if (value.frame !== undefined && value.frame !== 1)
    throw new UnfitPixelDataError('does not begin with its first frame')
  if (isRaw(media, syntax)) return rawPixels(value, source)
  if (source.tag !== Attribute.PixelData) throw new UnfitPixelDataError('of floats is not raw')
  if (media === MP4) return videoPixels(value, source)
  const frame = await wholeValue(value, source.held)
  if (media === RLE || syntax === SyntaxUid.rleLossless) return rlePixels({ ...value, whole: frame }, source)
  if (media !== 'image/png' && !CODESTREAMS.includes(media) && syntax === undefined) {
    throw new UnfitPixelDataError(`is of the media type ${media}, which is none of pixel data`)
  }
  const kind = media === 'image/png' ? undefined : codestreamKind(frame)
  if (!kind && media !== 'image/png') throw new UnfitPixelDataError(`is no codestream of ${media}`)
  const chosen = kind?.syntax === undefined ? undefined : agreed(kind.syntax, syntax)
  if (!kind || chosen === undefined) return decodedPixels(frame, source)
  return codedPixels({ ...value, whole: kind.bytes }, kind, transferSyntax(chosen), source)
}

function isRaw(media: string, syntax: string | undefined): boolean {
  return media === OCTET_STREAM && (syntax === undefined || isNative(transferSyntax(syntax)))
}

const MP4 = 'video/mp4'

/** Numbers that decide how pixel data is cut. @throws UnfitPixelDataError */
function checkNumbers(dataset: Dataset): void {
  for (const tag of [Attribute.Rows, Attribute.Columns, Attribute.NumberOfFrames]) {
    const stated = dataset.string(tag)
    if (stated !== undefined && !/^ *[1-9]\d* *$/.test(stated)) throw new UnfitPixelDataError('has sizes that are none')
  }
}

/** Its body alone: of a value that is in one part there is no other. */
async function* only(body: ByteStream, next: PixelSource['next']): AsyncGenerator<Bytes> {
  yield* body
  if (await next()) throw new UnfitPixelDataError('is in one part, and comes in several')
}

/** As many bytes as the attributes say, which have to be there. */
function rawPixels({ length: told, body }: BulkValue, { dataset, tag, vr, next }: PixelSource): MadePixels {
  const length = nativeLength(dataset, { tag, vr, length: told })
  if (length === 0) throw new UnfitPixelDataError('is raw, and its Rows and Columns are not told')
  if (length > MAX_VALUE_BYTES) throw new UnfitPixelDataError('is longer than an element can be')
  if (told !== undefined && !isLength(told, length)) {
    throw new UnfitPixelDataError(`has ${told} bytes, where its attributes say ${length}`)
  }
  const isOther = tag === Attribute.PixelData && vr !== 'OB' && vr !== 'OW'
  const own = isOther ? 'OW' : vr
  return {
    syntax: EXPLICIT_VR_LITTLE_ENDIAN,
    streamed: { tag, vr: own, length, body: only(withoutPad(body, length), next) },
  }
}

/** Without one byte that makes an odd length even. */
async function* withoutPad(body: ByteStream, length: number): AsyncGenerator<Bytes> {
  const most = length + (length & 1)
  let got = 0
  for await (const bytes of body) {
    const left = Math.max(0, length - got)
    got += bytes.length
    // What is too much is passed on, and found to be.
    yield got > length && got <= most ? bytes.subarray(0, left) : bytes
  }
}

async function videoPixels(value: BulkValue, { dataset, tag, held, next }: PixelSource): Promise<MadePixels> {
  const { header, length, body } = await videoValue(value, held)
  if (value.syntax !== undefined && value.syntax !== header.syntax) {
    throw new UnfitPixelDataError(`is in ${header.syntax}, and said to be in ${value.syntax}`)
  }
  describeByVideo(dataset, header)
  dropOffsets(dataset)
  return { syntax: transferSyntax(header.syntax), streamed: { tag, fragment: { length, body: only(body, next) } } }
}

/** What is cut short looks whole to who counts frames. @throws UnfitPixelDataError */
function checkWhole({ isWhole }: CodestreamKind): void {
  if (!isWhole) throw new UnfitPixelDataError('is a codestream that is cut short')
}

type FirstFrame = BulkValue & { readonly whole: Bytes }

function rlePixels(frame: FirstFrame, source: PixelSource): MadePixels {
  // Its header says nothing of the image, but for how many segments it has.
  const image = describeImage(source.dataset)
  const checked = (one: Bytes): Bytes => {
    rleSegments(one, image)
    return one
  }
  checked(frame.whole)
  return framed(frame, transferSyntax(SyntaxUid.rleLossless), source, checked)
}

/** A codestream that goes into the instance as it is. */
function codedPixels(
  frame: FirstFrame,
  first: CodestreamKind,
  syntax: TransferSyntax,
  source: PixelSource,
): MadePixels {
  const { dataset } = source
  checkWhole(first)
  const image = describeByCodestream(dataset, first)
  if (frameCount(dataset) === 1) tellLossyCompression(dataset, syntax.uid, image, frame.whole.length)
  return framed(frame, syntax, source, (next) => {
    const kind = codestreamKind(next)
    if (!kind) throw new UnfitPixelDataError('has frames that are no codestream')
    checkKind(kind, image)
    checkWhole(kind)
    if (kind.syntax === undefined || !isWithin(kind.syntax, syntax.uid)) {
      throw new UnfitPixelDataError('has frames of several transfer syntaxes')
    }
    return kind.bytes
  })
}

/** All frames, each a fragment, the first of them in hand. */
function framed(
  first: FirstFrame,
  syntax: TransferSyntax,
  { dataset, tag, held, next }: PixelSource,
  checked: (frame: Bytes) => Bytes,
): MadePixels {
  const frames = frameCount(dataset)
  dropOffsets(dataset)
  async function* all(): AsyncGenerator<Bytes> {
    yield first.whole
    for (let n = 1; n < frames; n++) {
      const value = await next()
      if (!value) throw new UnfitPixelDataError(`has ${n} frames, where Number of Frames says ${frames}`)
      if (value.frame !== (first.frame === undefined ? undefined : n + 1)) {
        throw new UnfitPixelDataError('has frames that are not in their order')
      }
      const frame = await wholeValue(value, held)
      yield checked(frame)
      if (!value.whole) held.release(frame.length)
    }
    // Stored without them it would look whole.
    if (await next()) throw new UnfitPixelDataError(`has more frames than the ${frames} of Number of Frames`)
  }
  return { syntax, streamed: { tag, frames: all() } }
}

/** A picture that there is no transfer syntax for, decoded. */
async function decodedPixels(frame: Bytes, { c, dataset, tag, held, next }: PixelSource): Promise<MadePixels> {
  if (frameCount(dataset) > 1) throw new UnfitPixelDataError('of several frames is of a type that is of one picture')
  const isJpeg = frame[0] === 0xff
  const { frame: pixels, image } = await c.var.imaging.inTurn((turn) => readPicture(frame, turn), c.var.signal)
  if (await next()) throw new UnfitPixelDataError('is one picture, and comes in several parts')
  held.add(pixels.length)
  agree(dataset, image)
  if (image.samplesPerPixel > 1) {
    // Whatever its colours were coded as.
    dataset.delete(Attribute.PhotometricInterpretation)
    dataset.delete(Attribute.PlanarConfiguration)
  }
  fillImageAttributes(dataset, image)
  if (isJpeg) tellLossyCompression(dataset, SyntaxUid.jpegBaseline, image, frame.length)
  const vr = image.bitsAllocated > 8 ? 'OW' : 'OB'
  return { syntax: EXPLICIT_VR_LITTLE_ENDIAN, streamed: { tag, vr, length: pixels.length, body: once(pixels) } }
}

/** What was decoded is what the attributes say, where they do. */
function agree(dataset: Dataset, image: ImageDescription): void {
  const told: readonly (readonly [Tag, number | string])[] = [
    [Attribute.Rows, image.rows],
    [Attribute.Columns, image.columns],
    [Attribute.SamplesPerPixel, image.samplesPerPixel],
    [Attribute.BitsAllocated, image.bitsAllocated],
    [Attribute.BitsStored, image.bitsStored],
    [Attribute.PixelRepresentation, 0],
  ]
  for (const [tag, value] of told) {
    const stated = dataset.string(tag)
    if (stated !== undefined && stated.trim() !== String(value)) {
      throw new UnfitPixelDataError(
        `is decoded to what is not what its attributes say: ${String(value)} in place of another`,
      )
    }
  }
}

/** Offsets are of the frames as they were. */
function dropOffsets(dataset: Dataset): void {
  dataset.delete(Attribute.ExtendedOffsetTable)
  dataset.delete(Attribute.ExtendedOffsetTableLengths)
}

/** Which syntaxes are a case of which: what says of itself that it is the wider one may be. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  [SyntaxUid.jpegExtended]: [SyntaxUid.jpegBaseline],
  [SyntaxUid.jpegLossless]: [SyntaxUid.jpegLosslessSv1],
  [SyntaxUid.jpegLsNearLossless]: [SyntaxUid.jpegLsLossless],
  [SyntaxUid.jpeg2000]: [SyntaxUid.jpeg2000Lossless],
  [SyntaxUid.htj2kLosslessRpcl]: [SyntaxUid.htj2kLossless],
  [SyntaxUid.htj2k]: [SyntaxUid.htj2kLossless],
  '1.2.840.10008.1.2.4.92': [SyntaxUid.jpeg2000Lossless],
  '1.2.840.10008.1.2.4.93': [SyntaxUid.jpeg2000, SyntaxUid.jpeg2000Lossless],
}

function isWithin(found: string, syntax: string): boolean {
  return found === syntax || WIDER[syntax]?.includes(found) === true
}

/** The syntax of a codestream: what the client says, where the codestream bears it out. @throws UnfitPixelDataError */
function agreed(found: string, told: string | undefined): string {
  if (told === undefined) return found
  if (isWithin(found, told)) return told
  throw new UnfitPixelDataError(`is in ${found}, and said to be in ${told}`)
}

/** Whether native pixel data that is in a data set is as long as its attributes say; true where there is none. */
export function hasWholePixels(dataset: Dataset): boolean {
  const element = dataset.get(Attribute.PixelData)
  if (!element || !(element.value instanceof Uint8Array) || element.value.length === 0) return true
  const { length } = element.value
  return isLength(length, nativeLength(dataset, { tag: Attribute.PixelData, vr: element.vr, length }))
}

/** Bytes of native pixel data by its attributes, without padding; 0 where they do not say. */
function nativeLength(dataset: Dataset, header: ElementHeader): number {
  const { frameBits, frames } = pixelLayout(dataset, header, 0)
  return Math.ceil((frameBits * frames) / 8)
}

/** With one byte or without that makes an odd length even (PS3.5 7.1.1). */
function isLength(told: number, length: number): boolean {
  return told === length || told === length + (length & 1)
}
