import type { Bytes } from '../../dicom/bytes.ts'
import type { CodestreamHeader } from './codestream-header.ts'
import { hasEndOfImage } from './end-of-image.ts'

/** The frame header (SOFn, or SOF55 of JPEG-LS) of ITU-T T.81 B.2.2. */
export function jpegHeader(bytes: Bytes): CodestreamHeader | undefined {
  for (let at = 2; at + 9 < bytes.length;) {
    if (bytes[at] !== 0xff) {
      at++
      continue
    }
    const marker = bytes[at + 1]!
    if (isFrameMarker(marker)) {
      return {
        bits: bytes[at + 4]!,
        rows: (bytes[at + 5]! << 8) | bytes[at + 6]!,
        columns: (bytes[at + 7]! << 8) | bytes[at + 8]!,
        components: bytes[at + 9]!,
        signed: false,
      }
    }
    // Markers below SOF0 do not stand before a frame header (T.81 Table B.1), and make some decoders loop for ever.
    if (marker < 0xc0) return undefined
    if (marker === 0xff) at++
    // SOI and RSTm stand alone.
    else if (marker === 0xd8 || (marker >= 0xd0 && marker <= 0xd7)) at += 2
    else at += 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)
  }
  return undefined
}

function isFrameMarker(marker: number): boolean {
  const isSof = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
  return isSof || marker === 0xf7
}

/** Scans of a JPEG stream: progressive ones have some 10, and each is a pass over the whole image. */
export const MAX_SCANS = 100

/**
 * The scans of a JPEG stream, counted up to one more than MAX_SCANS, and whether it has one for each component, and a
 * progressive one its EOI too. Nothing else shows that a stream is whole (ITU-T T.81 B.2.3, G.1.1.1.1).
 */
export function jpegScans(bytes: Bytes): { readonly scans: number; readonly isWhole: boolean } {
  const components = jpegHeader(bytes)?.components
  if (components === undefined) return { scans: 0, isWhole: false }
  const scanned = new Set<number>()
  let [isProgressive, isInterleaved, scans] = [false, false, 0]
  for (let at = 2; at + 4 < bytes.length;) {
    const marker = bytes[at + 1]!
    if (bytes[at] !== 0xff || marker === 0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd8)) {
      at = bytes.indexOf(0xff, at + 1)
      if (at < 0) break
      continue
    }
    if (marker === 0xd9) break
    if (marker === 0xc2 || marker === 0xca) isProgressive = true
    if (marker === 0xda) {
      if (++scans > MAX_SCANS) break
      const count = bytes[at + 4]!
      isInterleaved ||= count >= components
      for (let n = 0; n < count; n++) scanned.add(bytes[at + 5 + 2 * n]!)
    }
    at += 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)
  }
  const isWhole = (isInterleaved || scanned.size >= components) && (!isProgressive || hasEndOfImage(bytes))
  return { scans, isWhole }
}

/**
 * A JPEG stream with an APP14 segment of Adobe's (ITU-T T.872 6.5.3) that says how its colours are coded: 0 as RGB, 1
 * as YCbCr. It takes the place of the stream's own APP0 and APP14, which the attributes of the image overrule (PS3.5
 * 8.2.1).
 */
export function withColorTransform(bytes: Bytes, transform: 0 | 1): Bytes {
  const adobe = Buffer.from([0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, transform])
  const parts: Bytes[] = [bytes.subarray(0, 2), adobe]
  let at = 2
  while (at + 3 < bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda) {
    const length = 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)
    const isApp = bytes[at + 1] === 0xe0 || bytes[at + 1] === 0xee
    if (!isApp) parts.push(bytes.subarray(at, at + length))
    at += length
  }
  parts.push(bytes.subarray(at))
  return Buffer.concat(parts)
}
