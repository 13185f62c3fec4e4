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

const headerOf = (file: Buffer) => mp4Header(file, file.length)

describe('a JP2 file around a codestream', () => {
  const box = (type: string, content: Buffer): Buffer => {
    const header = Buffer.alloc(8)
    header.writeUInt32BE(8 + content.length)
    header.write(type, 4, 'latin1')
    return Buffer.concat([header, content])
  }
  const signature = Buffer.from('0000000c6a5020200d0a870a', 'hex')
  const colour = (space: number): Buffer => box('colr', Buffer.of(1, 0, 0, 0, 0, 0, space))
  const codestream = async (samples: 1 | 3): Promise<Buffer> => {
    const described = image(samples, 8)
    return Buffer.from(await encodeFrame(frame(described), described, `${PREFIX}.90`))
  }

  it('is left behind, with what follows it', async () => {
    const bare = await codestream(1)
    const file = Buffer.concat([
      signature,
      box('jp2h', colour(17)),
      box('jp2c', bare),
      box('xml ', Buffer.from('<name/>')),
    ])
    const kind = codestreamKind(file)
    expect([Buffer.from(kind!.bytes), kind!.isWhole]).toEqual([bare, true])
  })

  it('with a palette is no image by itself', async () => {
    const file = Buffer.concat([
      signature,
      box('jp2h', Buffer.concat([colour(16), box('pclr', Buffer.alloc(9))])),
      box('jp2c', await codestream(1)),
    ])
    expect(codestreamKind(file)).toBeUndefined()
  })
})

describe('a JPEG without a word of its colours', () => {
  it.each([
    ['RGB', 'RGB'],
    ['\u0001\u0002\u0003', 'YBR_FULL'],
  ])('with the components %j is %s', async (ids, photometric) => {
    const jpeg = await picture.clone().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer()
    const bare = Buffer.concat([jpeg.subarray(0, 2), jpeg.subarray(2 + 2 + jpeg.readUInt16BE(4))])
    const at = bare.indexOf(Buffer.from('ffc0', 'hex'))
    for (let n = 0; n < 3; n++) bare[at + 10 + 3 * n] = ids.charCodeAt(n)
    expect(codestreamKind(bare)?.photometricInterpretation).toBe(photometric)
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
    expect(headerOf(mp4File(shape))).toEqual({
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
    expect(() => headerOf(mp4File(shape))).toThrow(expect.objectContaining({ code: 'UNUSABLE_VIDEO' }))
  })

  it.each(['stts', 'tkhd', 'mdhd', 'hdlr', 'stsd', 'avc1', 'avcC'])('is refused where its %s is empty', (type) => {
    const file = mp4File()
    const at = file.indexOf(type)
    // As short as a box can be; what was in it is another box then, or none.
    file.writeUInt32BE(8, at - 4)
    expect(() => headerOf(file)).toThrow(expect.objectContaining({ code: 'UNUSABLE_VIDEO' }))
  })

  it('never fails otherwise, wherever the file is cut or broken', () => {
    const file = mp4File()
    for (let length = 0; length < file.length - 5_100; length++)
      expect(mp4Header(file.subarray(0, length), file.length)).toBeUndefined()
    for (let at = 0; at < 700; at++) {
      const broken = Buffer.from(file)
      broken[at]! ^= 0xff
      try {
        headerOf(broken)
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNUSABLE_VIDEO' })
      }
    }
  })
})
