import type { Bytes } from '../dicom/bytes.ts'
import type { InstanceDescription } from '../instance/description.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'

/** What is asked for has been dropped already: the instance is to be fetched anew. */
export class NoLongerHeldError extends Error {
  readonly code = 'NO_LONGER_HELD'
  constructor(options?: ErrorOptions) {
    super('The bytes are no longer held', options)
    this.name = 'NoLongerHeldError'
  }
}

/** Bytes from a position on that somebody needs, so that they stay as long as the window allows. */
export interface Pin {
  position: number
  /** Of a request, which looks things up in the head while it needs anything at all. */
  readonly isOfRequest?: boolean
}

/** An instance that can be read from any byte by any number of readers, wherever its bytes are. */
export interface KeptInstance extends InstanceDescription {
  readonly index: InstanceIndex
  /** Counts all instances that have come: the same number is the same bytes. */
  readonly arrival: number
  /** When it was asked for, by performance.now(): it may be as old as that. */
  readonly askedAt: number
  /** It was replaced at the archive: what is fetched again is not it. */
  readonly isOutdated: boolean
  /** There is no room for it: what its readers are past is dropped, and may come from another arrival. */
  readonly passing: boolean
  /** It came to its end, and is not whole: reading it fails behind the last byte in front of the damage. */
  readonly isDamaged: boolean
  /** Bytes that are here now may be lost while somebody reads them. */
  readonly isLosable: boolean
  /** Whether the bytes from a position up to another, of one byte if that is not told, are here, or will still come. */
  holds(from: number, to?: number): boolean
  /** Bytes from the pin's position on are needed from now on, until it is dropped. */
  pin(pin: Pin): void
  unpin(pin: Pin): void
  /**
   * The bytes from an offset, up to another or the end of the data set, as they come. What lies behind the end of the
   * data set is not there, which is no error.
   * @throws NoLongerHeldError; what failed the retrieval; the signal's reason
   */
  bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes>
  /**
   * Resolves when the index is `ready`, or will not grow any more. `pin` holds what `needs` says meanwhile.
   * @throws what failed the retrieval; the signal's reason
   */
  until(
    ready: (index: InstanceIndex) => boolean,
    pin: Pin,
    needs: () => number | undefined,
    signal: AbortSignal,
  ): Promise<void>
}

/** An instance that somebody reads while it comes, or after. */
export interface Boarded {
  readonly instance: KeptInstance
  /** It was read, or is not wanted any more; counts once. */
  leave(): void
}
