import type { Bytes } from '../../dicom/bytes.ts'

/** A stream of which some was read already. It is given up by `return`, also where nothing of it was taken. */
export function resumed(
  held: Bytes[],
  iterator: AsyncIterator<Bytes>,
  pending?: Promise<IteratorResult<Bytes>>,
): AsyncIterableIterator<Bytes> {
  // A failure of the pending piece is seen when it is awaited below, or not at all when the client has gone.
  pending?.catch(() => undefined)
  let first = pending
  let isOver = false
  const end = async (): Promise<IteratorReturnResult<undefined>> => {
    isOver = true
    await iterator.return?.()
    return { done: true, value: undefined }
  }
  return {
    async next() {
      if (isOver) return { done: true, value: undefined }
      const value = held.shift()
      if (value) return { done: false, value }
      const next = first ?? iterator.next()
      first = undefined
      const step = await next
      return step.done ? end() : step
    },
    return: end,
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
