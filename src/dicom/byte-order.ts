import type { Bytes } from './bytes.ts'

/** A value with its words turned round, of so many bytes each: Big Endian to Little Endian, or back (PS3.5 7.3). */
export function swapped(bytes: Bytes, word: 1 | 2 | 4 | 8): Bytes {
  if (word === 1) return bytes
  const copy = Buffer.from(bytes)
  const words = copy.subarray(0, copy.length - (copy.length % word))
  if (word === 2) words.swap16()
  else if (word === 4) words.swap32()
  else words.swap64()
  return copy
}
