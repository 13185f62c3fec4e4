import type { Bytes } from '../../dicom/bytes.ts'
import { SyntaxUid } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { CodestreamHeader } from './codestream-header.ts'
import { jpegHeader } from './jpeg-codestream.ts'
import { bareJpeg2000, isWholeJpeg2000, jpeg2000Header } from './jpeg2000-codestream.ts'

/** What a codestream is, by itself: what an image says of it is not asked. */
export interface CodestreamKind {
  readonly header: CodestreamHeader
  /** The transfer syntax it can be stored in; undefined where there is none for it (progressive JPEG, four components). */
  readonly syntax: Uid | undefined
  readonly photometricInterpretation: string
  /** It goes on to its end, as far as its markers show. */
  readonly isWhole: boolean
  /** The bytes that are stored: a codestream without the file around it. */
  readonly bytes: Bytes
}

/** JPEG, JPEG-LS, JPEG 2000 or HTJ2K by its header; undefined for what is none of them. */
export function codestreamKind(bytes: Bytes): CodestreamKind | undefined {
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? jpegKind(bytes) : jpeg2000Kind(bytes)
}

/** Bytes in which the header of a codestream ends: in front of it are segments of cameras, and colour profiles. */
const MAX_HEADER_BYTES = 4 * 1024 * 1024

/** What the segments of a JPEG stream say, up to its first scan (ITU-T T.81 B.2.2, B.2.3; T.87 C.2; T.872 6.5.3). */
interface JpegSegments {
  /** SOFn without its FF. */
  frame: number | undefined
  /** Components have sampling factors that differ. */
  isSubsampled: boolean
  /** Of Adobe's APP14: 0 as they are, 1 YCbCr. */
  transform: number | undefined
  /** APP0 of JFIF: YCbCr. */
  isJfif: boolean
  /** Identifiers of the components. */
  components: readonly (number | undefined)[]
  /** Ss of the scan: the predictor of lossless JPEG; NEAR of JPEG-LS. */
  selection: number | undefined
  /** Where the first scan begins: a picture in front of it, of EXIF, has its own end. */
  scanAt: number | undefined
}

const EOI = Buffer.of(0xff, 0xd9)

function jpegKind(bytes: Bytes): CodestreamKind | undefined {
  const head = bytes.subarray(0, MAX_HEADER_BYTES)
  const header = jpegHeader(head)
  const segments = jpegSegments(head)
  if (!header || segments.frame === undefined) return undefined
  const { components, bits } = header
  const syntax = components === 1 || components === 3 ? jpegSyntax(segments, bits) : undefined
  const isWhole =
    segments.scanAt !== undefined &&
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).lastIndexOf(EOI) > segments.scanAt
  return { header, syntax, photometricInterpretation: jpegColours(segments, components), isWhole, bytes }
}

function jpegSyntax({ frame, selection }: JpegSegments, bits: number): Uid | undefined {
  switch (frame) {
    case 0xc0:
      return bits === 8 ? SyntaxUid.jpegBaseline : undefined
    case 0xc1:
      return SyntaxUid.jpegExtended
    case 0xc3:
      return selection === 1 ? SyntaxUid.jpegLosslessSv1 : SyntaxUid.jpegLossless
    case 0xf7:
      return selection === 0 ? SyntaxUid.jpegLsLossless : SyntaxUid.jpegLsNearLossless
    default:
      return undefined
  }
}

function jpegColours({ frame, isSubsampled, transform, isJfif, components }: JpegSegments, count: number): string {
  if (count === 1) return 'MONOCHROME2'
  // Lossless processes have their samples as they are, by the custom of all writers.
  if (frame === 0xc3 || frame === 0xf7 || transform === 0) return 'RGB'
  // By the custom of readers, where nothing else says it.
  if (transform === undefined && !isJfif && String.fromCharCode(...components.map((id) => id ?? 0)) === 'RGB')
    return 'RGB'
  return isSubsampled ? 'YBR_FULL_422' : 'YBR_FULL'
}

function jpegSegments(bytes: Bytes): JpegSegments {
  const found: JpegSegments = {
    ...{ frame: undefined, isSubsampled: false, transform: undefined, isJfif: false, components: [] },
    ...{ selection: undefined, scanAt: undefined },
  }
  for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!
    if (marker === 0xff) {
      at++
      continue
    }
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!
    const isSof = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isSof || marker === 0xf7) {
      found.frame = marker
      const count = bytes[at + 9] ?? 0
      found.components = Array.from({ length: count }, (_, n) => bytes[at + 10 + 3 * n])
      const factors = Array.from({ length: count }, (_, n) => bytes[at + 11 + 3 * n])
      found.isSubsampled = factors.some((factor) => factor !== factors[0])
    }
    if (marker === 0xe0 && Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1') === 'JFIF')
      found.isJfif = true
    if (marker === 0xee && Buffer.from(bytes.subarray(at + 4, at + 9)).toString('latin1') === 'Adobe') {
      found.transform = bytes[at + 15]
    }
    if (marker === 0xda) {
      found.scanAt = at
      found.selection = bytes[at + 5 + 2 * bytes[at + 4]!]
      break
    }
    at += 2 + length
  }
  return found
}

function jpeg2000Kind(bytes: Bytes): CodestreamKind | undefined {
  const header = jpeg2000Header(bytes)
  if (!header) return undefined
  const file = jp2Boxes(bytes)
  // Its samples are indices; what they stand for is not in the codestream.
  if (file?.hasPalette === true) return undefined
  const bare = bareJpeg2000(bytes.subarray(0, file?.end))
  const coding = jpeg2000Coding(bare)
  if (!coding) return undefined
  const { isReversible, hasColourTransform, isHighThroughput } = coding
  const [lossless, lossy] = isHighThroughput
    ? [SyntaxUid.htj2kLossless, SyntaxUid.htj2k]
    : [SyntaxUid.jpeg2000Lossless, SyntaxUid.jpeg2000]
  const untransformed = file?.isYcc === true ? 'YBR_FULL' : 'RGB'
  const colours = hasColourTransform ? (isReversible ? 'YBR_RCT' : 'YBR_ICT') : untransformed
  return {
    header,
    syntax: header.components === 1 || header.components === 3 ? (isReversible ? lossless : lossy) : undefined,
    photometricInterpretation: header.components === 1 ? 'MONOCHROME2' : colours,
    isWhole: isWholeJpeg2000(bare),
    bytes: bare,
  }
}

interface Jpeg2000Coding {
  readonly isReversible: boolean
  readonly hasColourTransform: boolean
  readonly isHighThroughput: boolean
}

/** By the COD and CAP segments of the main header (ITU-T T.800 A.6.1; T.814 A.2). */
function jpeg2000Coding(bytes: Bytes): Jpeg2000Coding | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let isHighThroughput = false
  for (let at = 2; at + 14 <= view.byteLength; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at)
    if (marker === 0xff50) isHighThroughput = true
    if (marker === 0xff52) {
      return {
        isReversible: view.getUint8(at + 13) === 1,
        hasColourTransform: view.getUint8(at + 8) === 1,
        isHighThroughput,
      }
    }
    if (marker === 0xff90) return undefined
  }
  return undefined
}

interface Jp2File {
  /** Where its codestream ends. */
  readonly end: number
  readonly hasPalette: boolean
  /** Its colours are sYCC (enumerated colour space 18). */
  readonly isYcc: boolean
}

/** What the boxes of a JP2 file say (ITU-T T.800 I.5); undefined for a codestream without them. */
function jp2Boxes(bytes: Bytes): Jp2File | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (file.length < 12 || file.toString('latin1', 4, 8) !== 'jP  ') return undefined
  const found = { end: file.length, hasPalette: false, isYcc: false }
  for (let at = 0; at + 8 <= file.length;) {
    const size = file.readUInt32BE(at)
    const type = file.toString('latin1', at + 4, at + 8)
    if (type === 'jp2c') {
      const whole = size === 1 && at + 16 <= file.length ? Number(file.readBigUInt64BE(at + 8)) : size
      if (whole >= 8) found.end = Math.min(file.length, at + whole)
      return found
    }
    if (type === 'pclr') found.hasPalette = true
    if (type === 'colr' && file[at + 8] === 1 && at + 15 <= file.length) found.isYcc = file.readUInt32BE(at + 11) === 18
    if (size < 8) return found
    // What is in the header box is looked at as well.
    at += type === 'jp2h' ? 8 : size
  }
  return found
}
