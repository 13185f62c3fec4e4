import type { CachedInstance } from '../cache/cached-instance.ts'
import { littleEndian, type DataSetSource } from '../dicom/data-set-source.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import { OCTET_STREAM } from '../dicomweb/bulk-media.ts'
import { representPixelData, type BulkOffer, type Representation } from '../dicomweb/negotiate-bulk.ts'
import { readPixelLayout, type PixelLayout } from '../dicomweb/pixel-layout.ts'
import type { InstanceUids } from '../pacs/instance.ts'
import { IncompleteRetrieveError } from '../pacs/retrieve-source.ts'
import { notAcceptable } from './delivery.ts'
import type { HttpContext } from './environment.ts'
import { RequestError } from './problem.ts'

/** The pixel data of an instance, and how it is given to the client. To be disposed of. */
export interface PixelSource extends Disposable {
  readonly instance: CachedInstance
  readonly source: DataSetSource
  readonly layout: PixelLayout
  readonly representation: Representation
}

/**
 * Opens the pixel data of an instance in a form that the client accepts: as it is stored; else, where uncompressed was
 * asked for, as the archive decompresses it; else as it is if it exists only with loss (PS3.18 8.7.3).
 * @throws RequestError 404 without pixel data, 406; what a retrieval throws
 */
export async function openPixelData(
  c: HttpContext,
  uids: InstanceUids,
  offers: readonly BulkOffer[],
): Promise<PixelSource> {
  const { archive, cache, signal } = c.var
  const open = (compressed: boolean): Promise<CachedInstance> =>
    cache.instance(archive, uids, { compressed, part: true }, { signal })
  const stored = await open(true)
  try {
    const asStored = representPixelData(offers, stored.syntax, false)
    if (asStored) return await pixelSource(stored, asStored)
    if (offers.some(({ media, syntax }) => media === OCTET_STREAM && syntax === EXPLICIT_VR_LITTLE_ENDIAN.uid)) {
      const native = await open(false).catch(orNone)
      const asked = native && representPixelData(offers, native.syntax, false)
      if (native && asked) {
        stored[Symbol.dispose]()
        return await pixelSource(native, asked)
      }
      native?.[Symbol.dispose]()
    }
    const lossy = representPixelData(offers, stored.syntax, true)
    if (lossy) return await pixelSource(stored, lossy)
    throw notAcceptable()
  } catch (error) {
    stored[Symbol.dispose]()
    throw error
  }
}

/** An archive that cannot decompress it sends nothing. */
function orNone(error: unknown): undefined {
  if (!(error instanceof IncompleteRetrieveError)) throw error
  return undefined
}

async function pixelSource(instance: CachedInstance, representation: Representation): Promise<PixelSource> {
  const layout = await layoutOf(instance).catch((error: unknown) => {
    instance[Symbol.dispose]()
    throw error
  })
  if (!layout) {
    instance[Symbol.dispose]()
    throw new RequestError(404, 'NO_PIXEL_DATA', 'The instance has no pixel data.')
  }
  return {
    instance,
    source: littleEndian(instance),
    layout,
    representation,
    [Symbol.dispose]: () => instance[Symbol.dispose](),
  }
}

/** A viewer asks for the frames of an instance one by one: its header is read once. */
const layouts = new WeakMap<object, PixelLayout | undefined>()

export async function layoutOf(instance: CachedInstance): Promise<PixelLayout | undefined> {
  const { identity } = instance
  if (!layouts.has(identity)) layouts.set(identity, await readPixelLayout(littleEndian(instance)))
  return layouts.get(identity)
}
