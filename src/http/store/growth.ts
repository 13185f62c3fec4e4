import type { InflatedTooLargeError } from '../../dicom/inflater.ts'
import type { Arrival } from '../../instance/arrival.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import { RequestError } from '../problem.ts'

/**
 * What the body of one store request becomes: deflated data sets are inflated, and compressed images may have to be
 * decompressed for the archive. Some bytes of a request could fill it otherwise.
 */
export class Growth {
  readonly #limit: number
  readonly #arrivals: Pick<Arrival, 'inflatedBytes'>[] = []
  #used = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes that it may yet become. */
  get left(): number {
    this.#settle()
    return Math.max(0, this.#limit - this.#used)
  }

  /** Counts what an instance becomes as it is read. */
  watch(arrival: Pick<Arrival, 'inflatedBytes'>): void {
    this.#arrivals.push(arrival)
  }

  /** Counts what an image becomes when it is decompressed. @throws RequestError 413 */
  decompress({ frameBits, frames }: PixelLayout): void {
    const bytes = Math.ceil((frameBits * frames) / 8)
    if (bytes > this.left) throw this.#refused(`Decompressed for the archive, an image comes to ${bytes} bytes`)
    this.#used += bytes
  }

  tooMuch({ inflated, deflated }: InflatedTooLargeError): RequestError {
    const ratio = Math.round(inflated / Math.max(1, deflated))
    return this.#refused(
      `A deflated data set grows to ${ratio} times its size: ${inflated} bytes of ${deflated} so far`,
    )
  }

  #refused(what: string): RequestError {
    const detail = `${what}. All of a request may come to ${this.#limit} (http.maxInflatedBytes).`
    return new RequestError(413, 'GROWS_TOO_MUCH', detail)
  }

  /** One is over when the next is read. */
  #settle(): void {
    for (const { inflatedBytes } of this.#arrivals.splice(0)) this.#used += inflatedBytes
  }
}
