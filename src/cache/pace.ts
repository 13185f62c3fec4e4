import { Notifier } from '../dicom/notifier.ts'

/** How far a retrieval runs ahead of the request that is farthest: its pace is felt by the archive. */
export const LEAD_BYTES = 1024 * 1024

/** How fast a flight may go: who reads from it, how far the farthest is, and whether anybody waits for more. */
export class Pace {
  /** Requests that read from it, or wait for something of it. */
  readers = 0
  /** Bytes of the flight that the farthest of them is past. */
  consumed = 0
  /** Of the readers, those that wait for what has yet to come, however far that is. */
  #hurried = 0
  readonly #change = new Notifier()

  get isHurried(): boolean {
    return this.#hurried > 0
  }

  /** Resolves when the flight may go farther, or something else of it has changed. */
  get change(): Promise<undefined> {
    return this.#change.changed
  }

  changed(): void {
    this.#change.notify()
  }

  /** Whether so many bytes are no more than may come ahead of the readers. */
  allows(bytes: number): boolean {
    return bytes - this.consumed <= LEAD_BYTES
  }

  join(): void {
    this.readers++
    this.#change.notify()
  }

  leave(): void {
    this.readers--
    this.#change.notify()
  }

  /** One of the readers waits for more; call what is returned when it does not any longer. */
  hurry(): () => void {
    let isOver = false
    this.#hurried++
    this.#change.notify()
    return () => {
      if (!isOver) this.#hurried--
      isOver = true
    }
  }

  /** A reader is at a byte of the flight; whether that is farther than any was. */
  advance(position: number): boolean {
    if (position <= this.consumed) return false
    this.consumed = position
    this.#change.notify()
    return true
  }
}
