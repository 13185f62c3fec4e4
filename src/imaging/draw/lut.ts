import type { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { UnusableImageError } from '../image-description.ts'

/** A lookup table of PS3.3 C.11.1.1 or C.7.6.3.1.5. */
export interface Lut {
  /** Stored value of the first entry; all lower values have that entry too. */
  readonly first: number
  /** Bits of an entry. */
  readonly bits: number
  readonly entries: Uint16Array
}

/** Number of entries, first value mapped, bits of an entry. */
export interface LutDescriptor {
  readonly count: number
  readonly first: number
  readonly bits: number
}

/**
 * Reads a descriptor, undefined where there is none. Its second value has the sign of what goes in, whatever VR it was
 * written in (PS3.3 C.11.1.1.1).
 * @throws UnusableImageError
 */
export function readDescriptor(dataset: Dataset, tag: Tag, signed: boolean): LutDescriptor | undefined {
  const [count, first, bits] = dataset.values(tag).map(Number)
  if (count === undefined || first === undefined || bits === undefined) return undefined
  if (![count, first, bits].every(Number.isInteger) || bits < 1 || bits > 16) {
    throw new UnusableImageError('a lookup table has no descriptor that can be read')
  }
  return {
    // 0 stands for 65536, which does not fit the field (PS3.3 C.11.1.1.1).
    count: (count & 0xffff) === 0 ? 65_536 : count & 0xffff,
    first: signed ? (first << 16) >> 16 : first & 0xffff,
    bits,
  }
}

/** The entries of a table: words, or bytes where 8 bits are packed two in a word. @throws UnusableImageError */
export function readEntries(dataset: Dataset, tag: Tag, { count, first, bits }: LutDescriptor): Lut {
  const value = dataset.get(tag)?.value
  if (!(value instanceof Uint8Array)) throw new UnusableImageError('a lookup table has no data')
  const isPacked = bits <= 8 && value.length < 2 * count
  if (value.length < (isPacked ? count : 2 * count)) throw new UnusableImageError('a lookup table is too short')
  const view = new DataView(value.buffer, value.byteOffset, value.length)
  const entries = Uint16Array.from({ length: count }, (_, n) =>
    isPacked ? view.getUint8(n) : view.getUint16(2 * n, true),
  )
  return { first, bits, entries }
}

/** The entry of a value: the first one below the table, the last one above. */
export function lookUp({ first, entries }: Lut, value: number): number {
  const index = Math.min(Math.max(Math.round(value) - first, 0), entries.length - 1)
  return entries[index]!
}
