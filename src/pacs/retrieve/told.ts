import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import { isCapped } from '../search/capped.ts'
import type { Query } from '../search/query.ts'
import type { Retrieval } from './retrieval.ts'

/**
 * Takes the matches of a query as far as the archive answers it: some end every longer list by a failure (FE00, A700),
 * or know no query of the kind. A retrieve does not hang on that. `take` returns false when it has enough. Returns
 * whether the archive answered as far as that.
 * @throws what ends an association
 */
export async function told(
  { source, call }: Retrieval,
  query: Query,
  take: (match: Dataset) => boolean | undefined,
): Promise<boolean> {
  try {
    for await (const match of source.find(query, call)) if (take(match) === false) break
    return true
  } catch (error) {
    call.signal.throwIfAborted()
    const isUnanswerable = error instanceof NotSupportedByArchiveError || error instanceof MalformedDataSetError
    if (!isUnanswerable && !isCapped(error)) throw error
    return false
  }
}
