import type { Bytes } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { DrawingPlan } from '../draw/drawing-plan.ts'
import type { ImageDescription } from '../image-description.ts'
import type { Picture } from '../picture/picture.ts'
import type { Turn } from '../picture/turn.ts'
import type { Applicant, Turns } from './turns.ts'
import type { Task } from './worker.ts'

/** What does the work of all clients. */
export interface Engine {
  readonly animations: Turns
  frame<T>(task: Task, finish: (result: Bytes | Picture, turn: Turn) => Promise<T>, applicant: Applicant): Promise<T>
  turn<T>(work: (turn: Turn) => Promise<T>, applicant: Applicant): Promise<T>
}

/** The imaging threads as one client has them. */
export class Imaging {
  readonly #engine: Engine
  readonly #client: string

  constructor(engine: Engine, client: string) {
    this.#engine = engine
    this.#client = client
  }

  /**
   * A native frame from one of encapsulated pixel data; see decodeFrame.
   * @throws CodestreamError, CodecStoppedError, ImagingBusyError, the signal's reason
   */
  decode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#frame({ kind: 'decode', frame, image, syntax }, returned, signal) as Promise<Bytes>
  }

  /** A frame of encapsulated pixel data from a native one; see encodeFrame. @throws as decode; FrameNotEncodedError */
  encode(frame: Bytes, image: ImageDescription, syntax: Uid, signal: AbortSignal): Promise<Bytes> {
    return this.#frame({ kind: 'encode', frame, image, syntax }, returned, signal) as Promise<Bytes>
  }

  /**
   * Draws a frame, native or encapsulated in `syntax`, and gives what `finish` makes of the picture. That is part of the
   * frame's turn: a picture is far larger than its frame, and so never waits.
   * @throws as decode; UnusableImageError, and what `finish` throws
   */
  draw<T>(
    frame: Bytes,
    plan: DrawingPlan,
    syntax: Uid | undefined,
    finish: (picture: Picture, turn: Turn) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const task: Task = { kind: 'draw', frame, plan, syntax }
    return this.#frame(task, (picture, turn) => finish(picture as Picture, turn), signal)
  }

  /**
   * Makes an animation. There are at most as many at once as threads, since each holds all its pictures. `work` draws
   * its frames.
   * @throws ImagingBusyError, the signal's reason while it waits, and what the work throws
   */
  animate<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#engine.animations.run(work, { client: this.#client, signal })
  }

  /**
   * Does work of other threads in the place of a frame: all together take no more processors than there are threads
   * here.
   * @throws ImagingBusyError, the signal's reason while it waits, and what the work throws
   */
  inTurn<T>(work: (turn: Turn) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#engine.turn(work, { client: this.#client, signal })
  }

  #frame<T>(task: Task, finish: (result: Bytes | Picture, turn: Turn) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#engine.frame(task, finish, { client: this.#client, signal })
  }
}

const returned = async (result: Bytes | Picture): Promise<Bytes | Picture> => result
