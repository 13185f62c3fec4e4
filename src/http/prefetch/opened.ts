import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { listingOf } from '../../pacs/federation/listing.ts'
import type { HttpContext } from '../context.ts'
import { surroundingsOf } from '../surroundings.ts'

/** By these a viewer shows that it opens a study. */
export const OPENING: readonly string[] = ['searchStudySeries', 'retrieveStudyMetadata', 'retrieveSeriesMetadata']

function includesAll(listed: readonly InstanceUids[], known: readonly InstanceUids[]): boolean {
  const all = new Set(listed.map(({ series, sopInstance }) => `${series} ${sopInstance}`))
  return known.every(({ series, sopInstance }) => all.has(`${series} ${sopInstance}`))
}

/** How long an archive has to list a study that is here, before it is retrieved anew, in ms. */
const LISTING_MS = 10_000

/** Somebody has opened a study: what he may want to see beside it is fetched. */
export function opened(c: HttpContext, study: string): void {
  const { prefetcher, config, archive, principal, priors, base } = c.var
  // Who is bound to a study, or may retrieve nothing, sees none of its priors.
  if (!prefetcher || config.prefetch?.viewer !== true || principal.binding) return
  if (!principal.may('retrieve', archive.config) || prefetcher.brought(archive, study)) return
  const around = surroundingsOf(c, ['search', 'retrieve'])
  prefetcher.opened(`${base} ${study}`, (call) => priors.find(study, around, call))
}

/**
 * What was fetched ahead of somebody who comes now is given without a further retrieval, where the archive says that it has
 * nothing else.
 */
export async function noteUse(c: HttpContext, selection: Selection): Promise<void> {
  const { prefetcher, archive, cache, signal } = c.var
  const { study, series, instance } = selection
  if (!prefetcher) return
  if (series !== undefined && instance !== undefined) {
    // Asked for each frame: it does not look for the others of the study.
    if (cache.arrivalOf(archive, { study, series, sopInstance: instance }) !== undefined)
      prefetcher.used(archive, study)
    return
  }
  const brought = prefetcher.brought(archive, study)
  if (!brought) return
  prefetcher.used(archive, study)
  if (cache.held(archive, selection)) return
  const known = brought.filter((uids) => series === undefined || uids.series === series)
  const listed = await listingOf(archive, selection, { timeout: LISTING_MS, signal })
  // Something may have been stored meanwhile; and a list that lacks what is here is none.
  if (typeof listed === 'string' || prefetcher.brought(archive, study) !== brought || !includesAll(listed, known))
    return
  cache.renew(archive, selection, listed)
}
