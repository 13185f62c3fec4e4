import { notAcceptable, acceptHeader } from '../accept.ts'
import { ofInstance } from '../validators/giving.ts'
import { NOT_KEPT } from '../validators/kept.ts'
import { chosenNotModified } from '../validators/not-modified.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { IMAGE_TYPES, negotiateRendered, type RenderedType } from '../../dicomweb/negotiate/negotiate-rendered.ts'
import { parseRenderedParams, type RenderedParams } from '../../dicomweb/params/rendered-params.ts'
import { ofRepresentative } from './representative.ts'
import { concernsOneInstance } from '../retrieve/instance-fault.ts'
import { Delivery, type Part } from '../retrieve/delivery.ts'
import type { HttpContext } from '../context.ts'
import { frameList } from '../retrieve/frames.ts'
import { holdsOthers } from '../retrieve/listing.ts'
import { instanceUrl, pathInstance, pathSelection } from '../path.ts'
import {
  drawPicture,
  isDrawable,
  renderInstance,
  REPORT_TYPES,
  type Rendering,
  type RenderRequest,
} from './rendering.ts'
import { requiredLayout } from '../retrieve/pixel-source.ts'
import type { RequestError } from '../problem.ts'
import { exactly, sendSized, sizedBytes } from '../body/sized-body.ts'
import { DamagedInstanceError } from '../../instance/damage.ts'
import { checkFrames, layoutOf } from '../../instance/frames.ts'

/** What a web page that is rendered from a report may do: nothing but look as it is. */
const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

/** WADO-RS of an instance as it is shown to people (PS3.18 10.4.1.3). */
export async function renderOneInstance(c: HttpContext): Promise<Response> {
  const params = renderedParams(c)
  const { archive, cache, signal } = c.var
  const uids = pathInstance(c)
  using instance = await cache.instance(archive, uids, { compressed: true, part: true }, { signal })
  const rendering = await renderInstance(c, instance, {
    params,
    accept: acceptHeader(c),
    forms: ['single', 'multipart'],
  })
  if (!rendering) throw notRenderable()
  return await sendRendering(c, instance, rendering, `${instanceUrl(c, instance)}/rendered`, { params })
}

/** WADO-RS of frames as pictures: each by itself, or together as an animation. */
export async function renderFrames(c: HttpContext): Promise<Response> {
  const params = renderedParams(c)
  const frames = frameList(c.req.param('frames') ?? '')
  const { archive, cache, signal } = c.var
  const accept = acceptHeader(c)
  using instance = await cache.instance(archive, pathInstance(c), { compressed: true, part: true }, { signal })
  const url = `${instanceUrl(c, instance)}/frames/${frames.join(',')}/rendered`
  if (frames.length === 1) {
    const rendering = await renderInstance(c, instance, { params, accept, forms: ['single', 'multipart'], frames })
    if (!rendering) throw notRenderable()
    return await sendRendering(c, instance, rendering, url, { params })
  }
  const [animated] = negotiateRendered(accept, { media: ['image/gif'], forms: ['single'] })
  const [offer] = negotiateRendered(accept, { media: IMAGE_TYPES, forms: ['multipart'] })
  if (!offer && animated) {
    const rendering = await renderInstance(c, instance, { params, accept, forms: ['single'], frames })
    if (rendering?.media === 'image/gif') return await sendRendering(c, instance, rendering, url, { params })
  }
  if (!offer) throw onlyInParts()
  const layout = await requiredLayout(instance)
  if (!isDrawable(instance.syntax)) throw notRenderable()
  checkFrames(frames, layout.frames)
  const type = offer.media
  async function* parts(): AsyncGenerator<Part> {
    for (const frame of frames) {
      const bytes = await drawPicture(c, instance, layout, frame, type, params)
      yield partOf({ ...offer!, value: sizedBytes(bytes) }, `${instanceUrl(c, instance)}/frames/${frame}/rendered`)
    }
  }
  return await new Delivery(c, NOT_KEPT).sendMultipart(parts(), warningsOf(c, params))
}

/** What instances of modalities that are no images are shown as; of the others without images there is nothing to show. */
const NOT_IMAGES: Readonly<Record<string, readonly RenderedType[]>> = {
  SR: REPORT_TYPES,
  KO: REPORT_TYPES,
  DOC: ['application/pdf'],
}

/**
 * WADO-RS of a study or a series: one part for each instance that can be shown. Who takes a picture and no parts gets that of
 * the instance that stands for them all, as for a thumbnail (OHIF asks so).
 */
export async function renderSelection(c: HttpContext): Promise<Response> {
  const params = renderedParams(c)
  const accept = acceptHeader(c)
  const every = [
    ...IMAGE_TYPES,
    'text/html',
    'text/plain',
    'application/pdf',
    'video/mp4',
    'video/mpeg',
    'video/H265',
  ] as const
  if (negotiateRendered(accept, { media: every, forms: ['multipart'] }).length === 0)
    return renderRepresentative(c, params)
  const { archive, cache, signal } = c.var
  const selection = pathSelection(c)
  const delivery = new Delivery(c)
  const isShown = (modality: string): boolean =>
    negotiateRendered(accept, { media: NOT_IMAGES[modality] ?? [], forms: ['multipart'] }).length > 0
  if (await holdsOthers(c, selection, isShown)) delivery.foresee()
  const instances = cache.retrieve(archive, selection, { compressed: true, lingers: false }, { signal })
  const request: RenderRequest = { params, accept, forms: ['multipart'] }
  const parts = delivery.parts(instances, (instance) => renderedPart(c, instance, request, delivery))
  return delivery.sendMultipart(parts, warningsOf(c, params))
}

async function renderRepresentative(c: HttpContext, params: RenderedParams): Promise<Response> {
  const [offer] = negotiateRendered(acceptHeader(c), { media: IMAGE_TYPES, forms: ['single'] })
  if (!offer) throw onlyInParts()
  return ofRepresentative(
    c,
    pathSelection(c),
    async (instance, layout, frame) => {
      const picture = await drawPicture(c, instance, layout, frame, offer.media, params)
      const url = `${instanceUrl(c, instance)}/frames/${frame}/rendered`
      return sendRendering(c, instance, { ...offer, value: sizedBytes(picture) }, url, { params, of: 'chosen' })
    },
    (uids) => chosenNotModified(c, uids),
  )
}

async function* renderedPart(
  c: HttpContext,
  instance: CachedInstance,
  request: RenderRequest,
  delivery: Delivery,
): AsyncGenerator<Part> {
  let rendering: Rendering | undefined
  let reason: Error | undefined
  try {
    rendering = await renderInstance(c, instance, request)
  } catch (error) {
    // Of one that is damaged the delivery knows that it may come once more.
    const isDamage = error instanceof DamagedInstanceError || instance.isDamaged
    if (isDamage || !concernsOneInstance(error)) throw error
    reason = error as Error
  }
  if (rendering) yield partOf(rendering, `${instanceUrl(c, instance)}/rendered`)
  else delivery.leaveOut(reason ?? notRenderable(), (await layoutOf(instance)) !== undefined)
}

export function renderedParams(c: HttpContext, thumbnail = false): RenderedParams {
  return parseRenderedParams(new URL(c.req.url).searchParams, { thumbnail })
}

function partOf({ media, value: { length, bytes } }: Rendering, location: string): Part {
  const headers = { 'Content-Type': typeOf(media), 'Content-Length': length, 'Content-Location': location }
  return { headers, body: exactly(bytes(), length) }
}

/**
 * Answers with one thing that is shown. Browsers keep it, unless it has words of the header in it, which may be corrected.
 * `of`: as of an Answer.
 */
export function sendRendering(
  c: HttpContext,
  instance: CachedInstance,
  { media, form, value }: Rendering,
  location: string,
  { params, of }: { readonly params: RenderedParams; readonly of?: 'chosen' },
): Promise<Response> {
  const { patient, technique } = params.annotation
  const isWeak = form === 'multipart'
  const isKept = !media.startsWith('text/') && !patient && !technique
  const kept = isKept ? ofInstance(c, instance, { of, freshness: 'checked', isWeak }) : NOT_KEPT
  if (isWeak) {
    async function* parts(): AsyncGenerator<Part> {
      yield partOf({ media, form, value }, location)
    }
    return new Delivery(c, kept).sendAll(parts(), warningsOf(c, params))
  }
  const headers = {
    'Content-Type': typeOf(media),
    'Content-Location': location,
    ...(media === 'text/html' && { 'Content-Security-Policy': PAGE_POLICY }),
    ...warningsOf(c, params),
  }
  return sendSized(c, value, headers, { kept })
}

function typeOf(media: string): string {
  return media.startsWith('text/') ? `${media}; charset=utf-8` : media
}

/** PS3.18 8.3.5.1.1: keywords that nobody knows are passed over, and told. */
function warningsOf(c: HttpContext, { unknownAnnotations }: RenderedParams): Record<string, string> {
  if (unknownAnnotations.length === 0) return {}
  return { Warning: `299 ${c.var.base}: The annotation parameter has keywords that are not supported.` }
}

export function notRenderable(): RequestError {
  return notAcceptable('It cannot be shown in a form that the Accept header allows, or not at all.')
}

function onlyInParts(): RequestError {
  return notAcceptable('Several are shown in parts only: accept multipart/related; type="image/jpeg", or another type.')
}
