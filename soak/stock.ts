import type { Instance } from './instances.ts'

/** What one archive may and must have. */
export class Stock {
  readonly #kept = new Map<string, Kept>()
  readonly #studies = new Map<string, Kept[]>()

  /** From now on the archive may have it. */
  sent(instance: Instance): void {
    const kept: Kept = { instance, storedAt: Infinity }
    this.#kept.set(instance.instance, kept)
    const others = this.#studies.get(instance.study)
    if (others) others.push(kept)
    else this.#studies.set(instance.study, [kept])
  }

  /** From now on it must: the answer to the store has said so. */
  stored(uid: string): void {
    const kept = this.#kept.get(uid)
    if (kept) kept.storedAt = Math.min(kept.storedAt, performance.now())
  }

  get(uid: string): Instance | undefined {
    return this.#kept.get(uid)?.instance
  }

  get studies(): readonly string[] {
    return [...this.#studies.keys()]
  }

  /** All that has been sent. */
  get all(): Instance[] {
    return [...this.#kept.values()].map(({ instance }) => instance)
  }

  /** Sent below a study or series so far. */
  mayHave(scope: Scope): Instance[] {
    return this.#of(scope).map(({ instance }) => instance)
  }

  /** Known to be stored at a time (of performance.now). */
  mustHave(scope: Scope, time: number): Instance[] {
    return this.#of(scope)
      .filter(({ storedAt }) => storedAt < time)
      .map(({ instance }) => instance)
  }

  #of({ study, series, instance }: Scope): Kept[] {
    const below = study === undefined ? [...this.#kept.values()] : (this.#studies.get(study) ?? [])
    return below.filter(
      ({ instance: one }) =>
        (series === undefined || one.series === series) && (instance === undefined || one.instance === instance),
    )
  }
}

/** What is asked for. */
export interface Scope {
  readonly study?: string
  readonly series?: string
  readonly instance?: string
}

interface Kept {
  readonly instance: Instance
  storedAt: number
}
