/** One page of results, and how much there is behind it. */
export class Page {
  given = 0
  #beyond = 0
  readonly offset: number
  readonly limit: number
  /** How far behind it is read on, to count. */
  readonly countWindow: number

  constructor(offset: number, limit: number, countWindow: number) {
    this.offset = offset
    this.limit = limit
    this.countWindow = Math.max(1, countWindow)
  }

  /** The results of the page; reads on behind it to count, then ends the search, which sends a C-CANCEL. */
  async *of<T>(results: AsyncIterable<T>): AsyncGenerator<T> {
    let skipped = 0
    for await (const result of results) {
      if (skipped < this.offset) skipped++
      else if (this.given < this.limit) {
        this.given++
        yield result
      } else if (++this.#beyond >= this.countWindow) return
    }
  }

  /** There are results behind it. */
  get hasMore(): boolean {
    return this.#beyond > 0
  }

  get isFull(): boolean {
    return this.given >= this.limit
  }

  /** @param done the search is over, so what it found is known */
  warnings(done: boolean): string[] {
    if (this.limit === 0) return []
    if (!done) return [`The search is still going on. At most ${this.limit} results are returned`]
    if (this.#beyond === 0) return []
    return [`There are ${this.#beyond} additional results that can be requested`]
  }
}
