import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import type { Uid } from '../../dicom/uids.ts'
import { StatusError } from '../../dimse/status.ts'
import { layoutOf } from '../../instance/frames.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import { returnKey, selectionKeys } from '../../pacs/search/query.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { concernsOneInstance } from '../retrieve/instance-fault.ts'
import { imageSeries, inOrder } from '../image-series.ts'
import { listed, listedSeries } from '../retrieve/listing.ts'
import { isDrawable } from './rendering.ts'

/** Series of a study that are tried until one has a picture. */
export const MAX_SERIES_TRIED = 5

/**
 * What is drawn of the instance that stands for a selection: the middle one of the first series that has images; of the
 * next series where that cannot be had. `middle`: the number of its frame in the middle. `known`: what need not be drawn.
 * @throws RequestError NO_SUCH_STUDY, NO_THUMBNAIL; of the first series, what keeps it from being drawn
 */
export async function ofRepresentative<T>(
  c: HttpContext,
  selection: Selection,
  draw: (instance: CachedInstance, layout: PixelLayout, middle: number) => Promise<T>,
  known: (uids: InstanceUids) => T | undefined,
): Promise<T> {
  const { archive, cache, signal } = c.var
  const candidates = selection.series === undefined ? await seriesOf(c, selection.study) : [selection.series]
  let first: Error | undefined
  for (const series of candidates.slice(0, MAX_SERIES_TRIED)) {
    try {
      const uids = await middleOf(c, { ...selection, series })
      const found = known(uids)
      if (found !== undefined) return found
      using instance = await cache.instance(archive, uids, { compressed: true, part: false }, { signal })
      const layout = await layoutOf(instance)
      if (!layout || !isDrawable(instance.syntax)) throw noThumbnail()
      return await draw(instance, layout, Math.ceil(layout.frames / 2))
    } catch (error) {
      signal.throwIfAborted()
      if (!isOfSeries(error)) throw error
      first ??= error as Error
    }
  }
  throw first ?? noThumbnail()
}

/** The next series may do better. */
function isOfSeries(error: unknown): boolean {
  return (
    concernsOneInstance(error) ||
    error instanceof NoSuchInstanceError ||
    error instanceof IncompleteRetrieveError ||
    error instanceof MalformedDataSetError ||
    error instanceof StatusError
  )
}

async function middleOf(
  c: HttpContext,
  { study, series, instance }: Selection & { readonly series: Uid },
): Promise<InstanceUids> {
  if (instance !== undefined) return { study, series, sopInstance: instance }
  const keys = [returnKey(Attribute.InstanceNumber, 'IS'), ...selectionKeys(study, series)]
  const found = await listed(c, 'IMAGE', [...keys, returnKey(Attribute.SOPInstanceUID, 'UI')])
  const instances = inOrder(found, Attribute.InstanceNumber, Attribute.SOPInstanceUID)
  const middle = instances[Math.floor((instances.length - 1) / 2)]
  if (middle === undefined) throw noThumbnail()
  return { study, series, sopInstance: middle }
}

/** The series of a study that have images, in the order of their numbers. */
async function seriesOf(c: HttpContext, study: Uid): Promise<Uid[]> {
  const found = await listedSeries(c, { study })
  if (found.length === 0) throw new RequestError(404, 'NO_SUCH_STUDY', 'The archive has no such study.')
  return imageSeries(found)
}

export function noThumbnail(): RequestError {
  return new RequestError(404, 'NO_THUMBNAIL', 'There is no image to make a thumbnail of.')
}
