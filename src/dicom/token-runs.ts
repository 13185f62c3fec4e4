import { Breather } from './breather.ts'
import type { ByteStream } from './bytes.ts'
import type { ElementReader, ElementToken } from './element-reader.ts'

/** What is read of a chunk at once: between such steps others have their turn. */
export const STEP_BYTES = 131_072

/**
 * The tokens of a data set as its bytes come: those that a chunk completes, then those of the next. Each run is taken to
 * its end before the next is asked for.
 * @throws MalformedDataSetError from a run, at the end too where the data set is cut short; and what `body` throws
 */
export async function* tokenRuns(body: ByteStream, reader: ElementReader): AsyncGenerator<Iterable<ElementToken>> {
  const breather = new Breather()
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += STEP_BYTES) {
      reader.push(chunk.subarray(at, at + STEP_BYTES))
      yield ready(reader)
      if (breather.isDue) await breather.breathe()
    }
  }
  reader.end()
  yield ready(reader)
}

function* ready(reader: ElementReader): Generator<ElementToken> {
  for (let token = reader.next(); token !== undefined; token = reader.next()) yield token
}
