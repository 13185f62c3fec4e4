import type { Bytes } from '../dicom/bytes.ts'

/** Consecutive chunks of a data set, found by their bytes' places in it. */
export class ChunkRun {
  readonly #chunks: Bytes[] = []
  /** Offset of each chunk, and behind the last. */
  readonly #starts: number[]

  constructor(start: number) {
    this.#starts = [start]
  }

  get start(): number {
    return this.#starts[0]!
  }

  get end(): number {
    return this.#starts.at(-1)!
  }

  get chunks(): readonly Bytes[] {
    return this.#chunks
  }

  append(chunk: Bytes): void {
    this.#chunks.push(chunk)
    this.#starts.push(this.end + chunk.length)
  }

  /** What there is from a position within the run up to another, of one chunk. */
  at(position: number, to: number): Bytes {
    const index = this.#indexOf(position)
    const start = this.#starts[index]!
    const chunk = this.#chunks[index]!
    return position === start && to - start >= chunk.length ? chunk : chunk.subarray(position - start, to - start)
  }

  /** Takes out the chunks that end at or before a position. */
  takeBefore(position: number): readonly Bytes[] {
    let count = 0
    while (count < this.#chunks.length && this.#starts[count + 1]! <= position) count++
    if (count === 0) return []
    this.#starts.splice(0, count)
    return this.#chunks.splice(0, count)
  }

  #indexOf(position: number): number {
    let [low, high] = [0, this.#chunks.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#starts[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}
