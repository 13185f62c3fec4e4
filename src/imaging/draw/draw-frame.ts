import type { Bytes } from '../../dicom/bytes.ts'
import { UnusableImageError } from '../image-description.ts'
import type { Picture } from '../picture/picture.ts'
import { drawColour } from './draw-colour.ts'
import { drawGrey } from './draw-grey.ts'
import { drawOverlays } from './draw-overlays.ts'
import type { DrawingPlan } from './drawing-plan.ts'

/** Draws a native frame in Little Endian by its plan (PS3.4 N.2), overlays over it. @throws UnusableImageError */
export function drawFrame(frame: Bytes, plan: DrawingPlan): Picture {
  const picture = drawImage(frame, plan)
  drawOverlays(picture, plan.overlays, frame, plan.image)
  return picture
}

function drawImage(frame: Bytes, plan: DrawingPlan): Picture {
  const { image } = plan
  const size = { width: image.columns, height: image.rows }
  const { photometricInterpretation: interpretation, samplesPerPixel } = image
  if (samplesPerPixel === 1 && ['MONOCHROME1', 'MONOCHROME2'].includes(interpretation)) {
    return { ...size, channels: 1, data: drawGrey(frame, plan) }
  }
  const isColour = samplesPerPixel === 3 || (samplesPerPixel === 1 && plan.palette)
  if (!isColour) throw new UnusableImageError('there is no way to draw its photometric interpretation')
  return { ...size, channels: 3, data: drawColour(frame, plan) }
}
