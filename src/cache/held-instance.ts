import { channel } from 'node:diagnostics_channel'
import type { Bytes } from '../dicom/bytes.ts'
import { Notifier } from '../dicom/notifier.ts'
import { DamagedInstanceError } from '../instance/damage.ts'
import { Described } from '../instance/description.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'
import type { Instance } from '../pacs/instance.ts'
import { ChunkRun } from './chunk-run.ts'
import { toKeep } from './held-bytes.ts'
import { NoLongerHeldError, type KeptInstance, type Pin } from './kept-instance.ts'

/** Bytes that were kept for long and are let go, for who collects by them: src/memory.ts. */
const buffersLetGo = channel('dimsegate:buffers-let-go')

/** Of an instance that is not kept, so much stays behind the reader that is farthest, for those close behind. */
export const WINDOW_BYTES = 8 * 1024 * 1024
/** The same of an instance that is read in parts by one request after another: frames that a viewer has yet to take. */
export const PARTS_WINDOW_BYTES = 64 * 1024 * 1024
/** Of the head of an instance that is not kept, so much stays as long as somebody may look something up in it. */
export const MAX_HELD_HEAD_BYTES = 256 * 1024 * 1024

/** So many bytes dropped at once had been kept for a while. */
const MANY_BYTES = 4 * 1024 * 1024

/** The flight that brings an instance, as far as the instance is concerned. */
export interface Bringer {
  /** When it began, by performance.now(). */
  readonly began: number
  /** SOP Instance UIDs of what was replaced at the archive since then; it grows. */
  readonly replaced: ReadonlySet<string>
  /** The reader that is farthest is at this byte of the instance. */
  advanced(position: number): void
  /** Somebody waits for what has yet to come, however far that is. Call what is returned when that is over. */
  hurry(): () => void
  /** Others may be close behind the reader that is farthest. */
  readonly isShared: boolean
  /** The instance is read in parts, by one request after another. */
  readonly isForParts: boolean
}

/** Where bytes that are no longer in memory can be read: those from the start up to `end`, which grows. */
export interface Spill {
  readonly end: number
  /** It is not written any further, and what is there is not to be read any more. */
  readonly isAbandoned: boolean
  /** @throws NoLongerHeldError; the signal's reason */
  bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes>
}

/** Where an instance stands: it only ever goes on from `filling` to one of the others. */
type Phase =
  | { readonly kind: 'filling'; readonly bringer: Bringer }
  /** `at`: since when, on the clock of performance.now. */
  | { readonly kind: 'whole'; readonly at: number }
  /** It came to its end, and is damaged: what is in front of the damage can be read. */
  | { readonly kind: 'damaged'; readonly error: DamagedInstanceError }
  | { readonly kind: 'failed'; readonly error: unknown }

let arrivals = 0

/** The data set of one instance, as far as it has come. Read by any number of readers, each from any byte. */
export class HeldInstance extends Described implements KeptInstance {
  readonly index: InstanceIndex
  readonly arrival = ++arrivals
  readonly askedAt: number
  readonly #replaced: ReadonlySet<string>
  /** Memory it takes, once it is whole. */
  heldBytes = 0
  /** Chunks of the head that stay though what is behind them was dropped. */
  readonly #head = new ChunkRun(0)
  #chunks = new ChunkRun(0)
  #phase: Phase
  #passing = false
  #farthest = 0
  readonly #pins = new Set<Pin>()
  readonly #changed = new Notifier()
  readonly #isForParts: boolean
  #spill: Spill | undefined

  constructor(instance: Omit<Instance, 'body'>, bringer: Bringer) {
    super(instance)
    this.askedAt = bringer.began
    this.#replaced = bringer.replaced
    this.index = instance.index
    this.#phase = { kind: 'filling', bringer }
    this.#isForParts = bringer.isForParts
  }

  get whole(): boolean {
    return this.#phase.kind === 'whole'
  }

  /** When it was whole, on the clock of performance.now; of one that is not, never. */
  get wholeAt(): number {
    return this.#phase.kind === 'whole' ? this.#phase.at : Infinity
  }

  get #bringer(): Bringer | undefined {
    return this.#phase.kind === 'filling' ? this.#phase.bringer : undefined
  }

  get isDamaged(): boolean {
    return this.#phase.kind === 'damaged'
  }

  /** More of it will come. */
  get isComing(): boolean {
    return this.#phase.kind === 'filling'
  }

  get isOutdated(): boolean {
    return this.#replaced.has(this.sopInstance)
  }

  /** It is not kept: what the readers are past is dropped. */
  get passing(): boolean {
    return this.#passing
  }

  get size(): number {
    return this.#chunks.end
  }

  get isLosable(): boolean {
    return this.#spill !== undefined
  }

  /** What is dropped from now on can be read there. */
  spillTo(spill: Spill): void {
    this.#spill = spill
  }

  append(chunk: Bytes): void {
    if (chunk.length === 0) return
    this.#chunks.append(chunk)
    if (this.#passing) this.#drop()
    this.#changed.notify()
  }

  pass(): void {
    this.#passing = true
    this.#drop()
  }

  /** Somebody who does not need it is past it: only close readers still find its bytes. */
  overtake(): void {
    this.#farthest = this.size
  }

  /** All of it has come that will. */
  finish(): void {
    const { damage } = this.index
    this.#phase = damage
      ? { kind: 'damaged', error: new DamagedInstanceError(damage) }
      : { kind: 'whole', at: performance.now() }
    if (!this.#passing) {
      const { chunks, heldBytes } = toKeep(this.#chunks.chunks)
      this.#chunks = new ChunkRun(0)
      for (const chunk of chunks) this.#chunks.append(chunk)
      this.heldBytes = heldBytes + this.index.heldBytes
    }
    this.#changed.notify()
  }

  fail(error: unknown): void {
    if (!this.isComing) return
    this.#phase = { kind: 'failed', error }
    this.#changed.notify()
  }

  holds(from: number, to = from + 1): boolean {
    if (from >= this.#chunks.start) return true
    // What is on disk goes on in memory, unless the disk is behind.
    if (from < this.#spilled) return to <= this.#spilled || this.#spilled >= this.#chunks.start
    return to <= this.#headEnd || (from < this.#headEnd && this.#headEnd === this.#chunks.start)
  }

  /** Up to here the head is held; its last chunk may reach into what was dropped. */
  get #headEnd(): number {
    const { end } = this.#head
    return end < this.#chunks.start ? Math.min(end, this.index.headBytes ?? end) : end
  }

  pin(pin: Pin): void {
    this.#pins.add(pin)
  }

  unpin(pin: Pin): void {
    this.#pins.delete(pin)
  }

  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes> {
    const pin: Pin = { position: from }
    this.#pins.add(pin)
    try {
      yield* this.#read(pin, to, signal, true)
    } finally {
      this.#pins.delete(pin)
    }
  }

  /**
   * All bytes as they come, for one who goes along: he does not count as a reader, so that nothing comes sooner or stays
   * longer for him.
   * @throws as `bytes`
   */
  along(signal: AbortSignal): AsyncGenerator<Bytes> {
    return this.#read({ position: 0 }, Infinity, signal, false)
  }

  async *#read(pin: Pin, to: number, signal: AbortSignal, isReader: boolean): AsyncGenerator<Bytes> {
    using _ = this.#changed.following(signal)
    // Before the first byte: what then is not there can be had from another retrieval.
    if (isReader && !this.holds(pin.position, to)) throw new NoLongerHeldError()
    while (pin.position < to) {
      signal.throwIfAborted()
      if (isReader) this.#advance(pin.position)
      const spill = isReader ? this.#spillAt(pin.position) : undefined
      if (spill) {
        for await (const chunk of spill.bytes(pin.position, Math.min(to, spill.end), signal)) {
          yield chunk
          pin.position += chunk.length
        }
        continue
      }
      const chunk = this.#at(pin.position, to)
      if (chunk !== undefined) {
        yield chunk
        pin.position += chunk.length
      } else if (this.whole) return
      else if ('error' in this.#phase) throw this.#phase.error
      else await this.#changed.changed
    }
    if (isReader) this.#advance(pin.position)
  }

  async until(
    ready: (index: InstanceIndex) => boolean,
    pin: Pin,
    needs: () => number | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (ready(this.index)) return
    using _ = this.#changed.following(signal)
    const calm = this.#bringer?.hurry()
    try {
      for (;;) {
        signal.throwIfAborted()
        if (this.#phase.kind === 'failed') throw this.#phase.error
        if (!this.isComing || this.index.fault) return
        pin.position = needs() ?? pin.position
        await this.#changed.changed
        if (ready(this.index)) return
      }
    } finally {
      calm?.()
    }
  }

  /** Where the byte at a position is, if it was dropped. */
  #spillAt(position: number): Spill | undefined {
    if (position < this.#headEnd || position >= this.#chunks.start) return undefined
    return position < this.#spilled ? this.#spill : undefined
  }

  get #spilled(): number {
    return this.#spill?.isAbandoned === false ? this.#spill.end : 0
  }

  #at(position: number, to: number): Bytes | undefined {
    if (position < this.#headEnd) return this.#head.at(position, Math.min(to, this.#headEnd))
    if (position < this.#chunks.start) throw new NoLongerHeldError()
    return position < this.size ? this.#chunks.at(position, to) : undefined
  }

  #advance(position: number): void {
    this.#bringer?.advanced(position)
    // Who waits for a byte that is far from coming does not drive out what others are about to read.
    const reached = Math.min(position, this.size)
    if (reached <= this.#farthest) return
    this.#farthest = reached
    if (this.#passing) this.#drop()
  }

  #drop(): void {
    const window = this.#isForParts ? PARTS_WINDOW_BYTES : WINDOW_BYTES
    const isShared = this.#isForParts || this.#bringer?.isShared === true
    let needed = isShared ? this.#farthest - window : this.#farthest
    let keepsHead = this.#isForParts
    for (const { position, isOfRequest = false } of this.#pins) {
      needed = Math.min(needed, position)
      keepsHead ||= isOfRequest && position < Infinity
    }
    let { start } = this.#chunks
    // What has yet to be written stays, as long as what came is not farther ahead than the window.
    const unwritten = this.#spill?.isAbandoned === false ? Math.max(this.#spill.end, this.size - window) : Infinity
    const dropped = this.#chunks.takeBefore(Math.min(Math.max(needed, this.#farthest - window), unwritten))
    const headBytes = keepsHead ? Math.min(this.index.headBytes ?? Infinity, MAX_HELD_HEAD_BYTES) : 0
    let bytes = 0
    for (const chunk of dropped) {
      // What was let go before leaves a gap that nothing can be held behind.
      if (start === this.#head.end && start < headBytes) this.#head.append(chunk)
      else bytes += chunk.length
      start += chunk.length
    }
    if (bytes > MANY_BYTES) buffersLetGo.publish(bytes)
  }
}
