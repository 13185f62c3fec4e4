import type { Dataset } from '../../dicom/dataset.ts'

/** The archive ended its answer early, and the status line that would have said so is out. */
export class CutAnswerError extends Error {
  readonly code = 'ANSWER_CUT_SHORT'
  constructor() {
    super('The archive ended its answer early, behind results that had been sent')
    this.name = 'CutAnswerError'
  }
}

/** Whether all that an archive has to say to a search was said: some bound their answers (FE00, A700 behind matches). */
export class AnswerEnd {
  #isCapped = false
  #isTold = false

  /** The archive ended the answer early. */
  cap(): void {
    this.#isCapped = true
  }

  /** The status line is out: from here on only a cut connection tells. */
  statusIsOut(): void {
    this.#isTold = true
  }

  /**
   * Results that end as they came: a page that was full before has lost nothing.
   * @throws CutAnswerError
   */
  async *checked(results: AsyncIterable<Dataset>, page: { readonly isFull: boolean }): AsyncGenerator<Dataset> {
    yield* results
    if (this.#isCapped && this.#isTold && !page.isFull) throw new CutAnswerError()
  }

  /** What is known to be behind the page is told by itself. */
  warnings(page: { readonly hasMore: boolean }): string[] {
    if (!this.#isCapped || page.hasMore) return []
    return [
      'There may be more results: the archive ended its answer early, or has too many studies to ask each. Narrow the search',
    ]
  }
}
