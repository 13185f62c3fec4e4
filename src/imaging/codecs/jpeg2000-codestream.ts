import type { Bytes } from '../../dicom/bytes.ts'
import type { CodestreamHeader } from './codestream-header.ts'
import { hasEndOfImage } from './end-of-image.ts'

/** Their numbers have 16 bits. */
const MAX_TILES = 65_535

/** The SIZ segment (ITU-T T.800 A.5.1) of a codestream, bare or within a JP2 file. */
export function jpeg2000Header(bytes: Bytes): CodestreamHeader | undefined {
  const start = jpeg2000Start(bytes)
  if (start === undefined || bytes.length < start + 45) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, bytes.length - start)
  const [width, height, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(at))
  const tiles = tilesOf(view)
  const components = view.getUint16(40)
  if (!(tiles <= MAX_TILES) || !hasEqualComponents(view, components)) return undefined
  return {
    columns: width! - left!,
    rows: height! - top!,
    components,
    bits: (view.getUint8(42) & 0x7f) + 1,
    signed: view.getUint8(42) > 0x7f,
  }
}

/** Components of other sizes than the image's have no place in a frame; of another precision neither. */
function hasEqualComponents(view: DataView, components: number): boolean {
  if (view.byteLength < 42 + 3 * components) return false
  for (let n = 0, at = 42; n < components; n++, at += 3) {
    const isOther = view.getUint8(at) !== view.getUint8(42)
    if (isOther || view.getUint8(at + 1) !== 1 || view.getUint8(at + 2) !== 1) return false
  }
  return true
}

/** How many tiles a codestream has, seen from its SOC marker on (ITU-T T.800 B.3). */
function tilesOf(view: DataView): number {
  const along = (end: number, tile: number, from: number): number =>
    Math.ceil((view.getUint32(end) - view.getUint32(from)) / view.getUint32(tile))
  return along(8, 24, 32) * along(12, 28, 36)
}

const SOC_SIZ = Buffer.of(0xff, 0x4f, 0xff, 0x51)

/** Where SOC and SIZ are: at the start, or in the first codestream box of a JP2 file (ITU-T T.800 I.5.4). */
function jpeg2000Start(bytes: Bytes): number | undefined {
  const isStart = (at: number): boolean => SOC_SIZ.every((byte, n) => bytes[at + n] === byte)
  if (isStart(0)) return 0
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at + 8 <= bytes.length;) {
    const length = view.getUint32(at)
    // 1: the length is behind the type, in 64 bits; 0: to the end.
    const header = length === 1 ? 16 : 8
    if (view.getUint32(at + 4) === JP2C) return isStart(at + header) ? at + header : undefined
    if (length < 8) return undefined
    at += length
  }
  return undefined
}

/** `jp2c`, the type of the codestream box. */
const JP2C = 0x6a703263

/** The codestream alone: what a file around it says (palettes, channels) is not the image's (PS3.5 A.4.4). */
export function bareJpeg2000(bytes: Bytes): Bytes {
  return bytes.subarray(jpeg2000Start(bytes) ?? 0)
}

/** A JPEG 2000 codestream that says its samples have no sign: bit 7 of Ssiz of each component (ITU-T T.800 A.5.1). */
export function withoutSign(bytes: Bytes): Bytes {
  const start = jpeg2000Start(bytes)
  if (start === undefined) return bytes
  const copy = Uint8Array.from(bytes)
  const components = new DataView(copy.buffer).getUint16(start + 40)
  for (let n = 0; n < components; n++) copy[start + 42 + 3 * n]! &= 0x7f
  return copy
}

/**
 * Whether a codestream has all tiles, and each tile as many tile-parts as it announces (ITU-T T.800 A.4.2). Decoders
 * draw an incomplete one in silence.
 */
export function isWholeJpeg2000(bytes: Bytes): boolean {
  const start = jpeg2000Start(bytes)
  if (start === undefined || bytes.length < start + 45) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const tiles = new Map<number, TileParts>()
  if (!hasWholeParts(bytes, view, start, tiles)) return false
  const isWhole = ({ there, said }: TileParts): boolean => there >= said
  return tiles.size >= tilesOf(new DataView(view.buffer, view.byteOffset + start)) && [...tiles.values()].every(isWhole)
}

interface TileParts {
  there: number
  /** TNsot, how many tile-parts the tile has; 0 where no tile-part says. */
  said: number
}

function hasWholeParts(bytes: Bytes, view: DataView, start: number, tiles: Map<number, TileParts>): boolean {
  let at = start + 2
  while (at + 4 <= bytes.length) {
    const marker = view.getUint16(at)
    if (marker === 0xffd9) return true
    if (marker !== 0xff90) {
      at += 2 + view.getUint16(at + 2)
      continue
    }
    if (at + 12 > bytes.length) return false
    const tile = tiles.get(view.getUint16(at + 4)) ?? { there: 0, said: 0 }
    tiles.set(view.getUint16(at + 4), { there: tile.there + 1, said: Math.max(tile.said, view.getUint8(at + 11)) })
    const length = view.getUint32(at + 6)
    // Psot of 0: the last tile-part goes on to the EOC marker.
    if (length === 0) return hasEndOfImage(bytes)
    at += length
  }
  if (at + 2 <= bytes.length && view.getUint16(at) === 0xffd9) return true
  // EOC may be missing behind the last tile-part.
  return at === bytes.length || (at < bytes.length && bytes.subarray(at).every((byte) => byte === 0))
}
