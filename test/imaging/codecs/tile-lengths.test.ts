import { describe, expect, it } from 'vitest'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import { withTileLengths } from '../../../src/imaging/codecs/tile-lengths.ts'
import { description, picture } from '../made-images.ts'

const RPCL_SYNTAX = '1.2.840.10008.1.2.4.202'

/** The marker segments of a main header, and where the first tile-part is. */
function headerOf(codestream: Uint8Array): { segments: Map<number, Buffer>; tiles: number } {
  const bytes = Buffer.from(codestream)
  const segments = new Map<number, Buffer>()
  let at = 2
  while (bytes.readUInt16BE(at) !== 0xff90) {
    const length = bytes.readUInt16BE(at + 2)
    segments.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 2 + length))
    at += 2 + length
  }
  return { segments, tiles: at }
}

describe('HTJ2K by resolution (PS3.5 10.18)', () => {
  it.each([
    ['of one tile', { rows: 300, columns: 200, bitsAllocated: 16, bitsStored: 12 }, 5],
    ['of colours', { rows: 64, columns: 65, samplesPerPixel: 3 }, 5],
    ['of a small image', { rows: 9, columns: 5 }, 2],
    ['of a large image', { rows: 2100, columns: 4200 }, 6],
  ])(
    'has its progression, its levels and the lengths of its tile-parts in its header: %s',
    async (_, shape, levels) => {
      const image = description(shape)
      const frame = picture(image)
      const codestream = await encodeFrame(frame, image, RPCL_SYNTAX)
      const { segments, tiles } = headerOf(codestream)
      const cod = segments.get(0xff52)!
      expect([cod[1], cod[5]]).toEqual([2, levels])
      expect(Math.min(image.rows, image.columns) / 2 ** levels).toBeLessThanOrEqual(64)
      const tlm = segments.get(0xff55)!
      expect([...tlm.subarray(0, 3)]).toEqual([0, 0x50, 0])
      // All but the end of the codestream.
      expect(tlm.readUInt32BE(3)).toBe(codestream.length - 2 - tiles)
      expect(Buffer.compare(await decodeFrame(codestream, image, RPCL_SYNTAX), frame)).toBe(0)
    },
  )
})

describe('the lengths of tile-parts', () => {
  const part = (tile: number, told: number, body: number): Buffer => {
    const bytes = Buffer.alloc(12 + body, 0xab)
    bytes.writeUInt16BE(0xff90, 0)
    bytes.writeUInt16BE(10, 2)
    bytes.writeUInt16BE(tile, 4)
    bytes.writeUInt32BE(told, 6)
    return bytes
  }
  const start = Buffer.from('ff4fff640004abcd', 'hex')
  const end = Buffer.from('ffd9', 'hex')

  it('are told in front of the tile-parts, of which nothing changes', () => {
    const parts = [part(0, 20, 8), part(1, 15, 3), part(0, 0, 30)]
    const told = Buffer.from(withTileLengths(Buffer.concat([start, ...parts, end])))
    const { segments, tiles } = headerOf(told)
    expect([...segments.keys()]).toEqual([0xff64, 0xff55])
    expect(segments.get(0xff55)!.toString('hex')).toBe('0050' + '0000000014' + '010000000f' + '000000002a')
    expect(told.subarray(tiles).equals(Buffer.concat([...parts, end]))).toBe(true)
    expect(told.subarray(0, start.length).equals(start)).toBe(true)
  })

  it('are not found in what is no codestream', () => {
    expect(() => withTileLengths(Buffer.from('ffd8ffe0', 'hex'))).toThrow(RangeError)
    expect(() => withTileLengths(start)).toThrow(RangeError)
  })
})
