/** How long a retrieval that nobody reads from waits for the next request for a part of what it brings, in ms. */
export const PARTS_PATIENCE_MS = 15_000
/** The same when the client of a part has left: a viewer asks for other frames when its user goes on to them. */
export const LEFT_PATIENCE_MS = 1_000

/** How long a retrieval that nobody reads from goes on; no longer at all from when somebody waits for its association. */
export class Patience {
  readonly #giveUp: () => void
  #timer: NodeJS.Timeout | undefined
  #isHurried = false

  /** `giveUp` is called once it is over. */
  constructor(giveUp: () => void) {
    this.#giveUp = giveUp
  }

  /** Somebody else waits for the association. */
  get isHurried(): boolean {
    return this.#isHurried
  }

  /** From now on nothing is waited for, nor what is waited for already. */
  hurry(): void {
    this.#isHurried = true
    if (this.#timer !== undefined) this.#giveUp()
  }

  /** Begins to wait, if it does not already. */
  run(milliseconds: number): void {
    if (this.#isHurried) this.#giveUp()
    else if (this.#timer === undefined) this.#timer = setTimeout(this.#giveUp, milliseconds).unref()
  }

  /** Somebody reads, or it is over. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
