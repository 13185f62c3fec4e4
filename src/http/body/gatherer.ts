import type { Bytes } from '../../dicom/bytes.ts'

/** Pieces below this size are gathered, by copying, before they are written: a write wakes the client. */
const SMALL_BYTES = 65_536
/** How long small pieces wait for company, in ms. */
export const GATHER_MS = 20

/**
 * Joins small pieces with what follows them at once; none waits longer than GATHER_MS, and `late` is called after what was
 * pushed last has waited for that. To be closed.
 */
export class Gatherer implements Disposable {
  readonly #write: (piece: Bytes) => void
  readonly #lateToo: (() => void) | undefined
  #held: Bytes[] = []
  #heldBytes = 0
  /** Left running when what it was set for has gone: there is one for GATHER_MS, not one for each piece. */
  #timer: NodeJS.Timeout | undefined

  constructor(write: (piece: Bytes) => void, late?: () => void) {
    this.#write = write
    this.#lateToo = late
  }

  push(piece: Bytes): void {
    if (piece.length >= SMALL_BYTES) {
      this.flush()
      this.#write(piece)
    } else {
      this.#held.push(piece)
      this.#heldBytes += piece.length
      if (this.#heldBytes >= SMALL_BYTES) this.flush()
    }
    if (this.#heldBytes > 0 || this.#lateToo) this.#timer ??= setTimeout(() => this.#late(), GATHER_MS)
  }

  /** Writes what is held. */
  flush(): void {
    if (this.#heldBytes === 0) return
    const [first] = this.#held
    const joined = this.#held.length === 1 ? first! : Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    this.#write(joined)
  }

  /** Drops what is held. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#held = []
    this.#heldBytes = 0
  }

  #late(): void {
    this.#timer = undefined
    this.flush()
    this.#lateToo?.()
  }
}
