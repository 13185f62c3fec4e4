import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive, QueryOptions } from '../archive.ts'
import type { Call } from '../call.ts'
import { fittingModalities } from '../search/derive-counts.ts'
import type { SearchRequest } from '../search/search.ts'
import { memberRequest } from './member-request.ts'
import { withPatientId, type PatientId } from './patient-id.ts'

/** What is asked of each archive of a federation. */
export interface MemberSearch {
  readonly request: SearchRequest
  /** All IDs of the one patient that it is for, where they are known. */
  readonly linked: readonly PatientId[]
  /** Told what an archive agreed to. */
  readonly agreed?: (options: QueryOptions) => void
}

/**
 * What one archive of a federation finds, each with its patient as all of a federation tell it.
 * @throws as Archive.search
 */
export async function* memberRows(
  archive: Archive,
  { request, linked, agreed }: MemberSearch,
  call: Call,
  capped: () => void,
): AsyncGenerator<Dataset> {
  const { request: own, isWanted } = memberRequest(request, archive.config, linked)
  const options = await archive.queryOptions(own.fuzzy === true, call)
  agreed?.(options)
  const found = fittingModalities(archive, archive.search(own, options, call, capped), own, call)
  for await (const match of found) {
    const row = withPatientId(match, archive.config)
    if (isWanted(row)) yield row
  }
}
