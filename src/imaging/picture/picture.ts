import type { Bytes } from '../../dicom/bytes.ts'

/** A picture of 8 bits a channel, from the top row down: grey, or red, green and blue. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Bytes
}
