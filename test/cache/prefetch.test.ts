import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { scheduledToday } from '../../src/demo/scheduled.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { dateAndTime } from '../../src/dicom/date-time.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { tagOf } from '../../src/dicom/dictionary.ts'
import { newApiKey } from '../../src/http/auth/api-keys.ts'
import { STEP } from '../../src/pacs/worklist/worklist-keys.ts'
import { studyFiles } from '../support/federation.ts'
import { startSetup, type Setup, type SetupOptions } from '../support/gateway.ts'

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function study(
  uid: string,
  date: string,
  description: string,
  change: (dataset: Dataset) => void = () => undefined,
): Buffer[] {
  const options = {
    date,
    change: (dataset: Dataset) => {
      dataset.set(Attribute.StudyDescription, description)
      change(dataset)
    },
  }
  return studyFiles(uid, { 1: [1, 2, 3], 2: [1] }, options)
}

const files = [
  ...study('1.1', '20240601', 'CT Thorax'),
  ...study('1.2', '20230601', 'CT Chest w contrast'),
  ...study('1.3', '20220601', 'CT Thorax'),
  ...study('1.4', '20240501', 'Knie re'),
]

interface Prefetching {
  readonly setup: Setup
  readonly metric: (name: string) => Promise<number>
}

async function prefetching(prefetch: object = {}, options: SetupOptions = {}): Promise<Prefetching> {
  const { others, ...rest } = options
  const setup = await startSetup({ files, ...rest, others: { prefetch, ...others } })
  opened.push(setup)
  const metric = async (name: string): Promise<number> => {
    const { text } = await setup.gateway.telemetry.metrics()
    const line = text.split('\n').find((one) => one.startsWith(`dimsegate_prefetch_${name} `))
    return Number(line?.split(' ').at(-1))
  }
  return { setup, metric }
}

const read = async (url: string, init: RequestInit = {}): Promise<number> => {
  const response = await fetch(url, init)
  await response.arrayBuffer()
  return response.status
}

describe('priors', () => {
  it('are here when somebody who has opened a study opens them: no further retrieval', async () => {
    const { setup, metric } = await prefetching()
    const { archive, url } = setup
    expect(await read(`${url}/studies/1.1/series/1.1.1/metadata`)).toBe(200)
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(2), 8000)
    const before = archive.retrievals
    expect(before).toBe(3)
    for (const one of ['1.2', '1.3']) {
      expect(await read(`${url}/studies/${one}/series`)).toBe(200)
      expect(await read(`${url}/studies/${one}/metadata`)).toBe(200)
      expect(await read(`${url}/studies/${one}/series/${one}.1/metadata`)).toBe(200)
      expect(await read(`${url}/studies/${one}/series/${one}.1/instances/${one}.1.2/frames/1`)).toBe(200)
    }
    expect(archive.retrievals).toBe(before)
    expect(await metric('studies_total{result="used"}')).toBe(2)
    expect(await metric('opened_total{priors="missing"}')).toBe(1)
    expect(await metric('bytes_total')).toBeGreaterThan(1000)
  })

  it('are asked for once', async () => {
    const { setup, metric } = await prefetching({ maxStudies: 1 })
    const { archive, url } = setup
    await read(`${url}/studies/1.1/metadata`)
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(1), 8000)
    await read(`${url}/studies/1.1/series`)
    await read(`${url}/studies/1.1/metadata`)
    await delay(200)
    expect(archive.retrievals).toBe(2)
  })

  it('are not fetched where they are not worth it, too large, or offline', async () => {
    const unworthy = await prefetching({ minScore: 99 })
    await read(`${unworthy.setup.url}/studies/1.1/metadata`)
    const offline = await prefetching({}, { archive: { faults: { availability: 'OFFLINE' } } })
    await read(`${offline.setup.url}/studies/1.1/metadata`)
    await vi.waitFor(async () => expect(await offline.metric('studies_total{result="offline"}')).toBe(2), 8000)
    await delay(200)
    expect([unworthy.setup.archive.retrievals, offline.setup.archive.retrievals]).toEqual([1, 1])
  })

  it('are fetched on request, of a study or of one to come, for who may retrieve', async () => {
    const { key, hash } = newApiKey()
    const bound = newApiKey()
    const scopes = ['search', 'retrieve']
    const keys = [
      { name: 'reader', hash, scopes },
      { name: 'bound', hash: bound.hash, scopes, study: '1.1' },
    ]
    const { setup, metric } = await prefetching({ viewer: false }, { others: { auth: { keys } } })
    const ask = async (
      query: string,
      token = key,
    ): Promise<{ status: number; json: { studies?: { study: string; state: string }[]; code?: string } }> => {
      const init = { method: 'POST', headers: { Authorization: `Bearer ${token}` } }
      const response = await fetch(`${setup.url}/prefetch?${query}`, init)
      return { status: response.status, json: (await response.json()) as object }
    }
    const { status, json } = await ask('StudyInstanceUID=1.1')
    expect([status, json.studies!.map(({ study: uid, state }) => [uid, state])]).toEqual([
      202,
      [
        ['1.2', 'queued'],
        ['1.3', 'queued'],
      ],
    ])
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(2), 8000)
    const other = await ask('PatientID=123&Modality=CT&BodyPartExamined=KNEE')
    expect(other.json.studies!.map(({ study: uid, state }) => [uid, state])).toEqual([['1.4', 'queued']])
    expect((await ask('StudyInstanceUID=1.1')).json.studies!.map(({ state }) => state)).toEqual(['here', 'here'])
    expect((await ask('')).status).toBe(400)
    expect((await ask('PatientID=1*')).status).toBe(400)
    expect((await ask('StudyInstanceUID=9.9')).status).toBe(404)
    expect((await ask('StudyInstanceUID=1.1', bound.key)).status).toBe(403)
  })

  it('are fetched for patients who are due, by the worklist', async () => {
    const soon = dateAndTime(new Date(Date.now() + 60 * 60_000))
    const [step] = scheduledToday()
    step!.set(Attribute.PatientID, '123').set(tagOf('RequestedProcedureDescription')!, 'CT Thorax')
    step!
      .items(STEP)[0]!
      .set(Attribute.Modality, 'CT')
      .set(tagOf('ScheduledProcedureStepDescription')!, 'Thorax')
      .set(tagOf('ScheduledProcedureStepStartDate')!, soon.date)
      .set(tagOf('ScheduledProcedureStepStartTime')!, soon.time)
    const { setup, metric } = await prefetching(
      { worklist: { every: '200ms', ahead: '2h' } },
      { archive: { worklist: [step!] } },
    )
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(3), 8000)
    await delay(500)
    expect(setup.archive.retrievals).toBe(3)
    expect(await read(`${setup.url}/studies/1.1/metadata`)).toBe(200)
    expect(setup.archive.retrievals).toBe(3)
  })

  it('are sent to a workstation in place of here', async () => {
    await using workstation = await DemoArchive.start({ aeTitle: 'STATION' })
    const destinations = { STATION: { host: '127.0.0.1', port: workstation.port } }
    const { setup, metric } = await prefetching({ destination: 'STATION' }, { archive: { destinations } })
    await read(`${setup.url}/studies/1.1/metadata`)
    await vi.waitFor(async () => expect(await metric('studies_total{result="moved"}')).toBe(2), 8000)
    expect([setup.archive.retrievals, workstation.catalog.studies]).toEqual([1, 2])
  })

  it('do not begin while somebody waits for an association', async () => {
    const { setup, metric } = await prefetching({}, { pacs: { maxAssociations: 1 } })
    const { promise, resolve } = Promise.withResolvers<undefined>()
    await read(`${setup.url}/studies/1.1/metadata`)
    setup.archive.faults = { onGet: async () => promise }
    const waiting = read(`${setup.url}/studies/1.4/metadata`)
    await delay(300)
    setup.archive.faults = {}
    resolve(undefined)
    expect(await waiting).toBe(200)
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(2), 15_000)
  })
})

describe('what was found to be wrong with prefetch', () => {
  it('does not exceed its bytes, whatever is tried again, nor over several studies at once', async () => {
    const { setup, metric } = await prefetching({ maxBytes: '2kB', maxAssociations: 3 })
    await read(`${setup.url}/studies/1.1/metadata`)
    await vi.waitFor(async () => expect(await metric('studies_total{result="failed"}')).toBeGreaterThan(0), 8000)
    await delay(300)
    expect(setup.gateway.cache.stats.instances).toBeLessThanOrEqual(4 + 6)
    expect(setup.archive.retrievals).toBeLessThanOrEqual(3)
  })

  it('does not tell who may not search which studies there are', async () => {
    const { key, hash } = newApiKey()
    const keys = [{ name: 'reader', hash, scopes: ['retrieve'] }]
    const { setup } = await prefetching({}, { others: { auth: { keys } } })
    const headers = { Authorization: `Bearer ${key}` }
    expect(await read(`${setup.url}/prefetch?StudyInstanceUID=1.1`, { method: 'POST', headers })).toBe(403)
  })

  it('does not say that is here what the cache has let go, and fetches it anew for who asks', async () => {
    const { setup, metric } = await prefetching({ viewer: false }, { cache: { ttl: '1s' } })
    const ask = async (): Promise<unknown> => {
      const response = await fetch(`${setup.url}/prefetch?StudyInstanceUID=1.1`, { method: 'POST' })
      const { studies } = (await response.json()) as { studies: { state: string }[] }
      return studies.map(({ state }) => state)
    }
    expect(await ask()).toEqual(['queued', 'queued'])
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(2), 8000)
    expect(await ask()).toEqual(['here', 'here'])
    await delay(1500)
    expect(await ask()).toEqual(['queued', 'queued'])
    await vi.waitFor(async () => expect(await metric('studies_total{result="fetched"}')).toBe(4), 8000)
    expect(await metric('studies_total{result="wasted"}')).toBe(2)
  })

  it('retrieves a study anew of which the archive lists less than is here', async () => {
    const { setup } = await prefetching({ viewer: false })
    const [archive] = setup.gateway.archives
    expect(await read(`${setup.url}/prefetch?StudyInstanceUID=1.1`, { method: 'POST' })).toBe(202)
    await vi.waitFor(() => expect(setup.archive.retrievals).toBe(2), 8000)
    const listed = [{ study: '1.2', series: '1.2.1', sopInstance: '1.2.1.1' }]
    const brought = setup.gateway.cache.held(archive!, { study: '1.2' })
    expect(brought).toHaveLength(4)
    expect(
      setup.gateway.cache.renew(archive!, { study: '1.2' }, [...listed, { ...listed[0]!, sopInstance: '9.9' }]),
    ).toBe(false)
  })
})
