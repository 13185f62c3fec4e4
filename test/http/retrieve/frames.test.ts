import { afterEach, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { frameOf, layoutOf } from '../../../src/instance/frames.ts'
import { readable } from '../../support/readable.ts'
import { frameParts } from '../../../src/http/retrieve/frames.ts'
import { encodeRle } from '../../../src/imaging/codecs/rle.ts'
import { collectUntilError } from '../../support/byte-stream.ts'
import { code, get, parts, type Got } from '../../support/conversion.ts'
import { deflate } from '../../support/deflated.ts'
import { explicitLittle } from '../../support/dicom-bytes.ts'
import { CT, E, I, instanceDataset, instanceFile, S, Syntax, type InstanceOptions } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { nativeImage, sourceOf, words32 } from '../../support/images.ts'

const OCTETS = 'application/octet-stream'
const ELE = `${OCTETS}; transfer-syntax=${Syntax.explicit}`
const STORED = `multipart/related; type="${OCTETS}"; transfer-syntax=*`
const PATH = `/studies/${S}/series/${E}/instances/${I}`
const JLS = Syntax.jpegLs
const H264 = '1.2.840.10008.1.2.4.102'
/** Case 61: the bytes 00 to 2F. */
const COUNTING = Buffer.from(Array.from({ length: 48 }, (_, at) => at))
const FRAMES = [COUNTING.subarray(0, 16), COUNTING.subarray(16, 32), COUNTING.subarray(32)]

const setups: Setup[] = []

afterEach(async () => {
  for (const setup of setups.splice(0)) await setup[Symbol.asyncDispose]()
})

async function started(...files: Bytes[]): Promise<Setup> {
  return startedWith({ files })
}

async function startedWith(options: SetupOptions): Promise<Setup> {
  const setup = await startSetup(options)
  setups.push(setup)
  return setup
}

/** Three frames of 4x4 pixels of 8 bits. */
function native(syntax: string = Syntax.explicit, change: (dataset: Dataset) => void = () => undefined): Buffer {
  const options: InstanceOptions = {
    syntax,
    change: (dataset) => {
      dataset
        .set(Attribute.NumberOfFrames, '3')
        .set(Attribute.BitsAllocated, 8)
        .put(Attribute.PixelData, { vr: 'OW', value: COUNTING })
      change(dataset)
    },
  }
  if (syntax !== Syntax.deflated) return instanceFile(options)
  const data = encodeDataset(instanceDataset(options), EXPLICIT_VR_LITTLE_ENDIAN)
  return Buffer.concat([part10Header(CT, I, transferSyntax(syntax)), deflate(data)])
}

function encapsulated(syntax: string, frames: number | undefined, ...fragments: Bytes[]): Buffer {
  return instanceFile({
    syntax,
    fragments,
    change: (dataset) => frames !== undefined && dataset.set(Attribute.NumberOfFrames, String(frames)),
  })
}

describe('frames of a native image', () => {
  it.each([Syntax.explicit, Syntax.implicit, Syntax.bigEndian, Syntax.deflated])(
    'are little-endian pixels, and say so: stored as %s (cases 61, 74)',
    async (syntax) => {
      const setup = await started(native(syntax))
      for (const accept of [`multipart/related; type="${OCTETS}"`, STORED, undefined]) {
        const answer = await get(`${setup.url}${PATH}/frames/2`, accept)
        const [part, ...others] = parts(answer)
        expect(others).toEqual([])
        expect(part!.body).toEqual(FRAMES[1])
        expect(Object.fromEntries(part!.headers)).toEqual({
          'content-type': ELE,
          'content-length': '16',
          'content-location': `${setup.url}${PATH}/frames/2`,
        })
        expect(answer.type).toMatch(/^multipart\/related; type="application\/octet-stream"; boundary=[0-9a-f]{32}$/)
      }
    },
  )

  it('come in the order they are asked for (case 62)', async () => {
    const setup = await started(native())
    for (const list of ['3,1', '3%2C1', '3%2c1']) {
      const got = parts(await get(`${setup.url}${PATH}/frames/${list}`))
      expect(got.map(({ body }) => body)).toEqual([FRAMES[2], FRAMES[0]])
      expect(got.map(({ headers }) => headers.get('content-location'))).toEqual(
        [3, 1].map((n) => `${setup.url}${PATH}/frames/${n}`),
      )
    }
  })

  it('are fetched once for all requests', async () => {
    const setup = await started(native())
    for (const n of [1, 2, 3]) await get(`${setup.url}${PATH}/frames/${n}`)
    expect(setup.archive.retrievals).toBe(1)
  })

  it('of single bits begin in the midst of a byte', async () => {
    // Frames of 12 bits: FFF, 000, ABC.
    const setup = await started(
      instanceFile({
        change: (dataset) =>
          dataset
            .set(Attribute.Rows, 3)
            .set(Attribute.BitsAllocated, 1)
            .set(Attribute.NumberOfFrames, '3')
            .put(Attribute.PixelData, { vr: 'OB', value: Buffer.from('ff0f00bc0a00', 'hex') }),
      }),
    )
    const got = parts(await get(`${setup.url}${PATH}/frames/1,2,3`))
    expect(got.map(({ body }) => body.toString('hex'))).toEqual(['ff0f', '0000', 'bc0a'])
  })
})

describe('the list of frames', () => {
  it.each([
    '0',
    'a',
    '1,,2',
    '',
    ',1',
    '1,',
    '-1',
    '+1',
    '1.5',
    '01',
    '1 ,2',
    '1;2',
    '1,1',
    '3,2,3',
    '1%2C',
    '1e1',
    '٣',
    '9'.repeat(10),
  ])('"%s" is a 400, and nothing is retrieved (case 63)', async (list) => {
    const setup = await started(native())
    const got = await get(`${setup.url}${PATH}/frames/${list === '' ? '%20' : list}`)
    expect(code(got)).toBe('400 INVALID_FRAME_LIST')
    expect(setup.archive.retrievals).toBe(0)
  })

  it('may be long, but not without bounds', async () => {
    const setup = await started(native(Syntax.explicit, (dataset) => dataset.set(Attribute.Columns, 0)))
    const list = (count: number): string => Array.from({ length: count }, (_, at) => at + 1).join()
    expect(code(await get(`${setup.url}${PATH}/frames/${list(2000)}`))).toBe('404 NO_SUCH_FRAME')
    expect(code(await get(`${setup.url}${PATH}/frames/${list(10_001)}`))).toBe('400 INVALID_FRAME_LIST')
  })

  it.each(['4', '1,4', '4,1', '1,2,3,999999999'])('%s of three is a 404, and none is given (case 63)', async (list) => {
    const setup = await started(native())
    expect(code(await get(`${setup.url}${PATH}/frames/${list}`))).toBe('404 NO_SUCH_FRAME')
  })

  it('with a number out of range is a 404 also behind frames that are larger than what is held back', async () => {
    const large = native(Syntax.explicit, (dataset) =>
      dataset
        .set(Attribute.Rows, 300)
        .set(Attribute.Columns, 300)
        .put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(270_000) }),
    )
    const setup = await started(large)
    expect(parts(await get(`${setup.url}${PATH}/frames/1,2,3`))).toHaveLength(3)
    expect(code(await get(`${setup.url}${PATH}/frames/1,2,3,4`))).toBe('404 NO_SUCH_FRAME')
  })

  it('has 1 where Number of Frames is absent (case 77)', async () => {
    const setup = await started(native(Syntax.explicit, (dataset) => dataset.delete(Attribute.NumberOfFrames)))
    expect(parts(await get(`${setup.url}${PATH}/frames/1`))[0]!.body).toEqual(FRAMES[0])
    expect(code(await get(`${setup.url}${PATH}/frames/2`))).toBe('404 NO_SUCH_FRAME')
  })

  it('has nothing where there is no pixel data, and no instance', async () => {
    const setup = await started(native(Syntax.explicit, (dataset) => dataset.delete(Attribute.PixelData)))
    expect(code(await get(`${setup.url}${PATH}/frames/1`))).toBe('404 NO_PIXEL_DATA')
    expect(code(await get(`${setup.url}/studies/${S}/series/${E}/instances/9.9/frames/1`))).toBe('404 NO_SUCH_INSTANCE')
    expect(code(await get(`${setup.url}/studies/${S}/series/9.9/instances/${I}/frames/1`))).toBe('404 NO_SUCH_INSTANCE')
    expect(code(await get(`${setup.url}/studies/${S}/series/${E}/instances/1..9/frames/1`))).toBe('400 INVALID_UID')
  })
})

describe('frames of a compressed image', () => {
  const J2K = Buffer.from('ff4fff510011223344ff', 'hex')
  const LOSSLESS = [Buffer.alloc(0), Buffer.from('ffd8aaaaffd9', 'hex'), Buffer.from('ffd8bbbbccccffd9', 'hex')]

  it.each([
    ['multipart/related; type="image/jp2"', `image/jp2; transfer-syntax=${Syntax.jpeg2000}`],
    ['multipart/related; type=image/jp2', `image/jp2; transfer-syntax=${Syntax.jpeg2000}`],
    ['multipart/related; type="image/dicom+jp2"', `image/jp2; transfer-syntax=${Syntax.jpeg2000}`],
    ['*/*', `image/jp2; transfer-syntax=${Syntax.jpeg2000}`],
    ['multipart/related; type="*/*"', `image/jp2; transfer-syntax=${Syntax.jpeg2000}`],
    [STORED, `${OCTETS}; transfer-syntax=${Syntax.jpeg2000}`],
  ])('are its bitstreams for %s (case 70)', async (accept, label) => {
    const setup = await started(encapsulated(Syntax.jpeg2000, undefined, Buffer.alloc(0), J2K))
    const answer = await get(`${setup.url}${PATH}/frames/1`, accept)
    const [part] = parts(answer)
    expect(part!.body).toEqual(J2K)
    expect(part!.headers.get('content-type')).toBe(label)
    expect(answer.type).toContain(`type="${label.split(';')[0]!}"`)
  })

  it('are image/jpeg without more for Process 14 (case 71), and in a body of its own for one', async () => {
    const setup = await started(encapsulated(Syntax.jpegLossless, 2, ...LOSSLESS))
    const label = `image/jpeg; transfer-syntax=${Syntax.jpegLossless}`
    const got = parts(await get(`${setup.url}${PATH}/frames/2,1`, 'multipart/related; type="image/jpeg"'))
    expect(got.map(({ body }) => body)).toEqual([LOSSLESS[2], LOSSLESS[1]])
    expect(got.map(({ headers }) => headers.get('content-type'))).toEqual([label, label])
    const single = await get(`${setup.url}${PATH}/frames/2`, 'image/jpeg')
    expect(single).toMatchObject({ status: 200, type: label, body: LOSSLESS[2] })
    expect(single.headers.get('content-length')).toBe('8')
    expect(single.headers.get('content-location')).toBe(`${setup.url}${PATH}/frames/2`)
    expect(code(await get(`${setup.url}${PATH}/frames/1,2`, 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
  })

  it('are found by the Basic Offset Table (case 64)', async () => {
    const [a, b] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)]
    const setup = await started(encapsulated(JLS, 2, words32([0, 0x20]), a, b, b, a))
    const got = parts(await get(`${setup.url}${PATH}/frames/1,2`, STORED))
    expect(got.map(({ body }) => body)).toEqual([Buffer.concat([a, b]), Buffer.concat([b, a])])
    // Case 73.
    expect(got[0]!.headers.get('content-type')).toBe(`${OCTETS}; transfer-syntax=${JLS}`)
  })

  it('that nothing here decodes are not given as another type, nor decoded (case 72)', async () => {
    const setup = await started(encapsulated(Syntax.jpegXlLossless, 2, ...LOSSLESS))
    for (const accept of [
      'multipart/related; type="image/jls"',
      `multipart/related; type="${OCTETS}"`,
      `multipart/related; type="image/jxl"; transfer-syntax=${Syntax.jpegXl}`,
      OCTETS,
      'application/dicom',
      '*/*;q=0',
    ]) {
      expect(code(await get(`${setup.url}${PATH}/frames/1`, accept)), accept).toBe('406 NOT_ACCEPTABLE')
    }
  })

  it('with loss that nothing here decodes are given as they are to who takes the type, or octets (case 15)', async () => {
    const setup = await started(encapsulated(Syntax.jpegXl, 2, ...LOSSLESS))
    for (const [accept, media] of [
      ['multipart/related; type="image/jxl"', 'image/jxl'],
      [`multipart/related; type="${OCTETS}"`, OCTETS],
    ] as const) {
      const [part] = parts(await get(`${setup.url}${PATH}/frames/1`, accept))
      expect(part!.headers.get('content-type')).toBe(`${media}; transfer-syntax=${Syntax.jpegXl}`)
      expect(part!.body).toEqual(LOSSLESS[1])
    }
  })

  it('that do not come out of its fragments are a 502, with nothing given', async () => {
    const setup = await started(encapsulated(JLS, 3, ...LOSSLESS))
    expect(code(await get(`${setup.url}${PATH}/frames/1`, STORED))).toBe('502 CORRUPT_FRAGMENTS')
    expect(code(await get(`${setup.url}${PATH}/frames/2,3`, STORED))).toBe('502 CORRUPT_FRAGMENTS')
    const one = await get(`${setup.url}${PATH}/frames/1`, `${OCTETS}; transfer-syntax=*`)
    expect(code(one)).toBe('502 CORRUPT_FRAGMENTS')
  })

  it('of which one fragment reaches beyond the end are an error, and not part of a frame', async () => {
    const file = encapsulated(JLS, 2, words32([0, 0x10]), Buffer.alloc(8, 1), Buffer.alloc(8, 2))
    file.writeUInt32LE(0x7ffffffe, file.length - 8 - 8 - 4)
    const setup = await started(file)
    const { status } = await get(`${setup.url}${PATH}/frames/2`, STORED)
    expect(status).toBe(502)
  })

  it('of a video are not given one by one (case 78)', async () => {
    const setup = await started(encapsulated(H264, 300, Buffer.alloc(0), Buffer.alloc(10, 7)))
    for (const accept of [undefined, 'video/mp4', STORED]) {
      expect(code(await get(`${setup.url}${PATH}/frames/1`, accept))).toBe('406 NOT_ACCEPTABLE')
    }
  })
})

describe('the parts of frames', () => {
  it('have headers as clients want them', async () => {
    const setup = await started(native())
    const { type, body } = await get(`${setup.url}${PATH}/frames/1,2,3`, STORED)
    const boundary = /boundary=([0-9a-f]{32})$/.exec(type)![1]!
    const text = body.toString('latin1')
    // Item 3 of "What the answers must look like": no preamble, nothing but CRLF behind the closing delimiter.
    expect(text.startsWith(`--${boundary}\r\n`)).toBe(true)
    expect(text.endsWith(`\r\n--${boundary}--\r\n`)).toBe(true)
    const heads = text
      .split(`--${boundary}\r\n`)
      .slice(1)
      .map((part) => part.slice(0, part.indexOf('\r\n\r\n')))
    expect(heads).toHaveLength(3)
    for (const head of heads) {
      expect(head.length).toBeLessThan(1000)
      // Item 2: so spelled, with its syntax unquoted, and no other parameter.
      expect(head).toMatch(/^Content-Type: application\/octet-stream; transfer-syntax=[0-9.]+\r\n/)
      expect(head.split('\r\n')[0]!.split('=')).toHaveLength(2)
      expect(head.split('\r\n').map((line) => line.split(':')[0])).toEqual([
        'Content-Type',
        'Content-Length',
        'Content-Location',
      ])
    }
  })
})

describe('a part whose bytes are not all there', () => {
  it('ends in an error, never in a part that looks whole', async () => {
    const image = nativeImage(explicitLittle, { rows: 4, columns: 4, bits: 8, frames: 2 }, COUNTING.subarray(0, 32))
    const layout = (await layoutOf(readable(sourceOf(image))))!
    const representation = { form: 'multipart', contentType: ELE } as const
    const bodies: unknown[] = []
    for await (const part of frameParts(
      { frame: (number) => frameOf(readable(sourceOf(image.subarray(0, -6))), layout, number), representation },
      [1, 2],
      '',
    )) {
      const { bytes, error } = await collectUntilError(part.body)
      bodies.push([part.headers['Content-Length'], bytes.length, (error as { code?: string } | undefined)?.code])
    }
    expect(bodies).toEqual([
      [16, 16, undefined],
      [16, 10, 'LENGTH_MISMATCH'],
    ])
  })
})

describe('a single frame in a body of its own', () => {
  const range = async (range: string, more: Record<string, string> = {}): Promise<Got> => {
    const setup = setups[0] ?? (await started(native()))
    return get(`${setup.url}${PATH}/frames/2`, OCTETS, { range, ...more })
  }

  it('says its length, its type and that ranges of it can be had', async () => {
    const setup = await started(native())
    const { status, headers, type, body } = await get(`${setup.url}${PATH}/frames/2`, OCTETS)
    expect({ status, type, body }).toEqual({ status: 200, type: ELE, body: FRAMES[1] })
    expect(headers.get('content-length')).toBe('16')
    expect(headers.get('accept-ranges')).toBe('bytes')
    expect(headers.get('content-range')).toBeNull()
  })

  it.each([
    ['bytes=0-3', 0, 4],
    ['bytes=5-5', 5, 6],
    ['bytes=4-', 4, 16],
    ['bytes=-3', 13, 16],
    ['bytes=-100', 0, 16],
    ['bytes=10-100', 10, 16],
    ['bytes=0-', 0, 16],
    ['Bytes=0-3', 0, 4],
    ['bytes=15-99999999999999999999', 15, 16],
  ])('is given in part for Range: %s', async (header, from, to) => {
    const { status, headers, type, body } = await range(header)
    expect({ status, type, body }).toEqual({ status: 206, type: ELE, body: FRAMES[1]!.subarray(from, to) })
    expect(headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/16`)
    expect(headers.get('content-length')).toBe(String(to - from))
  })

  it.each(['bytes=16-', 'bytes=16-20', 'bytes=-0', 'bytes=99999999999-'])('is a 416 for Range: %s', async (header) => {
    const got = await range(header)
    expect(code(got)).toBe('416 RANGE_NOT_SATISFIABLE')
    expect(got.headers.get('content-range')).toBe('bytes */16')
  })

  it.each(['bytes=0-1,4-5', 'bytes=-', 'bytes=', 'lines=0-3', 'bytes=a-b', 'bytes 0-3'])(
    'is given whole for Range: %s',
    async (header) => {
      const { status, headers, body } = await range(header)
      expect({ status, body }).toEqual({ status: 200, body: FRAMES[1] })
      expect(headers.get('content-range')).toBeNull()
    },
  )

  it('is given whole where the range hangs on a validator, of which there is none', async () => {
    const { status, body } = await range('bytes=0-3', { 'if-range': '"x"' })
    expect({ status, body }).toEqual({ status: 200, body: FRAMES[1] })
  })

  it('has ranges, and several frames in parts have none', async () => {
    const setup = await started(native())
    const got = await get(`${setup.url}${PATH}/frames/2,1`, STORED, { range: 'bytes=0-3' })
    expect(parts(got).map(({ body }) => body)).toEqual([FRAMES[1], FRAMES[0]])
    expect(got.headers.get('accept-ranges')).toBeNull()
  })

  it('has ranges in the midst of a byte of single bits too, and of fragments', async () => {
    const bits = instanceFile({
      change: (dataset) =>
        dataset
          .set(Attribute.Rows, 5)
          .set(Attribute.BitsAllocated, 1)
          .set(Attribute.NumberOfFrames, '2')
          .put(Attribute.PixelData, { vr: 'OB', value: Buffer.from('000010325406', 'hex') }),
    })
    const other = `${E}.9`
    const fragments = instanceFile({
      instance: other,
      syntax: JLS,
      fragments: [Buffer.alloc(0), Buffer.from('0123'), Buffer.from('45678901')],
    })
    const setup = await started(bits, fragments)
    // Twenty bits from the twentieth: 1, 3254, 6 without its lower half, which is the first frame's.
    const whole = await get(`${setup.url}${PATH}/frames/2`, OCTETS)
    expect(whole.body.toString('hex')).toBe('214305')
    expect((await get(`${setup.url}${PATH}/frames/2`, OCTETS, { range: 'bytes=1-1' })).body).toEqual(
      whole.body.subarray(1, 2),
    )
    const accept = `${OCTETS}; transfer-syntax=*`
    const path = `/studies/${S}/series/${E}/instances/${other}/frames/1`
    expect((await get(setup.url + path, accept, { range: 'bytes=2-6' })).body.toString()).toBe('23456')
  })
})

describe('an archive that might decompress', () => {
  it('is asked to, where nothing here decodes what it has', async () => {
    const setup = await started(encapsulated(Syntax.jpegXlLossless, undefined, Buffer.alloc(0), Buffer.alloc(8)))
    expect(parts(await get(`${setup.url}${PATH}/frames/1`, STORED))).toHaveLength(1)
    const before = setup.archive.retrievals
    expect(before).toBe(1)
    expect(code(await get(`${setup.url}${PATH}/frames/1`, OCTETS))).toBe('406 NOT_ACCEPTABLE')
    expect(setup.archive.retrievals).toBeGreaterThan(before)
  })

  it('is not asked to, where what it has is decoded here', async () => {
    const pixels = COUNTING.subarray(0, 32)
    const rle = encodeRle(pixels, {
      rows: 4,
      columns: 4,
      samplesPerPixel: 1,
      photometricInterpretation: 'MONOCHROME2',
      planarConfiguration: 0,
      bitsAllocated: 16,
      bitsStored: 16,
      highBit: 15,
      signed: false,
    })!
    const setup = await started(encapsulated(Syntax.rle, undefined, Buffer.alloc(0), rle))
    for (let n = 0; n < 2; n++) {
      const { status, type, body } = await get(`${setup.url}${PATH}/frames/1`, OCTETS)
      expect({ status, type, body }).toEqual({ status: 200, type: ELE, body: pixels })
    }
    expect(setup.archive.retrievals).toBe(1)
  })
})
