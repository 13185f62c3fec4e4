import { acceptHeader } from '../accept.ts'
import { IMAGE_TYPES, negotiateRendered } from '../../dicomweb/negotiate/negotiate-rendered.ts'
import { resourceUrl } from '../../dicomweb/resource.ts'
import { UnusableImageError } from '../../imaging/image-description.ts'
import { WHOLE } from '../../imaging/picture/place-picture.ts'
import type { HttpContext } from '../context.ts'
import { frameList } from '../retrieve/frames.ts'
import { sizedBytes } from '../body/sized-body.ts'
import { pathSelection } from '../path.ts'
import { noThumbnail, ofRepresentative } from './representative.ts'
import { drawPicture } from './rendering.ts'
import { chosenNotModified } from '../validators/not-modified.ts'
import { notRenderable, renderedParams, sendRendering } from './rendered-resources.ts'

/** Pixels of a side of a thumbnail for which nothing is said. */
const SIDE = 128

/** A small picture of a study, a series, an instance or a frame: the one in the middle (PS3.18 10.4.1.4). */
export async function thumbnail(c: HttpContext): Promise<Response> {
  const params = renderedParams(c, true)
  const [offer] = negotiateRendered(acceptHeader(c), { media: IMAGE_TYPES, forms: ['single'] })
  if (!offer) throw notRenderable()
  const selection = pathSelection(c)
  const asked = c.req.param('frames')
  const viewport = params.viewport ?? { ...WHOLE, width: SIDE, height: SIDE }
  const isOfInstance = selection.instance !== undefined
  return ofRepresentative(
    c,
    selection,
    async (instance, layout, middle) => {
      const frame = asked === undefined ? middle : frameList(asked)[0]!
      const drawn = drawPicture(c, instance, layout, frame, offer.media, { ...params, viewport })
      const picture = await drawn.catch((error: unknown) => {
        throw error instanceof UnusableImageError ? noThumbnail() : error
      })
      const url = resourceUrl(c.var.base, selection) + (asked === undefined ? '' : `/frames/${frame}`)
      const how = { params, ...(!isOfInstance && { of: 'chosen' as const }) }
      return sendRendering(c, instance, { ...offer, value: sizedBytes(picture) }, `${url}/thumbnail`, how)
    },
    (uids) => (isOfInstance ? undefined : chosenNotModified(c, uids)),
  )
}
