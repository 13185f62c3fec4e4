import type { Bytes } from '../../dicom/bytes.ts'
import { drawColour } from './draw-colour.ts'
import { drawGrey } from './draw-grey.ts'
import type { Drawing } from './drawing-plan.ts'
import { drawOverlays } from './overlay.ts'
import { UnusableImageError } from '../image-description.ts'

/** A picture of 8 bits a channel, from the top row down: grey, or red, green and blue. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Bytes
}

/** Draws a native frame in Little Endian by its drawing (PS3.4 N.2), overlays over it. @throws UnusableImageError */
export function drawFrame(frame: Bytes, drawing: Drawing): Picture {
  const picture = drawImage(frame, drawing)
  drawOverlays(picture, drawing.overlays, frame, drawing.image)
  return picture
}

function drawImage(frame: Bytes, drawing: Drawing): Picture {
  const { image } = drawing
  const size = { width: image.columns, height: image.rows }
  const { photometricInterpretation: interpretation, samplesPerPixel } = image
  if (samplesPerPixel === 1 && ['MONOCHROME1', 'MONOCHROME2'].includes(interpretation)) {
    return { ...size, channels: 1, data: drawGrey(frame, drawing) }
  }
  const isColour = samplesPerPixel === 3 || (samplesPerPixel === 1 && drawing.palette)
  if (!isColour) throw new UnusableImageError('there is no way to draw its photometric interpretation')
  return { ...size, channels: 3, data: drawColour(frame, drawing) }
}
