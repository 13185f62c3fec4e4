import { availableParallelism } from 'node:os'
import type { Bytes } from '../../dicom/bytes.ts'
import { Imaging, type Engine } from './imaging.ts'
import { Threads } from './threads.ts'
import { Turns, type Applicant } from './turns.ts'
import type { Picture } from '../picture/picture.ts'
import type { Turn } from '../picture/turn.ts'
import type { Task } from './worker.ts'

export interface ImagingOptions {
  /** Threads that decode, encode and draw; null: as many as processors less one. */
  readonly threads: number | null
  /** Milliseconds a frame may take. */
  readonly timeout: number
  /** Milliseconds a frame may wait for a thread; QUEUE_MS unless told. */
  readonly queue?: number
}

/** There is no thread for a frame: too many wait, of all or of its client, or it has waited too long. */
export class ImagingBusyError extends Error {
  readonly code = 'IMAGING_BUSY'
  constructor() {
    super('Too many frames wait to be decoded, encoded or drawn, or one has waited too long')
    this.name = 'ImagingBusyError'
  }
}

/** Bytes of all frames that wait for a thread; a frame that would exceed it is refused, unless it waits alone. */
export const MAX_WAITING_BYTES = 512 * 1024 * 1024
/** Frames that wait for a thread, whatever their size. */
export const MAX_WAITING_FRAMES = 1024
/** Of the two, one client has half at most, so that another finds room. */
export const CLIENT_SHARE = 2
/** Milliseconds a frame waits for a thread. */
const QUEUE_MS = 60_000

/**
 * Threads in which frames are decoded, encoded and drawn, one frame at a time each, so that no request waits for a
 * codec. Its own methods are those of a client without a name.
 */
export class ImagingPool extends Imaging implements AsyncDisposable {
  readonly #engine: FrameEngine

  constructor(options: ImagingOptions) {
    const engine = new FrameEngine(options)
    super(engine, '')
    this.#engine = engine
  }

  get stats(): { readonly running: number; readonly waiting: number } {
    return this.#engine.turns.stats
  }

  /** The same threads for one client: clients have their turns one after the other. */
  of(client: string): Imaging {
    return new Imaging(this.#engine, client)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.threads[Symbol.asyncDispose]()
  }
}

class FrameEngine implements Engine {
  readonly turns: Turns
  readonly animations: Turns
  readonly threads: Threads
  readonly #timeout: number
  #waitingBytes = 0
  readonly #waitingOf = new Map<string, number>()

  constructor({ threads, timeout, queue = QUEUE_MS }: ImagingOptions) {
    const places = threads ?? Math.max(1, availableParallelism() - 1)
    const waitingOfClient = MAX_WAITING_FRAMES / CLIENT_SHARE
    const busy = (): Error => new ImagingBusyError()
    const bounds = { places, patience: queue, waiting: MAX_WAITING_FRAMES, waitingOfClient, busy }
    this.turns = new Turns(bounds)
    this.animations = new Turns(bounds)
    this.threads = new Threads(places)
    this.#timeout = timeout
  }

  async frame<T>(
    task: Task,
    finish: (result: Bytes | Picture, turn: Turn) => Promise<T>,
    applicant: Applicant,
  ): Promise<T> {
    const { client, signal } = applicant
    signal.throwIfAborted()
    const bytes = this.turns.isFull(client) ? sizeOf(task) : 0
    const leave = this.#hold(client, bytes)
    try {
      return await this.turn(async (turn) => {
        leave()
        const result = await this.threads.run(task, turn.left, signal)
        signal.throwIfAborted()
        return finish(result, turn)
      }, applicant)
    } finally {
      leave()
    }
  }

  turn<T>(work: (turn: Turn) => Promise<T>, applicant: Applicant): Promise<T> {
    return this.turns.run(() => {
      const started = performance.now()
      const spent = (): number => performance.now() - started
      const left = (): number => Math.max(1, this.#timeout - spent())
      return work({
        limit: this.#timeout,
        get spent() {
          return spent()
        },
        get left() {
          return left()
        },
        gif: (picture) => this.threads.run({ kind: 'gif', picture }, left(), applicant.signal) as Promise<Bytes>,
      })
    }, applicant)
  }

  /** Counts what waits, until what it gives back is called. @throws ImagingBusyError */
  #hold(client: string, bytes: number): () => void {
    const own = this.#waitingOf.get(client) ?? 0
    const isOver = (held: number, most: number): boolean => held > 0 && held + bytes > most
    if (isOver(this.#waitingBytes, MAX_WAITING_BYTES) || isOver(own, MAX_WAITING_BYTES / CLIENT_SHARE)) {
      throw new ImagingBusyError()
    }
    this.#count(client, bytes)
    let isWaiting = true
    return () => {
      if (isWaiting) this.#count(client, -bytes)
      isWaiting = false
    }
  }

  #count(client: string, bytes: number): void {
    this.#waitingBytes += bytes
    const own = (this.#waitingOf.get(client) ?? 0) + bytes
    if (own === 0) this.#waitingOf.delete(client)
    else this.#waitingOf.set(client, own)
  }
}

/** Bytes that a task holds while it waits. */
function sizeOf(task: Task): number {
  if (task.kind === 'gif') return task.picture.data.length
  const { length } = task.frame
  if (task.kind !== 'draw') return length
  return task.plan.overlays.reduce((sum, { plane }) => sum + (plane.kind === 'bits' ? plane.bits.length : 0), length)
}
