import type { Bytes } from './bytes.ts'

/** Bytes to text. Never throws: what has no meaning becomes U+FFFD. */
export interface Decoder {
  decode(bytes: Bytes): string
}

/** A set of characters that an ISO 2022 escape sequence designates (PS3.5 6.1.2.5.1, PS3.3 table C.12-3 and C.12-4). */
export interface GraphicSet extends Decoder {
  /** What follows ESC. */
  readonly designation: string
  /** The code element it goes into: G0 is bytes 21-7E, G1 is bytes A0-FF. */
  readonly element: 'G0' | 'G1'
  readonly width: 1 | 2
  /** Codes in G1 form (bit 8 set in every byte); ASCII bytes between them stay themselves. */
  decode(bytes: Bytes): string
  /** The code in G1 form of a UTF-16 unit above 7F; 0 when the set has no such character. */
  encode(unit: number): number
}

/** An encoding of its own, without code extensions: UTF-8, GB18030, GBK. */
export interface WholeSet extends Decoder {
  /** Undefined when a character cannot be written. */
  encode(text: string): Bytes | undefined
}

/** By number in ISO's International Register, as the defined terms have it: 87 is ISO 2022 IR 87. */
export const graphicSets: ReadonlyMap<number, GraphicSet> = new Map([
  // C1 and ASCII apart, windows-1252, -1254 and -874, which the WHATWG takes these names for, are the ISO sets.
  [100, singleByte('-A', 'iso-8859-1')],
  [101, singleByte('-B', 'iso-8859-2')],
  [109, singleByte('-C', 'iso-8859-3')],
  [110, singleByte('-D', 'iso-8859-4')],
  [144, singleByte('-L', 'iso-8859-5')],
  [127, singleByte('-G', 'iso-8859-6')],
  [126, singleByte('-F', 'iso-8859-7')],
  [138, singleByte('-H', 'iso-8859-8')],
  [148, singleByte('-M', 'iso-8859-9')],
  [203, singleByte('-b', 'iso-8859-15')],
  [166, singleByte('-T', 'windows-874')],
  [13, singleByte(')I', 'shift_jis')],
  // The decoders know more than the registered sets (NEC and IBM rows, GBK, private use): read, but not written.
  [87, doubleByte('$B', 'G0', 'euc-jp', [], (row) => row <= 8 || (row >= 16 && row <= 84))],
  [159, doubleByte('$(D', 'G0', 'euc-jp', [0x8f], (row) => row <= 77)],
  [149, doubleByte('$)C', 'G1', 'euc-kr', [], () => true)],
  [58, doubleByte('$)A', 'G1', 'gbk', [], isGb2312)],
])

/** By defined term. SHIFT_JIS and BIG5 are in files but not in the standard: read, but nothing above ASCII is written. */
export const wholeSets: ReadonlyMap<string, WholeSet> = new Map<string, WholeSet>([
  ['ISO_IR 192', { decode: decoder('utf-8'), encode: encodeUtf8 }],
  ['GB18030', chinese('gb18030', lazy(gb18030Quads))],
  ['GBK', chinese('gbk', undefined)],
  ['SHIFT_JIS', { decode: decoder('shift_jis'), encode: () => undefined }],
  ['BIG5', { decode: decoder('big5'), encode: () => undefined }],
])

const replacement = 0xfffd

/** ICU's converters are dear to open, and most processes meet two or three of them. */
function decoder(label: string): (bytes: Bytes) => string {
  const open = lazy(() => new TextDecoder(label))
  return (bytes) => open().decode(bytes)
}

function singleByte(designation: string, label: string): GraphicSet {
  const units = lazy(() => {
    const all = new Uint16Array(128)
    const right = new TextDecoder(label)
    // 80-9F are C1 controls in ISO 4873, whatever the WHATWG's Windows code pages make of them.
    for (let byte = 0x80; byte < 0xa0; byte++) all[byte - 0x80] = byte
    for (let byte = 0xa0; byte < 0x100; byte++) all[byte - 0x80] = oneUnit(right.decode(Uint8Array.of(byte)))
    return all
  })
  const codes = lazy(() => reverse(units(), (index) => index + 0x80))
  return {
    designation,
    element: 'G1',
    width: 1,
    decode(bytes) {
      const table = units()
      let text = ''
      for (let at = 0; at < bytes.length; at++) {
        const byte = bytes[at]!
        text += String.fromCharCode(byte < 0x80 ? byte : table[byte - 0x80]!)
      }
      return text
    },
    encode: (unit) => codes()[unit]!,
  }
}

/** A set of 94 rows of 94 cells. `prefix` is what the decoder wants before a pair; `writes` says which cells are the registered set's. */
function doubleByte(
  designation: string,
  element: 'G0' | 'G1',
  label: string,
  prefix: readonly number[],
  writes: (row: number, cell: number) => boolean,
): GraphicSet {
  const units = lazy(() => {
    const pairs = Array.from({ length: 94 * 94 }, (_, index) => pairCode(index))
    const texts = decodeEach(
      label,
      pairs.map((code) => [...prefix, code >> 8, code & 0xff]),
    )
    return Uint16Array.from(texts, oneUnit)
  })
  const codes = lazy(() =>
    reverse(units(), (index, unit) => {
      const privateUse = unit >= 0xe000 && unit <= 0xf8ff
      return !privateUse && writes(Math.floor(index / 94) + 1, (index % 94) + 1) ? pairCode(index) : 0
    }),
  )
  return {
    designation,
    element,
    width: 2,
    decode(bytes) {
      const table = units()
      let text = ''
      for (let at = 0; at < bytes.length; at++) {
        const lead = bytes[at]!
        const trail = bytes[at + 1] ?? 0
        if (lead < 0x80) text += String.fromCharCode(lead)
        else if (lead < 0xa1 || lead > 0xfe || trail < 0xa1 || trail > 0xfe) text += String.fromCharCode(replacement)
        else {
          text += String.fromCharCode(table[(lead - 0xa1) * 94 + trail - 0xa1]!)
          at++
        }
      }
      return text
    },
    encode: (unit) => codes()[unit]!,
  }
}

function pairCode(index: number): number {
  return ((0xa1 + Math.floor(index / 94)) << 8) | (0xa1 + (index % 94))
}

/** GB 2312-80 without what GBK and GB18030 added between its rows. */
function isGb2312(row: number, cell: number): boolean {
  if (row === 2) return cell >= 17 && cell !== 67
  if (row === 6) return cell <= 56
  if (row === 8) return cell <= 26 || cell >= 37
  return row <= 9 || (row >= 16 && row <= 87)
}

function encodeUtf8(text: string): Bytes | undefined {
  if (!text.isWellFormed()) return undefined
  // A byte order mark is not text; the decoder drops it too.
  return Buffer.from(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, 'utf8')
}

/** GBK, or with `quads` (see gb18030Quads) GB18030. */
function chinese(label: string, quads: (() => Uint16Array) | undefined): WholeSet {
  const pairs = lazy(() => gbPairs(label))
  const encode = (text: string): Bytes | undefined => {
    const bytes: number[] = []
    for (const character of text) {
      const point = character.codePointAt(0)!
      const pair = point < 0x1_0000 ? pairs()[point]! : 0
      if (point < 0x80) bytes.push(point)
      else if (pair !== 0) bytes.push(pair >> 8, pair & 0xff)
      else {
        const position = point < 0x1_0000 ? (quads?.()[point] ?? 0) - 1 : point - 0x1_0000 + supplementary
        if (quads === undefined || position < 0) return undefined
        bytes.push(...quad(position))
      }
    }
    return Uint8Array.from(bytes)
  }
  return { decode: decoder(label), encode }
}

function gbPairs(label: string): Uint16Array {
  const codes: number[] = []
  for (let lead = 0x81; lead <= 0xfe; lead++) {
    for (let trail = 0x40; trail <= 0xfe; trail++) if (trail !== 0x7f) codes.push((lead << 8) | trail)
  }
  const texts = decodeEach(
    label,
    codes.map((code) => [code >> 8, code & 0xff]),
  )
  return reverse(texts.map(oneUnit), (index) => codes[index]!)
}

/** GB18030's four-byte codes count through 81308130 upwards; U+10000 is at 90308130. */
const supplementary = (0x90 - 0x81) * 12_600

/** One more than the position of a UTF-16 unit among the four-byte codes, 0 for none; the last for the BMP is 8431A439. */
function gb18030Quads(): Uint16Array {
  const texts = decodeEach(
    'gb18030',
    Array.from({ length: 39_420 }, (_, position) => quad(position)),
  )
  return reverse(texts.map(oneUnit), (position) => position + 1)
}

function quad(position: number): number[] {
  return [
    0x81 + Math.floor(position / 12_600),
    0x30 + (Math.floor(position / 1260) % 10),
    0x81 + (Math.floor(position / 10) % 126),
    0x30 + (position % 10),
  ]
}

/** All codes in one call: 24,000 single calls take a quarter of a second. */
function decodeEach(label: string, codes: readonly (readonly number[])[]): string[] {
  const texts = new TextDecoder(label).decode(Uint8Array.from(codes.flatMap((code) => [...code, 0x0a]))).split('\n')
  if (texts.length !== codes.length + 1) throw new Error(`${label} decoder of this Node swallows line ends`)
  return texts.slice(0, -1)
}

function oneUnit(text: string): number {
  return text.length === 1 ? text.charCodeAt(0) : replacement
}

/** UTF-16 unit → code. Where two codes mean the same character the first is written. */
function reverse(units: ArrayLike<number>, codeOf: (index: number, unit: number) => number): Uint16Array {
  const codes = new Uint16Array(0x1_0000)
  for (let index = 0; index < units.length; index++) {
    const unit = units[index]!
    if (unit !== replacement && codes[unit] === 0) codes[unit] = codeOf(index, unit)
  }
  return codes
}

function lazy<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
