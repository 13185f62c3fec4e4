import type { Bytes } from './bytes.ts'
import type { Uid } from './uids.ts'

const signatures = (...hex: readonly string[]): readonly Buffer[] => hex.map((one) => Buffer.from(one, 'hex'))
/** JPEG and JPEG-LS: SOI; JPEG 2000: SOC and SIZ, or the first box of a JP2 file (ITU-T T.800 I.5.1). */
const SIGNATURES = signatures('ffd8', 'ff4fff51', '0000000c6a502020')
/** Its codestream, or its box. The others may have FF 0A within. */
const JPEG_XL = signatures('ff0a', '0000000c4a584c20')
const JPEG_XL_SYNTAXES: readonly Uid[] = ['110', '111', '112'].map((last) => `1.2.840.10008.1.2.4.${last}`)

/** Bytes of a fragment that tell. */
export const SIGNATURE_BYTES = 8

/** Whether a fragment of pixel data begins a frame's bitstream, where no table says (PS3.5 A.4). */
export function beginsBitstream(bytes: Bytes, syntax: Uid): boolean {
  const expected = JPEG_XL_SYNTAXES.includes(syntax) ? JPEG_XL : SIGNATURES
  return expected.some((signature) => signature.every((byte, n) => bytes[n] === byte))
}
