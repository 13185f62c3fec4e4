import { acceptHeader } from '../accept.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { IMAGE_TYPES, negotiateRendered } from '../../dicomweb/negotiate/negotiate-rendered.ts'
import { resourceUrl } from '../../dicomweb/resource.ts'
import { UnusableImageError } from '../../imaging/image-description.ts'
import { WHOLE } from '../../imaging/picture/place-picture.ts'
import { returnKey, selectionKeys } from '../../pacs/search/query.ts'
import type { HttpContext } from '../context.ts'
import { frameList } from '../retrieve/frames.ts'
import { listed, listedSeries, WITHOUT_IMAGES } from '../retrieve/listing.ts'
import { sizedBytes } from '../body/sized-body.ts'
import { pathSelection } from '../path.ts'
import { layoutOf } from '../../instance/frames.ts'
import { RequestError } from '../problem.ts'
import { drawPicture, isDrawable } from './rendering.ts'
import { notRenderable, renderedParams, sendRendering } from './rendered-resources.ts'

/** Pixels of a side of a thumbnail for which nothing is said. */
const SIDE = 128
/** A small picture of a study, a series, an instance or a frame: the one in the middle (PS3.18 10.4.1.4). */
export async function thumbnail(c: HttpContext): Promise<Response> {
  const params = renderedParams(c, true)
  const [offer] = negotiateRendered(acceptHeader(c), { media: IMAGE_TYPES, forms: ['single'] })
  if (!offer) throw notRenderable()
  const { archive, cache, signal } = c.var
  const selection = pathSelection(c)
  const uids = await representativeOf(c, selection)
  using instance = await cache.instance(archive, uids, { compressed: true, part: false }, { signal })
  const layout = await layoutOf(instance)
  if (!layout || !isDrawable(instance.syntax)) throw noThumbnail()
  const asked = c.req.param('frames')
  const frame = asked === undefined ? Math.ceil(layout.frames / 2) : frameList(asked)[0]!
  const viewport = params.viewport ?? { ...WHOLE, width: SIDE, height: SIDE }
  const media = offer.media
  const picture = await drawPicture(c, instance, layout, frame, media, { ...params, viewport }).catch(
    (error: unknown) => {
      throw error instanceof UnusableImageError ? noThumbnail() : error
    },
  )
  const url = resourceUrl(c.var.base, selection) + (asked === undefined ? '' : `/frames/${frame}`)
  return await sendRendering(c, { ...offer, value: sizedBytes(picture) }, `${url}/thumbnail`, params)
}

/** The instance that stands for a selection: the middle one of the first series that has images. */
async function representativeOf(c: HttpContext, { study, series, instance }: Selection): Promise<InstanceUids> {
  const chosen = series ?? (await seriesOf(c, study))
  if (instance !== undefined) return { study, series: chosen, sopInstance: instance }
  const keys = [returnKey(Attribute.InstanceNumber, 'IS'), ...selectionKeys(study, chosen)]
  const found = await listed(c, 'IMAGE', [...keys, returnKey(Attribute.SOPInstanceUID, 'UI')])
  const instances = inOrder(found, Attribute.InstanceNumber, Attribute.SOPInstanceUID)
  const middle = instances[Math.floor((instances.length - 1) / 2)]
  if (middle === undefined) throw noThumbnail()
  return { study, series: chosen, sopInstance: middle }
}

async function seriesOf(c: HttpContext, study: Uid): Promise<Uid> {
  const found = await listedSeries(c, { study })
  const images = found.filter((match) => !WITHOUT_IMAGES.includes(match.string(Attribute.Modality) ?? ''))
  const [first] = inOrder(images, Attribute.SeriesNumber, Attribute.SeriesInstanceUID)
  if (first === undefined) throw noThumbnail()
  return first
}

/** UIDs by a number that their matches have; those without one come last, in the order of the archive. */
function inOrder(matches: readonly Dataset[], number: number, uid: number): Uid[] {
  const at = (match: Dataset): number => match.number(number) ?? Infinity
  return matches
    .toSorted((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)))
    .flatMap((match) => match.string(uid) ?? [])
    .filter(isUid)
}

function noThumbnail(): RequestError {
  return new RequestError(404, 'NO_THUMBNAIL', 'There is no image to make a thumbnail of.')
}
