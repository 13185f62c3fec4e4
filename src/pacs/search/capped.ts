import { Status, StatusError } from '../../dimse/status.ts'

/**
 * Whether a C-FIND has ended as it does at an archive that bounds its answers, or that cannot answer a query of the kind
 * (PS3.4 C.4.1.1.4): cancelled though nobody did (FE00), out of resources (A7xx), not understood (A9xx), unable to process
 * (Cxxx). What it had answered by then holds.
 */
export function isCapped(error: unknown): error is StatusError {
  if (!(error instanceof StatusError)) return false
  const { status } = error
  return status === Status.cancel || status >>> 8 === 0xa7 || status >>> 8 === 0xa9 || status >>> 12 === 0xc
}

/**
 * The matches of a C-FIND, also where the archive ends the answer early behind some of them, which is then told.
 * @throws what the C-FIND throws that came to nothing
 */
export async function* asFarAsAnswered<T>(matches: AsyncIterable<T>, capped: () => void): AsyncGenerator<T> {
  let count = 0
  try {
    for await (const match of matches) {
      count++
      yield match
    }
  } catch (error) {
    if (count === 0 || !isCapped(error)) throw error
    capped()
  }
}
