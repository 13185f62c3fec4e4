import type { Bytes } from './bytes.ts'

/**
 * JPEG and JPEG-LS: SOI; JPEG 2000: SOC and SIZ, or the first box of a JP2 file (ITU-T T.800 I.5.1); JPEG XL: its
 * codestream, or its box.
 */
const SIGNATURES = ['ffd8', 'ff4fff51', '0000000c6a502020', 'ff0a', '0000000c4a584c20'].map((hex) =>
  Buffer.from(hex, 'hex'),
)

/** Bytes of a fragment that tell. */
export const SIGNATURE_BYTES = 8

/** Whether a fragment of pixel data begins a frame's bitstream, where no table says (PS3.5 A.4). */
export function beginsBitstream(bytes: Bytes): boolean {
  return SIGNATURES.some((signature) => signature.every((byte, n) => bytes[n] === byte))
}
