import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import type { Bytes } from '../dicom/bytes.ts'
import type { Uid } from '../dicom/uids.ts'
import { CodecStoppedError, CodestreamError } from './codec-error.ts'
import type { Picture } from './draw-frame.ts'
import type { Drawing } from './drawing.ts'
import { FrameNotEncodedError } from './encode-frame.ts'
import { UnusableImageError, type ImageDescription } from './image-description.ts'
import type { Outcome, Task } from './worker.ts'

export interface ImagingOptions {
  /** Threads that decode, encode and draw; one for each processor but one unless told. */
  readonly threads: number | null
  /** Milliseconds a frame may take. */
  readonly timeout: number
}

/** The frames and pictures that wait hold all the memory they may: there is more to do than the threads can. */
export class ImagingBusyError extends Error {
  readonly code = 'IMAGING_BUSY'
  constructor() {
    super(`Frames of over ${MAX_WAITING_BYTES} bytes wait to be decoded, encoded or drawn`)
    this.name = 'ImagingBusyError'
  }
}

/** Of all frames and pictures that wait for their turn: a frame that comes when they have so much is refused. */
export const MAX_WAITING_BYTES = 512 * 1024 * 1024
/** Memory of a thread besides that of codecs, in MiB. */
const THREAD_HEAP_MIB = 512
/** How long a thread is kept that has nothing to do, in ms: it holds compiled codecs. */
const THREAD_IDLE_MS = 60_000

/** Threads in which frames are decoded, encoded and drawn, one frame at a time each, so that no request waits for a codec. */
export class ImagingPool implements AsyncDisposable {
  readonly #options: ImagingOptions
  readonly #threads: number
  #piscina: Piscina<Task, Outcome<Bytes | Picture>> | undefined
  #running = 0
  #isOver = false
  #waitingBytes = 0
  readonly #waiters: (() => void)[] = []

  constructor(options: ImagingOptions) {
    this.#options = options
    this.#threads = options.threads ?? Math.max(1, availableParallelism() - 1)
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiters.length }
  }

  /**
   * A native frame from one of encapsulated pixel data; see decodeFrame.
   * @throws CodestreamError, CodecStoppedError, ImagingBusyError, the signal's reason while it waits for a thread
   */
  decode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#run({ kind: 'decode', frame, image, syntax }, signal) as Promise<Bytes>
  }

  /** A frame of encapsulated pixel data from a native one; see encodeFrame. @throws as decode; FrameNotEncodedError */
  encode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#run({ kind: 'encode', frame, image, syntax }, signal) as Promise<Bytes>
  }

  /** The picture of a frame, native or encapsulated in `syntax`. @throws as decode; UnusableImageError */
  draw(frame: Bytes, drawing: Drawing, syntax: Uid | undefined, signal: AbortSignal): Promise<Picture> {
    return this.#run({ kind: 'draw', frame, drawing, syntax }, signal) as Promise<Picture>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#piscina?.destroy()
  }

  /**
   * Does work of other threads in the place of a frame: all together take no more processors than there are threads here.
   * `bytes` are held while it waits, which it may whatever else waits: its frames were let in before. The work is told
   * how many milliseconds it may take.
   * @throws the signal's reason while it waits, and what the work throws
   */
  async inTurn<T>(bytes: number, work: (timeout: number) => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(bytes, signal)
    try {
      return await work(this.#options.timeout)
    } finally {
      const next = this.#waiters.shift()
      // The place is handed on, not freed: nobody overtakes.
      if (next) next()
      else this.#running--
    }
  }

  async #run(task: Task, signal: AbortSignal): Promise<Bytes | Picture> {
    signal.throwIfAborted()
    const { length } = task.frame
    if (this.#waiters.length > 0 && this.#waitingBytes + length > MAX_WAITING_BYTES) throw new ImagingBusyError()
    return this.inTurn(length, (timeout) => this.#runNow(task, timeout), signal)
  }

  async #runNow(task: Task, timeout: number): Promise<Bytes | Picture> {
    // Its time begins here: waiting for a thread is no fault of the frame.
    const late = AbortSignal.timeout(timeout)
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

  /** One task a thread, in the order they came. */
  async #turn(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#running < this.#threads) {
      this.#running++
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const waiter = (): void => resolve(undefined)
    const aborted = (): void => {
      const at = this.#waiters.indexOf(waiter)
      if (at < 0) return
      this.#waiters.splice(at, 1)
      reject(signal.reason as Error)
    }
    this.#waiters.push(waiter)
    this.#waitingBytes += bytes
    signal.addEventListener('abort', aborted)
    try {
      await promise
    } finally {
      this.#waitingBytes -= bytes
      signal.removeEventListener('abort', aborted)
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
    // Of a frame that nobody waits for any more, as it was late or the pool is over: unheard it would end the process.
    pool.on('error', () => undefined)
    this.#piscina = pool
    return pool
  }
}

/** The errors of worker.ts with their class. */
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

/** A thread ended for want of memory, or a buffer could not be had. */
function isOutOfMemory(error: unknown): boolean {
  if (error instanceof RangeError) return true
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_WORKER')
}
