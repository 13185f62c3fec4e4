import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Instance } from '../pacs/instance.ts'
import type { Boarded } from './flight.ts'
import { NoLongerHeldError } from './held-instance.ts'

/**
 * An instance for one request: read from any byte, as often as wanted, while it comes or after. What is no longer held
 * is fetched anew. To be disposed of when it was read.
 */
export class CachedInstance implements Instance, Disposable {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
  readonly syntax: TransferSyntax
  #boarded: Boarded
  readonly #signal: AbortSignal
  readonly #again: () => Promise<Boarded>

  constructor(boarded: Boarded, signal: AbortSignal, again: () => Promise<Boarded>) {
    const { sopClass, sopInstance, study, series, syntax } = boarded.instance
    this.sopClass = sopClass
    this.sopInstance = sopInstance
    this.study = study
    this.series = series
    this.syntax = syntax
    this.#boarded = boarded
    this.#signal = signal
    this.#again = again
  }

  /** The same object for as long as the instance is held: what was found out about it can be noted under it. */
  get identity(): object {
    return this.#boarded.instance
  }

  get body(): ByteStream {
    return { [Symbol.asyncIterator]: () => this.bytes() }
  }

  /**
   * The bytes of the data set from an offset, up to another or its end, as they come.
   * @throws NoLongerHeldError in the middle, for who is far slower than another; what failed the retrieval
   */
  async *bytes(from = 0, to = Infinity): AsyncGenerator<Bytes> {
    let begun = false
    try {
      for await (const chunk of this.#boarded.instance.bytes(from, to, this.#signal)) {
        begun = true
        yield chunk
      }
      return
    } catch (error) {
      // In the middle it would be joining the bytes of two retrievals.
      if (begun || !(error instanceof NoLongerHeldError)) throw error
    }
    this.#boarded.leave()
    this.#boarded = await this.#again()
    if (this.#boarded.instance.syntax.uid !== this.syntax.uid) throw new NoLongerHeldError()
    yield* this.#boarded.instance.bytes(from, to, this.#signal)
  }

  [Symbol.dispose](): void {
    this.#boarded.leave()
  }
}
