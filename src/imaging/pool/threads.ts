import { Piscina } from 'piscina'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodecStoppedError, CodestreamError } from '../codecs/codec-error.ts'
import { FrameNotEncodedError } from '../codecs/encode-frame.ts'
import { UnusableImageError } from '../image-description.ts'
import type { Picture } from '../picture/picture.ts'
import type { Outcome, Task } from './worker.ts'

/** Heap of a thread in MiB, which the memory of codecs is not part of. */
const THREAD_HEAP_MIB = 512
/** Milliseconds that an idle thread is kept: it holds compiled codecs. */
const THREAD_IDLE_MS = 60_000
/**
 * Milliseconds that work goes on whose client has left: most frames are done by then, and to start a thread anew, with
 * its codecs, costs more than to end them.
 */
export const GONE_MS = 2_000

/** The threads themselves: a task each at a time, ended with its thread when it takes too long. */
export class Threads implements AsyncDisposable {
  readonly #count: number
  #piscina: Piscina<Task, Outcome<Bytes | Picture>> | undefined
  #isOver = false

  constructor(count: number) {
    this.#count = count
  }

  /**
   * Does a task in the milliseconds it is told. Work of a client that has left is ended after GONE_MS.
   * @throws CodecStoppedError, the signal's reason, and what the task throws
   */
  async run(task: Task, timeout: number, signal: AbortSignal): Promise<Bytes | Picture> {
    const late = AbortSignal.timeout(Math.max(1, Math.ceil(timeout)))
    using left = new Left(signal)
    try {
      if (this.#isOver) throw new CodecStoppedError()
      const { task: own, transferList } = transferable(task)
      const ends = AbortSignal.any([late, left.signal])
      const outcome = await this.#pool.run(own, { signal: ends, transferList, name: 'run' })
      if ('result' in outcome) return outcome.result
      throw faultOf(outcome)
    } catch (error) {
      if (left.signal.aborted) throw signal.reason
      throw late.aborted || isOutOfMemory(error) ? new CodecStoppedError({ cause: error }) : error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#piscina?.destroy()
  }

  get #pool(): Piscina<Task, Outcome<Bytes | Picture>> {
    // TypeScript rewrites imports, not URLs.
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    if (this.#piscina) return this.#piscina
    const pool = new Piscina<Task, Outcome<Bytes | Picture>>({
      filename: new URL(file, import.meta.url).href,
      minThreads: 0,
      maxThreads: this.#count,
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

/** Aborted some time after a client's signal. */
class Left implements Disposable {
  readonly #control = new AbortController()
  readonly #of: AbortSignal
  #timer: NodeJS.Timeout | undefined
  readonly #leave = (): void => {
    this.#timer = setTimeout(() => this.#control.abort(), GONE_MS)
  }

  constructor(signal: AbortSignal) {
    this.#of = signal
    signal.addEventListener('abort', this.#leave)
  }

  get signal(): AbortSignal {
    return this.#control.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#of.removeEventListener('abort', this.#leave)
  }
}

/** A task with bytes of its own, which move to the thread. */
function transferable(task: Task): { readonly task: Task; readonly transferList: ArrayBuffer[] } {
  if (task.kind === 'gif') {
    const data = new Uint8Array(task.picture.data)
    return { task: { ...task, picture: { ...task.picture, data } }, transferList: [data.buffer] }
  }
  const frame = new Uint8Array(task.frame)
  return { task: { ...task, frame }, transferList: [frame.buffer] }
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
