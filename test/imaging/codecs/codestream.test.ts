import { describe, expect, it } from 'vitest'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import {
  checkHeader,
  hasAllScans,
  isWholeJpeg2000,
  jpeg2000Header,
  jpegHeader,
  withColorTransform,
  withEndOfImage,
  withoutSign,
} from '../../../src/imaging/codecs/codestream.ts'
import { hex } from '../../support/dicom-bytes.ts'
import { description } from '../made-images.ts'

const SOI = 'ffd8'
const SOS = 'ffda0008010100003f00'
/** SOFn: 12 bits, 258 rows, 772 columns, 3 components. */
const sof = (marker: string): string => `${marker}00110c01020304030111000211000311 00`

describe('the frame header of JPEG', () => {
  const expected = { bits: 12, rows: 0x102, columns: 0x304, components: 3, signed: false }

  it.each(['ffc0', 'ffc1', 'ffc2', 'ffc3', 'ffc7', 'ffcf', 'fff7'])('is at %s', (marker) => {
    expect(jpegHeader(hex(SOI + sof(marker) + SOS))).toEqual(expected)
  })

  it.each([
    ['tables', 'ffc40005aabbcc' + 'ffdb0003c0'],
    ['what looks like one in a comment', 'fffe000affc0001108000100'],
    ['arithmetic conditioning', 'ffcc0004ffc0'],
    ['fill bytes', 'ffffff'],
    ['a restart', 'ffd0'],
  ])('is behind %s', (_, between) => {
    expect(jpegHeader(hex(SOI + between + sof('ffc0') + SOS))).toEqual(expected)
  })

  it.each([
    ['no bytes', ''],
    ['SOI alone', SOI],
    ['a cut header', SOI + 'ffc000110c0102'],
    ['a segment without end', SOI + 'ffe0ffff00' + sof('ffc0')],
    ['what no frame stands behind', SOI + 'ff01' + sof('ffc0')],
  ])('is not in %s', (_, bytes) => {
    expect(jpegHeader(hex(bytes))).toBeUndefined()
  })
})

describe('the scans of JPEG', () => {
  /** A scan of components, with data in which a marker is stuffed and another restarts. */
  const scan = (...components: string[]): string =>
    `ffda00${(6 + 2 * components.length).toString(16).padStart(2, '0')}0${components.length}` +
    components.map((one) => `${one}00`).join('') +
    '003f00' +
    '1122ff0033ffd044'
  const EOI = 'ffd9'

  it.each([
    ['one of all components', sof('ffc0') + scan('01', '02', '03')],
    ['one each', sof('ffc3') + scan('01') + scan('02') + scan('03')],
    ['two, with tables between', sof('ffc1') + scan('01') + 'ffc40005aabbcc' + scan('02', '03')],
    ['progressive ones to the end', sof('ffc2') + scan('01', '02', '03') + scan('01') + EOI],
  ])('are all there: %s', (_, stream) => {
    expect(hasAllScans(hex(SOI + stream))).toBe(true)
    expect(hasAllScans(hex(SOI + stream + (stream.endsWith(EOI) ? '' : EOI) + '00'))).toBe(true)
  })

  it.each([
    ['no scan', sof('ffc0')],
    ['one of three', sof('ffc0') + scan('01') + EOI],
    ['the last one cut off', sof('ffc3') + scan('01') + scan('02')],
    ['what looks like one in a comment', sof('ffc0') + 'fffe000e' + scan('01', '02', '03').slice(0, 24)],
    ['progressive ones without an end', sof('ffc2') + scan('01', '02', '03') + scan('01')],
    ['no frame', scan('01', '02', '03')],
  ])('are not all there: %s', (_, stream) => {
    expect(hasAllScans(hex(SOI + stream))).toBe(false)
  })
})

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

describe('a header', () => {
  const image = description({ rows: 4, columns: 6, bitsAllocated: 16, bitsStored: 12 })
  const header = { rows: 4, columns: 6, components: 1, bits: 12, signed: false }

  it('is of its image', () => {
    expect(checkHeader(header, image)).toBe(header)
    expect(checkHeader({ ...header, bits: 16 }, image).bits).toBe(16)
    expect(checkHeader({ ...header, bits: 8 }, description({ rows: 4, columns: 6, bitsAllocated: 1 })).bits).toBe(8)
  })

  it.each([{ rows: 5 }, { columns: 5 }, { components: 3 }, { bits: 0 }, { bits: 17 }, { bits: 38 }])(
    'is not of its image with %j',
    (other) => {
      expect(() => checkHeader({ ...header, ...other }, image)).toThrow(CodestreamError)
    },
  )

  it('is not of its image with more bits than are allocated, or where there is none', () => {
    const narrow = description({ rows: 4, columns: 6 })
    expect(() => checkHeader({ ...header, bits: 9 }, narrow)).toThrow(CodestreamError)
    expect(() => checkHeader(undefined, narrow)).toThrow(CodestreamError)
  })
})

describe('the end of an image', () => {
  it.each([
    ['is left as it is', 'ffd81122ffd9', 'ffd81122ffd9'],
    ['loses its padding', 'ffd81122ffd90000', 'ffd81122ffd9'],
    ['is added', 'ffd81122', 'ffd81122ffd9'],
    ['is added in place of padding', 'ffd81122000000', 'ffd81122ffd9'],
    ['is added to half of it', 'ffd81122ff', 'ffd81122ffffd9'],
  ])('%s: %s', (_, bytes, expected) => {
    expect(Buffer.from(withEndOfImage(hex(bytes))).toString('hex')).toBe(expected)
  })
})

describe('what JPEG says of its colours', () => {
  const adobe = (transform: string): string => `ffee000e41646f62650064000000 00${transform}`.replace(' ', '')
  const rest = 'ffdb0003c0' + sof('ffc0').replace(' ', '') + SOS + '1122ffd9'

  it.each([
    ['nothing', ''],
    ['that it is JFIF', 'ffe000104a46494600010100000100010000'],
    ['that it is YCbCr', adobe('01')],
    ['both', 'ffe000104a46494600010100000100010000' + adobe('02')],
  ])('is replaced: %s', (_, said) => {
    expect(Buffer.from(withColorTransform(hex(SOI + said + rest), 0)).toString('hex')).toBe(SOI + adobe('00') + rest)
    expect(Buffer.from(withColorTransform(hex(SOI + said + rest), 1)).toString('hex')).toBe(SOI + adobe('01') + rest)
  })

  it('is replaced in a stream that is cut, without a fault', () => {
    const bytes = hex(SOI + 'ffe000104a46494600010100000100010000' + rest)
    for (let end = 2; end < bytes.length; end++) {
      expect(withColorTransform(bytes.subarray(0, end), 1).length).toBeLessThanOrEqual(end + 16)
    }
  })
})
