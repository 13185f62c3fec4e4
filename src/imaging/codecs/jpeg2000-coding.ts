import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from './codec-error.ts'

/** Tiles that a frame may have: as many as the largest frame there may be has in tiles of 256 x 256. */
export const MAX_FRAME_TILES = 4096
/** Samples that a tile has at least, on average; a frame of few tiles (FEW_TILES) may have less. Each takes some 9 KB. */
export const LEAST_TILE_SAMPLES = 1024
export const FEW_TILES = 16
/** Quality layers: writers make 1 to some 20. Each is a packet of each precinct. */
export const MAX_LAYERS = 256
/** The side of a code-block, at least, on average; writers make blocks of 32 x 32 or 64 x 64. */
export const LEAST_BLOCK_SIDE = 16

const [SOT, SOD, COD, COC, EOC] = [0xff90, 0xff93, 0xff52, 0xff53, 0xffd9]
/** Greatest precinct, where none is told: 2 to the power of 15. */
const WHOLE_PRECINCT = 15

interface Tiling {
  readonly tiles: number
  /** Of a tile as far as it is in the image. */
  readonly width: number
  readonly height: number
  readonly components: number
}

/**
 * Holds how a codestream of JPEG 2000 or HTJ2K cuts its image up (ITU-T T.800 A.5.1, A.6) against the size of the image:
 * decoders allocate for each tile, precinct and code-block, whatever is in it. `bytes` begin with SOC.
 * @throws CodestreamError
 */
export function checkJpeg2000Coding(bytes: Bytes): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const tiling = tilingOf(view)
  for (let at = 2; at + 4 <= view.byteLength;) {
    const marker = view.getUint16(at)
    if (marker === EOC) return
    if (marker === SOT) {
      const end = partEnd(view, at)
      segments(view, at + 12, end, tiling)
      at = end
    } else {
      segment(view, at, tiling)
      at += 2 + view.getUint16(at + 2)
    }
  }
}

function tilingOf(view: DataView): Tiling {
  const [right, bottom, left, top, tileWidth, tileHeight, tileLeft, tileTop] = [8, 12, 16, 20, 24, 28, 32, 36].map(
    (at) => view.getUint32(at),
  ) as [number, number, number, number, number, number, number, number]
  const components = view.getUint16(40)
  const tiles = Math.ceil((right - tileLeft) / tileWidth) * Math.ceil((bottom - tileTop) / tileHeight)
  const samples = (right - left) * (bottom - top)
  const most = Math.min(MAX_FRAME_TILES, Math.max(FEW_TILES, Math.ceil(samples / LEAST_TILE_SAMPLES)))
  // The first tile begins at the image or before it (ITU-T T.800 B.3).
  if (tileLeft > left || tileTop > top) throw new CodestreamError('its first tile begins within the image')
  if (!(tiles <= most)) throw new CodestreamError(`it has ${tiles} tiles, an image of its size at most ${most}`)
  return { tiles, width: Math.min(tileWidth, right - left), height: Math.min(tileHeight, bottom - top), components }
}

/** Where a tile-part ends; Psot of 0: with the codestream. */
function partEnd(view: DataView, at: number): number {
  if (at + 12 > view.byteLength) return view.byteLength
  const length = view.getUint32(at + 6)
  return length === 0 ? view.byteLength : Math.min(at + Math.max(12, length), view.byteLength)
}

/** The header of a tile-part: it may say anew how its tile is coded. */
function segments(view: DataView, from: number, end: number, tiling: Tiling): void {
  for (let at = from; at + 4 <= end && view.getUint16(at) !== SOD; at += 2 + view.getUint16(at + 2)) {
    segment(view, at, tiling)
  }
}

function segment(view: DataView, at: number, tiling: Tiling): void {
  const marker = view.getUint16(at)
  if (marker !== COD && marker !== COC) return
  const end = Math.min(at + 2 + view.getUint16(at + 2), view.byteLength)
  const style = at + 4 + (marker === COD ? 0 : tiling.components < 257 ? 1 : 2)
  const coding = style + (marker === COD ? 5 : 1)
  if (coding + 5 > end) throw new CodestreamError('how it is coded is cut off')
  if (marker === COD) {
    const layers = view.getUint16(style + 2)
    if (layers > MAX_LAYERS) throw new CodestreamError(`it has ${layers} layers, at most ${MAX_LAYERS} are read`)
  }
  const levels = view.getUint8(coding)
  const precincts = (view.getUint8(style) & 1) === 1 ? coding + 5 : undefined
  // ITU-T T.800 Table A.20
  if (levels > 32 || (precincts !== undefined && precincts + levels + 1 > end)) {
    throw new CodestreamError('how it is coded is not valid')
  }
  const exponents = (level: number): readonly [number, number] => {
    if (precincts === undefined) return [WHOLE_PRECINCT, WHOLE_PRECINCT]
    const both = view.getUint8(precincts + level)
    return [both & 15, both >> 4]
  }
  const block = [(view.getUint8(coding + 1) & 15) + 2, (view.getUint8(coding + 2) & 15) + 2] as const
  checkBlocks(tiling, levels, block, exponents)
}

/** Code-blocks are no larger than their precinct (ITU-T T.800 B.7). */
function checkBlocks(
  { tiles, width, height, components }: Tiling,
  levels: number,
  block: readonly [number, number],
  exponents: (level: number) => readonly [number, number],
): void {
  let blocks = 0
  for (let level = 0; level <= levels; level++) {
    const scale = 2 ** (levels - level)
    const [across, down] = exponents(level)
    // Of a resolution above the lowest three bands share a precinct, each of half its side.
    const half = level === 0 ? 0 : 1
    const along = (size: number, precinct: number, side: number): number =>
      Math.ceil(Math.ceil(size / scale) / 2 ** (half + Math.max(0, Math.min(side, precinct - half))))
    blocks += along(width, across, block[0]) * along(height, down, block[1]) * (level === 0 ? 1 : 3)
  }
  const most = Math.ceil(mostBlocks(width, height, levels))
  if (blocks <= most) return
  const all = tiles * components * blocks
  throw new CodestreamError(`it has ${all} code-blocks, an image of its size at most ${tiles * components * most}`)
}

/** Of a component of a tile: by its area, its edges in each band, and one for each band. */
function mostBlocks(width: number, height: number, levels: number): number {
  const side = LEAST_BLOCK_SIDE
  return (width * height) / side ** 2 + (3 * (width + height)) / side + 3 * levels + 1
}
