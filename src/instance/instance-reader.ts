import type { Bytes } from '../dicom/bytes.ts'
import { CarriedOver } from '../dicom/carried-over.ts'
import { ElementReader, MalformedDataSetError } from '../dicom/element-reader.ts'
import { ElementWriter } from '../dicom/element-writer.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, isWebSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import { CorruptFragmentsError } from './frame-table.ts'
import { Indexer } from './indexer.ts'
import type { InstanceIndex } from './instance-index.ts'

export interface ReadingOptions {
  /**
   * Implicit VR and Big Endian are rewritten to Explicit VR Little Endian: that is how the web and the index have them
   * (PS3.18 8.7.3). Otherwise the bytes pass as they are.
   */
  readonly rewrites: boolean
  /** A structure that cannot be followed is an error; otherwise the bytes pass on, since then nobody can tell. */
  readonly strict: boolean
}

/** Output that is rewritten is handed on in pieces of about this size. */
const PIECE_BYTES = 65_536

/**
 * Reads a data set once, as its bytes come: makes its index, follows its structure to its end, and rewrites it where it
 * is to be rewritten. Bytes in by `push`, bytes out by `take`; not for deflated bytes.
 */
export class InstanceReader {
  /** Of what `take` gives. */
  readonly syntax: TransferSyntax
  readonly #reader: ElementReader
  readonly #writer: ElementWriter | undefined
  readonly #indexer: Indexer
  readonly #carriedOver = new CarriedOver()
  readonly #strict: boolean
  #passing: Bytes[] = []
  #size = 0
  #isOver = false

  constructor(syntax: TransferSyntax, { rewrites, strict }: ReadingOptions) {
    const isRewritten = rewrites && !isWebSyntax(syntax)
    this.syntax = isRewritten ? EXPLICIT_VR_LITTLE_ENDIAN : syntax
    this.#reader = new ElementReader(syntax)
    this.#writer = isRewritten ? new ElementWriter(EXPLICIT_VR_LITTLE_ENDIAN) : undefined
    this.#indexer = new Indexer(this.syntax)
    this.#strict = strict
  }

  get index(): InstanceIndex {
    return this.#indexer.index
  }

  get isIdentified(): boolean {
    return this.#indexer.isIdentified
  }

  get isPastIdentity(): boolean {
    return this.#indexer.isPastIdentity
  }

  /** @throws MalformedDataSetError where it is strict */
  push(chunk: Bytes): void {
    this.#size += chunk.length
    if (!this.#writer) this.#passing.push(chunk)
    if (this.index.fault) return
    this.#reader.push(chunk)
    try {
      this.#read()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** What can be passed on by now. */
  take(): readonly Bytes[] {
    if (this.#writer) return this.#writer.pending >= PIECE_BYTES || this.#isOver ? this.#writer.take() : []
    const passing = this.#passing
    this.#passing = []
    return passing
  }

  /**
   * No more bytes come. Where they end in the middle of an element the data set is cut: it is never whole.
   * @throws MalformedDataSetError for that, where it is strict
   */
  end(): void {
    this.#isOver = true
    if (!this.index.fault) {
      this.#reader.end()
      try {
        this.#read()
      } catch (error) {
        if (!isFault(error)) throw error
        this.cut(error)
        if (this.#strict) throw error
      }
    }
    this.#indexer.end(this.#givenBytes)
  }

  /** Nothing that comes can be read any more, for this reason. */
  cut(fault: Error): void {
    this.#isOver = true
    this.#indexer.cut(fault, this.#givenBytes)
  }

  get #givenBytes(): number {
    return this.#writer ? this.#writer.offset : this.#size
  }

  #read(): void {
    const [reader, writer, indexer] = [this.#reader, this.#writer, this.#indexer]
    for (let token = reader.next(); token !== undefined; token = reader.next()) {
      if (!writer) indexer.token(token, reader.offset)
      else if (this.#carriedOver.has(token)) {
        writer.write(token)
        indexer.token(token, writer.offset)
      }
    }
  }

  #failed(error: unknown): void {
    if (!isFault(error)) throw error
    // What passes as it is may make sense to others.
    this.#indexer.cut(error, this.#writer && this.#givenBytes)
    if (this.#strict) throw error
  }
}

function isFault(error: unknown): error is Error {
  return error instanceof MalformedDataSetError || error instanceof CorruptFragmentsError
}
