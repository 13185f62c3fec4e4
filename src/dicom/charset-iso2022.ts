import type { Bytes } from './bytes.ts'
import { graphicSets } from './charset-sets.ts'
import type { Decoder, GraphicSet } from './charset-sets.ts'

/** What ends a run of code extension: line ends in every VR, `\` in multi-valued ones, `^` and `=` in PN. */
export type Extent = 'text' | 'list' | 'name'

/**
 * Decodes a value field with code extension techniques (PS3.5 6.1.2.5). `initial` is G1 as value 1 of (0008,0005) has it, or an
 * encoding of its own that escapes are not expected in; G0 is ASCII. A list is split at `\`, a text is one value.
 */
export function decodeIso2022(bytes: Bytes, initial: Decoder, extent: Extent): string[] {
  const values: string[] = []
  let value = ''
  let g0: GraphicSet | undefined
  let g1 = initial
  let at = 0
  while (at < bytes.length) {
    const byte = bytes[at]!
    if (byte === ESC) {
      const { length, set } = readEscape(bytes, at)
      at += length
      if (set === 'ascii') g0 = undefined
      else if (set?.element === 'G0') g0 = set.set
      else if (set?.element === 'G1') g1 = set.set
    } else if (g0 === undefined && g1 === initial) {
      // Nothing to reset: to the next escape it is plain text, in which GBK's 5C halves of characters are still whole.
      const end = bytes.indexOf(ESC, at)
      const text = initial.decode(bytes.subarray(at, end < 0 ? bytes.length : end))
      at = end < 0 ? bytes.length : end
      if (extent === 'text') value += text
      else {
        for (const [index, part] of text.split('\\').entries()) {
          if (index > 0) {
            values.push(value)
            value = ''
          }
          value += part
        }
      }
    } else if (byte >= 0x80) {
      const end = endOfRun(bytes, at, 0x80, 0xff)
      value += g1.decode(bytes.subarray(at, end))
      at = end
    } else if (g0 !== undefined && byte > 0x20 && byte < 0x7f) {
      const end = endOfRun(bytes, at, 0x21, 0x7e)
      value += g0.decode(bytes.slice(at, end).map((half) => half | 0x80))
      at = end
    } else {
      if (resets(byte, extent)) {
        g0 = undefined
        g1 = initial
      }
      if (byte === BACKSLASH && extent !== 'text') {
        values.push(value)
        value = ''
      } else value += String.fromCharCode(byte)
      at++
    }
  }
  values.push(value)
  return values
}

/** What a text may be written with: `first` from value 1 of (0008,0005), `others` by escape sequences. */
export interface Repertoire {
  readonly first: GraphicSet | undefined
  readonly others: readonly GraphicSet[]
}

/** Encodes with the fewest designations in reading order. Undefined when no set has a character. */
export function encodeIso2022(text: string, { first, others }: Repertoire, extent: Extent): Bytes | undefined {
  const bytes: number[] = []
  // With JIS X 0201 as value 1 the initial G0 is its left half, romaji (PS3.5 H.3.2), read and written like ASCII.
  const initialG0 = first === katakana ? '(J' : '(B'
  let g0: GraphicSet | undefined
  let g1 = first
  const designate = (designation: string) => {
    bytes.push(ESC)
    for (let at = 0; at < designation.length; at++) bytes.push(designation.charCodeAt(at))
  }
  const returnToInitial = () => {
    if (g0 !== undefined) designate(initialG0)
    // Without a G1 in value 1 there is nothing to return to, and PS3.5 I.2 writes nothing.
    if (g1 !== first && first !== undefined) designate(first.designation)
    g0 = undefined
    g1 = first
  }
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === ESC) return undefined
    if (unit < 0x80) {
      // PS3.5 6.1.2.5.3: before any control character, not only those a decoder resets at.
      if (unit < 0x20 || resets(unit, extent)) returnToInitial()
      else if (g0 !== undefined) {
        designate(initialG0)
        g0 = undefined
      }
      bytes.push(unit)
      continue
    }
    const set: GraphicSet | undefined = [g0, g1, first, ...others].find((candidate) => candidate?.encode(unit))
    if (set === undefined) return undefined
    if (set !== g0 && set !== g1) {
      designate(set.designation)
      if (set.element === 'G0') g0 = set
      else g1 = set
    }
    const code = set.element === 'G0' ? set.encode(unit) & 0x7f7f : set.encode(unit)
    if (set.width === 2) bytes.push(code >> 8)
    bytes.push(code & 0xff)
  }
  returnToInitial()
  return Uint8Array.from(bytes)
}

const ESC = 0x1b
const BACKSLASH = 0x5c

/** PS3.5 6.1.2.5.3: TAB, LF, FF, CR; the value delimiter; in PN the component and group delimiters. */
function resets(byte: number, extent: Extent): boolean {
  if (byte < 0x20) return byte === 0x09 || byte === 0x0a || byte === 0x0c || byte === 0x0d
  if (extent === 'text') return false
  return byte === BACKSLASH || (extent === 'name' && (byte === 0x5e || byte === 0x3d))
}

type Designated = 'ascii' | { readonly element: 'G0' | 'G1'; readonly set: GraphicSet }

const katakana = graphicSets.get(13)!

const designations: ReadonlyMap<string, Designated> = new Map<string, Designated>([
  ...[...graphicSets.values()].map((set): [string, Designated] => [set.designation, { element: set.element, set }]),
  ['(B', 'ascii'],
  ['(J', 'ascii'], // ISO-IR 14: 5C is a yen sign and 7E an overline, but 5C is used as what it is in ASCII
  // Not in PS3.3, but what other ISO 2022 encoders write for the same sets:
  ['$@', { element: 'G0', set: graphicSets.get(87)! }], // JIS C 6226-1978
  ['$(B', { element: 'G0', set: graphicSets.get(87)! }],
  ['(I', { element: 'G0', set: katakana }],
])

/** An escape sequence is ESC, intermediate bytes 20-2F and a final byte 30-7E (ISO 2022). Unknown ones are skipped. */
function readEscape(bytes: Bytes, at: number): { length: number; set: Designated | undefined } {
  let last = at + 1
  while (last < at + 4 && isBetween(bytes[last], 0x20, 0x2f)) last++
  const set = designations.get(String.fromCharCode(...bytes.subarray(at + 1, last + 1)))
  if (set !== undefined) return { length: last + 1 - at, set }
  // An escape sequence nobody knows must not take a delimiter with it.
  const final = bytes[last]
  const whole = last > at + 1 && isBetween(final, 0x30, 0x7e) && final !== BACKSLASH && final !== 0x5e && final !== 0x3d
  return { length: (whole ? last + 1 : last) - at, set: undefined }
}

function endOfRun(bytes: Bytes, start: number, low: number, high: number): number {
  let end = start
  while (isBetween(bytes[end], low, high)) end++
  return end
}

function isBetween(byte: number | undefined, low: number, high: number): boolean {
  return byte !== undefined && byte >= low && byte <= high
}
