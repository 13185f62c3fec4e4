/** What is done at once, by whom it is done to: so much of each, the rest in turn. */
export class Lanes<K> {
  readonly #atOnce: number
  readonly #most: number
  readonly #lanes = new Map<K, { running: number; readonly waiting: (() => void)[] }>()

  /** `most`: that may wait for each. */
  constructor(atOnce: number, most: number) {
    this.#atOnce = atOnce
    this.#most = most
  }

  /** Undefined where too many wait. */
  async run<T>(key: K, work: () => Promise<T>): Promise<T | undefined> {
    const lane = this.#lanes.get(key) ?? { running: 0, waiting: [] }
    this.#lanes.set(key, lane)
    if (lane.running >= this.#atOnce) {
      if (lane.waiting.length >= this.#most) return undefined
      // Whose place it gets counts as running already.
      await new Promise<void>((resolve) => lane.waiting.push(resolve))
    } else lane.running++
    try {
      return await work()
    } finally {
      const next = lane.waiting.shift()
      if (next) next()
      else if (--lane.running === 0) this.#lanes.delete(key)
    }
  }
}
