import { channel } from 'node:diagnostics_channel'
import type { Bytes } from '../dicom/bytes.ts'
import { Notifier } from '../dicom/notifier.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Instance, InstanceUids } from '../pacs/instance.ts'
import { toKeep } from './held-bytes.ts'

/** Bytes that were kept for long and are let go, for who collects by them: src/memory.ts. */
const buffersLetGo = channel('dimsegate:buffers-let-go')

/** Of an instance that is not kept, so much stays behind the reader that is farthest, for those close behind. */
export const WINDOW_BYTES = 8 * 1024 * 1024

/** So many chunks dropped at once had been kept for a while. */
const MANY_CHUNKS = 64

/** What is asked for has been dropped already: the instance is to be fetched anew. */
export class NoLongerHeldError extends Error {
  readonly code = 'NO_LONGER_HELD'
  constructor() {
    super('The bytes are no longer in memory')
    this.name = 'NoLongerHeldError'
  }
}

/**
 * Told how far the farthest reader of an instance is while it comes, in bytes from its start; says whether others may be
 * close behind.
 */
export type Progress = (position: number) => boolean

/** The data set of one instance, as far as it has come. Read by any number of readers, each from any byte. */
export class HeldInstance implements InstanceUids {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
  readonly syntax: TransferSyntax
  /** Memory it takes, once it is whole. */
  heldBytes = 0
  #chunks: Bytes[] = []
  /** Offset of each chunk, and behind the last. */
  #starts = [0]
  #state: 'filling' | 'whole' | 'failed' = 'filling'
  #failure: unknown
  #passing = false
  #farthest = 0
  #shared = false
  readonly #changed = new Notifier()
  #progress: Progress | undefined

  constructor(instance: Omit<Instance, 'body'>, progress: Progress) {
    this.sopClass = instance.sopClass
    this.sopInstance = instance.sopInstance
    this.study = instance.study
    this.series = instance.series
    this.syntax = instance.syntax
    this.#progress = progress
  }

  get whole(): boolean {
    return this.#state === 'whole'
  }

  /** It is not kept: what the readers are past is dropped. */
  get passing(): boolean {
    return this.#passing
  }

  get size(): number {
    return this.#starts.at(-1)!
  }

  append(chunk: Bytes): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#starts.push(this.size + chunk.length)
    if (this.#passing) this.#drop()
    this.#wake()
  }

  pass(): void {
    this.#passing = true
    this.#drop()
  }

  /** Somebody who does not need it is past it: only close readers still find its bytes. */
  overtake(): void {
    this.#farthest = this.size
  }

  finish(): void {
    this.#state = 'whole'
    this.#progress = undefined
    if (!this.#passing) {
      const { chunks, heldBytes } = toKeep(this.#chunks)
      this.#chunks = [...chunks]
      this.heldBytes = heldBytes
      let at = 0
      this.#starts = [0, ...chunks.map(({ length }) => (at += length))]
    }
    this.#wake()
  }

  fail(error: unknown): void {
    if (this.#state !== 'filling') return
    this.#state = 'failed'
    this.#failure = error
    this.#wake()
  }

  /**
   * The bytes from an offset, up to another or the end of the data set, as they come. What lies behind the end of the
   * data set is not there, which is no error.
   * @throws NoLongerHeldError; what failed the retrieval; the signal's reason
   */
  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes> {
    const onAbort = (): void => this.#wake()
    signal.addEventListener('abort', onAbort)
    try {
      let position = from
      while (position < to) {
        signal.throwIfAborted()
        this.#advance(position)
        const chunk = this.#at(position, to)
        if (chunk !== undefined) {
          yield chunk
          position += chunk.length
        } else if (this.#state === 'whole') return
        else if (this.#state === 'failed') throw this.#failure
        else await this.#changed.changed
      }
      this.#advance(position)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #at(position: number, to: number): Bytes | undefined {
    if (position < this.#starts[0]!) throw new NoLongerHeldError()
    if (position >= this.size) return undefined
    const index = lastNotAbove(this.#starts, position)
    const start = this.#starts[index]!
    return this.#chunks[index]!.subarray(position - start, to - start)
  }

  #advance(position: number): void {
    if (position <= this.#farthest) return
    this.#farthest = position
    this.#shared = this.#progress?.(position) ?? this.#shared
    if (this.#passing) this.#drop()
  }

  #drop(): void {
    const behind = this.#shared ? WINDOW_BYTES : 0
    let count = 0
    while (count < this.#chunks.length && this.#starts[count + 1]! + behind <= this.#farthest) count++
    if (count === 0) return
    if (count > MANY_CHUNKS) buffersLetGo.publish(this.#starts[count]! - this.#starts[0]!)
    this.#chunks.splice(0, count)
    this.#starts.splice(0, count)
  }

  #wake(): void {
    this.#changed.notify()
  }
}

function lastNotAbove(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (sorted[middle]! <= value) low = middle
    else high = middle - 1
  }
  return low
}
