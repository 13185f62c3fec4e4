import type { Bytes } from './bytes.ts'
import { decodeIso2022, encodeIso2022 } from './charset-iso2022.ts'
import type { Extent, Repertoire } from './charset-iso2022.ts'
import { graphicSets, wholeSets } from './charset-sets.ts'
import type { Decoder, GraphicSet, WholeSet } from './charset-sets.ts'
import { normaliseTerms, registration } from './charset-terms.ts'

/**
 * The character repertoire of a data set, PS3.5 6.1 and PS3.3 C.12.1.1.2: reads and writes values of SH LO ST LT PN UC UT.
 * Reading never throws; a byte without meaning becomes U+FFFD, in an ISO_IR 6, ISO_IR 100 or unknown set a Latin-1 character.
 */
export class CharacterSet {
  /** Normalised defined terms, aliases mapped: an empty first one means ASCII, none at all the default repertoire. */
  readonly terms: readonly string[]
  /** Terms nobody knows: decoded as Latin-1. */
  readonly unknown: readonly string[]
  readonly #initial: Decoder
  readonly #whole: WholeSet | undefined
  readonly #repertoire: Repertoire

  private constructor(values: readonly string[]) {
    const { terms, unknown } = normaliseTerms(values)
    this.terms = terms
    this.unknown = unknown
    const [first, ...others] = terms.map(graphicSet)
    this.#whole = wholeSets.get(terms[0] ?? '')
    // JIS X 0208 and 0212 only ever come into G0 by an escape, so as value 1 they leave the start as it is.
    const initial = first?.element === 'G1' ? first : undefined
    this.#repertoire = {
      first: initial,
      others: [initial ? undefined : first, ...others].filter((set) => set !== undefined),
    }
    // GB 2312 without escapes is nearly always GBK under an old name.
    this.#initial = this.#whole ?? (initial === gb2312 ? gbk : initial) ?? latin1
  }

  /** From the values of Specific Character Set (0008,0005), `[]` when absent. Cached: the same values mostly give the same object. */
  static of(terms: readonly string[]): CharacterSet {
    const key = terms.join('\\')
    const known = cache.get(key)
    if (known !== undefined) return known
    const made = new CharacterSet(terms)
    // The values come from files: neither their number nor their length may decide how much is kept.
    if (key.length > MAX_KEY) return made
    if (cache.size >= MAX_CACHED) cache.clear()
    cache.set(key, made)
    return made
  }

  /** One value, VM 1 text: LT ST UT. Not split, not trimmed. */
  decodeText(bytes: Bytes): string {
    const kind = kindOf(bytes)
    return kind === 'extended' ? decodeIso2022(bytes, this.#initial, 'text')[0]! : this.#decodePlain(bytes, kind)
  }

  /**
   * A value field split at `\`: SH LO UC, or PN with `name`, where code extensions also end at `^` and `=`. Not trimmed.
   * No bytes are one empty value.
   */
  decodeList(bytes: Bytes, name = false): string[] {
    const kind = kindOf(bytes)
    if (kind === 'extended') return decodeIso2022(bytes, this.#initial, name ? 'name' : 'list')
    // Only now: in GBK, GB18030, Shift-JIS and Big5 a 5C byte may be the second half of a character.
    const text = this.#decodePlain(bytes, kind)
    return text.includes('\\') ? text.split('\\') : [text]
  }

  /** Whether every character can be written. Never true of a text with ESC or half a surrogate pair, nor in a non-standard set above ASCII. */
  canEncode(text: string): boolean {
    return this.#encode(text, 'text') !== undefined
  }

  /** Encodes a text value, unpadded. Throws UnencodableTextError. */
  encodeText(text: string): Bytes {
    return this.#encode(text, 'text') ?? this.#refuse('has a character outside')
  }

  /** Encodes values joined by `\`, unpadded. A `\` within a value throws UnencodableTextError, as a character outside the set does. */
  encodeList(values: readonly string[], name = false): Bytes {
    if (values.some((value) => value.includes('\\'))) this.#refuse('has a value delimiter within a value, in')
    return this.#encode(values.join('\\'), name ? 'name' : 'list') ?? this.#refuse('has a character outside')
  }

  /** Without escapes there is but one state. ASCII, which most values are, is the same in every set. */
  #decodePlain(bytes: Bytes, kind: 'ascii' | 'coded'): string {
    return kind === 'ascii' ? fromLatin1(bytes) : this.#initial.decode(bytes)
  }

  #encode(text: string, extent: Extent): Bytes | undefined {
    if (ascii.test(text)) return Buffer.from(text, 'latin1')
    if (text.includes('\x1b')) return undefined
    return this.#whole === undefined ? encodeIso2022(text, this.#repertoire, extent) : this.#whole.encode(text)
  }

  #refuse(fault: string): never {
    throw new UnencodableTextError(fault, this.terms)
  }
}

/** A text cannot be written in a character set. It carries the set but not the text, which may be patient data. */
export class UnencodableTextError extends Error {
  override readonly name = 'UnencodableTextError'
  readonly code = 'UNENCODABLE_TEXT'
  readonly terms: readonly string[]

  constructor(fault: string, terms: readonly string[]) {
    super(`Text ${fault} the character set ${terms.length === 0 ? 'ISO_IR 6' : terms.join('\\')}`)
    this.terms = terms
  }
}

const ESC = 0x1b
const MAX_CACHED = 256
const MAX_KEY = 256
const cache = new Map<string, CharacterSet>()

const gb2312 = graphicSets.get(58)!
const gbk = wholeSets.get('GBK')!

/** The default repertoire is ASCII, yet files without (0008,0005) are full of Latin-1. */
const latin1: Decoder = { decode: fromLatin1 }

/** Controls are characters too; only ESC is none. */
const ascii = /^[\0-\x1a\x1c-\x7f]*$/

function graphicSet(term: string): GraphicSet | undefined {
  const number = registration(term)
  return number === undefined ? undefined : graphicSets.get(number)
}

/** A loop in the hot path: for the 16 bytes of a usual value it is faster than any call into native code. */
function kindOf(bytes: Bytes): 'ascii' | 'coded' | 'extended' {
  let high = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === ESC) return 'extended'
    high |= byte
  }
  return high < 0x80 ? 'ascii' : 'coded'
}

function fromLatin1(bytes: Bytes): string {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return buffer.toString('latin1')
}

/** Of what names no set (PS3.5 6.1.1). */
export const DEFAULT_REPERTOIRE = CharacterSet.of([])
