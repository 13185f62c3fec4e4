import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { Status } from '../../dimse/status.ts'

/**
 * How far the reading of one delivered instance has come. What is asked of its storage association (`piece`) may outlast
 * the reading: the association has one reader at a time, so nothing else may be asked of it before that is here.
 */
type Progress =
  /** Its reader has what came, and asks for nothing at the moment. */
  | { readonly kind: 'held' }
  /** The next piece is asked for; `cut` ends the wait for it. */
  | { readonly kind: 'asking'; readonly piece: Promise<unknown>; readonly cut: (error: Error) => void }
  /** Read to its end. */
  | { readonly kind: 'complete' }
  /** It could not be read: it is no whole data set, or its association has ended. */
  | { readonly kind: 'broken' }
  /** Not to be read any further. `piece`: asked for, and not here yet. */
  | { readonly kind: 'cut'; readonly error: Error; readonly piece: Promise<unknown> | undefined }

/** A delivered instance as it is read, until its reader leaves it or it is cut. */
export class MoveReading {
  #progress: Progress = { kind: 'held' }

  /** Read to its end. */
  get isComplete(): boolean {
    return this.#progress.kind === 'complete'
  }

  /** It was read to its end, and is damaged: the archive is told. */
  spoil(): void {
    if (this.#progress.kind === 'complete') this.#progress = { kind: 'broken' }
  }

  /** What still comes of the instance is not waited for: from now on reading it raises `error`. */
  cut(error: Error): void {
    const { kind } = this.#progress
    if (kind === 'complete' || kind === 'broken' || kind === 'cut') return
    const asking = this.#progress.kind === 'asking' ? this.#progress : undefined
    this.#progress = { kind: 'cut', error, piece: asking?.piece }
    asking?.cut(error)
  }

  /** Gives the status for its C-STORE response, once nothing is asked of the storage association any more. */
  end(answer: (status: number) => void): void {
    const { kind } = this.#progress
    const status = kind === 'complete' ? Status.success : kind === 'broken' ? Status.cannotUnderstand : undefined
    const answerNow = (): void => answer(status ?? Status.outOfResources)
    const piece = this.#progress.kind === 'cut' ? this.#progress.piece : undefined
    if (piece) void piece.then(answerNow, answerNow)
    else answerNow()
  }

  /** The pieces of a body. @throws what the body throws, the error of `cut` */
  async *of(body: ByteStream): AsyncGenerator<Bytes> {
    const iterator: AsyncIterator<Bytes, unknown> = body[Symbol.asyncIterator]()
    try {
      for (;;) {
        const result = await this.#next(iterator)
        if (result.done === true) return
        yield result.value
      }
    } finally {
      if (this.#progress.kind === 'held' || this.#progress.kind === 'broken') await iterator.return?.()
    }
  }

  async #next(iterator: AsyncIterator<Bytes, unknown>): Promise<IteratorResult<Bytes, unknown>> {
    if (this.#progress.kind === 'cut') throw this.#progress.error
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Bytes, unknown>>()
    const piece = iterator.next()
    piece.then(resolve, reject)
    this.#progress = { kind: 'asking', piece, cut: reject }
    try {
      const result = await promise
      if (result.done === true) this.#progress = { kind: 'complete' }
      else this.#settle({ kind: 'held' })
      return result
    } catch (error) {
      this.#settle({ kind: 'broken' })
      throw error
    }
  }

  /** The piece is here; one that was cut meanwhile stays so. */
  #settle(progress: Progress): void {
    if (this.#progress.kind === 'asking') this.#progress = progress
  }
}
