import type { Bytes } from '../dicom/bytes.ts'
import { part10Header } from '../dicom/part10.ts'
import { recode } from '../dicom/recode.ts'
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  isNative,
  isWebSyntax,
  transferSyntax,
  type TransferSyntax,
} from '../dicom/transfer-syntax.ts'
import { negotiateInstances, type InstanceOffer } from '../dicomweb/negotiate.ts'
import { resourceUrl } from '../dicomweb/resource.ts'
import type { Instance } from '../pacs/instance.ts'
import { Delivery, notAcceptable, type Part } from './delivery.ts'
import type { HttpContext } from './environment.ts'
import { acceptHeader, pathSelection } from './path.ts'

/** WADO-RS of a study, a series or an instance as DICOM files (PS3.18 10.4). */
export async function retrieveInstances(c: HttpContext): Promise<Response> {
  const selection = pathSelection(c)
  const all = negotiateInstances(acceptHeader(c), { single: selection.instance !== undefined })
  const [best] = all
  if (!best) throw notAcceptable()
  const offers = all.filter(({ form }) => form === best.form)
  const { archive, cache, signal } = c.var
  // Uncompressed first choice: the archive is asked to decompress, by what is proposed to it (PS3.18 8.7.3).
  const compressed = best.syntax === '*' || transferSyntax(best.syntax).encapsulated
  const instances = cache.retrieve(archive, selection, { compressed, lingers: false }, { signal })
  const delivery = new Delivery()
  const parts = delivery.parts(instances, (instance) => fileParts(instance, offers, delivery))
  const location = { 'Content-Location': resourceUrl(c.var.base, selection) }
  if (best.form === 'multipart') return delivery.sendMultipart(c, 'application/dicom', parts, location)
  return delivery.send(c, bodies(parts), { 'Content-Type': 'application/dicom', ...location })
}

async function* bodies(parts: AsyncIterable<Part>): AsyncGenerator<Bytes> {
  for await (const { body } of parts) yield* body
}

/** The file of an instance, in the first syntax that the client accepts and that it can be given in. */
async function* fileParts(
  instance: Instance,
  offers: readonly InstanceOffer[],
  delivery: Delivery,
): AsyncGenerator<Part> {
  const syntax = choose(instance.syntax, offers)
  if (!syntax) {
    delivery.leaveOut()
    return
  }
  const type = `application/dicom; transfer-syntax=${syntax.uid}`
  yield { headers: { 'Content-Type': type }, body: file(instance, syntax) }
}

function choose(stored: TransferSyntax, offers: readonly InstanceOffer[]): TransferSyntax | undefined {
  for (const { syntax: wanted } of offers) {
    const syntax = wanted === '*' ? stored : transferSyntax(wanted)
    if (isNative(stored) && isNative(syntax)) return isWebSyntax(syntax) ? syntax : EXPLICIT_VR_LITTLE_ENDIAN
    if (syntax.uid === stored.uid) return syntax
    // PS3.18 8.7.3: what exists only with loss is given as it is to who asked for the default.
    if (syntax.uid === EXPLICIT_VR_LITTLE_ENDIAN.uid && stored.lossy) return stored
  }
  return undefined
}

async function* file(instance: Instance, syntax: TransferSyntax): AsyncGenerator<Bytes> {
  yield part10Header(instance.sopClass, instance.sopInstance, syntax)
  yield* recode(instance.body, instance.syntax, syntax)
}
