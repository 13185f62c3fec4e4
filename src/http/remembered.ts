/**
 * What was read of the instances that were asked for last, so that each is read once, also by requests at the same time.
 * The memory of it is not the cache's: it is bounded by the number of instances.
 */
export class Remembered<T> {
  readonly #most: number
  readonly #values = new WeakMap<object, Promise<T>>()
  readonly #recent: WeakRef<object>[] = []

  /** Of so many instances. */
  constructor(most: number) {
    this.#most = most
  }

  /** What is remembered of an instance, by its identity, or is read now. @throws what reading throws */
  async of(identity: object, read: () => Promise<T>): Promise<T> {
    const known = this.#values.get(identity)
    if (known) {
      try {
        return await known
      } catch {
        // Who read it may have left in the middle.
      }
    }
    const reading = read()
    this.#values.set(identity, reading)
    this.#recent.push(new WeakRef(identity))
    if (this.#recent.length > this.#most) this.#forget(this.#recent.shift()!.deref())
    try {
      return await reading
    } catch (error) {
      if (this.#values.get(identity) === reading) this.#values.delete(identity)
      throw error
    }
  }

  #forget(identity: object | undefined): void {
    if (identity) this.#values.delete(identity)
  }
}
