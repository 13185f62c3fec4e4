import type { Bytes } from '../../dicom/bytes.ts'

/** Graphics over a frame (PS3.3 C.9.2): a plane of single bits, drawn where they are 1. */
export interface Overlay {
  readonly rows: number
  readonly columns: number
  /** Row and column of the image, from 0, of the plane's first bit; it may be outside of the image. */
  readonly top: number
  readonly left: number
  readonly plane:
    | {
        /** From the least bit of each byte on (PS3.5 8.1.2). */
        readonly kind: 'bits'
        readonly bits: Bytes
        /** Bits before the plane's first one. */
        readonly skip: number
      }
    /** An unused bit of each sample of the image: retired in the standard, still found in old images. */
    | { readonly kind: 'samples'; readonly position: number }
}
