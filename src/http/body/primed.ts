import type { Bytes } from '../../dicom/bytes.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import { resumed } from './resumed.ts'

/** The status line waits for so much of the body, or so long: small retrievals can still say 206 or an error. */
export const HOLD_BYTES = 65_536
export const HOLD_MS = 1000

/** What has been read of a stream before its status line is written. */
export interface Primed {
  /** The stream came to its end: all of it is known. */
  readonly done: boolean
  /** The whole stream, what was read included. */
  readonly stream: AsyncIterable<Bytes>
}

/**
 * Reads a stream until `bytes` of it are there, or it ends, or `milliseconds`, if told, have passed since its first piece:
 * a failure until then can still become a status.
 * @throws what the stream throws
 */
export async function primed(source: AsyncIterable<Bytes>, bytes: number, milliseconds?: number): Promise<Primed> {
  const iterator = source[Symbol.asyncIterator]()
  const held: Bytes[] = []
  let size = 0
  let deadline: number | undefined
  for (;;) {
    const next = iterator.next()
    if (deadline !== undefined) {
      const left = deadline - performance.now()
      if (left <= 0 || !(await settlesWithin(next, left))) return { done: false, stream: resumed(held, iterator, next) }
    }
    const step = await next
    if (step.done) return { done: true, stream: resumed(held, iterator) }
    held.push(step.value)
    size += step.value.length
    if (milliseconds !== undefined) deadline ??= performance.now() + milliseconds
    if (size >= bytes) return { done: false, stream: resumed(held, iterator) }
  }
}
