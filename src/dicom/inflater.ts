import { createInflateRaw } from 'node:zlib'
import type { Bytes } from './bytes.ts'

/** What a deflated data set may grow to: far more than any real one (PS3.5 A.5), and a bomb's bound. */
export const MAX_INFLATED_BYTES = 4 * 1024 ** 3

/** Input is inflated in slices of this size, so that what is held of the output is bounded too: 1,032 times as much. */
const SLICE_BYTES = 16_384
const PIECE_BYTES = 65_536

export class InflateError extends Error {
  readonly code = 'MALFORMED_DEFLATED_DATA_SET'
  constructor(problem: string, options?: ErrorOptions) {
    super(`The deflated data set cannot be read: ${problem}`, options)
    this.name = 'InflateError'
  }
}

/** A deflated data set grows beyond what it may. */
export class InflatedTooLargeError extends InflateError {
  /** Bytes that were inflated by then, and those that they were made of. */
  readonly inflated: number
  readonly deflated: number
  constructor(limit: number, inflated: number, deflated: number) {
    super(`it grows beyond ${limit} bytes`)
    this.name = 'InflatedTooLargeError'
    this.inflated = inflated
    this.deflated = deflated
  }
}

/**
 * Inflates a raw RFC 1951 stream (PS3.5 A.5), pushed chunk by chunk. Bytes behind its end, such as the pad, are dropped.
 * To be destroyed in the end, whatever happened.
 */
export class Inflater {
  readonly #zlib = createInflateRaw({ chunkSize: PIECE_BYTES })
  readonly #pieces: Bytes[] = []
  #total = 0
  #failure: InflateError | undefined
  #settle: () => void = () => undefined

  constructor(limit = MAX_INFLATED_BYTES) {
    this.#zlib.on('data', (piece: Bytes) => {
      this.#total += piece.length
      if (this.#total <= limit) this.#pieces.push(piece)
      else this.#zlib.destroy(new InflatedTooLargeError(limit, this.#total, this.#zlib.bytesWritten))
    })
    this.#zlib.on('error', (error) => {
      this.#failure ??= error instanceof InflateError ? error : new InflateError(error.message, { cause: error })
    })
    this.#zlib.on('close', () => this.#settle())
  }

  /**
   * What the stream gives up to the end of `chunk`; some of it may come later.
   * @throws InflateError
   */
  async *push(chunk: Bytes): AsyncGenerator<Bytes> {
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) {
      const slice = chunk.subarray(at, at + SLICE_BYTES)
      if (!this.#zlib.readableEnded) await this.#settled((settle) => this.#zlib.write(slice, settle))
      yield* this.#given()
    }
  }

  /**
   * The rest, when no more bytes come.
   * @throws InflateError, also when the stream is cut short
   */
  async *end(): AsyncGenerator<Bytes> {
    if (!this.#zlib.closed) await this.#settled(() => this.#zlib.end())
    yield* this.#given()
  }

  destroy(): void {
    this.#zlib.destroy()
  }

  /** Ends when zlib has done with something, or closed: after an error it calls nothing back. */
  #settled(start: (settle: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#settle = resolve
      start(resolve)
    })
  }

  *#given(): Generator<Bytes> {
    yield* this.#pieces.splice(0)
    if (this.#failure) throw this.#failure
  }
}
