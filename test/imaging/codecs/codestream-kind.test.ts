import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { codestreamKind } from '../../../src/imaging/codecs/codestream-kind.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import { mp4Header } from '../../../src/imaging/codecs/mp4-header.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { mp4File } from '../../support/mp4.ts'

const PREFIX = '1.2.840.10008.1.2.4'

function image(samples: 1 | 3, bits: 8 | 16): ImageDescription {
  return {
    ...{
      rows: 16,
      columns: 24,
      samplesPerPixel: samples,
      photometricInterpretation: samples === 1 ? 'MONOCHROME2' : 'RGB',
    },
    ...{ planarConfiguration: 0, bitsAllocated: bits, bitsStored: bits, highBit: bits - 1, signed: false },
  }
}

function frame({ samplesPerPixel, bitsAllocated }: ImageDescription): Buffer {
  return Buffer.from(Array.from({ length: (16 * 24 * samplesPerPixel * bitsAllocated) / 8 }, (_, n) => (n * 5) & 0xff))
}

const picture = sharp(frame(image(3, 8)), { raw: { width: 24, height: 16, channels: 3 } })

describe('what a codestream is by itself', () => {
  it.each([
    ['.50', image(1, 8), 'MONOCHROME2'],
    ['.80', image(1, 8), 'MONOCHROME2'],
    ['.80', image(1, 16), 'MONOCHROME2'],
    ['.80', image(3, 8), 'RGB'],
    ['.90', image(1, 16), 'MONOCHROME2'],
    ['.90', image(3, 8), 'YBR_RCT'],
    ['.201', image(1, 16), 'MONOCHROME2'],
  ])('is %s of %o, in %s', async (syntax, described, photometric) => {
    const kind = codestreamKind(await encodeFrame(frame(described), described, PREFIX + syntax))
    const { rows, columns, samplesPerPixel: components, bitsStored: bits } = described
    expect(kind).toMatchObject({
      ...{ syntax: PREFIX + syntax, photometricInterpretation: photometric },
      header: { rows, columns, components, bits },
    })
  })

  it.each([
    ['subsampled chrominance', picture.clone().jpeg({ chromaSubsampling: '4:2:0' }), '.50', 'YBR_FULL_422'],
    ['whole chrominance', picture.clone().jpeg({ chromaSubsampling: '4:4:4' }), '.50', 'YBR_FULL'],
    ['progressive scans', picture.clone().jpeg({ progressive: true }), undefined, undefined],
    ['four components', picture.clone().toColourspace('cmyk').jpeg(), undefined, undefined],
  ])('of JPEG with %s has the syntax and colours of that', async (_, jpeg, syntax, photometric) => {
    const kind = codestreamKind(await jpeg.toBuffer())
    expect(kind?.syntax).toBe(syntax && PREFIX + syntax)
    if (photometric !== undefined) expect(kind?.photometricInterpretation).toBe(photometric)
  })

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('<html> and more of it, for as long as a header is')],
    ['a JPEG without its frame header', Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex')],
  ])('is none of %s', (_, bytes) => {
    expect(codestreamKind(bytes)).toBeUndefined()
  })
})

describe('the header of an MP4 file', () => {
  it.each([
    [{}, `${PREFIX}.102`, 8],
    [{ level: 42 }, `${PREFIX}.104`, 8],
    [{ profile: 66, level: 30 }, `${PREFIX}.102`, 8],
    [{ hevc: { profile: 1, level: 120 } }, `${PREFIX}.107`, 8],
    [{ hevc: { profile: 2, level: 153 } }, `${PREFIX}.108`, 10],
  ])('of %o says %s', (shape, syntax, bitsStored) => {
    expect(mp4Header(mp4File(shape))).toEqual({
      syntax,
      bitsStored,
      rows: 480,
      columns: 640,
      frames: 50,
      frameTime: 40,
    })
  })

  it.each([
    ['a level above', { level: 51 }],
    ['a profile above', { profile: 110 }],
    ['H.265 of a profile above', { hevc: { profile: 4, level: 120 } }],
    ['H.265 of a level above', { hevc: { profile: 1, level: 156 } }],
    ['a turn', { isTurned: true }],
  ])('is refused for %s', (_, shape) => {
    expect(() => mp4Header(mp4File(shape))).toThrow(expect.objectContaining({ code: 'UNUSABLE_VIDEO' }))
  })

  it('never fails otherwise, wherever the file is cut or broken', () => {
    const file = mp4File()
    for (let length = 0; length < file.length - 5_100; length++)
      expect(mp4Header(file.subarray(0, length))).toBeUndefined()
    for (let at = 0; at < 700; at++) {
      const broken = Buffer.from(file)
      broken[at]! ^= 0xff
      try {
        mp4Header(broken)
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNUSABLE_VIDEO' })
      }
    }
  })
})
