import { describe, expect, it } from 'vitest'
import { isWholeJpeg2000, jpeg2000Header, withoutSign } from '../../../src/imaging/codecs/jpeg2000-codestream.ts'
import { hex } from '../../support/dicom-bytes.ts'

/** SOC and SIZ of 20 x 30 pixels of signed 12 bits, at an offset of 2 and 5; its numbers can be replaced. */
function siz(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(47)
  hex('ff4fff51002900000000').copy(bytes)
  ;[22, 35, 2, 5, 22, 35, 0, 0].forEach((value, n) => bytes.writeUInt32BE(value, 8 + 4 * n))
  bytes.writeUInt16BE(1, 40)
  hex('8b0101').copy(bytes, 42)
  change(bytes)
  return bytes
}

/** The same of three components. */
const colours = (components: Buffer): Buffer =>
  Buffer.concat([siz((bytes) => bytes.writeUInt16BE(3, 40)).subarray(0, 42), components])

describe('the header of JPEG 2000', () => {
  const expected = { columns: 20, rows: 30, components: 1, bits: 12, signed: true }

  it('is at the start, or within a file around it', () => {
    expect(jpeg2000Header(siz())).toEqual(expected)
    const box = (length: string): Buffer => hex('0000000c6a5020200d0a870a' + length)
    expect(jpeg2000Header(Buffer.concat([box('000000376a703263'), siz()]))).toEqual(expected)
    expect(jpeg2000Header(Buffer.concat([box('000000006a703263'), siz()]))).toEqual(expected)
    expect(jpeg2000Header(Buffer.concat([box('000000016a703263000000000000003f'), siz()]))).toEqual(expected)
  })

  it('is not what looks like one in another box', () => {
    const fake = Buffer.concat([hex('00000037'), Buffer.from('uuid'), siz((bytes) => bytes.writeUInt32BE(99, 8))])
    const real = Buffer.concat([hex('000000006a703263'), siz()])
    expect(jpeg2000Header(Buffer.concat([fake, real]))).toEqual(expected)
  })

  it('can be made to say that there is no sign', () => {
    const bytes = siz()
    expect(jpeg2000Header(withoutSign(bytes))).toEqual({ ...expected, signed: false })
    expect(jpeg2000Header(bytes)).toEqual(expected)
  })

  it.each([
    ['it is cut', siz().subarray(0, 44)],
    ['there is none', Buffer.alloc(100)],
    ['a component has another size', siz((bytes) => bytes.writeUInt8(2, 43))],
    ['the components differ in size', colours(hex('070101' + '070201' + '070101'))],
    ['the components differ in precision', colours(hex('070101' + '0b0101' + '070101'))],
    ['the components are not all there', colours(hex('070101' + '070101'))],
    ['tiles have no size', siz((bytes) => bytes.writeUInt32BE(0, 24))],
    [
      'there are too many tiles',
      siz((bytes) => {
        for (const at of [8, 12]) bytes.writeUInt32BE(1000, at)
        for (const at of [24, 28]) bytes.writeUInt32BE(1, at)
      }),
    ],
  ])('is none where %s', (_, bytes) => {
    expect(jpeg2000Header(bytes)).toBeUndefined()
  })
})

describe('the tile-parts of JPEG 2000', () => {
  /** SOT with the length of the tile-part; SOD and so much data. */
  const part = (data: number, length = 14 + data): Buffer => {
    const bytes = Buffer.alloc(14 + data, 0x11)
    hex('ff90000a0000').copy(bytes)
    bytes.writeUInt32BE(length, 6)
    hex('0001ff93').copy(bytes, 10)
    return bytes
  }
  const EOC = hex('ffd9')
  const whole = (...parts: readonly Buffer[]): boolean =>
    isWholeJpeg2000(Buffer.concat([siz().subarray(0, 45), ...parts]))

  it.each([
    ['with EOC', [part(20), part(30), EOC]],
    ['without EOC', [part(20), part(30)]],
    ['without EOC, padded', [part(20), Buffer.of(0)]],
    ['with EOC, padded', [part(20), EOC, Buffer.alloc(3)]],
    ['of no length but that of the rest', [part(20), part(30, 0), EOC]],
  ])('are all there: %s', (_, parts) => {
    expect(whole(...parts)).toBe(true)
  })

  it.each([
    ['the last one cut', [part(20), part(30).subarray(0, 40)]],
    ['the last one cut in its header', [part(20), part(30).subarray(0, 9)]],
    ['the rest cut', [part(20), part(30, 0)]],
    ['nothing behind the main header but noise', [Buffer.alloc(50, 0x77)]],
  ])('are not all there: %s', (_, parts) => {
    expect(whole(...parts)).toBe(false)
  })

  it('are not all there where a tile is missing, or a part that was said to come', () => {
    // Two tiles beside each other, of 20 x 30 pixels together.
    const header = siz((bytes) => bytes.writeUInt32BE(11, 24)).subarray(0, 45)
    const of = (tile: number, index: number, count: number): Buffer => {
      const bytes = part(20)
      bytes.writeUInt16BE(tile, 4)
      bytes.writeUInt8(index, 10)
      bytes.writeUInt8(count, 11)
      return bytes
    }
    const isWhole = (...parts: readonly Buffer[]): boolean =>
      isWholeJpeg2000(Buffer.concat([header, ...parts, hex('ffd9')]))
    expect(isWhole(of(0, 0, 1), of(1, 0, 1))).toBe(true)
    expect(isWhole(of(1, 0, 0), of(0, 0, 2), of(0, 1, 0))).toBe(true)
    expect(isWhole(of(0, 0, 1))).toBe(false)
    expect(isWhole(of(0, 0, 1), of(0, 1, 0))).toBe(false)
    expect(isWhole(of(0, 0, 2), of(1, 0, 1))).toBe(false)
  })

  it('are none in what is no codestream', () => {
    expect(isWholeJpeg2000(Buffer.alloc(50))).toBe(false)
  })
})
