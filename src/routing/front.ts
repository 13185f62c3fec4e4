import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { copyOf } from '../dicom/dataset-copy.ts'
import { DatasetReader, TooManyElementsError } from '../dicom/dataset-codec.ts'
import type { AttributePath } from '../dicom/attribute-path.ts'
import { replay } from '../dicom/part10.ts'
import type { Tag } from '../dicom/tag.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import { isPixelData } from '../instance/bulk-attributes.ts'

/** Bytes of an instance that are held to look at, and to change: those in front of its pixel data. */
export const MAX_FRONT_BYTES = 16 * 1024 * 1024
/** Elements and items of them. */
export const MAX_FRONT_ELEMENTS = 60_000

/** What is asked about an instance is not in what is held of it. */
export class FrontTooLongError extends Error {
  readonly code = 'FRONT_TOO_LONG'
  constructor() {
    super(`An instance has more than ${MAX_FRONT_BYTES} bytes or ${MAX_FRONT_ELEMENTS} elements in front of its pixels`)
    this.name = 'FrontTooLongError'
  }
}

/** Where what is held ends. */
interface End {
  readonly next: Tag | undefined
  readonly length: number
}

/** The beginning of an instance, up to its pixel data or to the element with which it becomes too long; not deflated. */
export class Front {
  readonly syntax: TransferSyntax
  /** The first element that is not held; undefined where the data set has come to its end. */
  readonly next: Tag | undefined
  /** To be looked at. */
  readonly dataset: Dataset
  readonly #chunks: readonly Bytes[]
  /** Bytes up to that element. */
  readonly #length: number

  private constructor(dataset: Dataset, syntax: TransferSyntax, chunks: readonly Bytes[], end: End) {
    this.dataset = dataset
    this.syntax = syntax
    this.#chunks = chunks
    this.next = end.next
    this.#length = end.length
  }

  /** Reads as far as is held. @throws MalformedDataSetError, and what the body throws */
  static async read(body: AsyncIterator<Bytes, unknown>, syntax: TransferSyntax): Promise<Front> {
    const chunks: Bytes[] = []
    const reader = new DatasetReader(syntax, { until: isPixelData, most: MAX_FRONT_ELEMENTS })
    const { dataset } = reader
    let size = 0
    while (!reader.complete && size <= MAX_FRONT_BYTES) {
      const { value, done } = await body.next()
      if (done) {
        reader.end()
        return new Front(dataset, syntax, chunks, { next: undefined, length: size })
      }
      chunks.push(value)
      size += value.length
      try {
        reader.push(value)
      } catch (error) {
        if (!(error instanceof TooManyElementsError)) throw error
        break
      }
    }
    const next = reader.openedTag
    // It may have come whole, and begins what is not held all the same.
    if (next !== undefined) dataset.delete(next)
    return new Front(dataset, syntax, chunks, { next, length: reader.openedAt })
  }

  /** Nothing but pixel data, and what there may be behind it, is left out. */
  get isWhole(): boolean {
    return this.next === undefined || isPixelData(this.next)
  }

  /** To be changed. */
  copy(): Dataset {
    return copyOf(this.dataset)
  }

  /** Whether it is known what an attribute is. */
  covers([tag]: AttributePath): boolean {
    return this.next === undefined || tag! < this.next
  }

  /** The instance as it came; `rest`: what comes behind what was read. */
  whole(rest: AsyncIterator<Bytes, unknown>): ByteStream {
    return replay(this.#chunks, rest)
  }

  /** What is not held, from the element `next` on. */
  behind(rest: AsyncIterator<Bytes, unknown>): ByteStream {
    let left = this.#length
    const chunks = this.#chunks.flatMap((chunk) => {
      const passed = Math.min(left, chunk.length)
      left -= passed
      return passed === chunk.length ? [] : [chunk.subarray(passed)]
    })
    return replay(chunks, rest)
  }
}
