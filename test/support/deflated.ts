import { deflateRawSync } from 'node:zlib'
import type { Bytes } from '../../src/dicom/bytes.ts'

/** A data set as Deflated Explicit VR Little Endian has it (PS3.5 A.5): even, padded by NUL. */
export function deflate(bytes: Bytes): Buffer {
  const deflated = deflateRawSync(bytes)
  return deflated.length % 2 === 0 ? deflated : Buffer.concat([deflated, Buffer.of(0)])
}
