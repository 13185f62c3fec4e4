/**
 * First in, first out. What was taken is let go, also where it never runs empty, and what is left is moved once at most
 * for each that is taken: Array.shift would move all of it each time.
 */
export class Fifo<T> {
  #items: T[] = []
  #first = 0

  get length(): number {
    return this.#items.length - this.#first
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** The first, taken out; undefined where there is none. */
  shift(): T | undefined {
    const item = this.#items[this.#first]
    if (item !== undefined && 2 * ++this.#first >= this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#first = 0
  }
}
