import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import type { Gateway } from '../../src/gateway.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { eventually } from '../support/eventually.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { readParts } from '../support/multipart.ts'
import { splitPart10 } from '../support/part10.ts'
import { isFailure } from './expectations.ts'
import { first, get, inParallel, post, related } from './http.ts'
import { JSON_TYPE, metadataOf, OHIF } from './metadata-tests.ts'

// What several clients get of one retrieval: an archive is asked once, and nobody waits for the slowest.

failOnLeaks()

const SIDE = 512
const FRAME_BYTES = SIDE * SIDE * 2
const MIB = 1024 * 1024
const STUDY = '1.2.826.0.1.3680043.10.1561.40'
const SERIES = `${STUDY}.1`
const OTHER_STUDY = '1.2.826.0.1.3680043.10.1561.41'
const OTHER_SERIES = `${OTHER_STUDY}.1`
/** More than the system and the clients take in while nobody reads: several MiB. */
const LARGE = 48
/** As much as may be kept of a download from a cache of 512 MiB. */
const SMALL = 24
/** Nobody is to wait for another's stall: that would be a minute. */
const GOOD_TIME_MS = 8_000
const DOWNLOAD = 'multipart/related; type="application/dicom"; transfer-syntax=*'

const frameOf = (series: string, number: number): Buffer => Buffer.alloc(FRAME_BYTES, `${series} ${number}! `)

function imageFile(series: string, number: number, frames = [frameOf(series, number)]): Buffer {
  return instanceFile({
    study: series.slice(0, series.lastIndexOf('.')),
    series,
    instance: `${series}.${number}`,
    change: (dataset) =>
      dataset
        .set(Attribute.SamplesPerPixel, 1)
        .set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
        .set(Attribute.Rows, SIDE)
        .set(Attribute.Columns, SIDE)
        .set(Attribute.NumberOfFrames, String(frames.length))
        .put(Attribute.PixelData, { vr: 'OW', value: Buffer.concat(frames) }),
  })
}

/** A demo archive with series of so many images. */
async function archiveWith(series: Readonly<Record<string, number>>): Promise<DemoArchive> {
  const archive = await DemoArchive.start()
  for (const [uid, count] of Object.entries(series)) {
    for (let number = 1; number <= count; number++) await archive.put(imageFile(uid, number))
  }
  return archive
}

function gatewayBefore({ port }: DemoArchive, cache: object = {}): Promise<Gateway> {
  return gatewayTo({ host: '127.0.0.1', port }, {}, { cache })
}

function seriesUrl({ url }: Gateway, series = SERIES): string {
  return `${url}/studies/${series.slice(0, series.lastIndexOf('.'))}/series/${series}`
}

const instanceUrl = (gateway: Gateway, number: number, series = SERIES): string =>
  `${seriesUrl(gateway, series)}/instances/${series}.${number}`

const metadata = async (url: string) => metadataOf(await get(`${url}/metadata`, JSON_TYPE))

/** Instances that metadata names, by their numbers. */
const numbersIn = async (url: string): Promise<number[]> =>
  (await metadata(url)).map((one) => Number(first(one, '00200013'))).sort((a, b) => a - b)

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1)

/** Gets a frame, and says whether it is the one. */
async function hasFrame(gateway: Gateway, number: number, series = SERIES): Promise<boolean> {
  const { status, headers, body } = await get(`${instanceUrl(gateway, number, series)}/frames/1`, OHIF)
  if (status !== 200) throw new Error(`${status} ${body.toString()}`)
  return readParts(headers.get('content-type')!, body)[0]!.body.equals(frameOf(series, number))
}

/** As a viewer opens a series: its metadata, then its frames, six at a time. Gives the frames that were right. */
async function view(gateway: Gateway, series = SERIES): Promise<number[]> {
  const numbers = await numbersIn(seriesUrl(gateway, series))
  const right = await inParallel(numbers, 6, (number) => hasFrame(gateway, number, series))
  return numbers.filter((_, at) => right[at])
}

/** The numbers of the images in a download that are the archive's byte for byte. */
function imagesIn(type: string, body: Buffer): number[] {
  return readParts(type, body)
    .map((part) => {
      const { sopInstance, data } = splitPart10(part.body)
      const at = sopInstance.lastIndexOf('.')
      const number = Number(sopInstance.slice(at + 1))
      return data.equals(splitPart10(imageFile(sopInstance.slice(0, at), number)).data) ? number : NaN
    })
    .sort((a, b) => a - b)
}

async function download(url: string): Promise<number[]> {
  const { headers, body } = await get(url, DOWNLOAD)
  return imagesIn(headers.get('content-type') ?? '', body)
}

/** A client that reads the beginning of a download and then no more, until it is told to. */
async function stalled(url: string, accept = DOWNLOAD) {
  const leaving = new AbortController()
  const response = await fetch(url, { headers: { accept }, signal: leaving.signal })
  const reader = response.body!.getReader()
  const chunks = [Buffer.from((await reader.read()).value)]
  const type = response.headers.get('content-type')!
  return {
    leave: () => leaving.abort(),
    async finish() {
      for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(Buffer.from(next.value))
      return { type, body: Buffer.concat(chunks) }
    },
    [Symbol.dispose]: () => leaving.abort(),
  }
}

/** What a job gives, and whether it was done in good time. */
async function inGoodTime<T>(job: Promise<T>): Promise<T> {
  const late = new AbortController()
  const timer = delay(GOOD_TIME_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error('It was kept waiting')
  })
  try {
    return await Promise.race([job, timer])
  } finally {
    late.abort()
    await timer.catch(() => undefined)
  }
}

describe('viewers of one series', () => {
  it('get it by one retrieval when they open it at once', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL })
    await using gateway = await gatewayBefore(archive)
    expect(await Promise.all([view(gateway), view(gateway)])).toEqual([upTo(SMALL), upTo(SMALL)])
    expect(archive.retrievals).toBe(1)
    expect(gateway.cache.stats).toMatchObject({ misses: 1, joins: 1, evictions: 0, instances: SMALL })
    expect(await metadata(seriesUrl(gateway))).toEqual(await metadata(seriesUrl(gateway)))
    expect(archive.retrievals).toBe(1)
  })

  it('join when it comes for another: a frame, its study being fetched', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL, [`${STUDY}.2`]: 1 })
    await using gateway = await gatewayBefore(archive)
    using other = await stalled(`${gateway.url}/studies/${STUDY}`)
    await eventually(() => expect(gateway.cache.stats.instances).toBeGreaterThan(0))
    expect(gateway.cache.stats.instances).toBeLessThan(SMALL)
    expect(await inGoodTime(hasFrame(gateway, SMALL))).toBe(true)
    expect(gateway.cache.stats).toMatchObject({ misses: 1, joins: 1 })
    expect(await inGoodTime(view(gateway))).toEqual(upTo(SMALL))
    const { type, body } = await other.finish()
    expect(imagesIn(type, body)).toEqual([1, ...upTo(SMALL)].sort((a, b) => a - b))
    expect(archive.retrievals).toBe(1)
  })

  it('have it fetched once when they ask for frames of two instances', async () => {
    await using archive = await archiveWith({ [SERIES]: 6 })
    await using gateway = await gatewayBefore(archive)
    expect(await hasFrame(gateway, 3)).toBe(true)
    expect(archive.retrievals).toBe(1)
    expect(await hasFrame(gateway, 4)).toBe(true)
    expect(archive.retrievals).toBe(2)
    expect(await inParallel(upTo(6), 6, (number) => hasFrame(gateway, number))).toEqual(upTo(6).map(() => true))
    expect(archive.retrievals).toBe(2)
  })

  it('have it fetched once when they ask for frames of all its instances at once', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL })
    await using gateway = await gatewayBefore(archive)
    const right = await inParallel(upTo(SMALL), SMALL, (number) => hasFrame(gateway, number))
    expect(right).toEqual(upTo(SMALL).map(() => true))
    // The instance that was asked for first, and the series.
    expect(archive.retrievals).toBe(2)
  })

  it.for([
    { name: 'a download', accept: DOWNLOAD, path: '', maxBytes: '512MiB' },
    { name: 'a download of what is not kept', accept: DOWNLOAD, path: '', maxBytes: '16MiB' },
    { name: 'bulk data', accept: 'multipart/related; type="*/*"', path: '/bulkdata', maxBytes: '512MiB' },
  ])('do not wait for another that stalls in $name, and gets all of it in the end', async (stalling) => {
    const { accept, path, maxBytes } = stalling
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { maxBytes })
    using other = await stalled(seriesUrl(gateway) + path, accept)
    expect(await inGoodTime(view(gateway))).toEqual(upTo(LARGE))
    expect(await inGoodTime(download(seriesUrl(gateway)))).toEqual(upTo(LARGE))
    const { type, body } = await other.finish()
    if (path === '') expect(imagesIn(type, body)).toEqual(upTo(LARGE))
    else {
      const values = readParts(type, body).map((part) => part.body)
      expect(
        values.map((value) => upTo(LARGE).find((number) => frameOf(SERIES, number).equals(value))).sort(byNumber),
      ).toEqual(upTo(LARGE))
    }
  })

  it('do not wait for another that stalls in the frames of one instance', async () => {
    const frames = upTo(LARGE).map((number) => frameOf(SERIES, number))
    await using archive = await DemoArchive.start()
    await archive.put(imageFile(SERIES, 1, frames))
    await using gateway = await gatewayBefore(archive)
    const url = `${instanceUrl(gateway, 1)}/frames`
    using other = await stalled(`${url}/${upTo(LARGE).join()}`, OHIF)
    const right = async (number: number): Promise<boolean> => {
      const { headers, body } = await get(`${url}/${number}`, OHIF)
      return readParts(headers.get('content-type')!, body)[0]!.body.equals(frames[number - 1]!)
    }
    expect(await inGoodTime(inParallel(upTo(LARGE), 6, right))).toEqual(upTo(LARGE).map(() => true))
    const { type, body } = await other.finish()
    const all = readParts(type, body).map((part) => part.body)
    expect(all.map((frame, at) => frame.equals(frames[at]!))).toEqual(upTo(LARGE).map(() => true))
    expect(archive.retrievals).toBe(1)
  })

  it('do not wait for each other where the cache keeps nothing', async () => {
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { maxBytes: 0 })
    using other = await stalled(seriesUrl(gateway))
    expect(await inGoodTime(download(seriesUrl(gateway)))).toEqual(upTo(LARGE))
    expect(await inGoodTime(numbersIn(seriesUrl(gateway)))).toEqual(upTo(LARGE))
    expect(await inGoodTime(hasFrame(gateway, 7))).toBe(true)
    const { type, body } = await other.finish()
    expect(imagesIn(type, body)).toEqual(upTo(LARGE))
    await eventually(() => expect(gateway.cache.stats).toMatchObject({ bytes: 0, instances: 0 }))
  })

  it('are served when others have left in the middle', async () => {
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive)
    const others = await Promise.all([stalled(seriesUrl(gateway)), stalled(seriesUrl(gateway))])
    const viewing = view(gateway)
    for (const { leave } of others) leave()
    expect(await inGoodTime(viewing)).toEqual(upTo(LARGE))
    await eventually(() => expect(gateway.archives[0]!.stats.leased).toBe(0))
  })

  it('hear of it when the archive fails in the middle, and are served when it works again', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL })
    await using gateway = await gatewayBefore(archive)
    archive.faults = { abortAfter: 5 }
    const answers = await Promise.all([1, 2].map(() => get(`${seriesUrl(gateway)}/metadata`, JSON_TYPE)))
    expect(answers.map(({ status }) => status)).toEqual([502, 502])
    archive.faults = { getFails: (sopInstance) => sopInstance === `${SERIES}.20` }
    const partial = await get(`${seriesUrl(gateway)}/metadata`, JSON_TYPE)
    expect([partial.status, metadataOf(partial).length]).toEqual([206, SMALL - 1])
    expect(isFailure(await get(`${instanceUrl(gateway, 20)}/frames/1`, OHIF))).toBe(true)
    archive.faults = {}
    expect(await view(gateway)).toEqual(upTo(SMALL))
  })
})

describe('the cache', () => {
  it('keeps what a viewer has open while a study larger than itself is downloaded', async () => {
    await using archive = await archiveWith({ [SERIES]: 6, [OTHER_SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { maxBytes: '16MiB' })
    expect(await view(gateway)).toEqual(upTo(6))
    expect(await download(`${gateway.url}/studies/${OTHER_STUDY}`)).toEqual(upTo(LARGE))
    const { bytes, evictions } = gateway.cache.stats
    expect(bytes).toBeLessThanOrEqual(16 * MIB)
    expect(evictions).toBe(0)
    expect(archive.retrievals).toBe(2)
    expect(await view(gateway)).toEqual(upTo(6))
    expect(archive.retrievals).toBe(2)
  })

  it('serves a series larger than itself, frame by frame', async () => {
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { maxBytes: '16MiB' })
    expect(await view(gateway)).toEqual(upTo(LARGE))
    expect(gateway.cache.stats.bytes).toBeLessThanOrEqual(16 * MIB)
  })

  // InstanceCache.#wantsSeries: each frame that is missed starts the whole series again, though it was seen not to fit:
  // ten times the series for a viewer that asks for one frame after the other, and more the larger it is.
  it('does not have a series that is larger than itself sent again and again', async () => {
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { maxBytes: '16MiB' })
    let sent = 0
    archive.faults = {
      getFails: () => {
        sent++
        return false
      },
    }
    const numbers = await numbersIn(seriesUrl(gateway))
    expect(await inParallel(numbers, 1, (number) => hasFrame(gateway, number))).toEqual(numbers.map(() => true))
    // Once for the metadata, once for the frames, and as much again for what is fetched to no avail.
    expect(sent).toBeLessThanOrEqual(3 * LARGE)
  })

  it('forgets after cache.ttl', async () => {
    await using archive = await archiveWith({ [SERIES]: 4 })
    await using gateway = await gatewayBefore(archive, { ttl: '400ms' })
    expect(await view(gateway)).toEqual(upTo(4))
    expect(archive.retrievals).toBe(1)
    await eventually(() => expect(gateway.cache.stats).toMatchObject({ bytes: 0, instances: 0 }))
    expect(await view(gateway)).toEqual(upTo(4))
    expect(archive.retrievals).toBe(2)
  })

  it('holds nothing of a download that was left, once it is forgotten', async () => {
    await using archive = await archiveWith({ [SERIES]: LARGE })
    await using gateway = await gatewayBefore(archive, { ttl: '300ms' })
    const others = await Promise.all([stalled(seriesUrl(gateway)), stalled(`${gateway.url}/studies/${STUDY}`)])
    for (const { leave } of others) leave()
    await eventually(() => expect(gateway.archives[0]!.stats.leased).toBe(0))
    await eventually(() => expect(gateway.cache.stats).toMatchObject({ bytes: 0, instances: 0 }))
  })
})

describe('a store into a study', () => {
  const store = async (gateway: Gateway, number: number): Promise<void> => {
    const { type, body } = related([imageFile(SERIES, number)])
    expect((await post(`${gateway.url}/studies`, type, body)).status).toBe(200)
  }

  it('is seen by the next request for its metadata', async () => {
    await using archive = await archiveWith({ [SERIES]: 3 })
    await using gateway = await gatewayBefore(archive)
    expect(await view(gateway)).toEqual(upTo(3))
    expect(await numbersIn(`${gateway.url}/studies/${STUDY}`)).toEqual(upTo(3))
    await store(gateway, 4)
    expect(await numbersIn(`${gateway.url}/studies/${STUDY}`)).toEqual(upTo(4))
    expect(await view(gateway)).toEqual(upTo(4))
    expect(await download(seriesUrl(gateway))).toEqual(upTo(4))
  })

  // InstanceCache.forget drops lists, not instances: what was held is given for cache.ttl, though the archive, and so a
  // search, has the new one.
  it('of an instance that was held is seen', async () => {
    const named = (name: string): Buffer =>
      instanceFile({ change: (dataset) => dataset.set(Attribute.PatientName, name) })
    await using archive = await DemoArchive.start()
    await archive.put(named('Before'))
    await using gateway = await gatewayBefore(archive)
    expect((await metadata(`${gateway.url}/studies/1.2.3`)).map((one) => first(one, '00100010'))).toEqual(['Before'])
    const { type, body } = related([named('After')])
    expect((await post(`${gateway.url}/studies`, type, body)).status).toBe(200)
    expect((await metadata(`${gateway.url}/studies/1.2.3`)).map((one) => first(one, '00100010'))).toEqual(['After'])
  })

  // InstanceCache.forget drops the lists there are; a flight that began before the store sets its own when it is over.
  it('is seen though the series was being fetched', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL })
    await using gateway = await gatewayBefore(archive)
    using other = await stalled(seriesUrl(gateway))
    await store(gateway, SMALL + 1)
    await other.finish()
    expect(await numbersIn(seriesUrl(gateway))).toEqual(upTo(SMALL + 1))
  })

  // InstanceCache.#under lets a request join a flight that began before the store, which brings what there was then.
  it('is seen while the series is still being fetched', async () => {
    await using archive = await archiveWith({ [SERIES]: SMALL })
    await using gateway = await gatewayBefore(archive)
    using other = await stalled(seriesUrl(gateway))
    await store(gateway, SMALL + 1)
    expect(await inGoodTime(numbersIn(seriesUrl(gateway)))).toEqual(upTo(SMALL + 1))
    await other.finish()
  })
})

function byNumber(a: number | undefined, b: number | undefined): number {
  return (a ?? NaN) - (b ?? NaN)
}
