import { isDropped } from './intolerance.ts'
import type { Lease } from './lease.ts'

/** Takes an association: `fresh`, a new one in any case. */
export type Take = (fresh: boolean) => Promise<Lease>

/**
 * What an operation yields on an association. One that was dead already when the operation came to it, which shows
 * before the first answer, is replaced by a fresh one, once. The operation says when it is `answered`, which what it
 * yields does too. The association is given back behind it.
 * @throws what `take` and the operation throw
 */
export async function* streamedOnFresh<T, R>(
  take: Take,
  operation: (lease: Lease, answered: () => void) => AsyncGenerator<T, R>,
): AsyncGenerator<T, R> {
  for (let fresh = false; ; fresh = true) {
    const lease = await take(fresh)
    const progress = { isAnswered: false }
    const answered = (): void => void (progress.isAnswered = true)
    try {
      const run = operation(lease, answered)
      try {
        for (let step = await run.next(); ; step = await run.next()) {
          if (step.done) return step.value
          answered()
          yield step.value
        }
      } finally {
        await run.return(undefined as never)
      }
    } catch (error) {
      if (progress.isAnswered || fresh || !(lease.reused && isDropped(error))) throw error
    } finally {
      lease.release()
    }
  }
}

/** What an operation comes to on an association, in the same way. @throws what `take` and the operation throw */
export async function onFresh<T>(take: Take, operation: (lease: Lease) => Promise<T>): Promise<T> {
  const run = streamedOnFresh(take, async function* (lease): AsyncGenerator<never, T> {
    return await operation(lease)
  })
  const { value } = await run.next()
  return value
}
