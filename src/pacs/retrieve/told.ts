import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { StatusError } from '../../dimse/status.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import { isCapped } from '../search/capped.ts'
import type { Query } from '../search/query.ts'
import type { Call } from '../call.ts'
import type { RetrieveSource } from './retrieval.ts'

/**
 * Takes the matches of a query as far as the archive answers it: some end every longer list by a failure (FE00, A700),
 * refuse searches to us, or know none of the kind. A retrieve does not hang on that, unless nothing can begin without the
 * answer (`isNeeded`): then only what ends a longer list is borne. `take` returns false when it has enough. Returns whether
 * the archive answered as far as that.
 * @throws what ends an association; StatusError
 */
export async function told(
  { source, call }: { readonly source: Pick<RetrieveSource, 'find'>; readonly call: Call },
  query: Query,
  take: (match: Dataset) => boolean | undefined,
  isNeeded = false,
): Promise<boolean> {
  try {
    for await (const match of source.find(query, call)) if (take(match) === false) break
    return true
  } catch (error) {
    call.signal.throwIfAborted()
    if (error instanceof NotSupportedByArchiveError || error instanceof MalformedDataSetError) return false
    if (!(error instanceof StatusError) || (isNeeded && !isCapped(error))) throw error
    return false
  }
}
