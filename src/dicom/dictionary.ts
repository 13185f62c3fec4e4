import { dictionaryData } from './dictionary-data.ts'
import { formatTag, isGroupLength, isPrivate, isPrivateCreator, parseTag, type Tag } from './tag.ts'
import type { Vr } from './vr.ts'

/** `xs`: US or SS by Pixel Representation; `ox`: OB or OW (PS3.5 A.1). */
export type DictionaryVr = Vr | 'xs' | 'ox'

const vrs = new Map<Tag, DictionaryVr>()
const keywords = new Map<Tag, string>()
const tags = new Map<string, Tag>()
for (const line of dictionaryData.trim().split('\n')) {
  const t = parseInt(line.slice(0, 8), 16)
  const keyword = line.slice(12)
  vrs.set(t, line.slice(9, 11) as DictionaryVr)
  keywords.set(t, keyword)
  tags.set(keyword, t)
}

/** Groups 50xx and 60xx repeat: looked up as 5000 and 6000 (PS3.5 7.6). */
function base(t: Tag): Tag {
  const high = t >>> 24
  return (high === 0x50 || high === 0x60) && ((t >>> 16) & 1) === 0 ? (t & 0xff00ffff) >>> 0 : t
}

/** The representation of PS3.6; undefined when the attribute is private or unknown. */
export function dictionaryVr(t: Tag): DictionaryVr | undefined {
  const found = vrs.get(t)
  if (found !== undefined) return found
  if (isPrivate(t)) return isPrivateCreator(t) ? 'LO' : undefined
  return vrs.get(base(t)) ?? (isGroupLength(t) ? 'UL' : undefined)
}

/** The keyword of PS3.6, or undefined. */
export function keywordOf(t: Tag): string | undefined {
  return keywords.get(t) ?? keywords.get(base(t))
}

/** A keyword, whose case matters, or eight hexadecimal digits (PS3.18 8.3.4.1 attributeID), or undefined. */
export function tagOf(attributeId: string): Tag | undefined {
  return parseTag(attributeId) ?? tags.get(attributeId)
}

/** For messages: `(0010,0020) PatientID`. */
export function describeTag(t: Tag): string {
  const hex = formatTag(t)
  const keyword = keywordOf(t)
  return `(${hex.slice(0, 4)},${hex.slice(4)})${keyword ? ` ${keyword}` : ''}`
}
