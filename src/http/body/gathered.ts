import type { Bytes } from '../../dicom/bytes.ts'
import { settlesWithin } from '../../network/settles-within.ts'

/** Pieces below this size are gathered, by copying, before they are written: a write wakes the client. */
const SMALL_BYTES = 65_536
/** How long small pieces wait for company, in ms. */
const GATHER_MS = 20

/** Joins small pieces with what follows them at once; none waits longer than GATHER_MS. */
export async function* gathered(source: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
  const iterator = source[Symbol.asyncIterator]()
  let held: Bytes[] = []
  let heldBytes = 0
  const take = (): Bytes => {
    const joined = held.length === 1 ? held[0]! : Buffer.concat(held)
    held = []
    heldBytes = 0
    return joined
  }
  try {
    for (;;) {
      const next = iterator.next()
      if (heldBytes > 0 && !(await settlesWithin(next, GATHER_MS))) yield take()
      const step = await next
      if (step.done) break
      const { value } = step
      if (value.length >= SMALL_BYTES) {
        if (heldBytes > 0) yield take()
        yield value
        continue
      }
      held.push(value)
      heldBytes += value.length
      if (heldBytes >= SMALL_BYTES) yield take()
    }
    if (heldBytes > 0) yield take()
  } finally {
    await iterator.return?.()
  }
}
