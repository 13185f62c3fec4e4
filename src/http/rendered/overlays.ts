import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { formatTag } from '../../dicom/tag.ts'
import { run } from '../../instance/frames.ts'
import type { Overlay } from '../../imaging/draw/overlay.ts'
import { OVERLAYS, readOverlays, type OverlayRequest } from '../../imaging/draw/read-overlays.ts'
import { gatheredFrame } from '../retrieve/pixel-source.ts'

/**
 * The overlays of a frame, of whose data only that frame's is read.
 * @throws UnusableImageError, and what ends the arrival
 */
export async function overlaysOf(
  instance: CachedInstance,
  header: Dataset,
  request: OverlayRequest,
): Promise<readonly Overlay[]> {
  if (!OVERLAYS.some((tag) => header.has(tag))) return []
  return readOverlays(header, request, async (tag, from, to) => {
    // In front of the pixel data, and so known: the header has been read.
    const path = formatTag(tag)
    const data = instance.index.values.find((value) => value.path === path)
    const end = Math.min(to, data?.header.length ?? 0)
    return data && end > from ? gatheredFrame(run(instance, data.offset + from, end - from)) : new Uint8Array(0)
  })
}
