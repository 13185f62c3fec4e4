import type { CachedInstance } from '../cache/cached-instance.ts'
import { littleEndian } from '../dicom/data-set-source.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { walkElements } from '../dicom/element-walk.ts'
import { formatTag, type Tag } from '../dicom/tag.ts'
import { isPixelData } from '../dicomweb/bulk-attributes.ts'
import { run } from '../dicomweb/frames.ts'
import type { Overlay } from '../imaging/draw/overlay.ts'
import { OVERLAY_DATA, OVERLAYS, readOverlays, type OverlayRequest } from '../imaging/draw/read-overlays.ts'
import { gatheredFrame } from './pixel-source.ts'
import { Remembered } from './remembered.ts'

interface Place {
  readonly offset: number
  readonly length: number
}

/** Of the data of overlays: a viewer asks for many frames of an instance. */
const places = new Remembered<ReadonlyMap<Tag, Place>>(64)

/**
 * The overlays of a frame, of whose data only that frame's is read.
 * @throws UnusableImageError, MalformedDataSetError, and what reading it throws
 */
export async function overlaysOf(
  instance: CachedInstance,
  header: Dataset,
  request: OverlayRequest,
): Promise<readonly Overlay[]> {
  if (!OVERLAYS.some((tag) => header.has(tag))) return []
  const found = await places.of(instance.identity, () => overlayData(instance))
  return readOverlays(header, request, async (tag, from, to) => {
    const { offset, length } = found.get(tag) ?? { offset: 0, length: 0 }
    const end = Math.min(to, length)
    return end > from ? gatheredFrame(run(littleEndian(instance), offset + from, end - from)) : new Uint8Array(0)
  })
}

async function overlayData(instance: CachedInstance): Promise<ReadonlyMap<Tag, Place>> {
  const found = new Map<Tag, Place>()
  for await (const { header, path, offset } of walkElements(littleEndian(instance))) {
    const { tag, length } = header
    const isOutermost = path === formatTag(tag)
    if (isOutermost && isPixelData(tag)) break
    if (isOutermost && OVERLAY_DATA.has(tag) && length !== undefined) found.set(tag, { offset, length })
  }
  return found
}
