import type { Uid } from '../../dicom/uids.ts'

/** How often an instance may come malformed: as it was first sent, by itself, and once more in another syntax. */
const MAX_MALFORMED = 3

/** The instances that came and cannot be read, by the UID of the command, since their own cannot be read either. */
export class Malformed {
  readonly #instances = new Map<Uid, { readonly times: number; readonly error: Error }>()

  add(sopInstance: Uid, error: Error): void {
    this.#instances.set(sopInstance, { times: (this.#instances.get(sopInstance)?.times ?? 0) + 1, error })
  }

  /** It has come malformed so often that it is not asked for again. */
  isGivenUp(sopInstance: Uid): boolean {
    return (this.#instances.get(sopInstance)?.times ?? 0) >= MAX_MALFORMED
  }

  /** Why it is malformed, as it came last. */
  errorOf(sopInstance: Uid): Error | undefined {
    return this.#instances.get(sopInstance)?.error
  }

  get instances(): Uid[] {
    return [...this.#instances.keys()]
  }
}
