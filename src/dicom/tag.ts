/** A data element tag as one unsigned 32-bit number: group in the high half (PS3.5 7.1). */
export type Tag = number

export function tag(group: number, element: number): Tag {
  return ((group << 16) | element) >>> 0
}

export function groupOf(t: Tag): number {
  return t >>> 16
}

export function elementOf(t: Tag): number {
  return t & 0xffff
}

/** Eight upper-case hexadecimal digits, the key of DICOM JSON (PS3.18 F.2.2). */
export function formatTag(t: Tag): string {
  return t.toString(16).toUpperCase().padStart(8, '0')
}

/** Reads eight hexadecimal digits of either case; anything else is undefined. */
export function parseTag(text: string): Tag | undefined {
  return /^[0-9a-fA-F]{8}$/.test(text) ? parseInt(text, 16) : undefined
}

/** Private groups are odd and above 0008 (PS3.5 7.8). */
export function isPrivate(t: Tag): boolean {
  return ((t >>> 16) & 1) === 1 && t >>> 16 > 8 && t >>> 16 !== 0xffff
}

/** (gggg,0010-00FF) of a private group reserves a block for its creator (PS3.5 7.8.1). */
export function isPrivateCreator(t: Tag): boolean {
  const element = t & 0xffff
  return isPrivate(t) && element >= 0x10 && element <= 0xff
}

/** The block that a private element is in, or that its creator reserves, as one number of group and block (PS3.5 7.8.1); undefined of others. */
export function privateBlock(t: Tag): number | undefined {
  if (!isPrivate(t)) return undefined
  return (t >>> 16) * 0x100 + (isPrivateCreator(t) ? t & 0xff : (t >>> 8) & 0xff)
}

/** (gggg,0000), retired but in the wild; written only in groups 0000 and 0002. */
export function isGroupLength(t: Tag): boolean {
  return (t & 0xffff) === 0
}

/**
 * What is of the encoding that a data set came in, and says nothing of its instance: it is left out where the data set is
 * written anew (PS3.5 7.2; PS3.10 7.2).
 */
export function isOfEncoding(t: Tag): boolean {
  return isGroupLength(t) || t === DATA_SET_TRAILING_PADDING
}

export const ITEM: Tag = 0xfffee000
export const ITEM_DELIMITATION: Tag = 0xfffee00d
export const SEQUENCE_DELIMITATION: Tag = 0xfffee0dd
const DATA_SET_TRAILING_PADDING: Tag = 0xfffcfffc
