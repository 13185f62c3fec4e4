import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Archive } from '../archive.ts'
import { gather } from './gather.ts'

/** Instances of one selection that are compared between archives; with more their numbers are. */
export const MAX_LISTED = 50_000

const EMPTY = { vr: 'UI', value: new Uint8Array(0) } as const

/**
 * The instances that an archive lists of a study or series; undefined where it does not say all, or not in `timeout` ms.
 * @throws the signal's reason
 */
export async function listingOf(
  archive: Archive,
  { study, series }: Selection,
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<readonly InstanceUids[] | undefined> {
  const request = { level: 'IMAGE', study, ...(series !== undefined && { series }), match: [], include: [] } as const
  const [answer] = await gather(
    [archive],
    async function* (_, call, capped) {
      const options = await archive.queryOptions(false, call)
      for await (const row of archive.search({ ...request, withParents: false }, options, call, capped)) {
        yield new Dataset()
          .put(Attribute.SOPInstanceUID, row.get(Attribute.SOPInstanceUID)!)
          .put(Attribute.SeriesInstanceUID, row.get(Attribute.SeriesInstanceUID) ?? EMPTY)
      }
    },
    { limit: MAX_LISTED, timeout },
    { signal },
  )
  const { rows, failure, hasMore, isCapped } = answer!
  if (failure !== undefined || hasMore || isCapped) return undefined
  return rows.map((row) => ({
    study,
    series: row.string(Attribute.SeriesInstanceUID) ?? series ?? '',
    sopInstance: row.string(Attribute.SOPInstanceUID) ?? '',
  }))
}
