import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { E, instanceFile, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'

failOnLeaks()
const kept = keeper()
const JSON_TYPE = { Accept: 'application/dicom+json' }
const COUNT = 3
const seriesOf = (n: number): string => `1.2.3.1${n}`

/** A report, and three series of images, numbered against their order. */
const files = [
  instanceFile({
    series: '1.2.3.5',
    instance: '1.2.3.5.1',
    change: (dataset) => dataset.set(Attribute.Modality, 'SR').set(Attribute.SeriesNumber, '0'),
  }),
  ...[3, 1, 2].flatMap((n) =>
    seriesFiles(COUNT, { series: seriesOf(n), change: (dataset) => dataset.set(Attribute.SeriesNumber, String(n)) }),
  ),
]

async function start(prefetch: string, options: SetupOptions = {}): Promise<Setup> {
  return kept(await startSetup({ files, cache: { prefetch }, ...options }))
}

async function get(setup: Setup, path: string, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(setup.url + path, { headers: { ...JSON_TYPE, ...headers } })
  await response.arrayBuffer()
  return response
}

const list = (setup: Setup, headers = {}): Promise<Response> => get(setup, `/studies/${S}/series`, headers)
const settled = async (setup: Setup, retrievals: number): Promise<void> => {
  await eventually(() => expect(setup.archive.retrievals).toBe(retrievals))
  await eventually(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(0))
}

describe('the series of a study, listed', () => {
  it('begin to come with the first that has images, which is not asked for twice', async () => {
    const setup = await start('first')
    await list(setup)
    expect((await get(setup, `/studies/${S}/series/${seriesOf(1)}/metadata`)).status).toBe(200)
    await settled(setup, 1)
    expect(setup.gateway.cache.stats.instances).toBe(COUNT)
    const frame = `/studies/${S}/series/${seriesOf(1)}/instances/${seriesOf(1)}.2/frames/1`
    expect((await get(setup, frame, { Accept: 'application/octet-stream' })).status).toBe(200)
    expect(setup.archive.retrievals).toBe(1)
  })

  it('come one after the other', async () => {
    const setup = await start('study')
    await list(setup)
    await settled(setup, 3)
    expect(setup.gateway.cache.stats.instances).toBe(3 * COUNT)
    for (const n of [1, 2, 3]) await get(setup, `/studies/${S}/series/${seriesOf(n)}/metadata`)
    expect(setup.archive.retrievals).toBe(3)
  })

  it.each([
    ['by default', 'off', (setup: Setup) => list(setup)],
    ['for who looks for some of them', 'study', (setup: Setup) => get(setup, `/studies/${S}/series?Modality=CT`)],
    ['for who looks for studies', 'study', (setup: Setup) => get(setup, `/studies?StudyInstanceUID=${S}`)],
    [
      'for who looks for instances',
      'study',
      (setup: Setup) => get(setup, `/studies/${S}/series/${seriesOf(1)}/instances`),
    ],
  ])('do not come %s', async (_, prefetch, look) => {
    const setup = await start(prefetch)
    expect((await look(setup)).status).toBe(200)
    await new Promise(setImmediate)
    expect(setup.gateway.cache.stats.misses).toBe(0)
  })

  it('do not come for who may search only', async () => {
    const [searcher, viewer] = [newApiKey(), newApiKey()]
    const keys = [
      { name: 'searcher', hash: searcher.hash, scopes: ['search'] },
      { name: 'viewer', hash: viewer.hash, scopes: ['search', 'retrieve'] },
    ]
    const setup = await start('first', { others: { auth: { keys } } })
    await list(setup, { Authorization: `Bearer ${searcher.key}` })
    await new Promise(setImmediate)
    expect(setup.gateway.cache.stats.misses).toBe(0)
    await list(setup, { Authorization: `Bearer ${viewer.key}` })
    await settled(setup, 1)
  })

  it('keep what is held of them true: a study is reopened with one C-FIND', async () => {
    const asked: string[] = []
    const faults = {
      onFind: (one: { string(tag: number): string | undefined }) =>
        void asked.push(one.string(Attribute.QueryRetrieveLevel)!),
    }
    const setup = kept(await startSetup({ files: seriesFiles(COUNT), archive: { faults } }))
    await list(setup)
    const metadata = `/studies/${S}/series/${E}/metadata`
    const first = await get(setup, metadata)
    asked.length = 0
    await list(setup)
    const again = await get(setup, metadata, { 'If-None-Match': first.headers.get('etag')! })
    expect(again.status).toBe(304)
    expect(asked).toEqual(['SERIES'])
    expect(setup.archive.retrievals).toBe(1)
  })
})
