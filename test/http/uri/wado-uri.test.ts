import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { code, get, imageFile, madeImage, pixelsOf, realFile, type Got } from '../../support/conversion.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { E, I, instanceFile, S, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { description } from '../../imaging/made-images.ts'
import { setImage } from '../../support/image-attributes.ts'
import { splitPart10 } from '../../support/part10.ts'

const SR = '1.2.840.10008.5.1.4.1.1.88.11'
const NAMES = `requestType=WADO&studyUID=${S}&seriesUID=${E}&objectUID=${I}`
const DICOM = 'contentType=application/dicom'
const PNG = 'contentType=image/png'
const INVALID = '400 INVALID_PARAMETER'
const [COLUMNS, ROWS] = [100, 50]

let setup: Setup

beforeAll(async () => {
  setup = await startSetup({ cache: { maxBytes: 0 } })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

const wado = (query = '', accept?: string, names = NAMES): Promise<Got> =>
  get(`${setup.url}/wado?${names}${query === '' ? '' : `&${query}`}`, accept)

/** Of 8 bits: each frame is a slope to the right, brighter by its number. */
function slopes(frames: number): Buffer {
  return instanceFile({
    change(dataset) {
      const pixels = Array.from({ length: COLUMNS * ROWS * frames }, (_, n) => {
        const frame = Math.floor(n / (COLUMNS * ROWS))
        return (n % COLUMNS) + 20 * frame
      })
      setImage(dataset, description({ rows: ROWS, columns: COLUMNS }))
        .set(Attribute.WindowCenter, '128')
        .set(Attribute.WindowWidth, '256')
      if (frames > 1) dataset.set(Attribute.NumberOfFrames, String(frames))
      dataset.put(Attribute.PixelData, { vr: 'OB', value: Buffer.from(pixels) })
    },
  })
}

function withoutPixels(sopClass: string, type?: string): Buffer {
  return instanceFile({
    sopClass,
    change(dataset) {
      for (const tag of [Attribute.PixelData, Attribute.Rows, Attribute.Columns]) dataset.delete(tag)
      if (type === undefined) return
      dataset
        .set(Attribute.MIMETypeOfEncapsulatedDocument, type)
        .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: Buffer.from('%PDF-1.4') })
    },
  })
}

interface Look {
  readonly size: readonly [number, number]
  readonly pages: number
  /** The first row. */
  readonly row: number[]
}

async function look(got: Got, type = 'image/jpeg'): Promise<Look> {
  expect(got.status, got.body.toString('latin1', 0, 300)).toBe(200)
  expect(got.type).toBe(type)
  const { pages = 1 } = await sharp(got.body).metadata()
  const { data, info } = await sharp(got.body).raw().toBuffer({ resolveWithObject: true })
  const row = Array.from({ length: info.width }, (_, x) => data[x * info.channels]!)
  return { size: [info.width, info.height], pages, row }
}

const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n)

describe('an image by the URI service', () => {
  beforeEach(() => setup.archive.put(slopes(1)))

  it.each([undefined, '*/*', 'image/*', 'image/jpeg'])('is a JPEG for who accepts %s', async (accept) => {
    const got = await wado('', accept)
    expect((await look(got)).size).toEqual([COLUMNS, ROWS])
    expect(got.headers.get('content-location')).toBe(`${setup.url}/studies/${S}/series/${E}/instances/${I}`)
  })

  it('is what contentType says, before what Accept says', async () => {
    expect((await look(await wado(PNG, 'image/gif'), 'image/png')).row).toEqual(upTo(COLUMNS))
    await look(await wado('contentType=image/gif'), 'image/gif')
    await look(await wado('contentType=image/webp,image/png'), 'image/png')
    await look(await wado('contentType=image/webp', 'image/png'), 'image/png')
  })

  it.each(['image/webp', 'text/html', 'video/mp4', 'multipart/related; type="image/jpeg"'])(
    'is not to be had as %s',
    async (type) => {
      expect(code(await wado('', type))).toBe('406 NOT_ACCEPTABLE')
      expect(code(await wado(`contentType=${encodeURIComponent(type)}`, type))).toBe('406 NOT_ACCEPTABLE')
    },
  )

  it.each([
    `seriesUID=${E}&objectUID=${I}`,
    `studyUID=${S}&objectUID=${I}`,
    `studyUID=${S}&seriesUID=${E}`,
    `studyUID=${S}&seriesUID=${E}&objectUID=`,
    `studyUID=${S}&seriesUID=${E}&objectUID=x*`,
    `studyuid=${S}&seriesUID=${E}&objectUID=${I}`,
  ])('has three UIDs: %s is a 400', async (names) => {
    expect(code(await wado('', undefined, `requestType=WADO&${names}`))).toBe(INVALID)
  })

  it.each(['requestType=wado', 'requestType=', '', 'RequestType=WADO'])('is of WADO: %j is a 400', async (type) => {
    expect(code(await wado('', undefined, `${type}&studyUID=${S}&seriesUID=${E}&objectUID=${I}`))).toBe(INVALID)
  })

  it.each([
    ...['rows=0&columns=1', 'rows=x&columns=1', 'windowCenter=40', 'windowWidth=400'],
    ...['windowCenter=40&windowWidth=0', 'imageQuality=0', 'imageQuality=101', 'region=0,0,1', 'region=0,0,2,1'],
    ...[
      'region=0.5,0,0.5,1',
      'frameNumber=0',
      'frameNumber=x',
      'transferSyntax=abc',
      'presentationUID=1.2',
      'rows=1&rows=1',
    ],
    ...['presentationSeriesUID=1.2', 'presentationUID=1.2&presentationSeriesUID=1.3&windowCenter=1&windowWidth=1'],
  ])('is a 400 with %s, of which the archive hears nothing', async (query) => {
    const before = setup.archive.retrievals
    expect(code(await wado(query))).toBe(INVALID)
    expect(setup.archive.retrievals).toBe(before)
  })

  it.each(['anonymize=yes', 'anonymize=no', 'presentationUID=1.2&presentationSeriesUID=1.3'])(
    'is a 501 with %s, and nothing is given',
    async (query) => {
      const before = setup.archive.retrievals
      for (const more of ['', `&${DICOM}`]) expect(code(await wado(query + more))).toBe('501 UNSUPPORTED_PARAMETER')
      expect(setup.archive.retrievals).toBe(before)
    },
  )

  it('is a 400 with a transfer syntax in a media type, or with one for a picture', async () => {
    const type = encodeURIComponent(`application/dicom; transfer-syntax=${Syntax.explicit}`)
    expect(code(await wado(`contentType=${type}`))).toBe(INVALID)
    expect(code(await wado('', `application/dicom; transfer-syntax=${Syntax.explicit}`))).toBe(INVALID)
    expect(code(await wado(`transferSyntax=${Syntax.explicit}`))).toBe(INVALID)
    expect(code(await wado(`transferSyntax=${Syntax.explicit}&contentType=image/jpeg`))).toBe(INVALID)
  })

  it.each([
    ['rows=100&columns=100', [100, 50]],
    ['rows=20&columns=100', [40, 20]],
    ['rows=100&columns=20', [20, 10]],
    ['rows=100', [200, 100]],
    ['columns=20', [20, 10]],
    ['rows=25&region=0,0,0.5,1', [25, 25]],
    ['rows=10&columns=100&region=0,0,0.5,1', [10, 10]],
    ['region=0,0,0.5,1', [50, 50]],
    ['region=0.25,0.5,0.75,1', [50, 25]],
  ])('fits into what is asked for: %s', async (query, size) => {
    expect((await look(await wado(query))).size).toEqual(size)
  })

  it('shows the region that is asked for', async () => {
    expect((await look(await wado(`${PNG}&region=0.25,0.5,0.75,1`), 'image/png')).row).toEqual(upTo(50, 25))
  })

  it.each([
    ['0.1,0.1,0.3,0.3', [20, 10], 10],
    // 1 - 0.8 is 0.19999999999999996.
    ['0.8,0.8,1,1', [20, 10], 80],
    ['0.29,0,0.58,1', [29, 50], 29],
  ])('shows all pixels of a region, whatever its numbers are in binary: %s', async (region, size, first) => {
    const got = await look(await wado(`${PNG}&region=${region}`), 'image/png')
    expect(got.size).toEqual(size)
    expect(got.row).toEqual(upTo(size[0]!, first))
  })

  it('shows the window that is asked for', async () => {
    const { row } = await look(await wado(`${PNG}&windowCenter=50&windowWidth=21`), 'image/png')
    const shade = (x: number): number => Math.round(255 * Math.min(1, Math.max(0, (x - 49.5) / 20 + 0.5)))
    expect(row).toEqual(upTo(COLUMNS).map(shade))
  })

  it('is the smaller the lower its quality', async () => {
    await setup.archive.put(await imageFile(madeImage(), Syntax.explicit))
    const [low, high] = [await wado('imageQuality=5'), await wado('imageQuality=100')]
    expect(low.body.length).toBeLessThan(high.body.length)
  })

  it('has a warning of keywords that nobody knows', async () => {
    expect((await wado('annotation=weather')).headers.get('warning')).toMatch(/^299 /)
    expect((await wado()).headers.get('warning')).toBeNull()
  })

  it('is given in ranges', async () => {
    const { body } = await wado()
    const some = await get(`${setup.url}/wado?${NAMES}`, undefined, { range: 'bytes=0-1' })
    expect([some.status, some.headers.get('content-range')]).toEqual([206, `bytes 0-1/${body.length}`])
  })

  it.each([
    `requestType=WADO&studyUID=9.9&seriesUID=${E}&objectUID=${I}`,
    `requestType=WADO&studyUID=${S}&seriesUID=9.9&objectUID=${I}`,
    `requestType=WADO&studyUID=${S}&seriesUID=${E}&objectUID=9.9`,
  ])('is a 404 where it is not there: %s', async (names) => {
    expect(code(await wado('', undefined, names))).toMatch(/^404 /)
    expect(code(await wado(DICOM, undefined, names))).toMatch(/^404 /)
  })

  it('is asked for by GET', async () => {
    const before = setup.archive.retrievals
    for (const method of ['HEAD', 'POST', 'PUT', 'DELETE']) {
      const response = await fetch(`${setup.url}/wado?${NAMES}`, { method })
      expect([method, response.status, response.headers.get('allow')]).toEqual([method, 405, 'GET'])
    }
    expect(setup.archive.retrievals).toBe(before)
  })
})

describe('an image of several frames by the URI service', () => {
  beforeEach(() => setup.archive.put(slopes(3)))

  it('is its first frame, as a JPEG', async () => {
    expect(await look(await wado())).toMatchObject({ pages: 1, size: [COLUMNS, ROWS] })
    expect((await look(await wado(PNG), 'image/png')).row).toEqual(upTo(COLUMNS))
    expect((await look(await wado('contentType=image/gif'), 'image/gif')).pages).toBe(1)
  })

  it('is the frame that is asked for', async () => {
    for (const frame of [1, 2, 3]) {
      const { row } = await look(await wado(`${PNG}&frameNumber=${frame}`), 'image/png')
      expect(row).toEqual(upTo(COLUMNS, 20 * (frame - 1)))
    }
  })

  it('has no frames beyond its last one', async () => {
    expect(code(await wado('frameNumber=4'))).toBe('404 NO_SUCH_FRAME')
  })

  it('is a DICOM file with all frames only', async () => {
    expect(code(await wado(`${DICOM}&frameNumber=1`))).toBe(INVALID)
    expect((await wado(DICOM)).status).toBe(200)
  })
})

describe('a DICOM file by the URI service', () => {
  /** Syntax and pixel data of the file. */
  function file({ status, type, body }: Got): { syntax: string; pixels: Buffer; sopInstance: string } {
    expect(status, body.toString('latin1', 0, 300)).toBe(200)
    expect(type).toBe('application/dicom')
    const { syntax, sopInstance, data } = splitPart10(body)
    return { syntax, sopInstance, pixels: pixelsOf(parseDataset(data, transferSyntax(syntax))) }
  }
  const made = madeImage()
  const asked = (syntax: string): Promise<Got> => wado(`${DICOM}&transferSyntax=${syntax}`)

  it.each([Syntax.explicit, Syntax.implicit, Syntax.bigEndian, Syntax.rle, Syntax.jpegLs, Syntax.jpeg2000])(
    'is Explicit VR Little Endian by default, however it is stored: %s',
    async (stored) => {
      await setup.archive.put(await imageFile(made, stored))
      for (const got of [await wado(DICOM), await wado('', 'application/dicom'), await asked(Syntax.explicit)]) {
        const { syntax, sopInstance, pixels } = file(got)
        expect([syntax, sopInstance]).toEqual([Syntax.explicit, I])
        // A file in Big Endian is made of the same bytes here, which are other numbers there.
        if (stored !== Syntax.bigEndian) expect(pixels.equals(made.frames[0]!)).toBe(true)
      }
    },
  )

  it('is in the syntax that is asked for, if it can be', async () => {
    await setup.archive.put(await imageFile(made, Syntax.jpegLs))
    const { status, body } = await asked(Syntax.jpegLs)
    expect([status, splitPart10(body).syntax]).toEqual([200, Syntax.jpegLs])
    // As OHIF and dicomweb-client ask for it.
    const anyway = await asked('*')
    expect([anyway.status, splitPart10(anyway.body).syntax]).toEqual([200, Syntax.jpegLs])
    const deflated = await asked(Syntax.deflated)
    expect([deflated.status, splitPart10(deflated.body).syntax]).toEqual([200, Syntax.deflated])
  })

  it.each([Syntax.implicit, Syntax.bigEndian])('is never in a syntax that is not for the web: %s', async (syntax) => {
    await setup.archive.put(await imageFile(made, syntax))
    expect(code(await asked(syntax))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each([Syntax.jpegXlLossless, Syntax.jpegLossless, '1.2.840.10008.1.2.4.102', '1.2.3.4'])(
    'is a 406 in a syntax that it cannot be brought to: %s',
    async (syntax) => {
      await setup.archive.put(await imageFile(made, Syntax.explicit))
      expect(code(await asked(syntax))).toBe('406 NOT_ACCEPTABLE')
    },
  )

  it('is a 400 in what is no syntax', async () => {
    await setup.archive.put(await imageFile(made, Syntax.explicit))
    expect(code(await asked('abc'))).toBe(INVALID)
  })

  it.for(['CT1_JPLL', 'MR1_JLSL', 'NM1_RLE'])(
    'of a real image has the pixels of its reference: %s',
    async (name, { skip }) => {
      const [compressed, plain] = [realFile('wg04', name), realFile('wg04', `${name.split('_')[0]!}_UNC`)]
      if (!compressed || !plain) return skip('the test data is not there')
      await setup.archive.put(compressed.bytes)
      const [, , study, , series, , instance] = compressed.path.split('/')
      const names = `requestType=WADO&studyUID=${study!}&seriesUID=${series!}&objectUID=${instance!}`
      const { syntax, pixels } = file(await wado(DICOM, undefined, names))
      expect(syntax).toBe(Syntax.explicit)
      expect(pixels.equals(pixelsOf(plain.dataset))).toBe(true)
    },
  )
})

describe('what is no image by the URI service', () => {
  it('is a DICOM file for who takes anything', async () => {
    for (const made of [withoutPixels(SR), withoutPixels('1.2.840.10008.5.1.4.1.1.104.1', 'application/pdf')]) {
      await setup.archive.put(made)
      expect((await wado()).type).toBe('application/dicom')
    }
  })

  it('is a page or text of a report', async () => {
    await setup.archive.put(withoutPixels(SR))
    const html = await wado('contentType=text/html')
    expect(html.type).toBe('text/html; charset=utf-8')
    expect(html.headers.get('content-security-policy')).toMatch(/sandbox/)
    expect((await wado('', 'text/plain')).type).toBe('text/plain; charset=utf-8')
    expect((await wado('', 'text/*')).type).toBe('text/html; charset=utf-8')
    expect(code(await wado('contentType=image/jpeg', 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
  })

  it('is no DICOM file where a report is asked for as a picture, whatever Accept takes besides', async () => {
    await setup.archive.put(withoutPixels(SR))
    for (const accept of ['*/*', 'image/*, */*;q=0.1', undefined])
      expect(code(await wado('contentType=image/jpeg', accept))).toBe('406 NOT_ACCEPTABLE')
    expect((await wado('contentType=image/jpeg,application/dicom')).type).toBe('application/dicom')
    expect((await wado('contentType=image/jpeg', 'application/dicom')).type).toBe('application/dicom')
  })

  it('is a PDF of a document', async () => {
    await setup.archive.put(withoutPixels('1.2.840.10008.5.1.4.1.1.104.1', 'application/pdf'))
    const { type, body } = await wado('contentType=application/pdf')
    expect([type, body.toString()]).toEqual(['application/pdf', '%PDF-1.4'])
  })

  it('is a video of one', async () => {
    const stream = Buffer.from('an MPEG-4 stream')
    const syntax = '1.2.840.10008.1.2.4.102'
    await setup.archive.put(instanceFile({ syntax, fragments: [Buffer.alloc(0), stream] }))
    const { type, body } = await wado()
    expect([type, body.toString()]).toEqual(['video/mp4', stream.toString()])
  })
})
