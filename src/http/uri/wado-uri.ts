import { notAcceptable } from '../accept.ts'
import { checkStudy } from '../auth/within-binding.ts'
import type { InstanceUids } from '../../instance/uids.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, isWebSyntax, transferSyntax } from '../../dicom/transfer-syntax.ts'
import { isNameable, type Uid } from '../../dicom/uids.ts'
import { acceptOf, parseAccept, type Accept, type MediaRange } from '../../dicomweb/negotiate/accept.ts'
import { negotiateRendered } from '../../dicomweb/negotiate/negotiate-rendered.ts'
import { parseUriParams, type UriParams } from '../../dicomweb/params/uri-params.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import { MAX_SIDE, type RenderedParams } from '../../dicomweb/params/rendered-params.ts'
import { patienceOf } from '../retrieve/coming-later.ts'
import { Delivery } from '../retrieve/delivery.ts'
import type { HttpContext } from '../context.ts'
import { instanceUrl } from '../path.ts'
import { layoutOf } from '../../instance/frames.ts'
import { RequestError } from '../problem.ts'
import { renderedTypes, renderInstance } from '../rendered/rendering.ts'
import { notRenderable, sendRendering } from '../rendered/rendered-resources.ts'
import { notModified } from '../validators/not-modified.ts'
import { bodies, fileOf, withHeader } from '../retrieve/retrieve.ts'

const DICOM = 'application/dicom'

/** WADO-URI: an instance by query parameters, as a DICOM file or as it is shown to people (PS3.18 9). */
export async function retrieveByUri(c: HttpContext): Promise<Response> {
  const query = new URL(c.req.url).searchParams
  const params = parseUriParams(query)
  const uids = uidsOf(query)
  await checkStudy(c, uids.study)
  const accept = named(acceptOf(query.getAll('contentType'), c.req.header('accept')))
  if ([...accept.query, ...accept.header].some(({ parameters }) => parameters.has('transfer-syntax'))) {
    throw new RequestError(400, 'INVALID_PARAMETER', 'Here the transfer syntax is a parameter: transferSyntax.')
  }
  const { study, series, sopInstance } = uids
  const kept = await notModified(c, { study, series, instance: sopInstance }, patienceOf(c))
  if (kept) return kept
  const { archive, cache, signal } = c.var
  using instance = await cache.instance(archive, uids, { compressed: true, part: false }, { signal })
  const layout = await layoutOf(instance)
  const shown = await renderedTypes(instance, layout, 1)
  const media = layout ? [...shown, DICOM] : [DICOM, ...shown]
  const [offer] = negotiateRendered(accept, { media, forms: ['single'] })
  if (!offer) throw notRenderable()
  if (offer.media === DICOM) return await sendFile(c, instance, params)
  if (params.transferSyntax !== undefined && params.transferSyntax !== '*') {
    throw new RequestError(400, 'INVALID_PARAMETER', 'transferSyntax is for contentType=application/dicom.')
  }
  const rendering = await renderInstance(c, instance, {
    params: renderedParamsOf(params, layout),
    accept: only(offer.media),
    forms: ['single'],
    // PS3.18 9.3: one picture, of the first frame where none is named.
    ...(layout && !offer.media.startsWith('video/') && { frames: [params.frameNumber ?? 1] }),
  })
  if (!rendering) throw notRenderable()
  const shownAs = { params: renderedParamsOf(params, layout) }
  return await sendRendering(c, instance, rendering, instanceUrl(c, instance), shownAs)
}

/** Who names types is not to be given another since a header takes anything. */
function named({ query, header }: Accept): Accept {
  const isNamed = ({ type, subtype, q }: MediaRange): boolean => q === 0 || (type !== '*' && subtype !== '*')
  return { query, header: query.length > 0 ? header.filter(isNamed) : header }
}

function only(media: string): Accept {
  return { query: [], header: parseAccept(media) }
}

function uidsOf(query: URLSearchParams): InstanceUids {
  const uid = (name: string): Uid => {
    const value = query.get(name)
    if (value !== null && isNameable(value)) return value
    throw new RequestError(400, 'INVALID_PARAMETER', `The parameter ${name} is missing, or is no UID.`)
  }
  return { study: uid('studyUID'), series: uid('seriesUID'), sopInstance: uid('objectUID') }
}

async function sendFile(c: HttpContext, instance: CachedInstance, params: UriParams): Promise<Response> {
  if (params.frameNumber !== undefined) {
    throw new RequestError(400, 'INVALID_PARAMETER', 'frameNumber is for pictures: a DICOM file has all frames.')
  }
  const wanted = params.transferSyntax ?? EXPLICIT_VR_LITTLE_ENDIAN.uid
  // PS3.18 9.5: Implicit VR and Big Endian are not for the web.
  const file =
    wanted === '*' || isWebSyntax(transferSyntax(wanted)) ? await fileOf(c, instance, [{ syntax: wanted }]) : undefined
  if (!file) throw notAcceptable('It cannot be given in that transfer syntax.')
  const part = { headers: { 'Content-Type': DICOM }, body: withHeader(instance, file) }
  const delivery = new Delivery(c)
  const parts = delivery.partsOfOne(instance, [part])
  return delivery.send(bodies(parts), { 'Content-Type': DICOM, 'Content-Location': instanceUrl(c, instance) })
}

/** The same in the terms of the other services. */
function renderedParamsOf(params: UriParams, layout: PixelLayout | undefined): RenderedParams {
  const { rows, columns, region, window, quality, annotation } = params
  const [height, width] = layout ? [layout.rows, layout.columns] : [0, 0]
  const whole = { left: 0, top: 0, right: 1, bottom: 1, ...region }
  const [left, top] = [Math.round(whole.left * width), Math.round(whole.top * height)]
  const shown = {
    left: Math.min(left, Math.max(width - 1, 0)),
    top: Math.min(top, Math.max(height - 1, 0)),
    width: Math.max(1, Math.round(whole.right * width) - left),
    height: Math.max(1, Math.round(whole.bottom * height) - top),
  }
  const isWhole = rows === undefined && columns === undefined && region === undefined
  // One side alone: the other in the same ratio.
  const scale = rows !== undefined ? rows / shown.height : columns !== undefined ? columns / shown.width : 1
  const scaled = (side: number): number => Math.min(MAX_SIDE, Math.max(1, Math.round(side * scale)))
  return {
    annotation: { patient: annotation.includes('patient'), technique: annotation.includes('technique') },
    unknownAnnotations: annotation.filter((one) => one !== 'patient' && one !== 'technique'),
    quality,
    iccProfile: 'no',
    window,
    viewport: isWhole
      ? undefined
      : {
          width: columns ?? scaled(shown.width),
          height: rows ?? scaled(shown.height),
          left: shown.left,
          top: shown.top,
          regionWidth: shown.width,
          regionHeight: shown.height,
          flipHorizontally: false,
          flipVertically: false,
        },
  }
}
