import type { Bytes } from '../../src/dicom/bytes.ts'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { chunksOf } from './chunking.ts'
import { deflate } from './deflated.ts'
import {
  element,
  explicitBig,
  explicitLittle,
  implicitLittle,
  item,
  pixelSequence,
  sequence,
  type Encoding,
} from './dicom-bytes.ts'

/** What an image says of itself; what is left out is not there. */
export interface ImageShape {
  readonly rows?: number
  readonly columns?: number
  readonly samples?: number
  readonly bits?: number
  /** As text, as IS has it. */
  readonly frames?: number | string
  readonly photometric?: string
}

/** The syntaxes of uncompressed data sets, and how each is written by hand. */
export const nativeSyntaxes: readonly { readonly syntax: TransferSyntax; readonly encoding: Encoding }[] = [
  { syntax: IMPLICIT_VR_LITTLE_ENDIAN, encoding: implicitLittle },
  { syntax: EXPLICIT_VR_LITTLE_ENDIAN, encoding: explicitLittle },
  { syntax: EXPLICIT_VR_BIG_ENDIAN, encoding: explicitBig },
  { syntax: DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, encoding: explicitLittle },
]

const us = (value: number): Buffer => Buffer.of(value & 0xff, value >>> 8)
const even = (bytes: Bytes, pad = 0): Bytes => (bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(pad)]))

/** The elements in front of the pixel data. An icon among them says other things of itself, and has pixels too. */
export function imageHeader(encoding: Encoding, shape: ImageShape): Buffer {
  const { rows, columns, samples, bits, frames, photometric } = shape
  const icon = [
    element(encoding, 0x00280010, 'US', us(64)),
    element(encoding, 0x00280100, 'US', us(16)),
    element(encoding, 0x7fe00010, 'OW', Buffer.alloc(20, 0x11)),
  ]
  return Buffer.concat([
    element(encoding, 0x00080060, 'CS', 'OT'),
    ...(samples === undefined ? [] : [element(encoding, 0x00280002, 'US', us(samples))]),
    ...(photometric === undefined ? [] : [element(encoding, 0x00280004, 'CS', even(Buffer.from(photometric), 0x20))]),
    ...(frames === undefined ? [] : [element(encoding, 0x00280008, 'IS', even(Buffer.from(String(frames)), 0x20))]),
    ...(rows === undefined ? [] : [element(encoding, 0x00280010, 'US', us(rows))]),
    ...(columns === undefined ? [] : [element(encoding, 0x00280011, 'US', us(columns))]),
    ...(bits === undefined ? [] : [element(encoding, 0x00280100, 'US', us(bits))]),
    sequence(encoding, 0x00880200, 'undefined', item(encoding, 'undefined', ...icon)),
  ])
}

/** A data set whose pixel data is a value, in Little Endian form. */
export function nativeImage(encoding: Encoding, shape: ImageShape, pixels: Bytes, vr = 'OW', tag = 0x7fe00010): Buffer {
  return Buffer.concat([imageHeader(encoding, shape), element(encoding, tag, vr, even(pixels))])
}

/** A data set whose pixel data is fragments, each of even length; `table` is the Basic Offset Table, or its bytes. */
export function encapsulatedImage(
  shape: ImageShape,
  table: readonly number[] | Bytes,
  fragments: readonly Bytes[],
  extended?: readonly { readonly offset: number; readonly length: number }[],
): Buffer {
  const tables = extended
    ? [
        element(explicitLittle, 0x7fe00001, 'OV', words64(extended.map(({ offset }) => offset))),
        element(explicitLittle, 0x7fe00002, 'OV', words64(extended.map(({ length }) => length))),
      ]
    : []
  const basic = table instanceof Uint8Array ? table : words32(table)
  const pixels = pixelSequence(explicitLittle, 'OB', basic, ...fragments.map((one) => even(one)))
  return Buffer.concat([imageHeader(explicitLittle, shape), ...tables, pixels])
}

export function words32(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index))
  return bytes
}

function words64(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  values.forEach((value, index) => bytes.writeBigUInt64LE(BigInt(value), 8 * index))
  return bytes
}

/** Where the item of each fragment begins, from the first byte of the first one's item (PS3.5 A.4). */
export function itemOffsets(fragments: readonly Bytes[]): number[] {
  let at = 0
  return fragments.map(({ length }) => {
    const start = at
    at += 8 + length + (length % 2)
    return start
  })
}

/** A data set in memory, in chunks of a size; deflated where its syntax is. */
export function sourceOf(data: Bytes, syntax: TransferSyntax = EXPLICIT_VR_LITTLE_ENDIAN, chunk = 61): DataSetSource {
  const bytes = syntax.deflated ? deflate(data) : data
  return {
    syntax,
    async *bytes(from = 0, to = Infinity) {
      yield* chunksOf(bytes.subarray(from, to), chunk)
    },
  }
}
