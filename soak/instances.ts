import { createCipheriv, createHash } from 'node:crypto'
import { Attribute } from '../src/dicom/attributes.ts'
import type { Bytes } from '../src/dicom/bytes.ts'
import { Dataset } from '../src/dicom/dataset.ts'
import { encodeDataset } from '../src/dicom/dataset-codec.ts'
import { part10Header } from '../src/dicom/part10.ts'
import { isNative, SyntaxUid, transferSyntax } from '../src/dicom/transfer-syntax.ts'
import { STORAGE_ROOT, type Uid } from '../src/dicom/uids.ts'
import { encodeFrame } from '../src/imaging/codecs/encode-frame.ts'

/**
 * What is made, each a class in one transfer syntax: of a class dcmqrscp keeps several, but gives one. What is to be
 * encoded in JPEG-LS leaves bits unused: CharLS has no room for an image that grows by it.
 */
export const SORTS = {
  ct: { sopClass: '2', modality: 'CT', syntax: SyntaxUid.explicitVrLittleEndian, bits: 16, used: 12 },
  cr: { sopClass: '1', modality: 'CR', syntax: SyntaxUid.implicitVrLittleEndian, bits: 16, used: 16 },
  mr: { sopClass: '4', modality: 'MR', syntax: SyntaxUid.rleLossless, bits: 16, used: 16 },
  capture: { sopClass: '7', modality: 'OT', syntax: SyntaxUid.jpegLsLossless, bits: 8, used: 6 },
  loop: { sopClass: '3.1', modality: 'US', syntax: SyntaxUid.explicitVrLittleEndian, bits: 8, used: 8 },
} as const

export type Sort = keyof typeof SORTS

export interface InstanceUidsAndPatient {
  readonly study: Uid
  readonly series: Uid
  readonly instance: Uid
  readonly patient: string
}

/** What is known of an instance: all that a whole answer with it can be held against. */
export interface Instance extends InstanceUidsAndPatient {
  readonly sort: Sort
  readonly sopClass: Uid
  readonly syntax: Uid
  /** Of the data set, without group 0002, by transfer syntax: as it is stored, and in Explicit VR Little Endian if it is native. */
  readonly digests: ReadonlyMap<Uid, string>
  /** Of the pixel data uncompressed, which is the end of the data set then. */
  readonly pixels: { readonly digest: string; readonly length: number }
  /** Of each frame uncompressed, and as it is stored. */
  readonly frames: readonly { readonly native: string; readonly stored: string }[]
  /** Values of its metadata, by tag as in DICOM JSON. */
  readonly values: Readonly<Record<string, string | number>>
  readonly bytes: number
}

export interface MadeInstance {
  readonly instance: Instance
  /** PS3.10. */
  readonly file: Buffer
}

export interface Shape {
  readonly sort: Sort
  readonly rows: number
  readonly columns: number
  readonly frames: number
}

/** Bytes of pixel data of what is stored while the soak runs. */
export const SIZES = [1, 16, 130, 512, 1100, 4096, 20_480].map((kibibytes) => kibibytes * 1024)

/** About so many bytes of pixel data; the slow encoder of JPEG-LS is not given large ones. */
export function shapeOf(sort: Sort, bytes: number): Shape {
  const columns = bytes < 65_536 ? 32 : 512
  const frames = sort === 'loop' ? 8 : 1
  const rows = Math.max(2, Math.round(bytes / (columns * frames * (SORTS[sort].bits / 8))))
  return { sort, rows, columns, frames }
}

/** An instance of random pixels, the same for the same seed. */
export async function makeInstance(uids: InstanceUidsAndPatient, shape: Shape, seed: number): Promise<MadeInstance> {
  const { sort, rows, columns, frames } = shape
  const { sopClass: last, syntax: uid, bits } = SORTS[sort]
  const [sopClass, syntax] = [`${STORAGE_ROOT}${last}`, transferSyntax(uid)]
  const pixels = noise(rows * columns * frames * (bits / 8), seed, SORTS[sort])
  const native = Array.from({ length: frames }, (_, n) => slice(pixels, n, frames))
  const dataset = header(uids, shape, sopClass, digest(pixels))
  const digests = new Map<Uid, string>()
  let stored: readonly Bytes[] = native
  if (isNative(syntax)) {
    dataset.put(Attribute.PixelData, { vr: bits === 8 ? 'OB' : 'OW', value: pixels })
    const explicit = transferSyntax(SyntaxUid.explicitVrLittleEndian)
    digests.set(explicit.uid, digest(encodeDataset(dataset, explicit)))
  } else {
    stored = await Promise.all(native.map((frame) => encoded(frame, shape, uid)))
    dataset.put(Attribute.PixelData, { vr: 'OB', value: { fragments: [new Uint8Array(0), ...stored] } })
  }
  const data = encodeDataset(dataset, syntax)
  digests.set(uid, digest(data))
  const file = Buffer.concat([part10Header(sopClass, uids.instance, syntax), data])
  const instance: Instance = {
    ...uids,
    sort,
    sopClass,
    syntax: uid,
    digests,
    pixels: { digest: digest(pixels), length: pixels.length },
    frames: native.map((frame, n) => ({ native: digest(frame), stored: digest(stored[n]!) })),
    values: valuesOf(dataset),
    bytes: file.length,
  }
  return { instance, file }
}

export function digest(bytes: Bytes): string {
  return createHash('sha256').update(bytes).digest('base64')
}

/** What the metadata is to tell, among the rest. */
const TOLD = [
  Attribute.SOPClassUID,
  Attribute.SOPInstanceUID,
  Attribute.Modality,
  Attribute.PatientID,
  Attribute.StudyInstanceUID,
  Attribute.SeriesInstanceUID,
  Attribute.InstanceNumber,
  Attribute.Rows,
  Attribute.Columns,
  Attribute.BitsAllocated,
  0x00204000, // Image Comments: the digest of the pixels
]
const NUMBERS: readonly number[] = [
  Attribute.InstanceNumber,
  Attribute.Rows,
  Attribute.Columns,
  Attribute.BitsAllocated,
]

function valuesOf(dataset: Dataset): Record<string, string | number> {
  const told = TOLD.map((tag) => [
    tag.toString(16).padStart(8, '0').toUpperCase(),
    NUMBERS.includes(tag) ? dataset.number(tag)! : dataset.string(tag)!,
  ])
  return Object.fromEntries(told) as Record<string, string | number>
}

function header(
  { study, series, instance, patient }: InstanceUidsAndPatient,
  { sort, rows, columns, frames }: Shape,
  sopClass: Uid,
  comment: string,
): Dataset {
  const { modality, bits } = SORTS[sort]
  const dataset = new Dataset()
    .set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
    .set(0x00080008, ['DERIVED', 'PRIMARY'])
    .set(Attribute.SOPClassUID, sopClass)
    .set(Attribute.SOPInstanceUID, instance)
    .set(Attribute.StudyDate, '20250102')
    .set(Attribute.StudyTime, '101500')
    .set(Attribute.AccessionNumber, 'A1')
    .set(Attribute.Modality, modality)
    .set(Attribute.ReferringPhysicianName, 'Referring^Rita')
    .set(Attribute.StudyDescription, 'Soak')
    .set(Attribute.SeriesDescription, sort)
    .set(Attribute.PatientName, `Soak^${patient}`)
    .set(Attribute.PatientID, patient)
    .set(Attribute.PatientBirthDate, '19700101')
    .set(Attribute.PatientSex, 'O')
    .set(Attribute.StudyInstanceUID, study)
    .set(Attribute.SeriesInstanceUID, series)
    .set(Attribute.StudyID, '1')
    .set(Attribute.SeriesNumber, String(Object.keys(SORTS).indexOf(sort) + 1))
    .set(Attribute.InstanceNumber, instance.split('.').at(-1))
    .set(0x00204000, comment)
    .set(0x00280002, 1)
    .set(0x00280004, 'MONOCHROME2')
    .set(Attribute.Rows, rows)
    .set(Attribute.Columns, columns)
    .set(Attribute.BitsAllocated, bits)
    .set(0x00280101, bits)
    .set(0x00280102, bits - 1)
    .set(Attribute.PixelRepresentation, 0)
  return frames > 1 ? dataset.set(Attribute.NumberOfFrames, String(frames)) : dataset
}

/** Of even length (PS3.5 A.4). */
async function encoded(frame: Bytes, { sort, rows, columns }: Shape, syntax: Uid): Promise<Bytes> {
  const { bits } = SORTS[sort]
  const image = {
    rows,
    columns,
    samplesPerPixel: 1,
    photometricInterpretation: 'MONOCHROME2',
    planarConfiguration: 0,
    bitsAllocated: bits,
    bitsStored: bits,
    highBit: bits - 1,
    signed: false,
  } as const
  const bytes = await encodeFrame(frame, image, syntax)
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)])
}

function slice(bytes: Bytes, n: number, of: number): Bytes {
  const length = bytes.length / of
  return bytes.subarray(n * length, (n + 1) * length)
}

/** A stream cipher is the fastest source of bytes that no compressor makes smaller. */
function noise(length: number, seed: number, { bits, used }: { bits: number; used: number }): Buffer {
  const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16)
  const bytes = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
  const size = bits / 8
  if (used < bits) for (let at = size - 1; at < length; at += size) bytes[at]! &= 0xff >> (bits - used)
  return bytes
}
