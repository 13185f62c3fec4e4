import type { Bytes } from './bytes.ts'
import { InvalidValueError, pad, type Value } from './value.ts'
import type { Vr } from './vr.ts'

/**
 * Values of a VR without character sets as a peer gave them, byte for byte: what it holds against the VR is to be told, and
 * asked for, as it is.
 * @throws InvalidValueError for text that no peer can have given
 */
export function asGiven(vr: Vr, values: readonly Value[]): Bytes {
  const text = values.map((value) => value ?? '').join('\\')
  // decodeValues reads a byte as a character.
  if (/[^\x00-\xff]/.test(text)) throw new InvalidValueError(vr, 'has characters outside the default repertoire')
  return pad(vr, Buffer.from(text, 'latin1'))
}
