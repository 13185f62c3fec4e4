import type { Bytes } from './bytes.ts'
import { Attribute } from './attributes.ts'
import { concat } from './bytes.ts'
import type { CharacterSet } from './charset.ts'
import { swapped } from './byte-order.ts'
import { Dataset, type Element, type Fragments } from './dataset.ts'
import { dictionaryVr } from './dictionary.ts'
import {
  ElementReader,
  MalformedDataSetError,
  MAX_NESTING,
  type ElementHeader,
  type ElementToken,
} from './element-reader.ts'
import { ElementWriter } from './element-writer.ts'
import { isOfEncoding, type Tag } from './tag.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from './transfer-syntax.ts'
import { representation } from './vr.ts'

const NO_BYTES = new Uint8Array(0)

interface OpenDataSet {
  readonly dataset: Dataset
  sequence?: { readonly tag: Tag; readonly items: Dataset[] }
}

/** What to read of a data set. */
export interface ReadOptions {
  /** Elements of the data set itself from this one on are not read, or from the first of which this is true. */
  readonly until?: Tag | ((t: Tag) => boolean)
  /** Of the elements of the data set itself, only these. */
  readonly only?: ReadonlySet<Tag>
  /** Elements, at any depth, of whose value nothing is kept. */
  readonly omit?: (header: ElementHeader) => boolean
  /** Elements and items that are read, at any depth: one more is a TooManyElementsError. */
  readonly most?: number
}

/** Elements and items of a sequence that is written as UN: one of more is given as it is, as one value. */
export const MAX_UNKNOWN_ELEMENTS = 20_000

/** A data set has more elements and items than are read of one like it. */
export class TooManyElementsError extends Error {
  readonly code = 'TOO_MANY_ELEMENTS'
  constructor(most: number) {
    super(`The archive sent a data set of over ${most} elements and items where so many are not read`)
    this.name = 'TooManyElementsError'
  }
}

/** Of items that are read by themselves: how deep they are, and the character set around them. */
interface NestedOptions {
  readonly nesting: number
  readonly characterSet: CharacterSet
}

/** Gathers tokens into a Dataset; give it bytes by `push`, as a stream or all at once. */
export class DatasetReader {
  readonly dataset: Dataset
  readonly #nesting: number
  readonly #reader: ElementReader
  readonly #levels: OpenDataSet[]
  readonly #until: (t: Tag) => boolean
  readonly #only: ReadonlySet<Tag> | undefined
  /** Inside an element or a sequence that is not kept. */
  #passing = false
  #element: { header: ElementHeader; bigEndian: boolean; pieces: Bytes[] } | undefined
  #fragments: { header: ElementHeader; list: Bytes[]; pieces: Bytes[] } | undefined
  readonly #omit: (header: ElementHeader) => boolean
  /** The value that is coming is not kept. */
  #omitting = false
  #stopped = false
  /** The element that ended the reading, by `until`, and where its value begins in the data set. */
  stoppedAt: { readonly header: ElementHeader; readonly offset: number } | undefined
  /** The element of the data set itself that is being read, or was read last; and where it begins in the data set. */
  openedTag: Tag | undefined
  openedAt = 0
  /** Bytes of values that are kept. */
  keptBytes = 0
  /** Elements and items that are kept. */
  keptElements = 0
  readonly #most: number

  constructor(syntax: TransferSyntax, options: ReadOptions & Partial<NestedOptions> = {}) {
    this.dataset = new Dataset(options.characterSet)
    this.#nesting = options.nesting ?? 0
    this.#reader = new ElementReader(syntax.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : syntax)
    this.#levels = [{ dataset: this.dataset }]
    const { until = () => false } = options
    this.#until = typeof until === 'number' ? (t) => t >= until : until
    this.#only = options.only
    this.#omit = options.omit ?? (() => false)
    this.#most = options.most ?? Infinity
  }

  /** True once everything before `until` has been read. */
  get complete(): boolean {
    return this.#stopped || this.#reader.done
  }

  /** @throws MalformedDataSetError, TooManyElementsError */
  push(chunk: Bytes): void {
    if (this.#stopped) return
    this.#reader.push(chunk)
    this.#drain()
  }

  /** @throws MalformedDataSetError when the data set is cut short; TooManyElementsError */
  end(): Dataset {
    if (!this.#stopped) {
      this.#reader.end()
      this.#drain()
    }
    return this.dataset
  }

  #drain(): void {
    for (;;) {
      const at = this.#reader.offset
      const token = this.#reader.next()
      if (token === undefined) return
      if ('header' in token && this.#levels.length === 1) this.#opened(token.header, at)
      if (this.#only && this.#passes(token, this.#only)) {
        if (this.#stopped) return
        continue
      }
      const level = this.#levels.at(-1)!
      switch (token.kind) {
        case 'element':
          if (this.#past(token.header)) return
          this.#count(1)
          this.#omitting = this.#omit(token.header)
          if (this.#omitting) this.#putOmitted(token.header)
          else this.#element = { header: token.header, bigEndian: token.bigEndian, pieces: [] }
          if (token.header.length === 0 && !this.#omitting) this.#finishElement()
          break
        case 'value':
          if (this.#omitting) break
          this.keptBytes += token.bytes.length
          if (this.#fragments) {
            this.#fragments.pieces.push(token.bytes)
            if (token.last) this.#fragments.list.push(concat(this.#fragments.pieces.splice(0)))
          } else {
            this.#element!.pieces.push(token.bytes)
            if (token.last) this.#finishElement()
          }
          break
        case 'sequence-start':
          if (this.#past(token.header)) return
          this.#count(1)
          level.sequence = { tag: token.header.tag, items: [] }
          break
        case 'item-start': {
          this.#count(1)
          const dataset = new Dataset(level.dataset.characterSet)
          level.sequence!.items.push(dataset)
          this.#levels.push({ dataset })
          break
        }
        case 'item-end':
          this.#levels.pop()
          break
        case 'pixel-sequence-start':
          if (this.#past(token.header)) return
          this.#omitting = this.#omit(token.header)
          this.#fragments = { header: token.header, list: [], pieces: [] }
          break
        case 'fragment':
          this.#count(1)
          if (token.length === 0 && !this.#omitting) this.#fragments!.list.push(new Uint8Array(0))
          break
        case 'sequence-end':
          if (this.#fragments) {
            const { header, list } = this.#fragments
            if (this.#omitting) this.#putOmitted(header)
            else level.dataset.put(header.tag, { vr: header.vr, value: { fragments: list } })
            this.#fragments = undefined
          } else if (level.sequence) {
            level.dataset.setItems(level.sequence.tag, level.sequence.items)
            delete level.sequence
          }
          break
      }
    }
  }

  /** Whether a token belongs to an element of the data set itself that is not wanted. */
  #passes(token: ElementToken, only: ReadonlySet<Tag>): boolean {
    if ('header' in token && this.#reader.depth <= (token.kind === 'element' ? 0 : 1)) {
      this.#passing = !only.has(token.header.tag)
      if (this.#passing && this.#past(token.header)) return true
    }
    return this.#passing
  }

  #opened({ tag: t }: ElementHeader, at: number): void {
    this.openedTag = t
    this.openedAt = at
  }

  #count(elements: number): void {
    this.keptElements += elements
    if (this.keptElements > this.#most) throw new TooManyElementsError(this.#most)
  }

  #past(header: ElementHeader): boolean {
    this.#stopped = this.#levels.length === 1 && this.#until(header.tag)
    if (this.#stopped) this.stoppedAt = { header, offset: this.#reader.offset }
    return this.#stopped
  }

  #putOmitted({ tag: t, vr }: ElementHeader): void {
    this.#levels.at(-1)!.dataset.put(t, { vr, value: NO_BYTES, omitted: true })
  }

  #finishElement(): void {
    const { header, bigEndian, pieces } = this.#element!
    this.#element = undefined
    if (isOfEncoding(header.tag)) return
    const bytes = pieces.length === 0 ? new Uint8Array(0) : concat(pieces)
    const value = bigEndian ? swapped(bytes, representation(header.vr).wordBytes) : bytes
    const { dataset } = this.#levels.at(-1)!
    const items = header.vr === 'UN' ? this.#unknownItems(header.tag, value, dataset) : undefined
    if (items) dataset.setItems(header.tag, items)
    else dataset.put(header.tag, { vr: header.vr, value })
  }

  /**
   * The items of a sequence that is written as UN, in Implicit VR Little Endian (PS3.5 6.2.2); undefined for what is none.
   * Nothing of them is passed over: as one value they have no bulk data in them that could be asked for.
   */
  #unknownItems(t: Tag, value: Bytes, { characterSet }: Dataset): readonly Dataset[] | undefined {
    if (dictionaryVr(t) !== 'SQ' || this.#nesting >= MAX_NESTING) return undefined
    const read = readItems(value, { characterSet, nesting: this.#nesting + this.#levels.length })
    if (read) this.#count(read.elements)
    return read?.items
  }
}

/** The value of a sequence is read behind the header of one. Undefined where it is none. */
function readItems(
  value: Bytes,
  options: NestedOptions,
): { readonly items: readonly Dataset[]; readonly elements: number } | undefined {
  const header = Buffer.alloc(8)
  header.writeUInt16LE(Attribute.ReferencedSOPSequence >>> 16, 0)
  header.writeUInt16LE(Attribute.ReferencedSOPSequence & 0xffff, 2)
  header.writeUInt32LE(value.length, 4)
  const reader = new DatasetReader(IMPLICIT_VR_LITTLE_ENDIAN, { ...options, most: MAX_UNKNOWN_ELEMENTS })
  try {
    reader.push(header)
    reader.push(value)
    return { items: reader.end().items(Attribute.ReferencedSOPSequence), elements: reader.keptElements }
  } catch (error) {
    if (error instanceof MalformedDataSetError || error instanceof TooManyElementsError) return undefined
    throw error
  }
}

/**
 * Reads a whole small data set, or its part before `until`. Not for deflated bytes.
 * @throws MalformedDataSetError, TooManyElementsError
 */
export function parseDataset(bytes: Bytes, syntax: TransferSyntax, options: ReadOptions = {}): Dataset {
  const reader = new DatasetReader(syntax, options)
  reader.push(bytes)
  return reader.end()
}

/** Writes a data set, tags ascending, sequences and items with undefined length. Not deflated. */
export function encodeDataset(dataset: Dataset, syntax: TransferSyntax): Bytes {
  const writer = new ElementWriter(syntax)
  writeDataset(dataset, writer)
  return concat(writer.take())
}

function writeDataset(dataset: Dataset, writer: ElementWriter): void {
  for (const [t, element] of dataset.entries()) writeElement(t, element, writer)
}

/** Writes an element whole, with all that is in it. */
export function writeElement(t: Tag, { vr, value }: Element, writer: ElementWriter): void {
  if (value instanceof Uint8Array) writer.element(t, vr, value)
  else if ('fragments' in value) writeFragments(t, vr, value, writer)
  else writeItems(t, value, writer)
}

function writeItems(t: Tag, items: readonly Dataset[], writer: ElementWriter): void {
  writer.write({ kind: 'sequence-start', header: { tag: t, vr: 'SQ', length: items.length === 0 ? 0 : undefined } })
  for (const item of items) {
    writer.write({ kind: 'item-start', length: undefined })
    writeDataset(item, writer)
    writer.write({ kind: 'item-end' })
  }
  writer.write({ kind: 'sequence-end' })
}

function writeFragments(t: Tag, vr: Element['vr'], { fragments }: Fragments, writer: ElementWriter): void {
  writer.write({ kind: 'pixel-sequence-start', header: { tag: t, vr, length: undefined } })
  fragments.forEach((bytes, index) => {
    writer.write({ kind: 'fragment', index, length: bytes.length })
    if (bytes.length > 0) writer.write({ kind: 'value', bytes, last: true })
  })
  writer.write({ kind: 'sequence-end' })
}
