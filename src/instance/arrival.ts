import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { Fifo } from '../dicom/fifo.ts'
import { InflateError, Inflater } from '../dicom/inflater.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import { InstanceReader, type ReadingOptions } from './instance-reader.ts'
import type { InstanceIndex } from './instance-index.ts'

/** What is read of a data set to find who it is: the elements up to group 0020 are far smaller in practice. */
export const MAX_IDENTITY_BYTES = 1024 * 1024

/** The UIDs of an instance are not where they could be found. */
export class HeadTooLargeError extends Error {
  readonly code = 'HEAD_TOO_LARGE'
  constructor(maxBytes: number) {
    super(`The attributes that are looked for are not within the first ${maxBytes} bytes of the instance`)
    this.name = 'HeadTooLargeError'
  }
}

export interface ArrivalOptions extends ReadingOptions {
  /** Bytes that a deflated data set may grow to; MAX_INFLATED_BYTES unless told. */
  readonly inflatedLimit?: number | undefined
}

/** How instances of archives are read: for the web, and tolerantly, since somebody else keeps them. */
export const FROM_ARCHIVE: ArrivalOptions = { rewrites: true, strict: false }
/** How instances of web clients are read: to be stored as they are, and whole. */
export const FROM_CLIENT: ArrivalOptions = { rewrites: false, strict: true }

/**
 * A data set as it arrives, read once by one reader. Its index grows with the bytes that it gives. Where it ends in the
 * middle of an element, or can be read no further, it is cut, as its index says; a strict reading throws instead.
 * @throws what the body throws; where it is strict MalformedDataSetError, InflateError
 */
export class Arrival implements AsyncIterableIterator<Bytes> {
  /** How it came. */
  readonly received: TransferSyntax
  readonly #source: AsyncIterator<Bytes, unknown>
  readonly #reader: InstanceReader
  readonly #inflater: Inflater | undefined
  /** A deflated data set passes as it is; only its structure is read. */
  readonly #passesDeflated: boolean
  readonly #strict: boolean
  readonly #ready = new Fifo<Bytes>()
  /** Bytes that were ever ready; until it is identified none of them is given. */
  #readyBytes = 0
  /** Bytes of the data set that have been read, inflated. */
  #read = 0
  #isOver = false
  /** Told behind what is ready. */
  #failure: Error | undefined

  private constructor(body: ByteStream, syntax: TransferSyntax, options: ArrivalOptions) {
    this.received = syntax
    this.#source = body[Symbol.asyncIterator]()
    this.#reader = new InstanceReader(syntax.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : syntax, options)
    this.#inflater = syntax.deflated ? new Inflater(options.inflatedLimit) : undefined
    this.#passesDeflated = syntax.deflated && !options.rewrites
    this.#strict = options.strict
  }

  /**
   * Reads until it is known who an instance is, or that its data set does not say.
   * @throws MalformedDataSetError, InflateError, HeadTooLargeError, and what `body` throws
   */
  static async begin(body: ByteStream, syntax: TransferSyntax, options: ArrivalOptions): Promise<Arrival> {
    const arrival = new Arrival(body, syntax, options)
    try {
      await arrival.#identify()
      return arrival
    } catch (error) {
      await arrival.return()
      throw error
    }
  }

  /** What a deflated data set has grown to so far, in bytes; 0 of others. */
  get inflatedBytes(): number {
    return this.#inflater ? this.#read : 0
  }

  get index(): InstanceIndex {
    return this.#reader.index
  }

  /** Of the bytes that it gives. */
  get syntax(): TransferSyntax {
    return this.#passesDeflated ? this.received : this.#reader.syntax
  }

  async next(): Promise<IteratorResult<Bytes>> {
    for (;;) {
      const chunk = this.#ready.shift()
      if (chunk !== undefined) return { done: false, value: chunk }
      if (this.#failure) throw this.#failure
      if (this.#isOver) return { done: true, value: undefined }
      try {
        await this.#more()
      } catch (error) {
        this.#failure = error as Error
        await this.return()
      }
    }
  }

  async return(): Promise<IteratorResult<Bytes>> {
    this.#isOver = true
    this.#ready.clear()
    this.#inflater?.destroy()
    await this.#source.return?.()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #identify(): Promise<void> {
    const reader = this.#reader
    while (!this.#isOver && !reader.isIdentified) {
      // A deflated stream may go on without giving anything.
      if (this.#read > MAX_IDENTITY_BYTES || this.#readyBytes > MAX_IDENTITY_BYTES) {
        if (reader.isPastIdentity) return
        throw new HeadTooLargeError(MAX_IDENTITY_BYTES)
      }
      await this.#more()
      if (this.#failure) throw this.#failure
      const { fault, headBytes } = this.index
      if (fault && !this.#isKnown) throw fault
      // One that lacks a UID is not read on for it behind its pixel data.
      if (fault || headBytes !== undefined) return
    }
  }

  get #isKnown(): boolean {
    return this.#reader.isIdentified || this.#reader.isPastIdentity
  }

  /** Reads the next chunk of the source, or its end. */
  async #more(): Promise<void> {
    const { value, done } = await this.#source.next()
    if (done) {
      this.#isOver = true
      try {
        if (this.#inflater) await this.#inflated(this.#inflater.end())
        this.#reader.end()
      } catch (error) {
        this.#failure = error as Error
      } finally {
        this.#inflater?.destroy()
      }
      if (!this.#passesDeflated) this.#offer(this.#reader.take())
      return
    }
    if (this.#passesDeflated) this.#offer([value])
    if (!this.#inflater) this.#push(value)
    // What comes behind a stream that cannot be inflated is passed over.
    else if (this.index.cutAt === undefined) await this.#inflated(this.#inflater.push(value))
  }

  async #inflated(pieces: ByteStream): Promise<void> {
    try {
      for await (const piece of pieces) this.#push(piece)
    } catch (error) {
      if (this.#strict || !(error instanceof InflateError)) throw error
      this.#reader.cut(error)
    }
  }

  #push(bytes: Bytes): void {
    this.#read += bytes.length
    this.#reader.push(bytes)
    const taken = this.#reader.take()
    if (!this.#passesDeflated) this.#offer(taken)
  }

  #offer(chunks: readonly Bytes[]): void {
    for (const chunk of chunks) {
      this.#ready.push(chunk)
      this.#readyBytes += chunk.length
    }
  }
}
