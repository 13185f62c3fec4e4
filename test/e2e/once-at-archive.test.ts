import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import type { Gateway } from '../../src/gateway.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { eventually } from '../support/eventually.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { readParts } from '../support/multipart.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { get, inParallel } from './http.ts'

// What a request costs the archive: one retrieval, and each instance sent once, whatever is asked for and whether what
// comes is kept or passes.

failOnLeaks()

const STUDY = '1.2.826.0.1.3680043.10.1561.50'
const SERIES = `${STUDY}.1`
const SIDE = 256
const FRAME_BYTES = SIDE * SIDE * 2
const COUNT = 24
/** A frame is its own bitstream there: what is converted can be compared. */
const UNCOMPRESSED_FRAGMENTS = '1.2.840.10008.1.2.1.98'

const frameOf = (number: number, bytes = FRAME_BYTES): Buffer => Buffer.alloc(bytes, `frame ${number}! `)

/** An image, with a private element as large as those of some vendors in front of its pixels. */
function image(dataset: Dataset, frames: number): void {
  dataset
    .set(Attribute.SamplesPerPixel, 1)
    .set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
    .set(Attribute.Rows, SIDE)
    .set(Attribute.Columns, SIDE)
    .set(Attribute.BitsStored, 16)
    .set(Attribute.HighBit, 15)
    .set(Attribute.NumberOfFrames, String(frames))
    .put(0x00290010, { vr: 'LO', value: Buffer.from('VENDOR') })
    .put(0x00291010, { vr: 'OB', value: Buffer.alloc(100_000, 3) })
}

function file(number: number, syntax?: string): Buffer {
  const pixels = frameOf(number)
  return instanceFile({
    study: STUDY,
    series: SERIES,
    instance: `${SERIES}.${number}`,
    ...(syntax !== undefined && { syntax, fragments: [new Uint8Array(0), pixels] }),
    change(dataset) {
      image(dataset, 1)
      if (syntax === undefined) dataset.put(Attribute.PixelData, { vr: 'OW', value: pixels })
    },
  })
}

interface Counted extends AsyncDisposable {
  readonly archive: DemoArchive
  readonly gateway: Gateway
  /** Instances that the archive sent. */
  readonly sent: () => number
}

async function counted(files: readonly Buffer[], cache: object, settings: object = {}): Promise<Counted> {
  const archive = await DemoArchive.start()
  for (const one of files) await archive.put(one)
  let sent = 0
  archive.faults = {
    getFails: () => {
      sent++
      return false
    },
  }
  const gateway = await gatewayTo({ host: '127.0.0.1', port: archive.port }, settings, { cache })
  return {
    archive,
    gateway,
    sent: () => sent,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await archive[Symbol.asyncDispose]()
    },
  }
}

const MULTIPART = 'multipart/related; type='
const resources = [
  { name: 'the download', path: '', accept: `${MULTIPART}"application/dicom"; transfer-syntax=*` },
  { name: 'the download, converted', path: '', accept: `${MULTIPART}"application/dicom"` },
  {
    name: 'the download, compressed',
    path: '',
    accept: `${MULTIPART}"application/dicom"; transfer-syntax=1.2.840.10008.1.2.5`,
  },
  { name: 'metadata', path: '/metadata', accept: 'application/dicom+json' },
  { name: 'bulk data', path: '/bulkdata', accept: `${MULTIPART}"application/octet-stream"` },
  { name: 'pixel data', path: '/pixeldata', accept: `${MULTIPART}"application/octet-stream"` },
  { name: 'pictures', path: '/rendered', accept: `${MULTIPART}"image/jpeg"` },
]
const caches = [
  { kept: 'kept', maxBytes: '512MiB' },
  { kept: 'passing a small cache', maxBytes: '4MiB' },
  { kept: 'without a cache', maxBytes: 0 },
]

describe.each(caches)('what comes is $kept', ({ maxBytes }) => {
  describe.each([
    ['native', undefined],
    ['encapsulated', UNCOMPRESSED_FRAGMENTS],
  ])('%s', (_, syntax) => {
    it.each(resources)('one retrieval gives $name of a study', async ({ path, accept }) => {
      const files = Array.from({ length: COUNT }, (_, n) => file(n + 1, syntax))
      await using one = await counted(files, { maxBytes })
      const { status, headers, body } = await get(`${one.gateway.url}/studies/${STUDY}${path}`, accept)
      expect(status).toBe(200)
      const type = headers.get('content-type')!
      const parts = type.startsWith('multipart') ? readParts(type, body) : (JSON.parse(body.toString()) as unknown[])
      expect(parts.length).toBe(path === '/bulkdata' ? 2 * COUNT : COUNT)
      await eventually(() => expect(one.gateway.archives[0]!.stats.leased).toBe(0))
      expect([one.archive.retrievals, one.sent()]).toEqual([1, COUNT])
    })

    it('one retrieval gives a thumbnail', async () => {
      await using one = await counted([file(1, syntax)], { maxBytes })
      expect((await get(`${one.gateway.url}/studies/${STUDY}/thumbnail`, 'image/jpeg')).status).toBe(200)
      await eventually(() => expect(one.gateway.archives[0]!.stats.leased).toBe(0))
      expect([one.archive.retrievals, one.sent()]).toEqual([1, 1])
    })
  })

  it('as many retrievals as studies give the bulk data of as many studies as there are associations', async () => {
    const studies = [1, 2, 3, 4].map((n) => `${STUDY}.${n}`)
    const files = studies.flatMap((study) =>
      Array.from({ length: 12 }, (_, n) =>
        instanceFile({
          study,
          series: `${study}.1`,
          instance: `${study}.1.${n}`,
          change: (dataset) => dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(1_000_000, n) }),
        }),
      ),
    )
    await using one = await counted(files, { maxBytes }, { timeouts: { queue: '4s' } })
    const answers = await Promise.all(
      studies.map((study) =>
        get(`${one.gateway.url}/studies/${study}/bulkdata`, `${MULTIPART}"application/octet-stream"`),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    for (const { body } of answers) expect(body.length).toBeGreaterThan(12_000_000)
    expect(one.archive.retrievals).toBe(4)
  })
})

describe('a loop that is larger than the cache', () => {
  const FRAMES = 640
  const LOOP = `${SERIES}.9`
  const UP_TO = Array.from({ length: FRAMES }, (_, n) => n + 1)
  const OCTETS = `${MULTIPART}"application/octet-stream"; transfer-syntax=*`

  /** Of 80 MiB: more than stays behind the frame that was asked for last. */
  function loop(syntax?: string, hasTable = true): Buffer {
    const frames = UP_TO.map((n) => frameOf(n))
    let at = 0
    const table = Buffer.alloc(4 * FRAMES)
    for (const [n, frame] of frames.entries()) {
      table.writeUInt32LE(at, 4 * n)
      at += 8 + frame.length
    }
    return instanceFile({
      study: STUDY,
      series: SERIES,
      instance: LOOP,
      ...(syntax !== undefined && { syntax, fragments: [hasTable ? table : new Uint8Array(0), ...frames] }),
      change(dataset) {
        image(dataset, FRAMES)
        if (syntax === undefined) dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.concat(frames) })
      },
    })
  }

  const framesUrl = ({ gateway }: Counted): string =>
    `${gateway.url}/studies/${STUDY}/series/${SERIES}/instances/${LOOP}/frames`

  async function isRight(one: Counted, number: number): Promise<boolean> {
    const { status, headers, body } = await get(`${framesUrl(one)}/${number}`, OCTETS)
    if (status !== 200) throw new Error(`${status} ${body.toString()}`)
    return readParts(headers.get('content-type')!, body)[0]!.body.equals(frameOf(number))
  }

  it.each([
    ['native', undefined, '16MiB'],
    ['encapsulated', UNCOMPRESSED_FRAGMENTS, '16MiB'],
    ['native, without a cache', undefined, 0],
    ['encapsulated, without a cache', UNCOMPRESSED_FRAGMENTS, 0],
  ])('is played from one retrieval, six frames at a time: %s', async (_, syntax, maxBytes) => {
    await using one = await counted([loop(syntax)], { maxBytes })
    expect((await inParallel(UP_TO, 6, (number) => isRight(one, number))).every(Boolean)).toBe(true)
    expect(one.archive.retrievals).toBe(1)
  })

  it('is sought forward in the same retrieval, and backwards by another', async () => {
    await using one = await counted([loop()], { maxBytes: '16MiB' })
    for (const number of [1, 100, 620]) expect(await isRight(one, number)).toBe(true)
    expect(one.archive.retrievals).toBe(1)
    expect(await isRight(one, 2)).toBe(true)
    expect(one.archive.retrievals).toBe(2)
    expect(await isRight(one, 3)).toBe(true)
    expect(one.archive.retrievals).toBe(2)
  })

  it.each(['16MiB', 0])('is played from two retrievals where it has no table of its frames: %s', async (maxBytes) => {
    await using one = await counted([loop(UNCOMPRESSED_FRAGMENTS, false)], { maxBytes })
    expect((await inParallel(UP_TO, 6, (number) => isRight(one, number))).every(Boolean)).toBe(true)
    // The first tells where the frames are, which is certain at its end only.
    expect(one.archive.retrievals).toBe(2)
  })

  it.each([
    ['native', undefined],
    ['encapsulated', UNCOMPRESSED_FRAGMENTS],
  ])('is sought back to its very first frame, which its head ends before: %s', async (_, syntax) => {
    await using one = await counted([loop(syntax)], { maxBytes: 0 })
    for (const number of [620, 1, 2]) expect(await isRight(one, number)).toBe(true)
    expect(one.archive.retrievals).toBe(2)
  })

  it('is given whole while another request of it is far ahead', async () => {
    await using one = await counted([loop()], { maxBytes: 0 })
    expect(await isRight(one, 620)).toBe(true)
    const query = `requestType=WADO&studyUID=${STUDY}&seriesUID=${SERIES}&objectUID=${LOOP}`
    const { status, body } = await get(
      `${one.gateway.url}/wado?${query}&contentType=application/dicom`,
      'application/dicom',
    )
    expect([status, body.length > FRAMES * frameOf(1).length]).toEqual([200, true])
    expect(one.archive.retrievals).toBe(2)
  })

  it('is watched by two viewers at places far apart', async () => {
    await using one = await counted([loop()], { maxBytes: '16MiB' })
    const viewer = async (from: number): Promise<boolean[]> => {
      const right: boolean[] = []
      for (let n = 0; n < 12; n++) right.push(await isRight(one, from + n))
      return right
    }
    const [near, far] = await Promise.all([viewer(1), viewer(600)])
    expect([...near, ...far].every(Boolean)).toBe(true)
    expect(one.archive.retrievals).toBeLessThanOrEqual(3)
  })

  describe('with a disk', () => {
    const EVERY_FOURTH = UP_TO.filter((number) => number % 4 === 0).toReversed()
    const FORTH_AND_BACK = [...UP_TO, ...EVERY_FOURTH]

    it.each([
      ['native', undefined, '16MiB'],
      ['encapsulated', UNCOMPRESSED_FRAGMENTS, '16MiB'],
    ])('is played twice, forth and back, by two viewers from one retrieval: %s', async (_, syntax, maxBytes) => {
      await using dir = await temporaryFolder()
      await using one = await counted([loop(syntax)], { maxBytes, disk: { dir: dir.path, maxBytes: '256MiB' } })
      const viewer = async (): Promise<boolean> =>
        (await inParallel(FORTH_AND_BACK, 6, (number) => isRight(one, number))).every(Boolean)
      expect(await Promise.all([viewer(), viewer()])).toEqual([true, true])
      expect(one.archive.retrievals).toBe(1)
      expect(one.gateway.cache.stats.disk).toMatchObject({ instances: 1, errors: 0 })
      expect(one.gateway.cache.stats.bytes).toBeLessThanOrEqual(16 * 1024 ** 2)
    })

    it('is sought backwards in the same retrieval', async () => {
      await using dir = await temporaryFolder()
      const disk = { dir: dir.path, maxBytes: '256MiB' }
      await using one = await counted([loop()], { maxBytes: '16MiB', disk })
      for (const number of [1, 620, 2, 100, 3, 640, 1]) expect(await isRight(one, number)).toBe(true)
      expect(one.archive.retrievals).toBe(1)
    })

    it('costs a new retrieval where its file is damaged, and its bytes are right', async () => {
      await using dir = await temporaryFolder()
      const disk = { dir: dir.path, maxBytes: '256MiB' }
      await using one = await counted([loop()], { maxBytes: 0, disk })
      for (const number of [1, 640]) expect(await isRight(one, number)).toBe(true)
      await eventually(() => expect(one.gateway.cache.stats.disk?.instances).toBe(1))
      const [own] = await readdir(dir.path)
      const [name] = (await readdir(join(dir.path, own!))).filter((entry) => entry !== 'alive')
      const file = await open(join(dir.path, own!, name!), 'r+')
      await file.write(Buffer.from('damaged'), 0, 7, 40_000_000)
      await file.close()
      const { status, body } = await get(`${framesUrl(one)}/${UP_TO.join(',')}`, OCTETS)
      expect(status).toBe(200)
      for (const number of [1, 300, 301, 640]) expect(body.includes(frameOf(number))).toBe(true)
      expect(body.length).toBeGreaterThan(FRAMES * FRAME_BYTES)
      expect(one.archive.retrievals).toBe(2)
      expect(one.gateway.cache.stats.disk?.errors).toBe(1)
    })
  })

  it('that fits the cache is kept whole, and played again and again', async () => {
    await using one = await counted([loop()], { maxBytes: '96MiB' })
    for (let round = 0; round < 2; round++) {
      for (const number of [1, 640, 320, 2]) expect(await isRight(one, number)).toBe(true)
    }
    expect(one.archive.retrievals).toBe(1)
  })

  it('lets its association go for who waits for one', async () => {
    await using one = await counted([loop()], { maxBytes: '16MiB' }, { maxAssociations: 1, timeouts: { queue: '3s' } })
    expect(await isRight(one, 1)).toBe(true)
    expect(one.gateway.archives[0]!.stats.leased).toBe(1)
    expect((await get(`${one.gateway.url}/studies`, 'application/dicom+json')).status).toBe(200)
  })
})

describe('a large document, whose type stands behind it', () => {
  /** More than stays behind a reader. */
  const document = Buffer.alloc(80 * 1024 * 1024, '%PDF-1.7 ')
  const series = `${STUDY}.2`
  const instance = `${series}.1`
  const pdf = instanceFile({
    study: STUDY,
    series,
    instance,
    sopClass: '1.2.840.10008.5.1.4.1.1.104.1',
    change(dataset) {
      dataset
        .set(Attribute.Modality, 'DOC')
        .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: document })
        .set(Attribute.MIMETypeOfEncapsulatedDocument, 'application/pdf')
    },
  })

  it.each([
    ['among others', '/bulkdata', '16MiB', 2],
    ['among others, without a cache', '/bulkdata', 0, 2],
    ['alone', `/series/${series}/instances/${instance}/bulkdata/00420011`, '16MiB', 1],
    ['alone, without a cache', `/series/${series}/instances/${instance}/bulkdata/00420011`, 0, 1],
  ])('is fetched once: %s', async (_, path, maxBytes, sent) => {
    await using counting = await counted([pdf, file(2)], { maxBytes })
    const accept = `${MULTIPART}"application/pdf", ${MULTIPART}"application/octet-stream"`
    const { status, headers, body } = await get(`${counting.gateway.url}/studies/${STUDY}${path}`, accept)
    expect(status).toBe(200)
    const parts = readParts(headers.get('content-type')!, body)
    const given = parts.find((part) => part.headers.get('content-type') === 'application/pdf')
    expect(given?.body.equals(document)).toBe(true)
    await eventually(() => expect(counting.gateway.archives[0]!.stats.leased).toBe(0))
    expect([counting.archive.retrievals, counting.sent()]).toEqual([1, sent])
  })
})

describe('a series that memory let go', () => {
  it('is served from disk', async () => {
    await using dir = await temporaryFolder()
    const series = [1, 2, 3].map((n) => `${STUDY}.${n}`)
    const files = series.flatMap((own) =>
      Array.from({ length: 12 }, (_, n) =>
        instanceFile({
          study: STUDY,
          series: own,
          instance: `${own}.${n}`,
          change: (dataset) =>
            dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(500_000, `${own}.${n}`) }),
        }),
      ),
    )
    const disk = { dir: dir.path, maxBytes: '64MiB' }
    await using one = await counted(files, { maxBytes: '16MiB', disk })
    const metadata = (own: string) =>
      get(`${one.gateway.url}/studies/${STUDY}/series/${own}/metadata`, 'application/dicom+json')
    const download = (own: string) =>
      get(`${one.gateway.url}/studies/${STUDY}/series/${own}`, `${MULTIPART}"application/dicom"; transfer-syntax=*`)
    await metadata(series[0]!)
    const before = readParts(...(await partsOf(download(series[0]!))))
    for (const other of series.slice(1)) await metadata(other)
    await eventually(() => expect(one.gateway.cache.stats.evictions).toBeGreaterThanOrEqual(3))
    expect(one.archive.retrievals).toBe(3)
    const after = readParts(...(await partsOf(download(series[0]!))))
    expect(after).toHaveLength(12)
    expect(after.every(({ body }, n) => body.equals(before[n]!.body))).toBe(true)
    expect(one.archive.retrievals).toBe(3)
    expect(one.gateway.cache.stats.disk!.hits).toBeGreaterThan(0)
  })
})

async function partsOf(answer: ReturnType<typeof get>): Promise<[string, Buffer]> {
  const { headers, body } = await answer
  return [headers.get('content-type')!, body]
}
