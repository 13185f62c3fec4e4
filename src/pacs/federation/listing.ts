import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Archive } from '../archive.ts'
import { gather, LateArchiveError } from './gather.ts'
import { keptAttributes } from './kept-attributes.ts'
import { PoolBusyError, PoolFullError } from '../errors.ts'
import { StatusError } from '../../dimse/status.ts'

/** Instances of one selection that are compared between archives; with more their numbers are. */
export const MAX_LISTED = 50_000

const UIDS = [Attribute.SOPInstanceUID, Attribute.SeriesInstanceUID]

/**
 * The instances that an archive lists of a study or series. `in part`: it answers, and does not list all; `silent`: it does
 * not answer in `timeout` ms, or cannot be reached.
 */
export type Listing = readonly InstanceUids[] | 'in part' | 'silent'

/** @throws the signal's reason */
export async function listingOf(
  archive: Archive,
  { study, series }: Selection,
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<Listing> {
  const request = { level: 'IMAGE', study, ...(series !== undefined && { series }), match: [], include: [] } as const
  const [answer] = await gather(
    [archive],
    async function* (_, call, capped) {
      const options = await archive.queryOptions(false, call)
      const rows = archive.search({ ...request, withParents: false }, options, call, capped)
      for await (const row of rows) yield keptAttributes(row, UIDS)
    },
    { limit: MAX_LISTED, timeout },
    { signal },
  )
  const { rows, failure, hasMore, isCapped } = answer!
  if (failure && rows.length === 0 && isSilence(archive, failure)) return 'silent'
  if (failure !== undefined || hasMore || isCapped) return 'in part'
  return rows.map((row) => ({
    study,
    series: row.string(Attribute.SeriesInstanceUID) ?? series ?? '',
    sopInstance: row.string(Attribute.SOPInstanceUID) ?? '',
  }))
}

/** One whose associations are all in use by us is late, and answers. */
function isSilence({ stats }: Archive, failure: Error): boolean {
  if (failure instanceof LateArchiveError) return stats.waiting === 0
  return !(failure instanceof StatusError || failure instanceof PoolBusyError || failure instanceof PoolFullError)
}
