import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { STORAGE_ROOT } from '../../dicom/uids.ts'
import type { Accept } from '../../dicomweb/negotiate/accept.ts'
import { isVideo } from '../../dicom/transfer-syntax.ts'
import { bulkBytes } from '../../instance/bulk-values.ts'
import { allFrames, checkFrames, layoutOf, wholePixelData, type SizedBytes } from '../../instance/frames.ts'
import { headAttributes } from '../../instance/head.ts'
import {
  IMAGE_TYPES,
  negotiateRendered,
  type ImageType,
  type RenderedOffer,
  type RenderedType,
} from '../../dicomweb/negotiate/negotiate-rendered.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import { MAX_ENLARGED_PIXELS, MAX_PIXELS, type RenderedParams } from '../../dicomweb/params/rendered-params.ts'
import { reportHtml, reportText } from '../../dicomweb/encode/report.ts'
import { formatTag } from '../../dicom/tag.ts'
import { isDecodable } from '../../imaging/codecs/decode-frame.ts'
import { annotationOverlay } from '../../imaging/picture/annotate.ts'
import { Animation, checkAnimation } from '../../imaging/picture/animation.ts'
import { encodePicture } from '../../imaging/picture/encode-picture.ts'
import { placePicture, type Placement } from '../../imaging/picture/place-picture.ts'
import { annotationOf } from './annotation.ts'
import { drawingHeader, drawInstance, frameTime } from './drawn-frame.ts'
import { encapsulatedDocument } from '../retrieve/encapsulated-document.ts'
import type { HttpContext } from '../context.ts'
import { requiredLayout } from '../retrieve/pixel-source.ts'
import { RequestError } from '../problem.ts'
import { sizedBytes, sizedPieces } from '../body/sized-body.ts'

/** Something as it is shown to people. */
export interface Rendering {
  readonly media: RenderedType
  readonly form: RenderedOffer['form']
  readonly value: SizedBytes
}

export interface RenderRequest {
  readonly params: RenderedParams
  readonly accept: Accept
  readonly forms: readonly RenderedOffer['form'][]
  /** Frames to show, counted from 1; all unless told. */
  readonly frames?: readonly number[]
}

/** Of the content of a report: a longer one is given as DICOM only. */
export const MAX_REPORT_BYTES = 8 * 1024 * 1024
/** Elements and items of a report; those of a CAD of hundreds of findings are some 10,000. */
export const MAX_REPORT_ELEMENTS = 50_000
/** What a report is shown as, its default first. */
export const REPORT_TYPES: readonly RenderedType[] = ['text/html', 'text/plain']
const REPORT_ROOT = `${STORAGE_ROOT}88.`
const PDF = 'application/pdf'

/**
 * Renders an instance as the client wants it (PS3.18 8.7.4); undefined where nothing that can be made of it is
 * acceptable. Of many frames JPEG and PNG show the first that is asked for, GIF all.
 * @throws UnusableImageError, CodestreamError, CodecStoppedError, NoSuchFrameError, RegionOutsideError,
 *   AnimationTooLargeError, ImagingBusyError, RequestError (404, 413), and what reading it throws
 */
export async function renderInstance(
  c: HttpContext,
  instance: CachedInstance,
  request: RenderRequest,
): Promise<Rendering | undefined> {
  const { accept, forms } = request
  const layout = await (request.frames ? requiredLayout(instance) : layoutOf(instance))
  // The frames of a video are one bitstream.
  if (request.frames && isVideo(instance.syntax)) return undefined
  const frames = request.frames ?? allFrames(layout?.frames ?? 0)
  const media = await renderedTypes(instance, layout, frames.length)
  const [offer] = negotiateRendered(accept, { media, forms })
  if (!offer) return undefined
  if (layout && isVideo(instance.syntax)) {
    return { ...offer, value: await wholePixelData(instance, layout) }
  }
  if (layout) {
    checkFrames(frames, layout.frames)
    return { ...offer, value: await renderImage(c, instance, layout, frames, offer.media as ImageType, request) }
  }
  if (offer.media === PDF) return { ...offer, value: await pdfOf(instance) }
  return { ...offer, value: sizedBytes(Buffer.from(await renderReport(instance, offer.media), 'utf8')) }
}

/** What can be made of an instance, its default first. */
export async function renderedTypes(
  instance: CachedInstance,
  layout: PixelLayout | undefined,
  frames: number,
): Promise<readonly RenderedType[]> {
  if (layout && isVideo(instance.syntax)) return [instance.syntax.media as RenderedType]
  if (layout && !isDrawable(instance.syntax)) return []
  if (layout) return frames > 1 ? ANIMATED_FIRST : IMAGE_TYPES
  if (instance.sopClass.startsWith(REPORT_ROOT)) return REPORT_TYPES
  const { type } = await encapsulatedDocument(instance)
  return type === PDF ? [PDF] : []
}

/** Native, or with a decoder. */
export function isDrawable({ encapsulated, uid }: TransferSyntax): boolean {
  return !encapsulated || isDecodable(uid)
}

const ANIMATED_FIRST: readonly RenderedType[] = ['image/gif', 'image/jpeg', 'image/png']

/** One picture of an instance, or of several frames an animation. */
async function renderImage(
  c: HttpContext,
  instance: CachedInstance,
  layout: PixelLayout,
  frames: readonly number[],
  type: ImageType,
  { params }: RenderRequest,
): Promise<SizedBytes> {
  if (type !== 'image/gif' || frames.length === 1) {
    return sizedBytes(await drawPicture(c, instance, layout, frames[0]!, type, params))
  }
  const { window, viewport } = params
  const placement = within(placePicture(layout.columns, layout.rows, viewport))
  checkAnimation(frames.length, placement)
  const { imaging, signal } = c.var
  const header = await drawingHeader(instance)
  const delay = frameTime(header)
  const annotation = annotationOf(header, params)
  return imaging.animate(async () => {
    const overlay =
      annotation && (await imaging.inTurn(({ left }) => annotationOverlay(annotation, placement, left), signal))
    const animation = new Animation(frames.length, placement, overlay)
    for (const frame of frames) {
      await drawInstance(c, instance, { layout, frame, window }, (...drawn) => animation.add(...drawn))
    }
    return sizedPieces(animation.pieces(delay))
  }, signal)
}

/** One frame as a picture. */
export async function drawPicture(
  c: HttpContext,
  instance: CachedInstance,
  layout: PixelLayout,
  frame: number,
  type: ImageType,
  params: RenderedParams,
): Promise<Uint8Array> {
  const { window, viewport, quality, iccProfile } = params
  const annotation = annotationOf(await drawingHeader(instance), params)
  // Before it is drawn, where it is known how large it is.
  if (layout.columns > 0 && layout.rows > 0) within(placePicture(layout.columns, layout.rows, viewport))
  return drawInstance(c, instance, { layout, frame, window }, async (picture, turn) => {
    const placement = within(placePicture(picture.width, picture.height, viewport))
    const overlay = annotation && (await annotationOverlay(annotation, placement, turn.left))
    return encodePicture(picture, placement, { type, quality, profile: iccProfile !== 'no', overlay, turn })
  })
}

/** @throws RequestError 413 for a picture that is too large, or enlarged too much */
function within(placement: Placement): Placement {
  const { width, height, region } = placement
  const pixels = width * height
  if (pixels > MAX_PIXELS) throw tooLarge(`A picture has at most ${MAX_PIXELS} pixels. Ask for a viewport.`)
  if (pixels <= MAX_ENLARGED_PIXELS || pixels <= region.width * region.height) return placement
  throw tooLarge(
    `An image is enlarged to at most ${MAX_ENLARGED_PIXELS} pixels. Ask for a smaller viewport, or for none.`,
  )
}

function tooLarge(detail: string): RequestError {
  return new RequestError(413, 'PICTURE_TOO_LARGE', detail)
}

async function renderReport(instance: CachedInstance, media: RenderedType): Promise<string> {
  const dataset = await readReport(instance)
  return media === 'text/html' ? reportHtml(dataset) : reportText(dataset)
}

async function readReport(instance: CachedInstance): Promise<Dataset> {
  const error = (): Error =>
    new RequestError(
      413,
      'REPORT_TOO_LARGE',
      `A report of over ${MAX_REPORT_BYTES} bytes or ${MAX_REPORT_ELEMENTS} elements is not rendered. Retrieve it as DICOM.`,
    )
  return headAttributes(instance, {
    omit: () => false,
    bound: { bytes: MAX_REPORT_BYTES, elements: MAX_REPORT_ELEMENTS, error },
  })
}

async function pdfOf(instance: CachedInstance): Promise<SizedBytes> {
  const path = formatTag(Attribute.EncapsulatedDocument)
  const { length } = await encapsulatedDocument(instance)
  for (const value of instance.index.values) {
    if (value.path !== path || value.fragments) continue
    return bulkBytes(instance, value, length)
  }
  throw new RequestError(404, 'NO_SUCH_BULK_DATA', 'The instance has no document.')
}
