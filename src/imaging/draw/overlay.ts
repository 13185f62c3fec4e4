import type { Bytes } from '../../dicom/bytes.ts'

/** Graphics over a frame (PS3.3 C.9.2): a plane of single bits, where they are set. */
export interface Overlay {
  readonly rows: number
  readonly columns: number
  /** Of its first bit, in rows and columns of the image from 0; it may begin outside. */
  readonly top: number
  readonly left: number
  readonly plane:
    | {
        /** From the least bit of each byte on (PS3.5 8.1.2). */
        readonly kind: 'bits'
        readonly bits: Bytes
        /** Bits before the first one. */
        readonly skip: number
      }
    /** A bit of each sample of the image that is none of its value: retired, and there in old images. */
    | { readonly kind: 'samples'; readonly position: number }
}
