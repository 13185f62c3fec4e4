import type { Uid } from '../../dicom/uids.ts'

/** How often an instance may come malformed: as it was first sent, by itself, and once more in another syntax. */
const MAX_MALFORMED = 3

/** Where an instance is, as far as that is known. */
export interface Whereabouts {
  readonly series: Uid | undefined
  readonly sopInstance: Uid
}

interface Entry extends Whereabouts {
  readonly times: number
  readonly error: Error
}

/**
 * The instances that came and cannot be read, or not to their end. Of one whose UIDs cannot be read the series is not
 * known, and its SOP Instance UID is that of the command: it may be any of that UID.
 */
export class Malformed {
  readonly #entries = new Map<string, Entry>()

  /** What comes twice with the same fault is damaged at the archive: it does not get better by asking. */
  add({ series, sopInstance }: Whereabouts, error: Error): void {
    const key = keyOf(series, sopInstance)
    const before = this.#entries.get(key)
    const times = before?.error.message === error.message ? MAX_MALFORMED : (before?.times ?? 0) + 1
    this.#entries.set(key, { series, sopInstance, times, error })
  }

  /** It has come malformed so often that it is not asked for again. */
  isGivenUp(series: Uid, sopInstance: Uid): boolean {
    return [series, undefined].some((one) => (this.#entries.get(keyOf(one, sopInstance))?.times ?? 0) >= MAX_MALFORMED)
  }

  /** It came damaged, and what can be read of it was passed on. */
  isGiven({ series, sopInstance }: Whereabouts): boolean {
    if (series !== undefined) return this.#entries.has(keyOf(series, sopInstance))
    return this.instances.some((one) => one.sopInstance === sopInstance && one.series !== undefined)
  }

  /** Why it is malformed, as it came last. */
  errorOf({ series, sopInstance }: Whereabouts): Error | undefined {
    const own = this.#entries.get(keyOf(series, sopInstance)) ?? this.#entries.get(keyOf(undefined, sopInstance))
    return own?.error ?? this.instances.find((one) => series === undefined && one.sopInstance === sopInstance)?.error
  }

  get instances(): Entry[] {
    return [...this.#entries.values()]
  }
}

function keyOf(series: Uid | undefined, sopInstance: Uid): string {
  return `${series ?? ''} ${sopInstance}`
}
