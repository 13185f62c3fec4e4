import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { frameOf } from '../../instance/frames.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import type { WindowParam } from '../../dicomweb/params/rendered-params.ts'
import type { Picture } from '../../imaging/picture/picture.ts'
import type { Turn } from '../../imaging/picture/turn.ts'
import { DRAWING_ATTRIBUTES, planDrawing, type DrawingPlan } from '../../imaging/draw/drawing-plan.ts'
import { UnusableImageError } from '../../imaging/image-description.ts'
import { ANNOTATED } from './annotation.ts'
import type { HttpContext } from '../context.ts'
import { overlaysOf } from './overlays.ts'
import { gatheredFrame } from '../retrieve/pixel-source.ts'
import { headAttributes } from '../../instance/head.ts'

/** What is read of a header for it to be drawn and annotated, and for how long a frame is shown. */
const HEADER: ReadonlySet<number> = new Set([
  ...DRAWING_ATTRIBUTES,
  ...ANNOTATED,
  Attribute.RecommendedDisplayFrameRate,
  Attribute.CineRate,
  Attribute.FrameTime,
])
/** Milliseconds a frame of an animation is shown where its instance does not say. */
const FRAME_MS = 100

/** Of the values that are read to draw an image: of tables, and of the functional groups of its frames. */
export const MAX_DRAWING_HEADER_BYTES = 64 * 1024 * 1024

/** The attributes of an instance by which its frames are drawn. @throws MalformedDataSetError, and what reading it throws */
export function drawingHeader(instance: CachedInstance): Promise<Dataset> {
  const error = (): Error => new UnusableImageError(`its header has values of over ${MAX_DRAWING_HEADER_BYTES} bytes`)
  const bound = { bytes: MAX_DRAWING_HEADER_BYTES, error }
  return instance.head(() => headAttributes(instance, { only: HEADER, omit: () => false, bound }))
}

export interface DrawRequest {
  readonly layout: PixelLayout
  /** Counted from 1. */
  readonly frame: number
  /** In place of what the instance says. */
  readonly window: WindowParam | undefined
}

/**
 * Draws one frame; what `finish` makes of it, see Imaging.
 * @throws NoSuchFrameError, UnusableImageError, CodestreamError, CodecStoppedError, ImagingBusyError, and what reading it
 *   and `finish` throw
 */
export async function drawInstance<T>(
  c: HttpContext,
  instance: CachedInstance,
  { layout, frame, window }: DrawRequest,
  finish: (picture: Picture, turn: Turn) => Promise<T>,
): Promise<T> {
  const stored = await frameOf(instance, layout, frame)
  const header = await drawingHeader(instance)
  const described = planDrawing(header, frame, floatBits(layout))
  const syntax = layout.length === undefined ? instance.syntax.uid : undefined
  const { image, float } = described
  const inSamples = syntax === undefined && float === undefined
  const overlays = await overlaysOf(instance, header, { frame, image, inSamples })
  const drawing: DrawingPlan = { ...described, overlays, ...(window && { voi: { kind: 'window', ...window } }) }
  return c.var.imaging.draw(await gatheredFrame(stored), drawing, syntax, finish, c.var.signal)
}

function floatBits({ tag }: PixelLayout): 32 | 64 | undefined {
  if (tag === Attribute.FloatPixelData) return 32
  return tag === Attribute.DoubleFloatPixelData ? 64 : undefined
}

/** Milliseconds that each frame of an instance is shown (PS3.3 C.7.6.5). */
export function frameTime(header: Dataset): number {
  const time = header.number(Attribute.FrameTime)
  const rate = header.number(Attribute.RecommendedDisplayFrameRate) ?? header.number(Attribute.CineRate)
  const perFrame = time !== undefined && time > 0 ? time : rate !== undefined && rate > 0 ? 1000 / rate : FRAME_MS
  return Math.round(perFrame)
}
