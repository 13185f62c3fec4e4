import { notAcceptable, acceptHeader } from '../accept.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { part10Header } from '../../dicom/part10.ts'
import { recode } from '../../dicom/recode.ts'
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  isNative,
  transferSyntax,
  type TransferSyntax,
} from '../../dicom/transfer-syntax.ts'
import { negotiateInstances, type InstanceOffer } from '../../dicomweb/negotiate/negotiate.ts'
import { resourceUrl } from '../../dicomweb/resource.ts'
import { checkWhole, isStreamable, planTranscoding } from '../../imaging/transcode/plan-transcoding.ts'
import { converted } from '../converted.ts'
import { isUndrawable } from './instance-fault.ts'
import { Delivery, type Part } from './delivery.ts'
import type { HttpContext } from '../context.ts'
import { zip } from '../../dicomweb/encode/zip.ts'
import { entriesOf, fileName, zipHeaders } from './zip-names.ts'
import { holdsOthers } from './listing.ts'
import { pathSelection } from '../path.ts'
import { layoutOf } from '../../instance/frames.ts'

/** WADO-RS of a study, a series or an instance as DICOM files (PS3.18 10.4). */
export async function retrieveInstances(c: HttpContext): Promise<Response> {
  const selection = pathSelection(c)
  const all = negotiateInstances(acceptHeader(c), { single: selection.instance !== undefined })
  const [best] = all
  if (!best) throw notAcceptable()
  const offers = all.filter(({ form }) => form === best.form)
  const { archive, cache, signal } = c.var
  const delivery = new Delivery(c)
  // What has no pixels has no compressed form either.
  const onlyImages = offers.every(({ syntax }) => syntax !== '*' && transferSyntax(syntax).encapsulated)
  if (onlyImages && selection.instance === undefined && (await holdsOthers(c, selection, () => false))) {
    delivery.foresee()
  }
  const instances = cache.retrieve(archive, selection, { compressed: true, lingers: false }, { signal })
  const parts = delivery.parts(instances, (instance) => fileParts(c, instance, offers, delivery))
  const location = { 'Content-Location': resourceUrl(c.var.base, selection) }
  if (best.form === 'multipart') return delivery.sendMultipart(parts, location)
  if (best.form === 'zip')
    return delivery.send(zip(entriesOf(parts), new Date()), { ...zipHeaders(selection), ...location })
  return delivery.send(bodies(parts), { 'Content-Type': 'application/dicom', ...location })
}

/** What single parts hold, one behind the other. */
export async function* bodies(parts: AsyncIterable<Part>): AsyncGenerator<Bytes> {
  for await (const { body } of parts) yield* body
}

/** The file of an instance, in the first syntax that the client accepts and that it can be given in. */
async function* fileParts(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly InstanceOffer[],
  delivery: Delivery,
): AsyncGenerator<Part> {
  let file: DataSetFile | undefined
  let reason: Error | undefined
  try {
    file = await fileOf(c, instance, offers)
  } catch (error) {
    if (!isUndrawable(error)) throw error
    reason = error as Error
  }
  if (!file) {
    delivery.leaveOut(reason, (await layoutOf(instance)) !== undefined)
    return
  }
  const type = `application/dicom; transfer-syntax=${file.syntax.uid}`
  yield { headers: { 'Content-Type': type }, body: withHeader(instance, file), name: fileName(instance) }
}

/** A data set, and the syntax it is in. */
export interface DataSetFile {
  readonly syntax: TransferSyntax
  readonly body: ByteStream
}

/**
 * An instance in the first of the syntaxes offered that it can be given in: as it is, rewritten, or with its pixel data
 * converted; undefined where there is none. PS3.18 8.7.3: what exists only with loss, and cannot be decoded, is given as
 * it is to who asked for the default.
 * @throws as transcode, where the only forms it could have had fail
 */
export async function fileOf(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly Pick<InstanceOffer, 'syntax'>[],
): Promise<DataSetFile | undefined> {
  const { syntax: stored } = instance
  let fault: unknown
  for (const { syntax: wanted } of offers) {
    const syntax = wanted === '*' ? stored : transferSyntax(wanted)
    if (isNative(stored) && isNative(syntax)) return { syntax, body: recode(instance.body, stored, syntax) }
    if (syntax.uid === stored.uid) return { syntax, body: instance.body }
    try {
      const file = await convertedFile(c, instance, syntax)
      if (file) return file
    } catch (error) {
      if (!isUndrawable(error)) throw error
      fault ??= error
    }
    const isDefault = syntax.uid === EXPLICIT_VR_LITTLE_ENDIAN.uid
    if (isDefault && stored.lossy) return { syntax: stored, body: instance.body }
  }
  if (fault !== undefined) throw fault as Error
  return undefined
}

async function convertedFile(
  c: HttpContext,
  instance: CachedInstance,
  syntax: TransferSyntax,
): Promise<DataSetFile | undefined> {
  const layout = await layoutOf(instance)
  if (!layout) return withoutPixels(instance, syntax)
  // Floats have no compressed form.
  if (layout.tag !== Attribute.PixelData) return undefined
  const target = syntax.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : syntax
  const plan = planTranscoding(layout, instance.syntax, target)
  if (!plan || !isStreamable(plan)) return undefined
  checkWhole(plan, layout.length)
  const body = await converted(c.var, instance.bytes(), plan)
  return { syntax, body: recode(body, target, syntax) }
}

/** PS3.5 10: any syntax for images does for what has no pixel data, but an encapsulated one says more than there is. */
function withoutPixels(instance: CachedInstance, syntax: TransferSyntax): DataSetFile | undefined {
  if (!instance.syntax.encapsulated || syntax.encapsulated) return undefined
  // Encapsulated syntaxes are Explicit VR Little Endian but for pixel data (PS3.5 A.4).
  return { syntax, body: recode(instance.body, EXPLICIT_VR_LITTLE_ENDIAN, syntax) }
}

/** A data set of an instance as a file (PS3.10 7). */
export async function* withHeader(
  { sopClass, sopInstance }: CachedInstance,
  { syntax, body }: DataSetFile,
): AsyncGenerator<Bytes> {
  yield part10Header(sopClass, sopInstance, syntax)
  yield* body
}
