import { bodyParts, otherParts, regionCodes } from './body-parts.ts'
import { regionWords, type Region } from './region-words.ts'

/** Characters, and words, of one description that are looked at. */
const MAX_CHARACTERS = 1_024
const MAX_WORDS = 100
/** Words that belong together. */
const MOST_TOGETHER = 4
const SHORTEST_STEM = 3

interface Words {
  readonly exact: ReadonlyMap<string, Region[]>
  /** By which words begin. */
  readonly stems: ReadonlyMap<string, Region[]>
  /** In characters. */
  readonly longestStem: number
}

const words = wordsOf(regionWords)
/** They begin like words of a region. */
const NO_REGION: ReadonlySet<string> = new Set(['bauchlage', 'kopflage'])
const parts = partsOf()

/** What Body Part Examined (0018,0015) means; nothing where that is not known. */
export function regionsOfPart(part: string): readonly Region[] {
  const term = plain(part.slice(0, MAX_CHARACTERS))
    .toUpperCase()
    .replace(/[^A-Z]/g, '')
  return parts.get(term) ?? regionsOfText(part)
}

/** What a procedure code means; nothing where that is not known. */
export function regionsOfCode(code: string): readonly Region[] {
  const known = code.trim()
  return Object.hasOwn(regionCodes, known) ? [regionCodes[known]!] : []
}

/** The regions that a description names, in its order. Words that belong together go before each of them. */
export function regionsOfText(text: string): readonly Region[] {
  const all = wordsIn(text)
  const found = new Set<Region>()
  for (let at = 0; at < all.length;) {
    const [length, named] = longest(all, at)
    for (const region of named) found.add(region)
    at += length
  }
  return [...found]
}

/** In lower case, without accents. */
export function wordsIn(text: string): string[] {
  return plain(text.slice(0, MAX_CHARACTERS))
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
    .slice(0, MAX_WORDS)
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll('ß', 'ss').normalize('NFD').replace(/\p{M}/gu, '')
}

function longest(all: readonly string[], at: number): [number, readonly Region[]] {
  for (let length = Math.min(MOST_TOGETHER, all.length - at); length > 0; length--) {
    const phrase = all.slice(at, at + length).join('_')
    if (NO_REGION.has(phrase)) return [length, []]
    const named = words.exact.get(phrase) ?? (length === 1 ? (byStem(phrase) ?? withoutModality(phrase)) : undefined)
    if (named) return [length, named]
  }
  return [1, []]
}

/** `CTTHORAX`: the modality is written in front of it. */
function withoutModality(word: string): readonly Region[] | undefined {
  const rest = /^(?:mrt|irm|tdm|tac|ct|mr|rm|tc|xr|rx|us)(.{3,})$/.exec(word)?.[1]
  return rest === undefined ? undefined : (words.exact.get(rest) ?? byStem(rest))
}

function byStem(word: string): readonly Region[] | undefined {
  for (let length = Math.min(word.length, words.longestStem); length >= SHORTEST_STEM; length--) {
    const named = words.stems.get(word.slice(0, length))
    if (named) return named
  }
  return undefined
}

function wordsOf(table: typeof regionWords): Words {
  const exact = new Map<string, Region[]>()
  const stems = new Map<string, Region[]>()
  for (const [region, lists] of Object.entries(table) as [Region, readonly string[]][]) {
    for (const word of new Set(lists.flatMap((list) => list.split(' ')))) {
      const [map, key] = word.endsWith('*') ? [stems, word.slice(0, -1)] : [exact, word]
      map.set(key, [...(map.get(key) ?? []), region])
    }
  }
  return { exact, stems, longestStem: Math.max(...[...stems.keys()].map(({ length }) => length)) }
}

function partsOf(): ReadonlyMap<string, readonly Region[]> {
  const found = new Map<string, Region[]>()
  for (const [region, terms] of Object.entries(bodyParts) as [Region, string][]) {
    for (const term of terms.split(' ')) found.set(term, [...(found.get(term) ?? []), region])
  }
  for (const [term, others] of Object.entries(otherParts)) found.set(term, [...(found.get(term) ?? []), ...others])
  return found
}
