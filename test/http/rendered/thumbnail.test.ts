import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { code, get, type Got } from '../../support/conversion.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { description } from '../../imaging/made-images.ts'
import { setImage } from '../../support/image-attributes.ts'

const SR = '1.2.840.10008.5.1.4.1.1.88.11'
const [COLUMNS, ROWS] = [64, 32]
const WINDOW = 'window=128,256,linear'

interface FlatOptions {
  readonly study: string
  readonly series: string
  readonly number?: number | undefined
  readonly seriesNumber?: number | undefined
  readonly modality?: string
  readonly frames?: number
}

/** An image all of whose pixels say which instance and frame it is. */
function flatFile(uid: string, shade: number, options: FlatOptions): Buffer {
  const { study, series, number, seriesNumber, modality = 'CT', frames = 1 } = options
  return instanceFile({
    ...{ study, series, instance: uid },
    change(dataset) {
      numbered(dataset, options.number, seriesNumber, modality)
      if (number !== undefined) dataset.set(Attribute.InstanceNumber, String(number))
      setImage(dataset, description({ rows: ROWS, columns: COLUMNS }))
      if (frames > 1) dataset.set(Attribute.NumberOfFrames, String(frames))
      const pixels = Array.from({ length: frames }, (_, n) => Buffer.alloc(COLUMNS * ROWS, shade + n))
      dataset.put(Attribute.PixelData, { vr: 'OB', value: Buffer.concat(pixels) })
    },
  })
}

function numbered(dataset: Dataset, number: number | undefined, series: number | undefined, modality: string): void {
  dataset.set(Attribute.Modality, modality)
  if (number === undefined) dataset.delete(Attribute.InstanceNumber)
  if (series === undefined) dataset.delete(Attribute.SeriesNumber)
  else dataset.set(Attribute.SeriesNumber, String(series))
}

function reportFile(uid: string, { study, series, seriesNumber, modality = 'SR' }: FlatOptions): Buffer {
  return instanceFile({
    ...{ study, series, instance: uid, sopClass: SR },
    change(dataset) {
      numbered(dataset, 1, seriesNumber, modality)
      for (const tag of [Attribute.PixelData, Attribute.Rows, Attribute.Columns]) dataset.delete(tag)
    },
  })
}

let setup: Setup
/** Identifiers of the searches. */
const finds: Dataset[] = []

beforeAll(async () => {
  setup = await startSetup({ cache: { maxBytes: 0 }, archive: { faults: { onFind: (one) => void finds.push(one) } } })
  await holds(
    // Of this study the first series is of a report, the second one of five images not in their order.
    reportFile('1.2.50.1.1', { study: '1.2.50', series: '1.2.50.1', seriesNumber: 1 }),
    ...[
      [5, 50],
      [1, 10],
      [3, 30],
      [2, 20],
      [4, 40],
    ].map(([number, shade]) =>
      flatFile(`1.2.50.2.${9 - number!}`, shade!, { study: '1.2.50', series: '1.2.50.2', seriesNumber: 2, number }),
    ),
    flatFile('1.2.50.3.1', 200, { study: '1.2.50', series: '1.2.50.3', seriesNumber: 3, number: 1 }),
    // Three frames, and four.
    flatFile('1.2.51.1.1', 100, { study: '1.2.51', series: '1.2.51.1', number: 1, frames: 3 }),
    flatFile('1.2.51.2.1', 150, { study: '1.2.51', series: '1.2.51.2', number: 1, frames: 4 }),
    reportFile('1.2.52.1.1', { study: '1.2.52', series: '1.2.52.1', seriesNumber: 1 }),
  )
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

async function holds(...files: Uint8Array[]): Promise<void> {
  for (const file of files) await setup.archive.put(file)
}

const STUDY = '/studies/1.2.50'
const SERIES = `${STUDY}/series/1.2.50.2`
const thumbnail = (path: string, query = WINDOW, accept?: string): Promise<Got> =>
  get(`${setup.url}${path}/thumbnail?${query}`, accept)

/** Size and shade. */
async function look(got: Got, type = 'image/jpeg'): Promise<{ size: [number, number]; shade: number }> {
  expect(got.status, got.body.toString('latin1', 0, 300)).toBe(200)
  expect(got.type).toBe(type)
  const { data, info } = await sharp(got.body).raw().toBuffer({ resolveWithObject: true })
  return { size: [info.width, info.height], shade: data[0]! }
}

/** The window maps 0..255 onto themselves, JPEG up to one level. */
async function shadeOf(path: string): Promise<number> {
  return (await look(await thumbnail(path, WINDOW, 'image/png'), 'image/png')).shade
}

describe('a thumbnail', () => {
  it('of an instance is its frame', async () => {
    expect(await shadeOf(`${SERIES}/instances/1.2.50.2.4`)).toBe(50)
  })

  it('of an instance of several frames is the one in the middle', async () => {
    expect(await shadeOf('/studies/1.2.51/series/1.2.51.1/instances/1.2.51.1.1')).toBe(101)
    expect(await shadeOf('/studies/1.2.51/series/1.2.51.2/instances/1.2.51.2.1')).toBe(151)
  })

  it('of a frame is that frame, of several the first that is named', async () => {
    const path = '/studies/1.2.51/series/1.2.51.1/instances/1.2.51.1.1/frames'
    expect(await shadeOf(`${path}/3`)).toBe(102)
    expect(await shadeOf(`${path}/1`)).toBe(100)
    expect(await shadeOf(`${path}/2,3`)).toBe(101)
  })

  it('of a series is the instance in the middle by Instance Number', async () => {
    expect(await shadeOf(SERIES)).toBe(30)
  })

  it('of a study is that of its first series with images', async () => {
    expect(await shadeOf(STUDY)).toBe(30)
  })

  it('of a study is that of the next series where the first cannot be drawn, or does not come', async () => {
    const study = '1.2.54'
    const broken = instanceFile({
      ...{ study, series: '1.2.54.1', instance: '1.2.54.1.1' },
      change(dataset) {
        numbered(dataset, 1, 1, 'CT')
        dataset.set(Attribute.Rows, '0')
      },
    })
    await holds(broken, flatFile('1.2.54.2.1', 77, { study, series: '1.2.54.2', seriesNumber: 2, number: 1 }))
    expect(await shadeOf(`/studies/${study}`)).toBe(77)
    setup.archive.faults = { ...setup.archive.faults, getFails: (uid) => uid === '1.2.50.2.6' }
    try {
      // The middle one of its first series with images.
      expect(await shadeOf(STUDY)).toBe(200)
    } finally {
      setup.archive.faults = { onFind: (one) => void finds.push(one) }
    }
  })

  it('of a study that is not there says so', async () => {
    expect(code(await thumbnail('/studies/1.2.99'))).toBe('404 NO_SUCH_STUDY')
  })

  it('of a study is that of the least Series Number, those without one last', async () => {
    const study = '1.2.53'
    await holds(
      flatFile('1.2.53.1.1', 11, { study, series: '1.2.53.1', number: 1 }),
      flatFile('1.2.53.2.1', 22, { study, series: '1.2.53.2', number: 1, seriesNumber: 10 }),
      flatFile('1.2.53.3.1', 33, { study, series: '1.2.53.3', number: 1, seriesNumber: 9 }),
    )
    expect(await shadeOf(`/studies/${study}`)).toBe(33)
  })

  it('of a series is an instance by number, not by text, those without one last', async () => {
    const [study, series] = ['1.2.54', '1.2.54.1']
    const numbers = [undefined, 10, 9, undefined, 100]
    for (const [at, number] of numbers.entries()) {
      await holds(flatFile(`${series}.${at + 1}`, 10 * (at + 1), { study, series, number }))
    }
    // 9, 10, 100, none, none.
    expect(await shadeOf(`/studies/${study}/series/${series}`)).toBe(50)
  })

  it('of a series of two is the first', async () => {
    const [study, series] = ['1.2.55', '1.2.55.1']
    for (const number of [2, 1]) await holds(flatFile(`${series}.${number}`, 10 * number, { study, series, number }))
    expect(await shadeOf(`/studies/${study}/series/${series}`)).toBe(10)
  })

  it.each(['KO', 'PR', 'RTSTRUCT', 'DOC', 'SEG'])(
    'of a study skips a series of %s if it has no images',
    async (modality) => {
      const study = `1.2.56.${modality.length}${modality.charCodeAt(0)}`
      const isImage = modality === 'SEG'
      const first = { study, series: `${study}.1`, seriesNumber: 1, modality }
      await holds(
        isImage ? flatFile(`${study}.1.1`, 77, { ...first, number: 1 }) : reportFile(`${study}.1.1`, first),
        flatFile(`${study}.2.1`, 88, { study, series: `${study}.2`, seriesNumber: 2, number: 1 }),
      )
      expect(await shadeOf(`/studies/${study}`)).toBe(isImage ? 77 : 88)
    },
  )

  it.each([STUDY, SERIES, `${SERIES}/instances/1.2.50.2.4`, `${SERIES}/instances/1.2.50.2.4/frames/1`])(
    'is one JPEG of at most 128 pixels a side, which says where it is: %s',
    async (path) => {
      for (const accept of [undefined, '*/*', 'image/*', 'image/jpeg']) {
        const got = await thumbnail(path, '', accept)
        expect((await look(got)).size).toEqual([128, 64])
        expect(got.headers.get('content-location')).toBe(`${setup.url}${path}/thumbnail`)
        expect(got.headers.get('content-length')).toBe(String(got.body.length))
      }
    },
  )

  it.each(['image/png', 'image/gif'])('is %s for who asks for that, one frame only', async (type) => {
    const path = '/studies/1.2.51/series/1.2.51.1'
    const got = await thumbnail(path, '', type)
    await look(got, type)
    expect((await sharp(got.body).metadata()).pages ?? 1).toBe(1)
    expect((await thumbnail(path, `accept=${type}`, '*/*')).type).toBe(type)
  })

  it.each([
    ['viewport=256,256', [256, 128]],
    ['viewport=10,100', [10, 5]],
    ['viewport=1,1', [1, 1]],
  ])('has the size that is asked for: %s', async (query, size) => {
    expect((await look(await thumbnail(SERIES, query))).size).toEqual(size)
  })

  it.each([
    'multipart/related; type="image/jpeg"',
    'multipart/related',
    'multipart/*',
    'text/html',
    'application/dicom',
  ])('is not to be had as %s', async (accept) => {
    for (const path of [STUDY, SERIES, `${SERIES}/instances/1.2.50.2.4`]) {
      expect(code(await thumbnail(path, '', accept))).toBe('406 NOT_ACCEPTABLE')
    }
  })

  it.each([
    ...['viewport=9,9,0,0,1,1', 'viewport=9,9,,,,', 'viewport=0,9', 'window=40,400', 'window=40,0,linear'],
    ...['quality=101', 'iccprofile=rommrgb', 'quality=1&quality=1'],
  ])('is a 400 with %s, of which the archive hears nothing', async (query) => {
    const before = [setup.archive.retrievals, finds.length]
    for (const path of [STUDY, SERIES, `${SERIES}/instances/1.2.50.2.4`]) {
      expect(code(await thumbnail(path, query))).toBe('400 INVALID_PARAMETER')
    }
    expect([setup.archive.retrievals, finds.length]).toEqual(before)
  })

  it('has a warning of keywords that nobody knows', async () => {
    expect((await thumbnail(SERIES, 'annotation=weather')).headers.get('warning')).toMatch(/^299 /)
    expect((await thumbnail(SERIES, '')).headers.get('warning')).toBeNull()
  })

  it('is given in ranges', async () => {
    const url = `${setup.url}${SERIES}/thumbnail`
    const { body } = await get(url)
    const some = await get(url, undefined, { range: 'bytes=0-1' })
    expect([some.status, some.headers.get('content-range')]).toEqual([206, `bytes 0-1/${body.length}`])
    expect(some.body).toEqual(Buffer.of(0xff, 0xd8))
  })
})

describe('what the archive is asked for', () => {
  // Before each retrieval it is asked for the classes of what is to come.
  const CLASSES = 'IMAGE'

  it('of a series is a search and one instance, not the series', async () => {
    const before = setup.archive.retrievals
    finds.length = 0
    const sent: string[] = []
    setup.archive.faults = { ...setup.archive.faults, getFails: (uid) => (sent.push(uid), false) }
    await look(await thumbnail(SERIES))
    expect(setup.archive.retrievals - before).toBe(1)
    expect(sent).toEqual(['1.2.50.2.6'])
    expect(finds.map((one) => one.string(Attribute.QueryRetrieveLevel))).toEqual(['IMAGE', CLASSES])
  })

  it('of a study is two searches and one instance', async () => {
    finds.length = 0
    const sent: string[] = []
    setup.archive.faults = { ...setup.archive.faults, getFails: (uid) => (sent.push(uid), false) }
    await look(await thumbnail(STUDY))
    expect(sent).toEqual(['1.2.50.2.6'])
    expect(finds.map((one) => one.string(Attribute.QueryRetrieveLevel))).toEqual(['SERIES', 'IMAGE', CLASSES])
  })

  it('of an instance is that', async () => {
    finds.length = 0
    const sent: string[] = []
    setup.archive.faults = { ...setup.archive.faults, getFails: (uid) => (sent.push(uid), false) }
    await look(await thumbnail(`${SERIES}/instances/1.2.50.2.4`))
    expect(sent).toEqual(['1.2.50.2.4'])
    expect(finds.map((one) => one.string(Attribute.QueryRetrieveLevel))).toEqual([CLASSES])
  })
})

describe('there is no thumbnail', () => {
  it.each([
    '/studies/1.2.52',
    '/studies/1.2.52/series/1.2.52.1',
    '/studies/1.2.52/series/1.2.52.1/instances/1.2.52.1.1',
    '/studies/1.2.52/series/1.2.52.1/instances/1.2.52.1.1/frames/1',
  ])('of a report: %s', async (path) => {
    expect(code(await thumbnail(path))).toBe('404 NO_THUMBNAIL')
  })

  it.each([
    '/studies/9.9',
    `${STUDY}/series/9.9`,
    '/studies/9.9/series/1.2.50.2',
    `${SERIES}/instances/9.9`,
    `${SERIES}/instances/9.9/frames/1`,
  ])('of what is not there: %s', async (path) => {
    expect(code(await thumbnail(path))).toMatch(/^404 /)
  })

  it('of a frame that there is not', async () => {
    expect(code(await thumbnail(`${SERIES}/instances/1.2.50.2.4/frames/2`))).toBe('404 NO_SUCH_FRAME')
    expect((await thumbnail(`${SERIES}/instances/1.2.50.2.4/frames/0`)).status).toBe(400)
  })

  it('of a video', async () => {
    const [study, series, instance] = ['1.2.57', '1.2.57.1', '1.2.57.1.1']
    await holds(
      instanceFile({
        ...{ study, series, instance, syntax: '1.2.840.10008.1.2.4.102' },
        fragments: [Buffer.alloc(0), Buffer.alloc(64, 1)],
        change: (dataset) => dataset.set(Attribute.NumberOfFrames, '25'),
      }),
    )
    expect(code(await thumbnail(`/studies/${study}/series/${series}/instances/${instance}`))).toBe('404 NO_THUMBNAIL')
  })

  it('of an image whose attributes are of none', async () => {
    const [study, series] = ['1.2.58', '1.2.58.1']
    await holds(
      instanceFile({
        ...{ study, series, instance: `${series}.1` },
        change: (dataset) =>
          dataset.set(Attribute.PhotometricInterpretation, 'PALETTE COLOR').set(Attribute.SamplesPerPixel, 1),
      }),
    )
    expect(code(await thumbnail(`/studies/${study}/series/${series}`))).toBe('404 NO_THUMBNAIL')
  })

  it.each(['/studies/x*', '/studies/1.2/series/x*', `${SERIES}/instances/x*`])(
    'of what is no UID: %s',
    async (path) => {
      expect(code(await thumbnail(path))).toBe('400 INVALID_UID')
    },
  )
})

describe('OHIF', () => {
  it.each([SERIES, `${SERIES}/instances/1.2.50.2.4`])('asks for thumbnails of %s', async (path) => {
    expect((await look(await thumbnail(path, 'viewport=256,256', 'image/jpeg'))).size).toEqual([256, 128])
    expect((await look(await thumbnail(path, 'accept=image/jpeg', '*/*'))).size).toEqual([128, 64])
  })
})

describe('methods', () => {
  it.each([STUDY, SERIES, `${SERIES}/instances/1.2.50.2.4`, `${SERIES}/instances/1.2.50.2.4/frames/1`])(
    'of %s/thumbnail are GET',
    async (path) => {
      const before = setup.archive.retrievals
      for (const method of ['HEAD', 'POST', 'PUT', 'DELETE']) {
        const response = await fetch(`${setup.url}${path}/thumbnail`, { method })
        expect([method, response.status, response.headers.get('allow')]).toEqual([method, 405, 'GET'])
      }
      expect(setup.archive.retrievals).toBe(before)
    },
  )
})
