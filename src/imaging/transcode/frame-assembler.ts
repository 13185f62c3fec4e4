import { concat, type Bytes } from '../../dicom/bytes.ts'
import { beginsBitstream, type TransferSyntax } from '../../dicom/transfer-syntax.ts'
import {
  CorruptFragmentsError,
  FrameTable,
  ITEM_HEADER_BYTES,
  MAX_FRAME_FRAGMENTS,
  type Fragment,
} from '../../instance/frame-table.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { MAX_FRAME_BYTES } from '../image-description.ts'

/**
 * Puts the fragments of encapsulated pixel data together to frames as they come, by the rule of FrameTable. What was
 * given is held against what all fragments say, at their end.
 */
export class FrameAssembler {
  readonly #syntax: TransferSyntax
  readonly #frames: number
  readonly #table: FrameTable
  #isTable = true
  /** Where the next item begins, from the first fragment's. */
  #position = 0
  /** Fragments of the frame that is to be given next, and behind. */
  #pieces: { readonly offset: number; readonly bytes: Bytes }[] = []
  #held = 0
  /** Where each frame that was given began. */
  readonly #given: number[] = []

  constructor(syntax: TransferSyntax, frames: number) {
    this.#syntax = syntax
    this.#frames = frames
    this.#table = new FrameTable(syntax, frames)
  }

  /**
   * Takes the next fragment, whole; gives the frame that ends before it.
   * @throws CodestreamError
   */
  push(fragment: Bytes): Bytes | undefined {
    if (this.#isTable) {
      this.#isTable = false
      this.#table.begin(0, fragment)
      return undefined
    }
    const offset = this.#position + ITEM_HEADER_BYTES
    const { length } = fragment
    this.#add(offset, length + (length & 1), length > 0 && beginsBitstream(fragment, this.#syntax))
    this.#pieces.push({ offset, bytes: fragment })
    this.#held += length
    this.#position = offset + length + (length & 1)
    const ended = this.#given.length < this.#frames ? this.#next() : undefined
    // Of several, a frame is held with the fragment that shows where it ends.
    if (this.#held > (this.#frames === 1 ? MAX_FRAME_BYTES : 2 * MAX_FRAME_BYTES)) throw tooLarge()
    if (this.#pieces.length > 2 * MAX_FRAME_FRAGMENTS + this.#frames) {
      throw new CodestreamError(`a frame has over ${MAX_FRAME_FRAGMENTS} fragments`)
    }
    return ended
  }

  /** The last frame. @throws CodestreamError where there are not as many as there should be */
  end(): Bytes | undefined {
    this.#table.end()
    const last = this.#given.length < this.#frames ? this.#next() : undefined
    const isAsGiven = this.#given.every((start, n) => this.#located(n + 1)?.[0]?.offset === start)
    if (this.#given.length !== this.#frames || !isAsGiven || this.#held > 0) {
      throw new CodestreamError(`there are not the ${this.#frames} frames that the attributes say`)
    }
    return last
  }

  /** The next frame, if its end has been seen. */
  #next(): Bytes | undefined {
    const frame = this.#given.length + 1
    const fragments = this.#table.ended ? this.#located(frame) : this.#expected(frame)
    const first = fragments?.find(({ length }) => length > 0)
    const last = fragments?.at(-1)
    if (!first || !last) return undefined
    this.#given.push(fragments![0]!.offset)
    const pieces = this.#pieces.filter(({ offset }) => offset <= last.offset)
    this.#pieces = this.#pieces.slice(pieces.length)
    const bytes = concat(pieces.map((piece) => piece.bytes))
    this.#held -= bytes.length
    if (bytes.length > MAX_FRAME_BYTES) throw tooLarge()
    return bytes
  }

  #add(offset: number, length: number, begins: boolean): void {
    orCodestreamError(() => this.#table.add(offset, length, begins, false))
  }

  #located(frame: number): readonly Fragment[] | undefined {
    return orCodestreamError(() => this.#table.located(frame))
  }

  #expected(frame: number): readonly Fragment[] | undefined {
    return orCodestreamError(() => this.#table.expected(frame))
  }
}

function tooLarge(): CodestreamError {
  return new CodestreamError(`a frame has over ${MAX_FRAME_BYTES} bytes`)
}

function orCodestreamError<T>(look: () => T): T {
  try {
    return look()
  } catch (error) {
    throw error instanceof CorruptFragmentsError ? new CodestreamError(error.message, { cause: error }) : error
  }
}
