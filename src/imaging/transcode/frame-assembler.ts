import { beginsBitstream } from '../../dicom/bitstream-start.ts'
import { concat, type Bytes } from '../../dicom/bytes.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { MAX_FRAME_BYTES } from '../image-description.ts'

const PREFIX = '1.2.840.10008.1.2'
/** Syntaxes in which a fragment is a frame (PS3.5 A.4.2, A.4.11, A.4.13). */
const ONE_EACH = ['.5', '.1.98', '.8.1'].map((suffix) => PREFIX + suffix)
const ITEM_HEADER_BYTES = 8

/**
 * Puts the fragments of encapsulated pixel data together to frames as they come (PS3.5 A.4): by the Basic Offset Table,
 * where it is of use, else by where bitstreams begin.
 */
export class FrameAssembler {
  readonly #frames: number
  readonly #isOneEach: boolean
  /** Where each frame begins, from the first fragment's item; undefined where no table says. */
  readonly #syntax: Uid
  #offsets: readonly number[] | undefined
  #isTable = true
  #position = 0
  #pieces: Bytes[] = []
  #size = 0
  #given = 0

  constructor(syntax: TransferSyntax, frames: number) {
    this.#syntax = syntax.uid
    this.#frames = frames
    this.#isOneEach = ONE_EACH.includes(syntax.uid)
  }

  /**
   * Takes the next fragment, whole; gives the frame that ends before it.
   * @throws CodestreamError
   */
  push(fragment: Bytes): Bytes | undefined {
    if (this.#isTable) {
      this.#isTable = false
      this.#offsets = this.#frames > 1 ? readOffsets(fragment, this.#frames) : undefined
      return undefined
    }
    const ended = this.#size > 0 && this.#frames > 1 && this.#isStart(fragment) ? this.#take() : undefined
    this.#size += fragment.length
    if (this.#size > MAX_FRAME_BYTES) throw new CodestreamError(`a frame has over ${MAX_FRAME_BYTES} bytes`)
    this.#pieces.push(fragment)
    this.#position += ITEM_HEADER_BYTES + fragment.length + (fragment.length & 1)
    return ended
  }

  /** The last frame. @throws CodestreamError where there are not as many as there should be */
  end(): Bytes | undefined {
    const last = this.#size > 0 ? this.#take() : undefined
    if (this.#given !== this.#frames) {
      throw new CodestreamError(`there are ${this.#given} frames, the attributes say ${this.#frames}`)
    }
    return last
  }

  #isStart(fragment: Bytes): boolean {
    if (this.#isOneEach) return true
    if (this.#offsets) {
      const next = this.#offsets[this.#given + 1]
      if (next === undefined || this.#position <= next) return this.#position === next
      // A table that does not fit the fragments is of no use any more.
      this.#offsets = undefined
    }
    return beginsBitstream(fragment, this.#syntax)
  }

  #take(): Bytes {
    const frame = concat(this.#pieces)
    this.#pieces = []
    this.#size = 0
    if (++this.#given > this.#frames) throw new CodestreamError(`there are more than ${this.#frames} frames`)
    return frame
  }
}

function readOffsets(table: Bytes, frames: number): readonly number[] | undefined {
  if (table.length !== 4 * frames) return undefined
  const view = new DataView(table.buffer, table.byteOffset, table.length)
  const offsets = Array.from({ length: frames }, (_, n) => view.getUint32(4 * n, true))
  return offsets.every((offset, n) => (n === 0 ? offset === 0 : offset > offsets[n - 1]!)) ? offsets : undefined
}
