import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Vr } from '../../src/dicom/vr.ts'

// Data sets written by hand, on purpose without the writer of src: what is tested must not test itself.

export interface Encoding {
  readonly explicit: boolean
  readonly bigEndian: boolean
}

export const implicitLittle: Encoding = { explicit: false, bigEndian: false }
export const explicitLittle: Encoding = { explicit: true, bigEndian: false }
export const explicitBig: Encoding = { explicit: true, bigEndian: true }

export const encodings: readonly (Encoding & { readonly name: string })[] = [
  { name: 'Implicit VR Little Endian', ...implicitLittle },
  { name: 'Explicit VR Little Endian', ...explicitLittle },
  { name: 'Explicit VR Big Endian', ...explicitBig },
]

/** PS3.5 Table 6.2-1. */
export const allVrs =
  'AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV'.split(' ')

export function isVr(name: string): name is Vr {
  return allVrs.includes(name)
}

/** PS3.5 7.1.2: two reserved bytes and a length of 32 bits. */
export const longVrs = 'OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split(' ')

/** PS3.5 7.3: what changes with byte order. */
export const wordBytes: Readonly<Record<string, number>> = {
  ...{ AT: 2, FL: 4, FD: 8, OD: 8, OF: 4, OL: 4, OV: 8, OW: 2, SL: 4, SS: 2, SV: 8, UL: 4, US: 2, UV: 8 },
}

/** PS3.5 6.2: these are padded by NUL, the others by a space. */
export const nulPadded = [...Object.keys(wordBytes), 'OB', 'UN', 'UI', 'SQ']

export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s/g, ''), 'hex')
}

function u16({ bigEndian }: Encoding, value: number): Buffer {
  return bigEndian ? Buffer.of(value >>> 8, value & 0xff) : Buffer.of(value & 0xff, value >>> 8)
}

function u32({ bigEndian }: Encoding, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  if (bigEndian) bytes.writeUInt32BE(value)
  else bytes.writeUInt32LE(value)
  return bytes
}

/** The words of a value turned round, as Big Endian has them; what is left of a word stays. */
export function turned(vr: string, value: Bytes): Buffer {
  const word = wordBytes[vr] ?? 1
  const bytes = Buffer.from(value)
  for (let at = 0; at + word <= bytes.length; at += word) bytes.subarray(at, at + word).reverse()
  return bytes
}

/** Tag, VR and length; `undefined` is FFFFFFFF. */
export function header(encoding: Encoding, tag: number, vr: string, length: number | undefined): Buffer {
  const start = Buffer.concat([u16(encoding, tag >>> 16), u16(encoding, tag & 0xffff)])
  const size = length ?? 0xffffffff
  if (!encoding.explicit) return Buffer.concat([start, u32(encoding, size)])
  const name = Buffer.from(vr, 'latin1')
  if (longVrs.includes(vr)) return Buffer.concat([start, name, Buffer.alloc(2), u32(encoding, size)])
  return Buffer.concat([start, name, u16(encoding, size)])
}

/** An element whose value is given in Little Endian form, or as Latin-1 text. Not padded. */
export function element(encoding: Encoding, tag: number, vr: string, value: Bytes | string = ''): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value
  const written = encoding.bigEndian ? turned(vr, bytes) : bytes
  return Buffer.concat([header(encoding, tag, vr, bytes.length), written])
}

/** An item, item delimiter or sequence delimiter: never with a VR (PS3.5 7.5). */
export function delimiter(encoding: Encoding, tag: number, length: number | undefined): Buffer {
  return header({ explicit: false, bigEndian: encoding.bigEndian }, tag, '', length)
}

const ITEM = 0xfffee000

export const itemEnd = (encoding: Encoding): Buffer => delimiter(encoding, 0xfffee00d, 0)
export const sequenceEnd = (encoding: Encoding): Buffer => delimiter(encoding, 0xfffee0dd, 0)

export type Length = 'defined' | 'undefined'

export function item(encoding: Encoding, length: Length, ...content: readonly Bytes[]): Buffer {
  const bytes = Buffer.concat(content)
  if (length === 'defined') return Buffer.concat([delimiter(encoding, ITEM, bytes.length), bytes])
  return Buffer.concat([delimiter(encoding, ITEM, undefined), bytes, itemEnd(encoding)])
}

export function sequence(encoding: Encoding, tag: number, length: Length, ...items: readonly Bytes[]): Buffer {
  const bytes = Buffer.concat(items)
  if (length === 'defined') return Buffer.concat([header(encoding, tag, 'SQ', bytes.length), bytes])
  return Buffer.concat([header(encoding, tag, 'SQ', undefined), bytes, sequenceEnd(encoding)])
}

/** PS3.5 6.2.2: UN of undefined length, whose items are Implicit VR Little Endian. */
export function unknownSequence(encoding: Encoding, tag: number, ...items: readonly Bytes[]): Buffer {
  return Buffer.concat([header(encoding, tag, 'UN', undefined), ...items, sequenceEnd(implicitLittle)])
}

/** Encapsulated Pixel Data of fragments, the first being the Basic Offset Table (PS3.5 A.4). */
export function pixelSequence(encoding: Encoding, vr: string, ...fragments: readonly Bytes[]): Buffer {
  return Buffer.concat([
    header(encoding, 0x7fe00010, vr, undefined),
    ...fragments.map((bytes) => Buffer.concat([delimiter(encoding, ITEM, bytes.length), bytes])),
    sequenceEnd(encoding),
  ])
}

/** Preamble, prefix and File Meta Information of `elements`, under a right group length. */
export function part10(elements: readonly Bytes[], data: Bytes): Buffer {
  const group = Buffer.concat(elements)
  const length = element(explicitLittle, 0x00020000, 'UL', u32(explicitLittle, group.length))
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), length, group, data])
}
