import { notAcceptable, acceptHeader } from '../accept.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { formatTag } from '../../dicom/tag.ts'
import { isBulkData } from '../../instance/bulk-attributes.ts'
import { bulkBytes, bulkValues, findValue } from '../../instance/bulk-values.ts'
import type { BulkValue } from '../../instance/instance-index.ts'
import { isOmitted } from '../../dicomweb/encode/encoded-model.ts'
import { allFrames, layoutOf, type SizedBytes } from '../../instance/frames.ts'
import {
  negotiateBulkData,
  representPixelData,
  representValue,
  type BulkOffer,
  type Representation,
} from '../../dicomweb/negotiate/negotiate-bulk.ts'
import { DamagedInstanceError } from '../../instance/damage.ts'
import { Delivery, notFound, type Part } from './delivery.ts'
import type { HttpContext } from '../context.ts'
import { encapsulatedDocument } from './encapsulated-document.ts'
import { frameParts } from './frames.ts'
import { instanceUrl, pathInstance, pathSelection } from '../path.ts'
import { concernsOneInstance } from './instance-fault.ts'
import { givenPixels, openPixelData } from './pixel-source.ts'
import { exactly, sendSized } from '../body/sized-body.ts'
import type { Answer } from '../validators/given.ts'
import { ofInstance } from '../validators/giving.ts'

const PATH = /^[0-9A-F]{8}(\/\d{1,6}\/[0-9A-F]{8})*$/
const DOCUMENT = formatTag(Attribute.EncapsulatedDocument)
const PIXELS = [Attribute.PixelData, Attribute.FloatPixelData, Attribute.DoubleFloatPixelData].map(formatTag)

const PIXELS_ALONE = { of: 'pixels', freshness: 'fixed' } as const

/** A BulkDataURI of ours: tags, with item numbers from 0 between them (PS3.18 10.4.3.3.5). */
export async function retrieveBulkDataElement(c: HttpContext): Promise<Response> {
  const path = (c.req.param('path') ?? '').toUpperCase()
  if (!PATH.test(path)) throw notFound()
  const uids = pathInstance(c)
  if (PIXELS.includes(path)) return retrieveOnePixelData(c, path)
  const offers = offersFor(c, true)
  const { archive, cache, signal } = c.var
  using instance = await cache.instance(archive, uids, { compressed: true, part: true }, { signal })
  const element = await findValue(instance, path)
  if (!element) throw notFound()
  const own = path === DOCUMENT ? await encapsulatedDocument(instance) : undefined
  const representation = representElement(offers, element, instance, own?.type)
  if (!representation) throw notAcceptable()
  const value = await bulkBytes(instance, element, own?.length)
  const location = `${instanceUrl(c, instance)}/bulkdata/${path}`
  // What is no bulk data is of the header, which may be corrected.
  const how = isBulkData(element.header) ? PIXELS_ALONE : ({ of: 'headers', freshness: 'checked' } as const)
  return await sendValue(c, instance, { value, representation, location, how })
}

/** Pixel data of an instance (PS3.18 10.4): a value, or one part for each frame of compressed data. */
async function retrieveOnePixelData(c: HttpContext, path?: string): Promise<Response> {
  const uids = pathInstance(c)
  const offers = offersFor(c, true)
  using pixels = await openPixelData(c, uids, offers)
  const { layout, instance } = pixels
  if (path !== undefined && path !== formatTag(layout.tag)) throw notFound()
  const url = instanceUrl(c, instance)
  const value = pixels.value()
  if (value) {
    const location = `${url}/bulkdata/${formatTag(layout.tag)}`
    const { representation } = pixels
    return await sendValue(c, instance, { value: await value, representation, location, how: PIXELS_ALONE })
  }
  const inParts = givenPixels(
    c,
    instance,
    layout,
    offers.filter(({ form }) => form === 'multipart'),
    true,
  )
  if (!inParts) throw notAcceptable()
  const delivery = new Delivery(c, ofInstance(c, instance, { ...PIXELS_ALONE, isWeak: true }))
  const parts = delivery.partsOfOne(instance, frameParts(inParts, allFrames(layout.frames), url))
  return await delivery.sendMultipart(parts, {})
}

/** All bulk data of a study, a series or an instance, each value a part. */
export function retrieveBulkData(c: HttpContext): Promise<Response> {
  return retrieveAll(c, false)
}

/** The pixel data of a study, a series or an instance. */
export async function retrievePixelData(c: HttpContext): Promise<Response> {
  return c.req.param('instance') === undefined ? retrieveAll(c, true) : retrieveOnePixelData(c)
}

async function retrieveAll(c: HttpContext, pixelsOnly: boolean): Promise<Response> {
  const offers = offersFor(c, false)
  const { archive, cache, signal } = c.var
  const instances = cache.retrieve(archive, pathSelection(c), { compressed: true, lingers: false }, { signal })
  const delivery = new Delivery(c)
  const parts = delivery.parts(instances, (instance) => partsOf(c, instance, offers, pixelsOnly, delivery))
  return delivery.sendMultipart(parts, {})
}

/** The values of an instance that the client accepts; the delivery is told of the others. */
async function* partsOf(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly BulkOffer[],
  pixelsOnly: boolean,
  delivery: Delivery,
): AsyncGenerator<Part> {
  let fault: unknown
  if (!pixelsOnly) {
    try {
      yield* valueParts(c, instance, offers, delivery)
    } catch (error) {
      // Of one that is damaged from its pixel data on, the frames that are whole are given too.
      if (!(error instanceof DamagedInstanceError) || instance.index.headBytes === undefined) throw error
      fault = error
    }
  }
  yield* pixelParts(c, instance, offers, delivery)
  if (fault !== undefined) throw fault as Error
}

async function* valueParts(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly BulkOffer[],
  delivery: Delivery,
): AsyncGenerator<Part> {
  for await (const element of bulkValues(instance)) {
    if (isOmitted(element.header.tag)) continue
    const own = element.path === DOCUMENT ? await encapsulatedDocument(instance) : undefined
    const representation = representElement(offers, element, instance, own?.type)
    if (!representation) delivery.leaveOut()
    else {
      const value = await bulkBytes(instance, element, own?.length)
      yield part(value, representation, `${instanceUrl(c, instance)}/bulkdata/${element.path}`)
    }
  }
}

async function* pixelParts(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly BulkOffer[],
  delivery: Delivery,
): AsyncGenerator<Part> {
  const url = instanceUrl(c, instance)
  const layout = await layoutOf(instance)
  if (!layout) return
  const pixels = givenPixels(c, instance, layout, offers, true)
  if (!pixels) {
    delivery.leaveOut()
    return
  }
  // One that is damaged is left out of the others.
  const fault = await pixels.ready().catch((error: unknown) => error)
  if (fault !== undefined) {
    const isDamage = fault instanceof DamagedInstanceError || instance.isDamaged
    if (isDamage || !concernsOneInstance(fault)) throw fault as Error
    delivery.leaveOut(fault as Error)
    return
  }
  const value = pixels.value()
  if (value) yield part(await value, pixels.representation, `${url}/bulkdata/${formatTag(layout.tag)}`)
  else yield* frameParts(pixels, allFrames(layout.frames), url)
}

function part({ length, bytes }: SizedBytes, { contentType }: Representation, location: string): Part {
  const headers = { 'Content-Type': contentType, 'Content-Length': length, 'Content-Location': location }
  return { headers, body: exactly(bytes(), length) }
}

/** A value as it is given. */
interface Given {
  readonly value: SizedBytes
  readonly representation: Representation
  readonly location: string
  readonly how: Pick<Answer, 'of' | 'freshness'>
}

async function sendValue(
  c: HttpContext,
  instance: CachedInstance,
  { value, representation, location, how }: Given,
): Promise<Response> {
  const { contentType, form } = representation
  if (form === 'single') {
    const headers = {
      'Content-Type': contentType,
      'Content-Location': location,
      // A document says itself what it is: a page among them is not to act. Browsers show no PDF in a sandbox.
      ...(contentType !== 'application/pdf' && { 'Content-Security-Policy': "default-src 'none'; sandbox" }),
    }
    return sendSized(c, value, headers, { kept: ofInstance(c, instance, how) })
  }
  async function* parts(): AsyncGenerator<Part> {
    yield part(value, representation, location)
  }
  return new Delivery(c, ofInstance(c, instance, { ...how, isWeak: true })).sendAll(parts(), {})
}

function offersFor(c: HttpContext, single: boolean): BulkOffer[] {
  const offers = negotiateBulkData(acceptHeader(c), { single })
  if (offers.length === 0) throw notAcceptable()
  return offers
}

/** Fragments in an item, of an icon, are as compressed as the instance's own. */
function representElement(
  offers: readonly BulkOffer[],
  { fragments }: BulkValue,
  { syntax }: CachedInstance,
  own: string | undefined,
): Representation | undefined {
  return fragments ? representPixelData(offers, syntax, true) : representValue(offers, own)
}
