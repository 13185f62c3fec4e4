/** How many of something each key has; a key without any takes no memory. */
export class Counts<K> {
  readonly #counts = new Map<K, number>()

  of(key: K): number {
    return this.#counts.get(key) ?? 0
  }

  /** Counts one more; what is returned counts it off, once. */
  count(key: K): () => void {
    this.#counts.set(key, this.of(key) + 1)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = this.of(key) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }
}
