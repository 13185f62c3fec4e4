import { describe, expect, it } from 'vitest'
import { jpegHeader, jpegScans, MAX_SCANS, withColorTransform } from '../../../src/imaging/codecs/jpeg-codestream.ts'
import { hex } from '../../support/dicom-bytes.ts'

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
    expect(jpegScans(hex(SOI + stream)).isWhole).toBe(true)
    expect(jpegScans(hex(SOI + stream + (stream.endsWith(EOI) ? '' : EOI) + '00')).isWhole).toBe(true)
  })

  it.each([
    ['no scan', sof('ffc0')],
    ['one of three', sof('ffc0') + scan('01') + EOI],
    ['the last one cut off', sof('ffc3') + scan('01') + scan('02')],
    ['what looks like one in a comment', sof('ffc0') + 'fffe000e' + scan('01', '02', '03').slice(0, 24)],
    ['progressive ones without an end', sof('ffc2') + scan('01', '02', '03') + scan('01')],
    ['no frame', scan('01', '02', '03')],
  ])('are not all there: %s', (_, stream) => {
    expect(jpegScans(hex(SOI + stream)).isWhole).toBe(false)
  })

  it('are counted up to one more than are decoded', () => {
    const progressive = (count: number): Buffer => hex(SOI + sof('ffc2') + scan('01').repeat(count) + EOI)
    expect(jpegScans(progressive(MAX_SCANS)).scans).toBe(MAX_SCANS)
    expect(jpegScans(progressive(20 * MAX_SCANS)).scans).toBe(MAX_SCANS + 1)
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
