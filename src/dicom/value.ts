import type { Bytes } from './bytes.ts'
import type { CharacterSet } from './charset.ts'
import { withoutPadding } from './padding.ts'
import { formatTag, parseTag } from './tag.ts'
import { representation, type Vr } from './vr.ts'

/** One decoded value; `undefined` is an empty value between others. */
export type Value = string | number | bigint | undefined

/**
 * The values of an element in Little Endian form, pads and insignificant spaces gone (PS3.5 6.2, 6.4).
 * Strings stay strings, DS and IS too; AT is eight hexadecimal digits; OB, OW … and SQ have no values here.
 */
export function decodeValues(vr: Vr, bytes: Bytes, charset: CharacterSet): Value[] {
  const { kind } = representation(vr)
  if (bytes.length === 0) return []
  switch (kind) {
    case 'string':
      return strings(vr, bytes, charset)
    case 'text': {
      const text = representation(vr).charset ? charset.decodeText(bytes) : latin1(bytes)
      const trimmed = withoutPadding(text)
      return trimmed === '' ? [] : [trimmed]
    }
    case 'number':
    case 'tag':
      return numbers(vr, bytes)
    case 'binary':
    case 'sequence':
      return []
  }
}

function strings(vr: Vr, bytes: Bytes, charset: CharacterSet): Value[] {
  const { charset: coded, trimStart } = representation(vr)
  const parts = coded ? charset.decodeList(bytes, vr === 'PN') : latin1(bytes).split('\\')
  const values = parts.map((part) => withoutPadding(part, trimStart) || undefined)
  return values.every((value) => value === undefined) ? (values.length > 1 ? values : []) : values
}

function latin1(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function numbers(vr: Vr, bytes: Bytes): Value[] {
  const size = representation(vr).valueBytes!
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values: Value[] = []
  // A tail shorter than one value is left out: PS3.5 knows no such thing.
  for (let at = 0; at + size <= bytes.length; at += size) values.push(number(vr, view, at))
  return values
}

function number(vr: Vr, view: DataView, at: number): Value {
  switch (vr) {
    case 'US':
      return view.getUint16(at, true)
    case 'SS':
      return view.getInt16(at, true)
    case 'UL':
      return view.getUint32(at, true)
    case 'SL':
      return view.getInt32(at, true)
    case 'FL':
      return view.getFloat32(at, true)
    case 'FD':
      return view.getFloat64(at, true)
    case 'UV':
      return view.getBigUint64(at, true)
    case 'SV':
      return view.getBigInt64(at, true)
    default:
      return formatTag(((view.getUint16(at, true) << 16) | view.getUint16(at + 2, true)) >>> 0)
  }
}

/** A value cannot be written in its VR. The value itself stays out of the message: it may be patient data. */
export class InvalidValueError extends Error {
  readonly code = 'VALUE_NOT_OF_VR'
  readonly vr: Vr
  constructor(vr: Vr, problem: string) {
    super(`A value of VR ${vr} ${problem}`)
    this.name = 'InvalidValueError'
    this.vr = vr
  }
}

/**
 * Values as the bytes of one Little Endian value field, padded to even length.
 * @throws InvalidValueError, UnencodableTextError
 */
export function encodeValues(vr: Vr, values: readonly Value[], charset: CharacterSet): Bytes {
  const { kind, charset: coded } = representation(vr)
  switch (kind) {
    case 'string': {
      const parts = values.map((value) => (value === undefined ? '' : String(value)))
      if (coded) return pad(vr, charset.encodeList(parts, vr === 'PN'))
      return pad(vr, ascii(vr, parts.join('\\')))
    }
    case 'text': {
      const joined = values.map((value) => value ?? '').join('\\')
      return pad(vr, coded ? charset.encodeText(joined) : ascii(vr, joined))
    }
    case 'number':
    case 'tag':
      return encodeNumbers(vr, values)
    case 'binary':
    case 'sequence':
      throw new InvalidValueError(vr, 'has no textual form')
  }
}

function ascii(vr: Vr, text: string): Bytes {
  if (/[^\x00-\x7f]/.test(text)) throw new InvalidValueError(vr, 'has characters outside the default repertoire')
  return Buffer.from(text, 'latin1')
}

/** Even length by the pad of the VR (PS3.5 6.2). */
export function pad(vr: Vr, bytes: Bytes): Bytes {
  if ((bytes.length & 1) === 0) return bytes
  const padded = new Uint8Array(bytes.length + 1)
  padded.set(bytes)
  padded[bytes.length] = representation(vr).pad
  return padded
}

function encodeNumbers(vr: Vr, values: readonly Value[]): Bytes {
  const size = representation(vr).valueBytes!
  const bytes = Buffer.allocUnsafe(values.length * size)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  values.forEach((value, index) => setNumber(vr, view, index * size, value))
  return bytes
}

function setNumber(vr: Vr, view: DataView, at: number, value: Value): void {
  if (vr === 'AT') {
    const t = parseTag(String(value))
    if (t === undefined) throw new InvalidValueError(vr, 'is no tag of eight hexadecimal digits')
    view.setUint16(at, t >>> 16, true)
    view.setUint16(at + 2, t & 0xffff, true)
  } else if (vr === 'UV') view.setBigUint64(at, integer(vr, value, 0n, 2n ** 64n), true)
  else if (vr === 'SV') view.setBigInt64(at, integer(vr, value, -(2n ** 63n), 2n ** 63n), true)
  else if (vr === 'US') view.setUint16(at, small(vr, value, 0, 0x1_0000), true)
  else if (vr === 'SS') view.setInt16(at, small(vr, value, -0x8000, 0x8000), true)
  else if (vr === 'UL') view.setUint32(at, small(vr, value, 0, 0x1_0000_0000), true)
  else if (vr === 'SL') view.setInt32(at, small(vr, value, -0x8000_0000, 0x8000_0000), true)
  else if (vr === 'FL') view.setFloat32(at, float(vr, value), true)
  else view.setFloat64(at, float(vr, value), true)
}

/** As `integer`, of up to 32 bits; commands are made of them. */
function small(vr: Vr, value: Value, from: number, end: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= from && value < end) return value
  return Number(integer(vr, value, BigInt(from), BigInt(end)))
}

/** From `from` on and below `end`. */
function integer(vr: Vr, value: Value, from: bigint, end: bigint): bigint {
  const text = String(value).trim()
  if (!/^[+-]?\d+$/.test(text)) throw new InvalidValueError(vr, 'is no integer')
  const n = BigInt(text.replace('+', ''))
  if (n < from || n >= end) throw new InvalidValueError(vr, 'is out of its range')
  return n
}

function float(vr: Vr, value: Value): number {
  const n = Number(value)
  const blank = typeof value === 'string' && value.trim() === ''
  const meant = typeof value === 'number' || value === 'NaN'
  if (blank || (Number.isNaN(n) && !meant)) throw new InvalidValueError(vr, 'is no number')
  return n
}
