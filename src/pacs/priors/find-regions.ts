import { bodyParts, otherParts, regionCodes } from './body-parts.ts'
import { regionWords, type Region } from './region-words.ts'

/** Words of one description that are looked at. */
const MAX_WORDS = 100
/** Words that belong together. */
const MOST_TOGETHER = 4
const SHORTEST_STEM = 3

interface Words {
  readonly exact: ReadonlyMap<string, Region[]>
  /** By which words begin. */
  readonly stems: ReadonlyMap<string, Region[]>
}

const words = wordsOf(regionWords)
const parts = partsOf()

/** What Body Part Examined (0018,0015) means; nothing where that is not known. */
export function regionsOfPart(part: string): readonly Region[] {
  const term = plain(part)
    .toUpperCase()
    .replace(/[^A-Z]/g, '')
  return parts.get(term) ?? regionsOfText(part)
}

/** What a procedure code means; nothing where that is not known. */
export function regionsOfCode(code: string): readonly Region[] {
  const region = regionCodes[code.trim()]
  return region === undefined ? [] : [region]
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
  return plain(text)
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
    const named = words.exact.get(phrase) ?? (length === 1 ? byStem(phrase) : undefined)
    if (named) return [length, named]
  }
  return [1, []]
}

function byStem(word: string): readonly Region[] | undefined {
  for (let length = word.length; length >= SHORTEST_STEM; length--) {
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
  return { exact, stems }
}

function partsOf(): ReadonlyMap<string, readonly Region[]> {
  const found = new Map<string, Region[]>()
  for (const [region, terms] of Object.entries(bodyParts) as [Region, string][]) {
    for (const term of terms.split(' ')) found.set(term, [...(found.get(term) ?? []), region])
  }
  for (const [term, others] of Object.entries(otherParts)) found.set(term, [...(found.get(term) ?? []), ...others])
  return found
}
