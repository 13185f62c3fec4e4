import { RequestError } from '../problem.ts'

/** What one store request may have held in memory at once: values that wait for others of their instance, in bytes. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024
/** What all of them may. */
export const MAX_HELD_BYTES_OF_ALL = 512 * 1024 * 1024

/** What store requests hold of values that cannot go on to the archive yet. */
export class Holding {
  readonly #limits: { readonly one: number; readonly all: number }
  #bytes = 0

  constructor(limits = { one: MAX_HELD_BYTES, all: MAX_HELD_BYTES_OF_ALL }) {
    this.#limits = limits
  }

  /** The share of one request; dispose of it at its end. */
  begin(): Held {
    return new Held(this.#limits.one, (bytes) => {
      if (this.#bytes + bytes > this.#limits.all) {
        throw new RequestError(
          503,
          'TOO_MUCH_HELD',
          'Other store requests hold what there is of memory. Try again later.',
        )
      }
      this.#bytes += bytes
    })
  }
}

/** What one store request holds. */
export class Held implements Disposable {
  readonly #limit: number
  readonly #take: (bytes: number) => void
  #bytes = 0

  constructor(limit: number, take: (bytes: number) => void) {
    this.#limit = limit
    this.#take = take
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @throws RequestError 413, 503 */
  add(bytes: number): void {
    if (this.#bytes + bytes > this.#limit) throw tooMuch(this.#limit)
    this.#take(bytes)
    this.#bytes += bytes
  }

  release(bytes: number): void {
    this.#take(-bytes)
    this.#bytes -= bytes
  }

  [Symbol.dispose](): void {
    this.release(this.#bytes)
  }
}

function tooMuch(limit: number): RequestError {
  const detail =
    `More than ${limit} bytes would have to be held until the rest is here. Send the parts of an instance one behind ` +
    'the other, the largest last, each with a Content-Length; or send DICOM files.'
  return new RequestError(413, 'TOO_MUCH_HELD', detail)
}
