import type { Bytes } from '../../dicom/bytes.ts'

const [SOC, SOT, TLM] = [0xff4f, 0xff90, 0xff55]
const SOT_BYTES = 12
/** Stlm: tile numbers of 8 bits, lengths of tile-parts of 32 (ITU-T T.800 A.7.1). */
const SIZES = 0x50
const ENTRY_BYTES = 5

/**
 * A codestream of JPEG 2000 or HTJ2K, of less than 256 tiles, with the lengths of its tile-parts in its header (TLM),
 * which the encoder does not write.
 */
export function withTileLengths(codestream: Bytes): Bytes {
  const view = new DataView(codestream.buffer, codestream.byteOffset, codestream.length)
  let at = 2
  if (view.getUint16(0) !== SOC) throw new RangeError('This is no codestream')
  while (view.getUint16(at) !== SOT) at += 2 + view.getUint16(at + 2)
  const parts: { tile: number; length: number }[] = []
  for (let part = at; part + SOT_BYTES <= codestream.length && view.getUint16(part) === SOT;) {
    const told = view.getUint32(part + 6)
    // Psot of the last tile-part may be 0: it goes up to EOC.
    const length = told === 0 ? codestream.length - 2 - part : told
    parts.push({ tile: view.getUint16(part + 4), length })
    part += length
  }
  const marker = Buffer.alloc(6 + parts.length * ENTRY_BYTES)
  marker.writeUInt16BE(TLM, 0)
  marker.writeUInt16BE(marker.length - 2, 2)
  marker[5] = SIZES
  for (const [n, { tile, length }] of parts.entries()) {
    marker[6 + n * ENTRY_BYTES] = tile
    marker.writeUInt32BE(length, 7 + n * ENTRY_BYTES)
  }
  return Buffer.concat([codestream.subarray(0, at), marker, codestream.subarray(at)])
}
