/** How a data set is written (PS3.5 10 and Annex A). */
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
}

const PREFIX = '1.2.840.10008.1.2'

const native = (
  suffix: string,
  name: string,
  explicit: boolean,
  bigEndian = false,
  deflated = false,
): TransferSyntax => ({
  uid: PREFIX + suffix,
  name,
  explicit,
  bigEndian,
  deflated,
  encapsulated: false,
  lossy: false,
})

const encapsulated = (suffix: string, name: string, lossy = false): TransferSyntax => ({
  uid: PREFIX + suffix,
  name,
  explicit: true,
  bigEndian: false,
  deflated: false,
  encapsulated: true,
  lossy,
})

export const IMPLICIT_VR_LITTLE_ENDIAN = native('', 'Implicit VR Little Endian', false)
export const EXPLICIT_VR_LITTLE_ENDIAN = native('.1', 'Explicit VR Little Endian', true)
export const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = native(
  '.1.99',
  'Deflated Explicit VR Little Endian',
  true,
  false,
  true,
)
export const EXPLICIT_VR_BIG_ENDIAN = native('.2', 'Explicit VR Big Endian', true, true)

/** The encapsulated syntaxes of PS3.6 Table A-1, the ones most often stored first. */
export const encapsulatedSyntaxes: readonly TransferSyntax[] = [
  encapsulated('.4.70', 'JPEG Lossless SV1'),
  encapsulated('.4.90', 'JPEG 2000 Lossless'),
  encapsulated('.4.80', 'JPEG-LS Lossless'),
  encapsulated('.4.50', 'JPEG Baseline', true),
  encapsulated('.5', 'RLE Lossless'),
  encapsulated('.4.91', 'JPEG 2000', true),
  encapsulated('.4.81', 'JPEG-LS Near-lossless', true),
  encapsulated('.4.51', 'JPEG Extended', true),
  encapsulated('.4.57', 'JPEG Lossless'),
  encapsulated('.4.201', 'HTJ2K Lossless'),
  encapsulated('.4.202', 'HTJ2K Lossless RPCL'),
  encapsulated('.4.203', 'HTJ2K', true),
  encapsulated('.4.102', 'MPEG-4 AVC High Profile 4.1', true),
  encapsulated('.4.103', 'MPEG-4 AVC BD-compatible 4.1', true),
  encapsulated('.4.100', 'MPEG2 Main Profile Main Level', true),
  encapsulated('.4.101', 'MPEG2 Main Profile High Level', true),
  encapsulated('.4.104', 'MPEG-4 AVC High Profile 4.2 2D', true),
  encapsulated('.4.105', 'MPEG-4 AVC High Profile 4.2 3D', true),
  encapsulated('.4.106', 'MPEG-4 AVC Stereo High Profile 4.2', true),
  encapsulated('.4.107', 'HEVC Main Profile 5.1', true),
  encapsulated('.4.108', 'HEVC Main 10 Profile 5.1', true),
  encapsulated('.4.110', 'JPEG XL Lossless'),
  encapsulated('.4.111', 'JPEG XL JPEG Recompression', true),
  encapsulated('.4.112', 'JPEG XL', true),
  encapsulated('.4.92', 'JPEG 2000 Part 2 Lossless'),
  encapsulated('.4.93', 'JPEG 2000 Part 2', true),
  encapsulated('.1.98', 'Encapsulated Uncompressed Explicit VR Little Endian'),
  encapsulated('.8.1', 'Deflated Image Frame Compression'),
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

/** The syntax of a UID; one that nobody here knows is passed on as Explicit VR Little Endian with opaque fragments. */
export function transferSyntax(uid: string): TransferSyntax {
  return byUid.get(uid) ?? { ...encapsulated('', `Transfer syntax ${uid}`, true), uid }
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
