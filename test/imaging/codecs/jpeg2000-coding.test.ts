import { describe, expect, it } from 'vitest'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import {
  checkJpeg2000Coding,
  FEW_TILES,
  LEAST_BLOCK_SIDE,
  LEAST_TILE_SAMPLES,
  MAX_FRAME_TILES,
  MAX_LAYERS,
} from '../../../src/imaging/codecs/jpeg2000-coding.ts'
import { hex } from '../../support/dicom-bytes.ts'
import { description, picture } from '../made-images.ts'

const J2K = '1.2.840.10008.1.2.4.90'

interface Coded {
  readonly columns: number
  readonly rows: number
  readonly tile?: readonly [number, number]
  readonly layers?: number
  readonly levels?: number
  /** Exponents of a code-block's sides. */
  readonly block?: readonly [number, number]
  /** Exponents of a precinct's sides, at every resolution. */
  readonly precinct?: number
}

/** SOC and SIZ of grey samples of 8 bits. */
function siz({ columns, rows, tile = [columns, rows] }: Coded): Buffer {
  const bytes = Buffer.alloc(45)
  hex('ff4fff51002900000000').copy(bytes)
  ;[columns, rows, 0, 0, ...tile, 0, 0].forEach((value, n) => bytes.writeUInt32BE(value, 8 + 4 * n))
  bytes.writeUInt16BE(1, 40)
  hex('070101').copy(bytes, 42)
  return bytes
}

function cod({ layers = 1, levels = 0, block = [6, 6], precinct }: Partial<Coded>): Buffer {
  const precincts = precinct === undefined ? [] : Array.from({ length: levels + 1 }, () => precinct * 17)
  const body = [precinct === undefined ? 0 : 1, 0, layers >> 8, layers & 255, 0]
  const all = [...body, levels, block[0] - 2, block[1] - 2, 0, 1, ...precincts]
  return Buffer.from([0xff, 0x52, 0, all.length + 2, ...all])
}

const EMPTY_PART = hex('ff90000a00000000000e0001ff93')
const EOC = hex('ffd9')

function codestream(coded: Coded): Buffer {
  return Buffer.concat([siz(coded), cod(coded), EMPTY_PART, EOC])
}

const isTaken = (bytes: Buffer): boolean => {
  try {
    checkJpeg2000Coding(bytes)
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(CodestreamError)
    return false
  }
}

describe('the tiles of a codestream', () => {
  const square = (tiles: number, side: number): Coded => ({ columns: tiles * side, rows: side, tile: [side, side] })
  const side = Math.sqrt(LEAST_TILE_SAMPLES)

  it('have so many samples on average, and no less', () => {
    expect(isTaken(codestream(square(100, side)))).toBe(true)
    expect(isTaken(codestream(square(100, side - 1)))).toBe(false)
  })

  it('of a small image are a few, of whatever size', () => {
    expect(isTaken(codestream(square(FEW_TILES, 1)))).toBe(true)
    expect(isTaken(codestream(square(FEW_TILES + 1, 1)))).toBe(false)
  })

  it('are so many, however large the image is', () => {
    expect(isTaken(codestream(square(MAX_FRAME_TILES, 256)))).toBe(true)
    expect(isTaken(codestream(square(MAX_FRAME_TILES + 1, 256)))).toBe(false)
  })

  it('begin at the image or before it', () => {
    const bytes = codestream({ columns: 64, rows: 64 })
    bytes.writeUInt32BE(1, 32)
    expect(isTaken(bytes)).toBe(false)
  })

  it('are counted before a decoder makes room for them', async () => {
    const small = description({ rows: 16, columns: 16 })
    const one = Buffer.from(await encodeFrame(picture(small), small, J2K))
    const start = one.indexOf(hex('ff90'))
    const image = description({ rows: 1024, columns: 1024 })
    const head = Buffer.from(one.subarray(0, start))
    ;[1024, 1024].forEach((value, n) => head.writeUInt32BE(value, 8 + 4 * n))
    const parts = Array.from({ length: 4096 }, (_, n) => {
      const part = Buffer.from(one.subarray(start, -2))
      part.writeUInt16BE(n, 4)
      return part
    })
    const frame = Buffer.concat([head, ...parts, EOC])
    await expect(decodeFrame(frame, image, J2K)).rejects.toThrow('it has 4096 tiles, an image of its size at most 1024')
  })
})

describe('how a codestream is coded', () => {
  const image = { columns: 512, rows: 512 }

  it('has so many layers at most', () => {
    expect(isTaken(codestream({ ...image, layers: MAX_LAYERS }))).toBe(true)
    expect(isTaken(codestream({ ...image, layers: MAX_LAYERS + 1 }))).toBe(false)
  })

  it('has code-blocks of such a side', () => {
    expect(LEAST_BLOCK_SIDE).toBe(16)
    expect(isTaken(codestream({ ...image, block: [4, 4] }))).toBe(true)
    expect(isTaken(codestream({ ...image, block: [4, 3] }))).toBe(false)
  })

  it('has code-blocks no larger than its precincts', () => {
    expect(isTaken(codestream({ ...image, precinct: 7 }))).toBe(true)
    expect(isTaken(codestream({ ...image, levels: 5, precinct: 7 }))).toBe(true)
    expect(isTaken(codestream({ ...image, precinct: 0 }))).toBe(false)
    expect(isTaken(codestream({ ...image, levels: 5, precinct: 1 }))).toBe(false)
  })

  it('is looked at in the header of a tile too, and of a component', () => {
    const within = (segment: Buffer): Buffer => {
      const part = Buffer.concat([EMPTY_PART.subarray(0, 12), segment, hex('ff93')])
      part.writeUInt32BE(part.length, 6)
      return Buffer.concat([siz(image), cod(image), part, EOC])
    }
    const coc = (block: number): Buffer => Buffer.from([0xff, 0x53, 0, 9, 0, 0, 0, block - 2, block - 2, 0, 1])
    expect(isTaken(within(cod({ layers: MAX_LAYERS })))).toBe(true)
    expect(isTaken(within(cod({ layers: MAX_LAYERS + 1 })))).toBe(false)
    expect(isTaken(within(coc(6)))).toBe(true)
    expect(isTaken(within(coc(2)))).toBe(false)
  })

  it.each([
    ['of a row', { rows: 1, columns: 5000, levels: 5 }],
    ['small, with many levels', { rows: 2, columns: 3, levels: 32 }],
    ['of many small tiles', { rows: 512, columns: 512, tile: [32, 32], levels: 5 }],
    [
      'in blocks of 32 x 32 and precincts of 256 x 256',
      { rows: 4000, columns: 3000, levels: 5, block: [5, 5], precinct: 8 },
    ],
  ] as const)('may be that of an image %s', (_, coded) => {
    expect(isTaken(codestream(coded))).toBe(true)
  })
})

describe('a file around a codestream', () => {
  it('does not have a say', async () => {
    const image = description({ rows: 16, columns: 16 })
    const frame = await encodeFrame(picture(image), image, J2K)
    const box = hex('000000006a703263')
    // A box that no decoder would bear: it is not shown to one.
    const broken = Buffer.concat([hex('00000009'), Buffer.from('jp2h'), hex('00')])
    const file = Buffer.concat([broken, box, frame])
    expect(Buffer.compare(await decodeFrame(file, image, J2K), picture(image))).toBe(0)
  })
})
