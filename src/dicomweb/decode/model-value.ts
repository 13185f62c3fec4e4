import { UnencodableTextError, type CharacterSet } from '../../dicom/charset.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import { encodeValues, InvalidValueError, pad, type Value } from '../../dicom/value.ts'
import { representation, type Vr } from '../../dicom/vr.ts'
import { NAME_GROUPS } from '../encode/encoded-model.ts'
import { ModelError } from './model-error.ts'

/** A DS has no more characters (PS3.5 6.2). */
const MAX_DS_LENGTH = 16
/** Of a double in decimals some 25. */
const MAX_NUMBER_LENGTH = 64
/** An IS is of 32 bits (PS3.5 6.2). */
const IS_END = 2 ** 31

/** The members of `Value` as the value field of an element at `path`. @throws ModelError */
export function valueField(vr: Vr, values: readonly unknown[], path: string, charset: CharacterSet): Bytes {
  const { kind } = representation(vr)
  if (kind === 'binary') throw new ModelError(path, `has Value, where VR ${vr} takes InlineBinary`)
  try {
    return encodeValues(
      vr,
      values.map((value) => valueOf(vr, value, path)),
      charset,
    )
  } catch (cause) {
    if (cause instanceof InvalidValueError) throw new ModelError(path, problemOf(cause), { cause })
    if (cause instanceof UnencodableTextError) {
      throw new ModelError(path, 'has characters that its character set does not have', { cause })
    }
    throw cause
  }
}

function problemOf({ message }: InvalidValueError): string {
  return `has a value that is not of its VR: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
}

/** `InlineBinary` as a value field: Base64, Little Endian (PS3.18 F.2.7). @throws ModelError */
export function inlineBinary(vr: Vr, text: unknown, path: string): Bytes {
  if (representation(vr).kind !== 'binary') throw new ModelError(path, `has InlineBinary, which VR ${vr} does not take`)
  if (typeof text !== 'string') throw new ModelError(path, 'has an InlineBinary that is no text')
  const plain = text.replace(/\s+/g, '')
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) {
    throw new ModelError(path, 'has an InlineBinary that is not Base64')
  }
  const bytes = Buffer.from(plain, 'base64')
  const { wordBytes } = representation(vr)
  if (wordBytes > 1 && bytes.length % wordBytes !== 0) {
    throw new ModelError(path, `has ${bytes.length} bytes, which are no whole words of VR ${vr}`)
  }
  return pad(vr, bytes)
}

function valueOf(vr: Vr, value: unknown, path: string): Value {
  if (value === null || value === undefined) return undefined
  if (vr === 'PN') return personName(value, path)
  switch (typeof value) {
    case 'string':
      return text(vr, value, path)
    case 'number':
      return numeric(vr, value, path)
    default:
      throw new ModelError(path, 'has a value that is neither text nor number')
  }
}

function text(vr: Vr, value: string, path: string): Value {
  // A number that is longer says nothing; reading it would take long.
  if (['number', 'tag'].includes(representation(vr).kind) && value.length > MAX_NUMBER_LENGTH) {
    throw new ModelError(path, `has a number of more than ${MAX_NUMBER_LENGTH} characters`)
  }
  // What it separates would be two values (PS3.5 6.2).
  if (representation(vr).kind === 'string' && value.includes('\\')) {
    throw new ModelError(path, 'has a backslash in a value: several values are members of Value')
  }
  return value
}

function numeric(vr: Vr, value: number, path: string): Value {
  const { kind } = representation(vr)
  if (kind === 'number') return value
  if (vr === 'IS') {
    if (Number.isInteger(value) && value >= -IS_END && value < IS_END) return String(value)
    throw new ModelError(path, 'has a number that is no integer of 32 bits')
  }
  if (vr === 'DS') {
    if (Number.isFinite(value)) return decimalString(value)
    throw new ModelError(path, 'has a number that is not finite')
  }
  throw new ModelError(path, `has a number, where VR ${vr} takes text`)
}

/** A number in as many digits as a DS has room for. */
function decimalString(value: number): string {
  const whole = String(value)
  if (whole.length <= MAX_DS_LENGTH) return whole
  for (let digits = MAX_DS_LENGTH; digits > 0; digits--) {
    const shorter = String(Number(value.toPrecision(digits)))
    if (shorter.length <= MAX_DS_LENGTH) return shorter
  }
  return value.toExponential(0)
}

/** Groups by their names, or a name as PS3.5 6.2 writes it. */
function personName(value: unknown, path: string): Value {
  if (typeof value === 'string') return text('PN', value, path)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ModelError(path, 'has a name that is no object of component groups')
  }
  const groups = value as Readonly<Record<string, unknown>>
  const texts = NAME_GROUPS.map((name) => {
    const group = groups[name] ?? ''
    if (typeof group !== 'string') throw new ModelError(path, `has a name whose ${name} is no text`)
    // It would begin the next group.
    if (group.includes('=')) throw new ModelError(path, `has a name whose ${name} has an equals sign`)
    return text('PN', group, path) as string
  })
  return texts.join('=').replace(/=+$/, '')
}
