import { Attribute } from '../dicom/attributes.ts'
import { swapped } from '../dicom/byte-order.ts'
import { concat, type Bytes } from '../dicom/bytes.ts'
import { MalformedDataSetError, type ElementHeader, type ElementToken } from '../dicom/element-reader.ts'
import { ElementWriter } from '../dicom/element-writer.ts'
import { withoutPadding } from '../dicom/padding.ts'
import { formatTag, type Tag } from '../dicom/tag.ts'
import {
  beginsBitstream,
  endsBitstream,
  EXPLICIT_VR_LITTLE_ENDIAN,
  SIGNATURE_BYTES,
  TAIL_BYTES,
  type TransferSyntax,
} from '../dicom/transfer-syntax.ts'
import { representation } from '../dicom/vr.ts'
import { isBulkData, isPixelData } from './bulk-attributes.ts'
import { basicTableBytes, FrameTable, MAX_FRAMES } from './frame-table.ts'
import { GrowingIndex, type Identity } from './instance-index.ts'
import { LAYOUT } from './pixel-layout.ts'

/** Bulk values of one instance that are noted: more are no data set of anybody's. */
export const MAX_BULK_VALUES = 100_000
/** Of the attributes that are kept, but for tables of frames; longer ones say nothing. */
const MAX_ATTRIBUTE_BYTES = 1_024

const IDENTITY: ReadonlyMap<Tag, keyof Identity> = new Map([
  [Attribute.SOPClassUID, 'sopClass'],
  [Attribute.SOPInstanceUID, 'sopInstance'],
  [Attribute.StudyInstanceUID, 'study'],
  [Attribute.SeriesInstanceUID, 'series'],
])
const TABLES: readonly Tag[] = [Attribute.ExtendedOffsetTable, Attribute.ExtendedOffsetTableLengths]
/** Who it is of: wanted as soon as it is read. */
const PATIENT: readonly Tag[] = [Attribute.PatientID, Attribute.IssuerOfPatientID, Attribute.PatientName]
const KEPT: ReadonlySet<Tag> = new Set([
  ...LAYOUT,
  ...PATIENT,
  Attribute.SpecificCharacterSet,
  Attribute.MIMETypeOfEncapsulatedDocument,
  Attribute.EncapsulatedDocumentLength,
])

/** A sequence that is open: its element, and the number of its item. */
interface Around {
  readonly tag: Tag
  item: number
}

/** Encapsulated pixel data that is being read: the instance's own, or that of an icon. */
interface Fragmented {
  readonly frames: FrameTable
  /** Bytes of a Basic Offset Table that is of use. */
  readonly tableBytes: number
  /** Of the fragment that is being read. */
  fragment: { readonly index: number; readonly offset: number; readonly length: number } | undefined
  pieces: Bytes[]
  held: number
  /** The last three bytes of the fragment so far, as one number. */
  tail: number
}

/** Makes the index of a data set of its tokens, as they come. */
export class Indexer {
  readonly index = new GrowingIndex()
  readonly #syntax: TransferSyntax
  readonly #around: Around[] = []
  #value: { readonly header: ElementHeader; readonly bigEndian: boolean; readonly pieces: Bytes[] } | undefined
  #fragmented: Fragmented | undefined
  readonly #kept = new ElementWriter(EXPLICIT_VR_LITTLE_ENDIAN)
  readonly #keptTags = new Set<Tag>()
  #isPastIdentity = false
  /** The element that was met last, not within a sequence. */
  #last: Tag = -1

  /** Of a data set in a transfer syntax. */
  constructor(syntax: TransferSyntax) {
    this.#syntax = syntax
  }

  /** All four UIDs have been read. */
  get isIdentified(): boolean {
    const { sopClass, sopInstance, study, series } = this.index.identity
    return sopClass !== undefined && sopInstance !== undefined && study !== undefined && series !== undefined
  }

  /** An element was met that has its place behind all four UIDs (PS3.5 7.1: tags ascend). */
  get isPastIdentity(): boolean {
    return this.#isPastIdentity
  }

  /**
   * Takes a token; `offset` is where in the bytes that are kept what follows it begins.
   * @throws MalformedDataSetError, CorruptFragmentsError
   */
  token(token: ElementToken, offset: number): void {
    switch (token.kind) {
      case 'element':
        this.#element(token.header, token.bigEndian, offset)
        return
      case 'value':
        if (this.#value) this.#take(token.bytes, token.last)
        else if (this.#fragmented) this.#inFragment(this.#fragmented, token.bytes, token.last)
        return
      case 'sequence-start':
        if (this.#around.length === 0) this.#pass(token.header.tag)
        this.#around.push({ tag: token.header.tag, item: -1 })
        return
      case 'item-start':
        this.#around.at(-1)!.item++
        return
      case 'pixel-sequence-start':
        this.#encapsulated(token.header, offset)
        return
      case 'fragment':
        if (this.#fragmented) this.#fragment(this.#fragmented, token.index, offset, token.length)
        return
      case 'sequence-end':
        if (!this.#fragmented) {
          this.#around.pop()
          return
        }
        this.#fragmented.frames.end()
        this.#fragmented = undefined
        return
      case 'item-end':
        return
    }
  }

  /** The data set is over, `size` bytes of it. Behind a fault nobody knows what else it holds. */
  end(size: number): void {
    this.#keep()
    if (this.index.fault) return
    this.index.headBytes ??= size
    this.index.complete = true
  }

  /** The data set cannot be followed any further; `cutAt`: where what is given of it ends, if it ends here. */
  cut(fault: Error, cutAt: number | undefined): void {
    this.index.fault = fault
    this.index.cutAt = cutAt
    this.#fragmented?.frames.cutShort()
    this.#fragmented = undefined
  }

  #element(header: ElementHeader, bigEndian: boolean, offset: number): void {
    const { tag, length = 0 } = header
    if (this.#around.length === 0) {
      this.#pass(tag)
      if (isPixelData(tag)) {
        this.#keep()
        this.index.reachPixels(header, offset)
        return
      }
      // An element is there once (PS3.5 7.1): what repeats one does not make the index grow.
      const isKept = (KEPT.has(tag) && !this.#keptTags.has(tag)) || IDENTITY.has(tag)
      if (isKept && length > 0 && length <= (TABLES.includes(tag) ? 8 * MAX_FRAMES : MAX_ATTRIBUTE_BYTES)) {
        this.#value = { header, bigEndian, pieces: [] }
      }
    }
    if (isBulkData(header)) this.#note(header, offset, undefined)
  }

  #pass(tag: Tag): void {
    if (tag <= this.#last) this.index.ascends = false
    this.#last = tag
    if (tag > Attribute.SeriesInstanceUID) this.#isPastIdentity = true
  }

  #take(bytes: Bytes, last: boolean): void {
    const { header, bigEndian, pieces } = this.#value!
    pieces.push(bytes)
    if (!last) return
    this.#value = undefined
    const { tag, vr } = header
    const name = IDENTITY.get(tag)
    if (name !== undefined) {
      const [first = '', ...others] = Buffer.from(concat(pieces)).toString('latin1').split('\\')
      const uid = withoutPadding(first, true)
      if (others.length > 0) this.index.hasOneIdentity = false
      if (uid !== '') this.index.identity = { ...this.index.identity, [name]: uid }
      return
    }
    const value = concat(pieces)
    this.#keptTags.add(tag)
    this.#kept.element(tag, vr, bigEndian ? swapped(value, representation(vr).wordBytes) : value)
    if (PATIENT.includes(tag)) this.#keep()
  }

  /** Copied: a view would keep the buffer alive that the socket was read into. */
  #keep(): void {
    const elements = this.#kept.take()
    if (elements.length > 0) this.index.addAttributes([Uint8Array.from(Buffer.concat(elements))])
  }

  #note(header: ElementHeader, offset: number, fragments: FrameTable | undefined): void {
    const { values } = this.index
    if (values.length >= MAX_BULK_VALUES) {
      throw new MalformedDataSetError(`More than ${MAX_BULK_VALUES} bulk values`, offset, header.tag)
    }
    values.push({ header, path: this.#pathOf(header.tag), offset, fragments })
  }

  #pathOf(tag: Tag): string {
    return [...this.#around.map((around) => `${formatTag(around.tag)}/${around.item}`), formatTag(tag)].join('/')
  }

  #encapsulated(header: ElementHeader, offset: number): void {
    const isOwn = this.#around.length === 0 && isPixelData(header.tag)
    if (isOwn) {
      this.#pass(header.tag)
      this.#keep()
      this.index.reachPixels(header, offset)
    }
    const { frames: count, extended } = (isOwn ? this.index.layout : undefined) ?? { frames: 1, extended: undefined }
    const frames = new FrameTable(this.#syntax, count, extended)
    if (isOwn) this.index.frames = frames
    else this.#note(header, offset, frames)
    const tableBytes = isOwn && count > 1 ? basicTableBytes(count) : 0
    this.#fragmented = { frames, tableBytes, fragment: undefined, pieces: [], held: 0, tail: 0 }
  }

  #fragment(own: Fragmented, index: number, offset: number, length: number): void {
    own.fragment = { index, offset, length }
    own.pieces = []
    own.held = 0
    own.tail = 0
    if (length === 0) this.#endFragment(own)
  }

  #inFragment(own: Fragmented, bytes: Bytes, last: boolean): void {
    const { index, length } = own.fragment!
    // Of the table all of it where it is of use, of a fragment what tells whether a bitstream begins.
    const wanted = index === 0 ? (length === own.tableBytes ? length : 0) : SIGNATURE_BYTES
    if (own.held < wanted) {
      const piece = bytes.subarray(0, wanted - own.held)
      own.pieces.push(piece)
      own.held += piece.length
    }
    for (const byte of bytes.subarray(-TAIL_BYTES)) own.tail = ((own.tail << 8) | byte) & 0xffffff
    if (last) this.#endFragment(own)
  }

  #endFragment({ frames, pieces, fragment, tail }: Fragmented): void {
    const { index, offset, length } = fragment!
    if (index === 0) frames.begin(offset + length, concat(pieces))
    else {
      const begins = length > 0 && beginsBitstream(concat(pieces), this.#syntax)
      frames.add(offset, length, begins, length > 0 && endsBitstream(tail, this.#syntax))
    }
  }
}
