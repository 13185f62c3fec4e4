import type { ByteStream } from './bytes.ts'
import type { ElementReader, ElementToken } from './element-reader.ts'

/**
 * The tokens of a data set as its bytes come: those that a chunk completes, then those of the next. Each run is taken to
 * its end before the next is asked for.
 * @throws MalformedDataSetError from a run, at the end too where the data set is cut short; and what `body` throws
 */
export async function* tokenRuns(body: ByteStream, reader: ElementReader): AsyncGenerator<Iterable<ElementToken>> {
  for await (const chunk of body) {
    reader.push(chunk)
    yield ready(reader)
  }
  reader.end()
  yield ready(reader)
}

function* ready(reader: ElementReader): Generator<ElementToken> {
  for (let token = reader.next(); token !== undefined; token = reader.next()) yield token
}
