import type { Uid } from '../../dicom/uids.ts'

/** How often an instance may come malformed: as it was first sent, by itself, and once more in another syntax. */
const MAX_MALFORMED = 3

interface Entry {
  readonly times: number
  readonly error: Error
  /** It came with its UIDs, and what can be read of it was passed on. */
  readonly isGiven: boolean
}

/** The instances that came and cannot be read, or not to their end; by the UID of the command where their own is not known. */
export class Malformed {
  readonly #instances = new Map<Uid, Entry>()

  /** What comes twice with the same fault is damaged at the archive: it does not get better by asking. */
  add(sopInstance: Uid, error: Error, isGiven = false): void {
    const before = this.#instances.get(sopInstance)
    const times = before?.error.message === error.message ? MAX_MALFORMED : (before?.times ?? 0) + 1
    this.#instances.set(sopInstance, { times, error, isGiven: isGiven || before?.isGiven === true })
  }

  /** It has come malformed so often that it is not asked for again. */
  isGivenUp(sopInstance: Uid): boolean {
    return (this.#instances.get(sopInstance)?.times ?? 0) >= MAX_MALFORMED
  }

  /** What can be read of it was passed on. */
  isGiven(sopInstance: Uid): boolean {
    return this.#instances.get(sopInstance)?.isGiven === true
  }

  /** Why it is malformed, as it came last. */
  errorOf(sopInstance: Uid): Error | undefined {
    return this.#instances.get(sopInstance)?.error
  }

  get instances(): Uid[] {
    return [...this.#instances.keys()]
  }
}
