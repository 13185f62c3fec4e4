/** How a data set is written (PS3.5 10 and Annex A), and what its pixel data is then. */
export interface TransferSyntax {
  readonly uid: string
  readonly name: string
  readonly explicit: boolean
  readonly bigEndian: boolean
  readonly deflated: boolean
  /** Pixel Data is a sequence of fragments (PS3.5 A.4). */
  readonly encapsulated: boolean
  /** Pixel values may differ from what the modality made. */
  readonly lossy: boolean
  /** Of a frame, or of a video as a whole (PS3.18 Tables 8.7.3-4 and 8.7.3-5). */
  readonly media: string
  /** Each fragment is a frame (PS3.5 A.4.2, A.4.11, A.4.13). */
  readonly fragmentIsFrame: boolean
  /** Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1), where something is always lost. */
  readonly lossyMethod: string | undefined
  /** What a frame's bitstream may begin with; it tells frames apart where no table does (PS3.5 A.4). */
  readonly signatures: readonly Uint8Array[]
}

/** Bytes without a media type of their own. */
export const OCTET_STREAM = 'application/octet-stream'

const PREFIX = '1.2.840.10008.1.2'

/** The UIDs of syntaxes that something is done with here (PS3.6 Table A-1). */
export const SyntaxUid = {
  implicitVrLittleEndian: PREFIX,
  explicitVrLittleEndian: `${PREFIX}.1`,
  encapsulatedUncompressed: `${PREFIX}.1.98`,
  deflatedExplicitVrLittleEndian: `${PREFIX}.1.99`,
  explicitVrBigEndian: `${PREFIX}.2`,
  jpegBaseline: `${PREFIX}.4.50`,
  jpegExtended: `${PREFIX}.4.51`,
  jpegLossless: `${PREFIX}.4.57`,
  jpegLosslessSv1: `${PREFIX}.4.70`,
  jpegLsLossless: `${PREFIX}.4.80`,
  jpegLsNearLossless: `${PREFIX}.4.81`,
  jpeg2000Lossless: `${PREFIX}.4.90`,
  jpeg2000: `${PREFIX}.4.91`,
  htj2kLossless: `${PREFIX}.4.201`,
  htj2kLosslessRpcl: `${PREFIX}.4.202`,
  htj2k: `${PREFIX}.4.203`,
  rleLossless: `${PREFIX}.5`,
  deflatedImageFrame: `${PREFIX}.8.1`,
} as const

const bytes = (...hex: readonly string[]): readonly Uint8Array[] => hex.map((one) => Buffer.from(one, 'hex'))
/** JPEG and JPEG-LS: SOI; JPEG 2000: SOC and SIZ, or the first box of a JP2 file (ITU-T T.800 I.5.1). */
const JPEG_SIGNATURES = bytes('ffd8', 'ff4fff51', '0000000c6a502020')
/** Its codestream, or its box. The others may have FF 0A within. */
const JPEG_XL_SIGNATURES = bytes('ff0a', '0000000c4a584c20')

const native = (
  uid: string,
  name: string,
  { explicit = true, bigEndian = false, deflated = false } = {},
): TransferSyntax => ({
  ...{ uid, name, explicit, bigEndian, deflated },
  encapsulated: false,
  lossy: false,
  media: OCTET_STREAM,
  fragmentIsFrame: false,
  lossyMethod: undefined,
  signatures: JPEG_SIGNATURES,
})

interface Coding {
  readonly lossy?: boolean
  readonly media?: string
  readonly fragmentIsFrame?: boolean
  readonly lossyMethod?: string
  readonly signatures?: readonly Uint8Array[]
}

const encapsulated = (uid: string, name: string, coding: Coding = {}): TransferSyntax => ({
  ...{ uid, name },
  explicit: true,
  bigEndian: false,
  deflated: false,
  encapsulated: true,
  lossy: coding.lossy ?? coding.lossyMethod !== undefined,
  media: coding.media ?? OCTET_STREAM,
  fragmentIsFrame: coding.fragmentIsFrame ?? false,
  lossyMethod: coding.lossyMethod,
  signatures: coding.signatures ?? JPEG_SIGNATURES,
})

const [jpeg, jls, jp2, jpx, jphc] = ['jpeg', 'jls', 'jp2', 'jpx', 'jphc'].map((type) => ({ media: `image/${type}` }))
const jxl = { media: 'image/jxl', signatures: JPEG_XL_SIGNATURES }
const [mpeg, mp4, h265] = ['mpeg', 'mp4', 'H265'].map((type) => ({ media: `video/${type}`, lossy: true }))

export const IMPLICIT_VR_LITTLE_ENDIAN = native(SyntaxUid.implicitVrLittleEndian, 'Implicit VR Little Endian', {
  explicit: false,
})
export const EXPLICIT_VR_LITTLE_ENDIAN = native(SyntaxUid.explicitVrLittleEndian, 'Explicit VR Little Endian')
export const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = native(
  SyntaxUid.deflatedExplicitVrLittleEndian,
  'Deflated Explicit VR Little Endian',
  { deflated: true },
)
export const EXPLICIT_VR_BIG_ENDIAN = native(SyntaxUid.explicitVrBigEndian, 'Explicit VR Big Endian', {
  bigEndian: true,
})

/**
 * The encapsulated syntaxes of PS3.6 Table A-1, the ones most often stored first. The first of a media type is the one it
 * means when it names none (PS3.18 Table 8.7.3-4).
 */
export const encapsulatedSyntaxes: readonly TransferSyntax[] = [
  encapsulated(SyntaxUid.jpegLosslessSv1, 'JPEG Lossless SV1', jpeg),
  encapsulated(SyntaxUid.jpeg2000Lossless, 'JPEG 2000 Lossless', jp2),
  encapsulated(SyntaxUid.jpegLsLossless, 'JPEG-LS Lossless', jls),
  encapsulated(SyntaxUid.jpegBaseline, 'JPEG Baseline', { ...jpeg, lossyMethod: 'ISO_10918_1' }),
  encapsulated(SyntaxUid.rleLossless, 'RLE Lossless', { media: 'image/dicom-rle', fragmentIsFrame: true }),
  encapsulated(SyntaxUid.jpeg2000, 'JPEG 2000', { ...jp2, lossy: true }),
  encapsulated(SyntaxUid.jpegLsNearLossless, 'JPEG-LS Near-lossless', { ...jls, lossyMethod: 'ISO_14495_1' }),
  encapsulated(SyntaxUid.jpegExtended, 'JPEG Extended', { ...jpeg, lossyMethod: 'ISO_10918_1' }),
  encapsulated(SyntaxUid.jpegLossless, 'JPEG Lossless', jpeg),
  encapsulated(SyntaxUid.htj2kLossless, 'HTJ2K Lossless', jphc),
  encapsulated(SyntaxUid.htj2kLosslessRpcl, 'HTJ2K Lossless RPCL', jphc),
  encapsulated(SyntaxUid.htj2k, 'HTJ2K', { ...jphc, lossy: true }),
  encapsulated(`${PREFIX}.4.102`, 'MPEG-4 AVC High Profile 4.1', mp4),
  encapsulated(`${PREFIX}.4.103`, 'MPEG-4 AVC BD-compatible 4.1', mp4),
  encapsulated(`${PREFIX}.4.100`, 'MPEG2 Main Profile Main Level', mpeg),
  encapsulated(`${PREFIX}.4.101`, 'MPEG2 Main Profile High Level', mpeg),
  encapsulated(`${PREFIX}.4.104`, 'MPEG-4 AVC High Profile 4.2 2D', mp4),
  encapsulated(`${PREFIX}.4.105`, 'MPEG-4 AVC High Profile 4.2 3D', mp4),
  encapsulated(`${PREFIX}.4.106`, 'MPEG-4 AVC Stereo High Profile 4.2', mp4),
  encapsulated(`${PREFIX}.4.107`, 'HEVC Main Profile 5.1', h265),
  encapsulated(`${PREFIX}.4.108`, 'HEVC Main 10 Profile 5.1', h265),
  encapsulated(`${PREFIX}.4.110`, 'JPEG XL Lossless', jxl),
  encapsulated(`${PREFIX}.4.111`, 'JPEG XL JPEG Recompression', { ...jxl, lossy: true }),
  encapsulated(`${PREFIX}.4.112`, 'JPEG XL', { ...jxl, lossy: true }),
  encapsulated(`${PREFIX}.4.92`, 'JPEG 2000 Part 2 Lossless', jpx),
  encapsulated(`${PREFIX}.4.93`, 'JPEG 2000 Part 2', { ...jpx, lossy: true }),
  encapsulated(SyntaxUid.encapsulatedUncompressed, 'Encapsulated Uncompressed Explicit VR Little Endian', {
    fragmentIsFrame: true,
  }),
  encapsulated(SyntaxUid.deflatedImageFrame, 'Deflated Image Frame Compression', { fragmentIsFrame: true }),
]

const byUid = new Map<string, TransferSyntax>(
  [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    ...encapsulatedSyntaxes,
  ].map((syntax) => [syntax.uid, syntax]),
)

/**
 * The syntax of a UID; one that nobody here knows is passed on as Explicit VR Little Endian with opaque fragments. A
 * fragmentable video (`.1` behind the UID of the video's own) is of the same media type.
 */
export function transferSyntax(uid: string): TransferSyntax {
  const known = byUid.get(uid)
  if (known) return known
  const whole = uid.endsWith('.1') ? byUid.get(uid.slice(0, -2)) : undefined
  const media = whole && isVideo(whole) ? whole.media : OCTET_STREAM
  return encapsulated(uid, `Transfer syntax ${uid}`, { lossy: true, media })
}

/** One stream from start to end: its frames cannot be given one by one (PS3.5 8.2.5 and following). */
export function isVideo({ media }: TransferSyntax): boolean {
  return media.startsWith('video/')
}

/** Bytes of a fragment that tell. */
export const SIGNATURE_BYTES = 8

/** Whether a fragment of pixel data begins a frame's bitstream, where no table says (PS3.5 A.4). */
export function beginsBitstream(fragment: Uint8Array, { signatures }: TransferSyntax): boolean {
  return signatures.some((signature) => signature.every((byte, n) => fragment[n] === byte))
}

/** So many last bytes of a fragment tell whether it ends a frame's bitstream: a marker, and a pad. */
export const TAIL_BYTES = 3
/** EOI of JPEG and JPEG-LS, EOC of JPEG 2000: they have the same code. */
const END_MARKER = 0xffd9
const END_MARKED = ['image/jpeg', 'image/jls', 'image/jp2', 'image/jpx', 'image/jphc']

/** Whether a fragment ends a frame's bitstream, by its last TAIL_BYTES as one number. */
export function endsBitstream(tail: number, { media, fragmentIsFrame }: TransferSyntax): boolean {
  if (fragmentIsFrame) return true
  if (!END_MARKED.includes(media)) return false
  return (tail & 0xffff) === END_MARKER || tail === END_MARKER << 8
}

export function isKnownTransferSyntax(uid: string): boolean {
  return byUid.has(uid)
}

/** Uncompressed: one can be re-encoded as another without touching a pixel. */
export function isNative(syntax: TransferSyntax): boolean {
  return !syntax.encapsulated
}

/** Implicit VR and Big Endian never leave in a web response (PS3.18 8.7.3). */
export function isWebSyntax(syntax: TransferSyntax): boolean {
  return syntax.explicit && !syntax.bigEndian
}
