import type { Bytes } from '../dicom/bytes.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'

/** A fragment of encapsulated pixel data: where its bytes are in the data set. */
export interface Fragment {
  readonly offset: number
  readonly length: number
}

/** Where each frame is by the Extended Offset Table, from the first fragment's item, in bytes (PS3.3 C.7.6.3.1.8). */
export interface ExtendedOffsets {
  readonly offsets: Float64Array
  readonly lengths: Float64Array
}

/** The fragments cannot be told apart into frames. */
export class CorruptFragmentsError extends Error {
  readonly code = 'CORRUPT_FRAGMENTS'
  constructor(problem: string) {
    super(`The encapsulated pixel data cannot be cut into frames: ${problem}`)
    this.name = 'CorruptFragmentsError'
  }
}

/** Its frames need a table of some size; more than this is no image. */
export const MAX_FRAMES = 1_000_000
/** The Basic Offset Table among them: more is no image. */
export const MAX_FRAGMENTS = MAX_FRAMES + 1

/** Fragments without bytes, besides one for each frame: a few writers have some. */
export const MAX_EMPTY_FRAGMENTS = 1_000
/** Fragments of one frame: as many as the largest there may be has in pieces of 4 KiB. */
export const MAX_FRAME_FRAGMENTS = 65_536

export const ITEM_HEADER_BYTES = 8

/** The bytes of the Basic Offset Table of so many frames; of another length it is of no use (PS3.5 A.4). */
export function basicTableBytes(frames: number): number {
  return 4 * frames
}

/** What a rule says of a frame: its fragments; that it does not fit; or that more fragments are to be seen first. */
type Verdict = readonly Fragment[] | 'unfit' | 'later'

/**
 * The one rule of where frames are in encapsulated pixel data (PS3.5 A.4): by the Extended Offset Table, by the Basic
 * Offset Table, else by the number of fragments, else by where bitstreams begin. A table that does not fit the fragments
 * is passed over. Grows with the fragments, in their order; fragments without bytes are of no account.
 */
export class FrameTable {
  readonly #syntax: TransferSyntax
  readonly #frames: number
  readonly #extended: ExtendedOffsets | undefined
  #basic: Uint32Array | undefined
  /** Of the first fragment's item; undefined before the Basic Offset Table was seen. */
  #origin: number | undefined
  /** Of the value of each fragment behind the Basic Offset Table, and its bytes. */
  readonly #offsets: number[] = []
  readonly #lengths: number[] = []
  /** The numbers, from 0, of the fragments that begin a bitstream. */
  readonly #starts: number[] = []
  /** The numbers of those that have bytes. */
  readonly #filled: number[] = []
  /** Whether the last fragment that has bytes ends a bitstream. */
  #endsBitstream = false
  #ended = false
  #isCut = false
  #isBasicFit: boolean | undefined
  /** The numbers of the fragments that frames begin with, where no table says. */
  #cut: readonly number[] | undefined

  /** Of an image of so many frames. */
  constructor(syntax: TransferSyntax, frames: number, extended?: ExtendedOffsets) {
    this.#syntax = syntax
    this.#frames = frames
    this.#extended = extended
  }

  /** Every fragment has been seen. */
  get ended(): boolean {
    return this.#ended
  }

  /** Memory that it takes, in bytes. */
  get heldBytes(): number {
    const tables = 16 * (this.#extended?.offsets.length ?? 0) + 4 * (this.#basic?.length ?? 0)
    return 24 * this.#offsets.length + 8 * this.#starts.length + tables
  }

  /** The Basic Offset Table, behind whose `end` the first fragment's item begins; undefined where it is of no use. */
  begin(end: number, table: Bytes | undefined): void {
    this.#origin = end
    if (table?.length !== basicTableBytes(this.#frames)) return
    const view = new DataView(table.buffer, table.byteOffset, table.length)
    const offsets = new Uint32Array(this.#frames)
    for (let n = 0; n < offsets.length; n++) {
      const offset = view.getUint32(4 * n, true)
      if (n === 0 ? offset !== 0 : offset <= offsets[n - 1]!) return
      offsets[n] = offset
    }
    this.#basic = offsets
  }

  /** The next fragment; whether its bytes begin a bitstream, and end one. @throws CorruptFragmentsError */
  add(offset: number, length: number, begins: boolean, ends: boolean): void {
    if (this.#offsets.length + 1 >= MAX_FRAGMENTS) throw new CorruptFragmentsError('there is no end to the fragments')
    const empty = this.#offsets.length - this.#filled.length
    if (length === 0 && empty >= this.#frames + MAX_EMPTY_FRAGMENTS) {
      throw new CorruptFragmentsError('there is no end to fragments without bytes')
    }
    if (begins) this.#starts.push(this.#offsets.length)
    if (length > 0) {
      this.#filled.push(this.#offsets.length)
      this.#endsBitstream = ends
    }
    this.#offsets.push(offset)
    this.#lengths.push(length)
  }

  /** There are no more. */
  end(): void {
    this.#ended = true
  }

  /** More cannot be seen, though there should be: frames are located as far as they are sure to be whole. */
  cutShort(): void {
    this.#isCut = true
  }

  /** All fragments behind the Basic Offset Table, so far; made as they are looked at, since there may be a million. */
  get fragments(): Iterable<Fragment> {
    const [offsets, lengths] = [this.#offsets, this.#lengths]
    return {
      *[Symbol.iterator]() {
        for (let n = 0; n < offsets.length; n++) yield { offset: offsets[n]!, length: lengths[n]! }
      },
    }
  }

  /**
   * The fragments of a frame, counted from 1; undefined while more are to be seen before that is certain.
   * @throws CorruptFragmentsError
   */
  located(frame: number): readonly Fragment[] | undefined {
    if (this.#origin === undefined) {
      if (this.#ended) throw new CorruptFragmentsError('there is not even a Basic Offset Table')
      return undefined
    }
    const verdict = this.#byTables(frame)
    if (verdict === 'later') return undefined
    if (verdict !== 'unfit') return verdict
    if (this.#isCut) return this.#byBitstreams(frame)
    return this.#ended ? this.#byFragments(frame) : undefined
  }

  /**
   * The same as soon as it is likely, for who takes the frames in their order as they come and holds them against
   * `located` in the end.
   * @throws CorruptFragmentsError
   */
  expected(frame: number): readonly Fragment[] | undefined {
    const certain = this.located(frame)
    if (certain !== undefined || this.#frames === 1 || this.#origin === undefined) return certain
    const verdict = this.#byTables(frame, true)
    if (verdict !== 'unfit') return verdict === 'later' ? undefined : verdict
    const starts = this.#syntax.fragmentIsFrame ? this.#filled : this.#starts
    const [from, to] = [starts[frame - 1], starts[frame]]
    return from === undefined || to === undefined ? undefined : this.#slice(from, to)
  }

  /** The fragment that a byte of the data set is of; undefined where there is none, or it has not been seen. */
  around(position: number): Fragment | undefined {
    let [low, high] = [0, this.#offsets.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#offsets[middle]! <= position) low = middle + 1
      else high = middle
    }
    const [offset, length] = [this.#offsets[low - 1], this.#lengths[low - 1]]
    return offset !== undefined && position < offset + length! ? { offset, length: length! } : undefined
  }

  /** Where the first byte is that a frame may have; undefined where that is not known yet. */
  startOf(frame: number): number | undefined {
    if (this.#origin === undefined) return undefined
    if (frame === 1) return this.#origin
    const offset = this.#extended?.offsets[frame - 1] ?? this.#basic?.[frame - 1]
    return offset === undefined ? undefined : this.#origin + offset
  }

  /** `likely`: what a Basic Offset Table says is taken before it is held against all fragments. */
  #byTables(frame: number, likely = false): Verdict {
    const verdict = this.#byExtended(frame)
    return verdict === 'unfit' ? this.#byBasic(frame, likely) : verdict
  }

  #byExtended(frame: number): Verdict {
    const [offset, length] = [this.#extended?.offsets[frame - 1], this.#extended?.lengths[frame - 1]]
    if (offset === undefined || length === undefined) return 'unfit'
    const number = this.#numberAt(offset)
    if (typeof number !== 'number') return number
    // PS3.3 C.7.6.3.1.8: one fragment a frame, its length without the pad.
    const padding = this.#lengths[number]! - length
    if (padding !== 0 && padding !== 1) return 'unfit'
    const next = this.#extended!.offsets[frame]
    const isLast = number === this.#offsets.length - 1
    if (next === undefined && isLast && !this.#ended && !this.#isCut) return 'later'
    const isAlone = next !== undefined ? this.#origin! + next === this.#endOf(number) : isLast
    return isAlone ? [{ offset: this.#offsets[number]!, length }] : 'unfit'
  }

  #byBasic(frame: number, likely: boolean): Verdict {
    const offset = this.#basic?.[frame - 1]
    if (offset === undefined || (this.#ended && !this.#fitsBasic)) return 'unfit'
    const first = this.#numberAt(offset)
    if (typeof first !== 'number') return first
    const next = this.#basic![frame]
    if (next === undefined) {
      const isAll = this.#ended || (this.#isCut && this.#endsBitstream && !this.#hasStartWithin(first, Infinity))
      return isAll ? this.#slice(first) : 'later'
    }
    // The next frame has to begin where the table says.
    const end = this.#numberAt(next)
    if (typeof end !== 'number') return end
    // Where more bitstreams than one begin in a frame the table may have missed some: all of it is held against what comes.
    return this.#ended || likely || !this.#hasStartWithin(first, end) ? this.#slice(first, end) : 'later'
  }

  /** Whether the Basic Offset Table names a fragment for each frame, once all have been seen. */
  get #fitsBasic(): boolean {
    this.#isBasicFit ??= this.#namesFragments(this.#basic!)
    return this.#isBasicFit
  }

  /** Whether fragments begin at all of some offsets. Both ascend: each is passed once. */
  #namesFragments(offsets: Uint32Array): boolean {
    let number = 0
    for (const offset of offsets) {
      const value = this.#origin! + offset + ITEM_HEADER_BYTES
      while (number < this.#offsets.length && this.#offsets[number]! < value) number++
      if (this.#offsets[number] !== value) return false
    }
    return true
  }

  /** Whether a bitstream begins in a fragment behind the first of some. */
  #hasStartWithin(first: number, end: number): boolean {
    let [low, high] = [0, this.#starts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#starts[middle]! <= first) low = middle + 1
      else high = middle
    }
    return low < this.#starts.length && this.#starts[low]! < end
  }

  #byFragments(frame: number): readonly Fragment[] {
    if (this.#frames === 1) return this.#slice(0)
    this.#cut ??= this.#cutIntoFrames()
    return this.#slice(this.#cut[frame - 1]!, this.#cut[frame])
  }

  /**
   * A frame of pixel data that is cut: each fragment is a bitstream, or all are one. The last is known to be whole by its
   * end.
   */
  #byBitstreams(frame: number): readonly Fragment[] | undefined {
    const [starts, filled] = [this.#starts, this.#filled]
    if (this.#frames === 1) {
      const isOne = this.#syntax.fragmentIsFrame ? filled.length === 1 : starts.length === 1 && starts[0] === filled[0]
      return isOne && this.#endsBitstream ? this.#slice(0) : undefined
    }
    const isEach = this.#syntax.fragmentIsFrame || starts.length === filled.length
    const number = isEach && filled.length <= this.#frames ? filled[frame - 1] : undefined
    // Behind a fragment without bytes it depends on those to come whether that is a frame.
    if (number !== frame - 1 || (frame === filled.length && !this.#endsBitstream)) return undefined
    return this.#slice(number, filled[frame])
  }

  #cutIntoFrames(): readonly number[] {
    const count = this.#offsets.length
    if (count === this.#frames) return this.#offsets.map((_, number) => number)
    if (this.#filled.length === this.#frames) return this.#filled
    if (this.#filled.length < this.#frames) {
      throw new CorruptFragmentsError(`${count} fragments are too few for ${this.#frames} frames`)
    }
    if (this.#starts.length !== this.#frames || this.#starts[0] !== this.#filled[0]) {
      throw new CorruptFragmentsError(
        `${this.#starts.length} bitstreams begin in them, there should be ${this.#frames}`,
      )
    }
    return this.#starts
  }

  /** The number of the fragment whose item begins at an offset from the first one's. */
  #numberAt(offset: number): number | 'unfit' | 'later' {
    const value = this.#origin! + offset + ITEM_HEADER_BYTES
    let [low, high] = [0, this.#offsets.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#offsets[middle]! < value) low = middle + 1
      else high = middle
    }
    if (this.#offsets[low] === value) return low
    return low === this.#offsets.length && !this.#ended ? 'later' : 'unfit'
  }

  #endOf(number: number): number {
    return this.#offsets[number]! + this.#lengths[number]!
  }

  #slice(from: number, to = this.#offsets.length): readonly Fragment[] {
    if (to - from > MAX_FRAME_FRAGMENTS) {
      throw new CorruptFragmentsError(`a frame has over ${MAX_FRAME_FRAGMENTS} of them`)
    }
    const fragments: Fragment[] = []
    for (let n = from; n < to; n++) fragments.push({ offset: this.#offsets[n]!, length: this.#lengths[n]! })
    return fragments
  }
}
