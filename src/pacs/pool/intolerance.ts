import { AssociationAbortedError, AssociationRejectedError, ConnectionLostError } from '../../network/errors.ts'

/** A connection that is lost once may be lost for any reason. */
const DROPS_THAT_TELL = 2

/** Something in association requests that an archive does not bear, as its behaviour tells. */
export class Intolerance {
  readonly #rememberedMs: number
  /** Associations in a row that were dropped with it, and opened without. */
  #drops = 0
  /** When the last of them was noted; by performance.now(). */
  #lastDrop = -Infinity
  /** By performance.now(). */
  #until = -Infinity

  constructor(rememberedMs: number) {
    this.#rememberedMs = rememberedMs
  }

  get known(): boolean {
    return performance.now() < this.#until
  }

  /** An association stands with it. */
  disprove(): void {
    this.#drops = 0
  }

  /**
   * An association stands without it, after one with it, asked for at `began` (performance.now()), had failed. True when
   * that is remembered from now on.
   */
  suspect(error: unknown, began: number): boolean {
    if (!isRejection(error)) {
      // Several that one event ended are one drop.
      if (began < this.#lastDrop) return false
      this.#lastDrop = performance.now()
      if (++this.#drops < DROPS_THAT_TELL) return false
    }
    this.#drops = 0
    this.#until = performance.now() + this.#rememberedMs
    return true
  }
}

/** The peer ended the association in place of an answer. */
export function isDropped(error: unknown): boolean {
  return (error instanceof AssociationAbortedError && error.by === 'peer') || error instanceof ConnectionLostError
}

/**
 * Rejected without a reason (PS3.8 9.3.4), by the service user or by ACSE: a reason that is told has nothing to do with
 * what was offered.
 */
export function isRejection(error: unknown): boolean {
  return error instanceof AssociationRejectedError && error.source <= 2 && error.reason <= 1
}
