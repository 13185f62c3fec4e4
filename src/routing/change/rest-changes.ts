import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { concat } from '../../dicom/bytes.ts'
import { CarriedOver } from '../../dicom/carried-over.ts'
import type { Element } from '../../dicom/dataset.ts'
import { writeElement } from '../../dicom/dataset-codec.ts'
import { ElementReader, type ElementHeader, type ElementToken } from '../../dicom/element-reader.ts'
import { ElementWriter } from '../../dicom/element-writer.ts'
import { isPrivateCreator, privateBlock, type Tag } from '../../dicom/tag.ts'
import { tokenRuns } from '../../dicom/token-runs.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { withoutPadding } from '../../dicom/padding.ts'
import { matchesWildcard } from '../../dicom/wildcard.ts'
import { representation } from '../../dicom/vr.ts'
import { dictionaryVr } from '../../dicom/dictionary.ts'
import { FrontTooLongError } from '../front.ts'
import { MisplacedElementError, UnreadableItemsError } from './unseen-error.ts'

/** Output is handed on in pieces of about this size. */
const PIECE_BYTES = 65_536
/** Of the name of a private creator: LO (PS3.5 6.2), in up to four bytes a character. */
const MAX_CREATOR_BYTES = 256

/** What is to be changed in the part of an instance that is not held. */
export class RestChanges {
  readonly #set = new Map<Tag, Element>()
  readonly #removed: ((header: ElementHeader) => boolean)[] = []
  readonly #creators = new Set<string>()
  /** Something is changed at any depth: what has items there cannot be let through. */
  isDeep = false
  /** Text in front of it was turned into UTF-8: text here would be misread. */
  isRecoded = false

  set(tag: Tag, element: Element): void {
    this.#set.set(tag, element)
  }

  /** Elements of the data set itself. */
  remove(removed: (header: ElementHeader) => boolean): void {
    this.#removed.push(removed)
  }

  /** The private elements of a creator. */
  removeOf(creator: string): void {
    this.#creators.add(creator)
  }

  /** The rest, with the changes; it begins with an element of the data set. @throws FrontTooLongError, MisplacedElementError, UnreadableItemsError, MalformedDataSetError, and what the body throws */
  async *applied(body: ByteStream, syntax: TransferSyntax): AsyncGenerator<Bytes> {
    const reader = new ElementReader(syntax)
    const writer = new ElementWriter(syntax)
    const passing = new Passing(this, writer)
    for await (const run of tokenRuns(body, reader)) {
      for (const token of run) passing.take(token)
      if (writer.pending >= PIECE_BYTES) yield* writer.take()
    }
    passing.end()
    yield* writer.take()
  }

  isRemoved(header: ElementHeader): boolean {
    return this.#set.has(header.tag) || this.#removed.some((removed) => removed(header))
  }

  get hasCreators(): boolean {
    return this.#creators.size > 0
  }

  isOfCreators(creator: string): boolean {
    return [...this.#creators].some((pattern) => matchesWildcard(pattern, creator))
  }

  /** What is set, by ascending tags. */
  get added(): readonly (readonly [Tag, Element])[] {
    return [...this.#set].sort(([a], [b]) => a - b)
  }
}

/** The rest on its way, token by token. */
class Passing {
  readonly #changes: RestChanges
  readonly #writer: ElementWriter
  readonly #carriedOver = new CarriedOver()
  readonly #added: (readonly [Tag, Element])[]
  /** Sequences and items around. */
  #depth = 0
  #isLeftOut = false
  /** Tags ascend from here. */
  #first = 0
  /** The element of a private creator, until it is known whose. */
  #creator: { readonly header: ElementHeader; readonly pieces: Bytes[] } | undefined
  /** Blocks of private elements that are taken away, as group and block in one number. */
  readonly #blocks = new Set<number | undefined>()

  constructor(changes: RestChanges, writer: ElementWriter) {
    this.#changes = changes
    this.#writer = writer
    this.#added = [...changes.added]
  }

  take(token: ElementToken): void {
    if (!this.#carriedOver.has(token)) return
    if ('header' in token && this.#depth === 0) this.#begin(token.header)
    if (token.kind === 'sequence-start' || token.kind === 'pixel-sequence-start' || token.kind === 'item-start') {
      this.#depth++
    }
    if (this.#creator && token.kind === 'value') this.#name(token.bytes, token.last)
    else if (!this.#isLeftOut && !this.#creator) this.#write(token)
    if (token.kind === 'sequence-end' || token.kind === 'item-end') this.#depth--
  }

  end(): void {
    this.#add(Infinity)
  }

  #begin(header: ElementHeader): void {
    if (header.tag < this.#first) throw new MisplacedElementError()
    this.#first = header.tag
    this.#add(header.tag)
    this.#creator = undefined
    this.#isLeftOut = this.#changes.isRemoved(header) || this.#blocks.has(privateBlock(header.tag))
    const { length = 0, tag } = header
    const isNamed = isPrivateCreator(tag) && length > 0 && length <= MAX_CREATOR_BYTES
    if (!this.#isLeftOut && this.#changes.hasCreators && isNamed) this.#creator = { header, pieces: [] }
  }

  #write(token: ElementToken): void {
    const { isDeep, isRecoded } = this.#changes
    if (isDeep && token.kind === 'element' && dictionaryVr(token.header.tag) === 'SQ') throw new UnreadableItemsError()
    if (token.kind === 'sequence-start' && (isDeep || isRecoded)) throw new FrontTooLongError()
    if (token.kind === 'element' && isRecoded && representation(token.header.vr).charset) throw new FrontTooLongError()
    this.#writer.write(token)
  }

  #name(bytes: Bytes, last: boolean): void {
    const { header, pieces } = this.#creator!
    pieces.push(bytes)
    if (!last) return
    this.#creator = undefined
    const value = concat(pieces)
    this.#isLeftOut = this.#changes.isOfCreators(withoutPadding(Buffer.from(value).toString('latin1'), true))
    if (this.#isLeftOut) this.#blocks.add(privateBlock(header.tag))
    else writeElement(header.tag, { vr: header.vr, value }, this.#writer)
  }

  /** What has its place before a tag. */
  #add(before: number): void {
    while (this.#added.length > 0 && this.#added[0]![0] <= before) {
      const [tag, element] = this.#added.shift()!
      writeElement(tag, element, this.#writer)
    }
  }
}
