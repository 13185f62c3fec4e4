import type { Bytes } from '../../dicom/bytes.ts'
import type { Picture } from './picture.ts'

/** The turn of a frame, in which its picture is made: what it takes counts, whatever it is. */
export interface Turn {
  /** Milliseconds that are left of the frame's time, at least 1. */
  readonly left: number
  /** Milliseconds since the turn began. */
  readonly spent: number
  /** Milliseconds that a turn may take. */
  readonly limit: number
  /** A picture as an image of a GIF (see gifImage), in a thread that is ended when the time is over. */
  gif(picture: Picture): Promise<Bytes>
}
