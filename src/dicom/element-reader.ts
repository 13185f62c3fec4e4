import { Attribute } from './attributes.ts'
import type { Bytes } from './bytes.ts'
import { describeTag, dictionaryVr } from './dictionary.ts'
import { ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, type Tag } from './tag.ts'
import type { TransferSyntax } from './transfer-syntax.ts'
import { representation, vrOfCode, type Vr } from './vr.ts'

export interface ElementHeader {
  readonly tag: Tag
  readonly vr: Vr
  /** Bytes of the value as written; undefined for undefined length (PS3.5 7.1.1). */
  readonly length: number | undefined
}

/**
 * A data set as a flat run of tokens. An `element` or `fragment` of more than zero bytes is followed by its `value`
 * pieces, in the byte order of the source, the final one marked `last`.
 */
export type ElementToken =
  | { readonly kind: 'element'; readonly header: ElementHeader; readonly bigEndian: boolean }
  | { readonly kind: 'value'; readonly bytes: Bytes; readonly last: boolean }
  | { readonly kind: 'sequence-start'; readonly header: ElementHeader }
  | { readonly kind: 'sequence-end' }
  | { readonly kind: 'item-start'; readonly length: number | undefined }
  | { readonly kind: 'item-end' }
  | { readonly kind: 'pixel-sequence-start'; readonly header: ElementHeader }
  | { readonly kind: 'fragment'; readonly index: number; readonly length: number }

/** The bytes are no data set in the expected encoding. `offset` counts from the start of the data set. */
export class MalformedDataSetError extends Error {
  readonly code = 'MALFORMED_DATA_SET'
  readonly offset: number
  readonly tag: Tag | undefined
  constructor(problem: string, offset: number, tag?: Tag) {
    super(`${problem}${tag === undefined ? '' : ` at ${describeTag(tag)}`}, byte ${offset} of the data set`)
    this.name = 'MalformedDataSetError'
    this.offset = offset
    this.tag = tag
  }
}

export const MAX_NESTING = 64
export const MAX_ELEMENTS = 1_000_000

const UNDEFINED_LENGTH = 0xffffffff
const UN_CODE = 0x554e
/** What is copied of a chunk behind a header that was cut: more than any header, with a value that VRs depend on. */
const JOINED_BYTES = 64
/** What some writers put where a VR belongs: spaces, NULs, `??`, `--`. */
const placeholderCodes = new Set([0x2020, 0x0000, 0x3f3f, 0x2d2d])

/** An element's header as it is written. */
interface ReadHeader extends Omit<ElementHeader, 'tag'> {
  /** Bytes of the header itself. */
  readonly size: number
  readonly implicitContent: boolean
  readonly writtenAsUn?: boolean
}

interface OpenStructure {
  readonly kind: 'data-set' | 'sequence' | 'item' | 'pixel-sequence'
  /** Offset of the first byte behind it; undefined when a delimiter ends it. */
  readonly end: number | undefined
  readonly explicit: boolean
  readonly bigEndian: boolean
  signed: boolean
  waveformBits: number
}

const EMPTY = new Uint8Array(0)

/**
 * Bytes in, tokens out, nothing waited for (PS3.5 7): `push` chunks of any size, take tokens by `next` until it is
 * undefined, call `end` when no more bytes come. Keeps at most one header between chunks; values are views.
 * @throws MalformedDataSetError from `next` and `end`
 */
export class ElementReader {
  /** Bytes of the data set consumed so far. */
  offset = 0
  #buffer: Bytes = EMPTY
  #view: DataView = new DataView(EMPTY.buffer)
  #position = 0
  /** The chunk whose beginning was copied behind `#cutBytes` of a header that the chunk before it ended in. */
  #following: Bytes | undefined
  #cutBytes = 0
  #ended = false
  #done = false
  #tail = false
  #valueLeft = 0
  #fragments = 0
  #elements = 0
  #levels: OpenStructure[]

  constructor(syntax: Pick<TransferSyntax, 'explicit' | 'bigEndian'>) {
    const { explicit, bigEndian } = syntax
    this.#levels = [{ kind: 'data-set', end: undefined, explicit, bigEndian, signed: false, waveformBits: 0 }]
  }

  push(chunk: Bytes): void {
    this.#intoFollowing()
    const left = this.#buffer.length - this.#position
    if (left === 0) {
      this.#readFrom(chunk, 0)
      return
    }
    this.#following = chunk
    this.#cutBytes = left
    this.#readFrom(Buffer.concat([this.#buffer.subarray(this.#position), chunk.subarray(0, JOINED_BYTES)]), 0)
  }

  #readFrom(buffer: Bytes, position: number): void {
    this.#buffer = buffer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    this.#position = position
  }

  /** The header that was cut has been read: on in the chunk itself. */
  #intoFollowing(): void {
    if (!this.#following || this.#position < this.#cutBytes) return
    this.#readFrom(this.#following, this.#position - this.#cutBytes)
    this.#following = undefined
  }

  /** No more bytes will come: what is then incomplete is an error of `next`. */
  end(): void {
    this.#ended = true
  }

  /** The data set is complete: every level closed at its end. */
  get done(): boolean {
    return this.#done
  }

  /** How many sequences and items are open around the reader: 0 is the data set itself. */
  get depth(): number {
    return this.#levels.length - 1
  }

  /** The next token, or undefined: more bytes are needed, or the data set is `done`. */
  next(): ElementToken | undefined {
    if (this.#done) return undefined
    this.#intoFollowing()
    if (this.#valueLeft > 0) return this.#value()
    const level = this.#levels.at(-1)!
    if (level.end !== undefined && this.offset >= level.end) return this.#close(level)
    if (this.#tail || !this.#has(8)) {
      if (this.#tail) this.#skipTail()
      else this.#wait(level)
      return undefined
    }
    const t = this.#tag(level.bigEndian)
    if (level.kind === 'sequence') return this.#inSequence(level, t)
    if (level.kind === 'pixel-sequence') return this.#inPixelSequence(level, t)
    return this.#inDataSet(level, t)
  }

  #has(count: number): boolean {
    return this.#buffer.length - this.#position >= count
  }

  #advance(count: number): void {
    this.#position += count
    this.offset += count
  }

  #tag(bigEndian: boolean): Tag {
    const group = this.#view.getUint16(this.#position, !bigEndian)
    return ((group << 16) | this.#view.getUint16(this.#position + 2, !bigEndian)) >>> 0
  }

  #fail(problem: string, t?: Tag): never {
    throw new MalformedDataSetError(problem, this.offset, t)
  }

  #value(): ElementToken | undefined {
    const available = this.#buffer.length - this.#position
    if (available === 0) {
      if (this.#ended) this.#fail(`The data ends ${this.#valueLeft} bytes before the end of a value`)
      return undefined
    }
    const length = Math.min(available, this.#valueLeft)
    const bytes = this.#buffer.subarray(this.#position, this.#position + length)
    this.#advance(length)
    this.#valueLeft -= length
    return { kind: 'value', bytes, last: this.#valueLeft === 0 }
  }

  #close(level: OpenStructure): ElementToken {
    if (this.offset > level.end!) this.#fail('An element reaches beyond the end of its item')
    this.#levels.pop()
    return { kind: level.kind === 'item' ? 'item-end' : 'sequence-end' }
  }

  #wait(level: OpenStructure): void {
    if (!this.#ended) return
    const left = this.#buffer.subarray(this.#position)
    if (level.kind !== 'data-set') this.#fail('The data ends inside a sequence')
    // A lone pad or a zero-filled tail is no element.
    if (left.some((byte) => byte !== 0)) this.#fail('The data ends inside an element header')
    this.#advance(left.length)
    this.#done = true
  }

  #skipTail(): void {
    do {
      const left = this.#buffer.subarray(this.#position)
      const data = left.findIndex((byte) => byte !== 0)
      this.#advance(data < 0 ? left.length : data)
      if (data >= 0) this.#fail('Data follows the zero-filled tail')
      this.#intoFollowing()
    } while (this.#position < this.#buffer.length)
    if (this.#ended) this.#done = true
  }

  #inSequence(level: OpenStructure, t: Tag): ElementToken | undefined {
    const length = this.#view.getUint32(this.#position + 4, !level.bigEndian)
    if (t === ITEM) {
      const defined = length === UNDEFINED_LENGTH ? undefined : length
      this.#count(t)
      this.#advance(8)
      this.#open({ ...level, kind: 'item', end: this.#endOf(defined, t) })
      return { kind: 'item-start', length: defined }
    }
    if (t !== SEQUENCE_DELIMITATION) this.#fail('Neither an item nor the end of the sequence', t)
    if (level.end !== undefined) this.#fail('A sequence of defined length has a delimiter', t)
    this.#advance(8)
    this.#levels.pop()
    return { kind: 'sequence-end' }
  }

  #inPixelSequence(level: OpenStructure, t: Tag): ElementToken | undefined {
    const length = this.#view.getUint32(this.#position + 4, !level.bigEndian)
    if (t === ITEM) {
      if (length === UNDEFINED_LENGTH) this.#fail('A fragment has undefined length', t)
      this.#count(t)
      this.#advance(8)
      this.#valueLeft = length
      return { kind: 'fragment', index: this.#fragments++, length }
    }
    // Some writers leave NULs where the delimiter should be.
    const isEnd = t === SEQUENCE_DELIMITATION || (t === 0 && length === 0)
    if (!isEnd) this.#fail('Neither a fragment nor the end of the fragments', t)
    this.#advance(8)
    this.#levels.pop()
    return { kind: 'sequence-end' }
  }

  #inDataSet(level: OpenStructure, t: Tag): ElementToken | undefined {
    if (t === ITEM_DELIMITATION) {
      if (level.kind !== 'item' || level.end !== undefined) this.#fail('A delimiter where no item is open', t)
      this.#advance(8)
      this.#levels.pop()
      return { kind: 'item-end' }
    }
    if (t >>> 16 === 0xfffe) this.#fail('An item or delimiter out of place', t)
    if (t === 0 && level.kind === 'data-set' && this.#elements > 0) {
      this.#tail = true
      return this.next()
    }
    const header = this.#header(level, t)
    if (header === undefined) {
      if (this.#ended) this.#fail('The data ends inside an element header', t)
      return undefined
    }
    const { length, size } = header
    const end = this.#endOf(length, t, size)
    if (level.end !== undefined && end !== undefined && end > level.end) {
      this.#fail('An element reaches beyond the end of its item', t)
    }
    if (!this.#note(level, t, size, length)) return undefined
    this.#count(t)
    this.#advance(size)
    return this.#start(t, header, level)
  }

  #start(t: Tag, { vr, length, implicitContent, writtenAsUn }: ReadHeader, level: OpenStructure): ElementToken {
    const header: ElementHeader = { tag: t, vr, length }
    if (vr === 'SQ' || (length === undefined && vr === 'UN')) {
      // PS3.5 6.2.2: UN of undefined length holds items in Implicit VR Little Endian, whatever is around it.
      const inner = implicitContent ? { explicit: false, bigEndian: false } : {}
      this.#open({ ...level, ...inner, kind: 'sequence', end: this.#endOf(length, t) })
      return { kind: 'sequence-start', header: { tag: t, vr: 'SQ', length } }
    }
    if (length === undefined) {
      if (vr !== 'OB' && vr !== 'OW') this.#fail(`Undefined length with VR ${vr}`, t)
      this.#fragments = 0
      this.#open({ ...level, kind: 'pixel-sequence', end: undefined })
      return { kind: 'pixel-sequence-start', header }
    }
    this.#valueLeft = length
    // PS3.5 6.2.2: what is written as UN is Little Endian whatever is around it.
    return { kind: 'element', header, bigEndian: level.bigEndian && writtenAsUn !== true }
  }

  #open(level: OpenStructure): void {
    // Every sequence comes with an item.
    if (this.#levels.length > 2 * MAX_NESTING) this.#fail(`Sequences are nested deeper than ${MAX_NESTING}`)
    this.#levels.push(level)
  }

  #count(t: Tag): void {
    if (++this.#elements > MAX_ELEMENTS) this.#fail(`More than ${MAX_ELEMENTS} elements`, t)
  }

  /** Where something of `length` bytes from here ends, checked against the sequence or item around it. */
  #endOf(length: number | undefined, t: Tag, headerSize = 0): number | undefined {
    if (length === undefined) return undefined
    const end = this.offset + headerSize + length
    const outer = this.#levels.at(-1)!.end
    if (outer !== undefined && end > outer) this.#fail('A length reaches beyond the end of what holds it', t)
    return end
  }

  #header(level: OpenStructure, t: Tag): ReadHeader | undefined {
    const at = this.#position
    const little = !level.bigEndian
    const defined = (length: number): number | undefined => (length === UNDEFINED_LENGTH ? undefined : length)
    if (level.explicit) {
      const code = this.#view.getUint16(at + 4)
      const vr = vrOfCode(code)
      if (vr !== undefined) {
        if (representation(vr).lengthBytes === 2) {
          return { vr, length: this.#view.getUint16(at + 6, little), size: 8, implicitContent: false }
        }
        if (!this.#has(12)) return undefined
        const length = defined(this.#view.getUint32(at + 8, little))
        if (code === UN_CODE && length !== undefined) {
          return { vr: this.#ownVr(level, t), length, size: 12, implicitContent: false, writtenAsUn: true }
        }
        return { vr, length, size: 12, implicitContent: code === UN_CODE && length === undefined }
      }
      if (isUpperCase(code >>> 8) && isUpperCase(code & 0xff)) {
        // PS3.5 6.2: a VR of a later edition has the 32-bit length.
        if (!this.#has(12)) return undefined
        return { vr: 'UN', length: defined(this.#view.getUint32(at + 8, little)), size: 12, implicitContent: true }
      }
      if (placeholderCodes.has(code)) {
        return {
          vr: this.#dictionary(level, t),
          length: this.#view.getUint16(at + 6, little),
          size: 8,
          implicitContent: false,
        }
      }
    }
    const length = defined(this.#view.getUint32(at + 4, little))
    const vr = this.#dictionary(level, t)
    // Some writers of encapsulated syntaxes leave the VRs out.
    if (length === undefined && t === Attribute.PixelData) return { vr: 'OB', length, size: 8, implicitContent: false }
    // Fragments exist only in explicit syntaxes; anything else of undefined length is a sequence.
    return { vr: length === undefined && vr !== 'SQ' ? 'UN' : vr, length, size: 8, implicitContent: true }
  }

  /**
   * PS3.5 6.2.2: what is written as UN, since its VR was not known or its value is too long for it, has the VR of the
   * dictionary. Items are left to who wants them: what is none would make the data set unreadable.
   */
  #ownVr(level: OpenStructure, t: Tag): Vr {
    const vr = this.#dictionary(level, t)
    return vr === 'SQ' ? 'UN' : vr
  }

  #dictionary(level: OpenStructure, t: Tag): Vr {
    const vr = dictionaryVr(t)
    if (vr === undefined) return 'UN'
    if (vr === 'xs') return level.signed ? 'SS' : 'US'
    if (vr !== 'ox') return vr
    return t >>> 16 === 0x5400 && level.waveformBits === 8 ? 'OB' : 'OW'
  }

  /** Remembers the two attributes that later VRs depend on; false when their value has not arrived yet. */
  #note(level: OpenStructure, t: Tag, size: number, length: number | undefined): boolean {
    if ((t !== Attribute.PixelRepresentation && t !== Attribute.WaveformBitsAllocated) || length !== 2) return true
    if (!this.#has(size + 2)) {
      if (this.#ended) this.#fail('The data ends inside a value', t)
      return false
    }
    const value = this.#view.getUint16(this.#position + size, !level.bigEndian)
    if (t === Attribute.PixelRepresentation) level.signed = value === 1
    else level.waveformBits = value
    return true
  }
}

function isUpperCase(code: number): boolean {
  return code >= 0x41 && code <= 0x5a
}
