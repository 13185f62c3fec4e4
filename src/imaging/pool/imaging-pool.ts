import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { CodecStoppedError, CodestreamError } from '../codecs/codec-error.ts'
import type { Picture } from '../picture/picture.ts'
import type { DrawingPlan } from '../draw/drawing-plan.ts'
import { FrameNotEncodedError } from '../codecs/encode-frame.ts'
import { UnusableImageError, type ImageDescription } from '../image-description.ts'
import { Turns } from './turns.ts'
import type { Outcome, Task } from './worker.ts'

export interface ImagingOptions {
  /** Threads that decode, encode and draw; null: as many as processors less one. */
  readonly threads: number | null
  /** Milliseconds a frame may take. */
  readonly timeout: number
}

/** The frames that wait for a thread have as many bytes as they may have: MAX_WAITING_BYTES. */
export class ImagingBusyError extends Error {
  readonly code = 'IMAGING_BUSY'
  constructor() {
    super(`Frames that wait to be decoded, encoded or drawn have ${MAX_WAITING_BYTES} bytes, or would have more`)
    this.name = 'ImagingBusyError'
  }
}

/** Bytes of all frames that wait for a thread; a frame that would exceed it is refused, unless it waits alone. */
export const MAX_WAITING_BYTES = 512 * 1024 * 1024
/** Heap of a thread in MiB, which the memory of codecs is not part of. */
const THREAD_HEAP_MIB = 512
/** Milliseconds that an idle thread is kept: it holds compiled codecs. */
const THREAD_IDLE_MS = 60_000

/**
 * Threads in which frames are decoded, encoded and drawn, one frame at a time each, so that no request waits for a
 * codec.
 */
export class ImagingPool implements AsyncDisposable {
  readonly #options: ImagingOptions
  readonly #threads: number
  #piscina: Piscina<Task, Outcome<Bytes | Picture>> | undefined
  #isOver = false
  #waitingBytes = 0
  readonly #turns: Turns
  readonly #animations: Turns

  constructor(options: ImagingOptions) {
    this.#options = options
    this.#threads = options.threads ?? Math.max(1, availableParallelism() - 1)
    this.#turns = new Turns(this.#threads)
    this.#animations = new Turns(this.#threads)
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return this.#turns.stats
  }

  /**
   * A native frame from one of encapsulated pixel data; see decodeFrame.
   * @throws CodestreamError, CodecStoppedError, ImagingBusyError, the signal's reason while it waits for a thread
   */
  decode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#frame({ kind: 'decode', frame, image, syntax }, returned, signal) as Promise<Bytes>
  }

  /** A frame of encapsulated pixel data from a native one; see encodeFrame. @throws as decode; FrameNotEncodedError */
  encode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#frame({ kind: 'encode', frame, image, syntax }, returned, signal) as Promise<Bytes>
  }

  /**
   * Draws a frame, native or encapsulated in `syntax`, and gives what `finish` makes of the picture in the milliseconds
   * it is told. That is part of the frame's turn: a picture is far larger than its frame, and so never waits.
   * @throws as decode; UnusableImageError, and what `finish` throws
   */
  draw<T>(
    frame: Bytes,
    plan: DrawingPlan,
    syntax: Uid | undefined,
    finish: (picture: Picture, timeout: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const task: Task = { kind: 'draw', frame, plan, syntax }
    return this.#frame(task, (picture, timeout) => finish(picture as Picture, timeout), signal)
  }

  /**
   * Makes an animation. There are at most as many at once as threads, since each holds all its pictures. `work` draws
   * its frames, and encodes them in a turn of its own.
   * @throws the signal's reason while it waits, and what the work throws
   */
  animate<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#animations.run(work, signal)
  }

  /**
   * Does work of other threads in the place of a frame: all together take no more processors than there are threads
   * here. The work is told how many milliseconds a frame may take.
   * @throws the signal's reason while it waits, and what the work throws
   */
  inTurn<T>(work: (timeout: number) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#turns.run(() => work(this.#options.timeout), signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#piscina?.destroy()
  }

  async #frame<T>(
    task: Task,
    finish: (result: Bytes | Picture, timeout: number) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    signal.throwIfAborted()
    const bytes = this.#turns.isFull ? sizeOf(task) : 0
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > MAX_WAITING_BYTES) throw new ImagingBusyError()
    this.#waitingBytes += bytes
    let isWaiting = true
    const leave = (): void => {
      if (isWaiting) this.#waitingBytes -= bytes
      isWaiting = false
    }
    const { timeout } = this.#options
    try {
      return await this.#turns.run(async () => {
        leave()
        return finish(await this.#run(task), timeout)
      }, signal)
    } finally {
      leave()
    }
  }

  async #run(task: Task): Promise<Bytes | Picture> {
    // The time of a frame begins here: it does not count its wait for a thread.
    const late = AbortSignal.timeout(this.#options.timeout)
    try {
      if (this.#isOver) throw new CodecStoppedError()
      const frame = Uint8Array.from(task.frame)
      const transferList = [frame.buffer]
      const outcome = await this.#pool.run({ ...task, frame }, { signal: late, transferList, name: 'run' })
      if ('result' in outcome) return outcome.result
      throw faultOf(outcome)
    } catch (error) {
      throw late.aborted || isOutOfMemory(error) ? new CodecStoppedError({ cause: error }) : error
    }
  }

  get #pool(): Piscina<Task, Outcome<Bytes | Picture>> {
    // TypeScript rewrites imports, not URLs.
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    if (this.#piscina) return this.#piscina
    const pool = new Piscina<Task, Outcome<Bytes | Picture>>({
      filename: new URL(file, import.meta.url).href,
      minThreads: 0,
      maxThreads: this.#threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: THREAD_IDLE_MS,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
    })
    // A late frame, or one of a pool that is over, may still fail: an error event without a listener ends the process.
    pool.on('error', () => undefined)
    this.#piscina = pool
    return pool
  }
}

const returned = async (result: Bytes | Picture): Promise<Bytes | Picture> => result

/** Bytes that a task holds while it waits. */
function sizeOf(task: Task): number {
  const { length } = task.frame
  if (task.kind !== 'draw') return length
  return task.plan.overlays.reduce((sum, { plane }) => sum + (plane.kind === 'bits' ? plane.bits.length : 0), length)
}

/** The error that a fault of worker.ts stands for. */
function faultOf({ fault, problem }: Exclude<Outcome<unknown>, { result: unknown }>): Error {
  switch (fault) {
    case 'codestream':
      return new CodestreamError(problem)
    case 'image':
      return new UnusableImageError(problem)
    case 'encoding':
      return new FrameNotEncodedError()
  }
}

/** Whether a thread ended for want of memory, or a buffer could not be allocated. */
function isOutOfMemory(error: unknown): boolean {
  if (error instanceof RangeError) return true
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_WORKER')
}
