import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from './codec-error.ts'
import type { ImageDescription } from '../image-description.ts'

/** What a codestream says of itself. */
export interface CodestreamHeader {
  readonly rows: number
  readonly columns: number
  readonly components: number
  readonly bits: number
  /** Of JPEG 2000: samples may be negative. */
  readonly signed: boolean
}

const EOI = Buffer.of(0xff, 0xd9)
const MAX_TILES = 65_535

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
    // No other marker stands before a frame (T.81 Table B.1), and some decoders never come behind these.
    if (marker < 0xc0) return undefined
    if (marker === 0xff) at++
    // SOI and RSTm stand alone.
    else if (marker === 0xd8 || (marker >= 0xd0 && marker <= 0xd7)) at += 2
    else at += 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)
  }
  return undefined
}

/**
 * Whether a scan is there for each component of a JPEG stream, and of a progressive one the end: nothing else tells that
 * it is whole (ITU-T T.81 B.2.3, G.1.1.1.1).
 */
export function hasAllScans(bytes: Bytes): boolean {
  const components = jpegHeader(bytes)?.components
  if (components === undefined) return false
  const scanned = new Set<number>()
  let [isProgressive, isInterleaved] = [false, false]
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
      const count = bytes[at + 4]!
      isInterleaved ||= count >= components
      for (let n = 0; n < count; n++) scanned.add(bytes[at + 5 + 2 * n]!)
    }
    at += 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)
  }
  return (isInterleaved || scanned.size >= components) && (!isProgressive || hasEndOfImage(bytes))
}

function isFrameMarker(marker: number): boolean {
  const isSof = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
  return isSof || marker === 0xf7
}

/** The SIZ segment of ITU-T T.800 A.5.1, of a codestream or of a JP2 file around one. */
export function jpeg2000Header(bytes: Bytes): CodestreamHeader | undefined {
  const start = jpeg2000Start(bytes)
  if (start === undefined || bytes.length < start + 45) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, bytes.length - start)
  const [width, height, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(at))
  const tiles = tilesOf(view)
  // Components of other sizes than the image's have no place in a frame.
  const isSubsampled = view.getUint8(43) !== 1 || view.getUint8(44) !== 1
  if (!(tiles <= MAX_TILES) || isSubsampled) return undefined
  return {
    columns: width! - left!,
    rows: height! - top!,
    components: view.getUint16(40),
    bits: (view.getUint8(42) & 0x7f) + 1,
    signed: view.getUint8(42) > 0x7f,
  }
}

/** Of a codestream from its start (ITU-T T.800 B.3). */
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

/** `jp2c` */
const JP2C = 0x6a703263

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
 * Checks that a codestream is of the image: a decoder allocates what its header says, before it sees that it is wrong.
 * @throws CodestreamError
 */
export function checkHeader(header: CodestreamHeader | undefined, image: ImageDescription): CodestreamHeader {
  if (!header) throw new CodestreamError('it has no header')
  const { rows, columns, components, bits } = header
  if (rows !== image.rows || columns !== image.columns || components !== image.samplesPerPixel) {
    throw new CodestreamError(
      `it has ${columns} x ${rows} x ${components} samples, the attributes say ${image.columns} x ${image.rows} x ${image.samplesPerPixel}`,
    )
  }
  if (bits < 1 || bits > 16 || bits > Math.max(image.bitsAllocated, 8)) {
    throw new CodestreamError(`it has ${bits} bits a sample, ${image.bitsAllocated} are allocated`)
  }
  return header
}

/** With an EOI marker at its end, and no padding behind that: some decoders look for it for seconds. */
export function withEndOfImage(bytes: Bytes): Bytes {
  const trimmed = withoutZeros(bytes)
  return hasEndOfImage(trimmed) ? trimmed : Buffer.concat([trimmed, EOI])
}

function hasEndOfImage(bytes: Bytes): boolean {
  const trimmed = withoutZeros(bytes)
  return trimmed.at(-2) === 0xff && trimmed.at(-1) === 0xd9
}

function withoutZeros(bytes: Bytes): Bytes {
  let end = bytes.length
  while (end > 2 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}

/**
 * Whether all tiles are there with all tile-parts that they say they have (ITU-T T.800 A.4.2): a decoder that gets fewer
 * draws what it has, in silence.
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
  /** 0 where none of them says. */
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
  // Behind the last of them EOC may be missing.
  return at === bytes.length || (at < bytes.length && bytes.subarray(at).every((byte) => byte === 0))
}

/**
 * A JPEG stream whose markers say how its colours are coded, in place of what they said: 0 as they are, 1 YCbCr (Adobe's
 * APP14 segment, ITU-T T.872 6.5.3). What the attributes of the image say holds (PS3.5 8.2.1).
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
