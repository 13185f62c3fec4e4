import { modelType } from '../accept.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Dataset, Element } from '../../dicom/dataset.ts'
import type { EncodeOptions } from '../../dicomweb/encode/encoded-model.ts'
import { jsonPieces } from '../../dicomweb/encode/json.ts'
import { Repeats } from '../../dicomweb/encode/repeats.ts'
import { readMetadata } from '../../dicomweb/metadata.ts'
import type { DamagedInstanceError } from '../../instance/damage.ts'
import { resourceUrl } from '../../dicomweb/resource.ts'
import { xmlPieces } from '../../dicomweb/encode/xml.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { encodedText } from '../body/encoded-text.ts'
import { Delivery, type Part } from './delivery.ts'
import type { HttpContext } from '../context.ts'
import { FOUND_ONLY, foundMetadata } from './found-metadata.ts'
import { pathSelection } from '../path.ts'
import { NOT_KEPT } from '../validators/kept.ts'

/** Metadata of a study, a series or an instance (PS3.18 10.4), instance by instance as their headers arrive. */
export async function retrieveMetadata(c: HttpContext): Promise<Response> {
  const type = modelType(c)
  const selection = pathSelection(c)
  const { archive, cache, signal, base } = c.var
  const isXml = type === 'application/dicom+xml'
  // Of several copies each may have what the others lack.
  const isOfOne = (c.var.federated?.study?.copies.length ?? 1) === 1
  const found = archive.config.metadata === 'find' && isOfOne
  const delivery = new Delivery(c, found ? NOT_KEPT : undefined)
  const retrieved = (): AsyncIterable<CachedInstance> => {
    const instances = cache.retrieve(archive, selection, { compressed: true, lingers: true }, { signal })
    return selection.instance === undefined ? instances : first(instances)
  }
  const repeats = new Repeats()
  const partOf: PartOf = (metadata, options) =>
    part(isXml ? xmlPieces(metadata, options) : jsonPieces(metadata, options, repeats))
  const parts = found
    ? delivery.parts(foundMetadata(archive, selection, { signal }), async function* (metadata) {
        const [study, sopClass] = [Attribute.StudyInstanceUID, Attribute.SOPClassUID].map((tag) => metadata.string(tag))
        c.var.trail?.note({ study: study ?? '', sopClass: sopClass ?? '', index: { attributes: metadata } })
        yield partOf(metadata, {})
      })
    : delivery.parts(retrieved(), (instance) => partsOf(instance, base, partOf))
  const headers = found ? { Warning: [`299 ${base}: ${FOUND_ONLY}`] } : {}
  if (isXml) return delivery.sendMultipart(parts, headers)
  return delivery.send(array(parts), { 'Content-Type': type, ...headers })
}

/** Metadata in the form that was asked for. */
type PartOf = (metadata: Dataset, options: EncodeOptions) => Part

async function* partsOf(instance: CachedInstance, base: string, partOf: PartOf): AsyncGenerator<Part> {
  const { study, series, sopInstance } = instance
  const url = resourceUrl(base, { study, series, instance: sopInstance })
  let fault: DamagedInstanceError | undefined
  const metadata = await readMetadata(instance.headBody, instance.syntax, instance.received, (found) => (fault = found))
  const bulkDataUri = (path: string, { omitted }: Element): string | undefined =>
    omitted ? `${url}/bulkdata/${path}` : undefined
  yield partOf(metadata, { bulkDataUri })
  if (fault as Error | undefined) throw fault!
}

/** There is one: its header is here long before the archive has sent its pixels, and says that there are no others. */
async function* first<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const item of items) {
    yield item
    return
  }
}

function part(pieces: Iterable<string>): Part {
  return { headers: { 'Content-Type': 'application/dicom+xml' }, body: encodedText(pieces) }
}

/** A JSON array of what the parts hold. */
async function* array(parts: AsyncIterable<Part>): AsyncGenerator<Bytes> {
  let separator = '['
  for await (const { body } of parts) {
    yield Buffer.from(separator)
    yield* body
    separator = ','
  }
  yield Buffer.from(separator === '[' ? '[]' : ']')
}
