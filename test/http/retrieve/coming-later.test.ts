import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { MAX_LATER_OF_CLIENT } from '../../../src/http/retrieve/coming-later.ts'
import { E, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'

// Who sends `Prefer: respond-async` is told to come back for what takes long; the retrieval goes on.

failOnLeaks()
const kept = keeper()
const COUNT = 3
const SERIES = `/studies/${S}/series/${E}`
const METADATA = `${SERIES}/metadata`
const FRAME = `${SERIES}/instances/${E}.2/frames/1`
const ASYNC = { Prefer: 'respond-async' }

interface Held extends Setup {
  /** Lets the archive send what it was asked for. */
  readonly open: () => void
}

/** An archive that sends nothing until it is let. */
async function held(options: SetupOptions = {}, availability?: string): Promise<Held> {
  const gate = Promise.withResolvers<undefined>()
  const faults = {
    onGet: async () => {
      await gate.promise
    },
    ...(availability !== undefined && { availability }),
  }
  const http = { asyncAfter: '50ms' }
  const setup = kept(await startSetup({ files: seriesFiles(COUNT), archive: { faults }, http, ...options }))
  return Object.assign(setup, { open: () => gate.resolve(undefined) })
}

interface Answer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: Buffer
}

async function get(setup: Setup, path: string, headers: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
  const response = await fetch(setup.url + path, { headers: { Accept: '*/*', ...headers }, signal: signal ?? null })
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}

const idle = (setup: Setup): Promise<void> => eventually(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(0))

describe('what takes long, for who prefers to come back', () => {
  it.each([
    ['metadata', METADATA],
    ['a frame', FRAME],
    ['a study', `/studies/${S}?accept=application/zip`],
    ['a thumbnail', `${SERIES}/thumbnail`],
  ])('is 202, and is there later, by one retrieval: %s', async (_, path) => {
    const setup = await held()
    const first = await get(setup, path, ASYNC)
    expect(first.status).toBe(202)
    expect(first.headers.get('location')).toBe(setup.url + path)
    expect(first.headers.get('retry-after')).toBe('10')
    expect(first.headers.get('preference-applied')).toBe('respond-async')
    expect(first.headers.get('etag')).toBeNull()
    expect(JSON.parse(first.body.toString())).toEqual({ detail: expect.stringContaining('again') as string })
    // Whoever asks meanwhile is told the same.
    expect((await get(setup, path, ASYNC)).status).toBe(202)
    setup.open()
    await idle(setup)
    expect((await get(setup, path, ASYNC)).status).toBe(200)
    expect(setup.archive.retrievals).toBe(1)
  })

  it('is waited for by the others, who get all of it from the same retrieval', async () => {
    const setup = await held()
    expect((await get(setup, METADATA, ASYNC)).status).toBe(202)
    const patient = get(setup, METADATA, {})
    setup.open()
    const { status, body } = await patient
    expect(status).toBe(200)
    expect(JSON.parse(body.toString())).toHaveLength(COUNT)
    expect(setup.archive.retrievals).toBe(1)
  })

  it('is 202 at once where the archive says that it is nearline, until it has come', async () => {
    const setup = await held({ http: { asyncAfter: '1h' } }, 'NEARLINE')
    expect((await get(setup, METADATA, ASYNC)).status).toBe(202)
    expect((await get(setup, FRAME, ASYNC)).status).toBe(202)
    setup.open()
    await idle(setup)
    // Its archive still says that it is.
    expect((await get(setup, METADATA, ASYNC)).status).toBe(200)
    expect((await get(setup, FRAME, ASYNC)).status).toBe(200)
  })

  it.each(['OFFLINE', 'UNAVAILABLE', 'ONLINE'])('is waited for where the archive says %s', async (availability) => {
    const setup = await held({ http: { asyncAfter: '1h' } }, availability)
    const answer = get(setup, METADATA, ASYNC)
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    setup.open()
    expect((await answer).status).toBe(200)
  })

  it('is waited for where nothing is kept for who comes back', async () => {
    const setup = await held({ cache: { maxBytes: 0 } }, 'NEARLINE')
    const answer = get(setup, METADATA, ASYNC)
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    await delay(100)
    setup.open()
    expect((await answer).status).toBe(200)
  })

  it('is waited for the second time where it is more than is kept', async () => {
    const setup = await held({ cache: { maxBytes: 1500 } })
    const path = `/studies/${S}?accept=application/zip`
    expect((await get(setup, path, ASYNC)).status).toBe(202)
    expect((await get(setup, path, ASYNC)).status).toBe(202)
    expect(setup.archive.retrievals).toBe(1)
    setup.open()
    await eventually(async () => expect((await get(setup, path, ASYNC)).status).toBe(200))
    expect(setup.archive.retrievals).toBeLessThanOrEqual(2)
  })

  it('fails later as it fails: it is told to who comes back, once', async () => {
    const setup = await held()
    const gate = Promise.withResolvers<undefined>()
    const onGet = async (): Promise<void> => {
      await gate.promise
      throw new Error('lost')
    }
    setup.archive.faults = { onGet }
    expect((await get(setup, METADATA, ASYNC)).status).toBe(202)
    gate.resolve(undefined)
    await idle(setup)
    const told = await get(setup, METADATA, ASYNC)
    expect(told.status).toBe(502)
    expect(JSON.parse(told.body.toString())).toMatchObject({ code: expect.any(String) as string })
    const before = setup.archive.retrievals
    setup.archive.faults = {}
    // By one that waits: how long it takes is no matter here.
    expect((await get(setup, METADATA, {})).status).toBe(200)
    expect(setup.archive.retrievals).toBe(before + 1)
  })

  it(`is waited for by a client of whom ${MAX_LATER_OF_CLIENT} go on already`, async () => {
    const setup = await held({ files: seriesFiles(MAX_LATER_OF_CLIENT + 1) })
    const ask = (n: number): Promise<Answer> => get(setup, `${SERIES}/instances/${E}.${n}`, ASYNC)
    for (let n = 1; n <= MAX_LATER_OF_CLIENT; n++) expect((await ask(n)).status).toBe(202)
    const last = ask(MAX_LATER_OF_CLIENT + 1)
    expect((await ask(1)).status).toBe(202)
    setup.open()
    expect((await last).status).toBe(200)
    await idle(setup)
  })

  it.each([
    ['no preference', {}],
    ['another', { Prefer: 'return=minimal' }],
  ])('is waited for by who has %s', async (_, headers) => {
    const setup = await held({}, 'NEARLINE')
    const answer = get(setup, METADATA, headers)
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    setup.open()
    expect((await answer).status).toBe(200)
  })

  it.each([
    ['less', 'respond-async, wait=0', { asyncAfter: '1h' }, 202],
    ['more', 'respond-async; wait="60"', { asyncAfter: '1ms' }, 200],
  ])('is waited for as long as the client says, where that is %s', async (_, prefer, http, status) => {
    const setup = await held({ http })
    const answer = get(setup, METADATA, { Prefer: prefer })
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    if (status === 200) setup.open()
    expect((await answer).status).toBe(status)
    setup.open()
    await idle(setup)
  })

  it('fails as it fails: an error is no promise of more', async () => {
    const setup = await held({ http: { asyncAfter: '1h' } })
    expect((await get(setup, `/studies/9.9/metadata`, ASYNC)).status).toBe(404)
    setup.archive.faults = { findStatus: 0x0124 }
    expect((await get(setup, METADATA, ASYNC)).status).toBe(403)
  })

  it('is given up where its client leaves before it is told', async () => {
    const setup = await held({ http: { asyncAfter: '1h' } })
    const gone = new AbortController()
    const answer = get(setup, METADATA, ASYNC, gone.signal).catch(() => undefined)
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    gone.abort()
    await answer
    await idle(setup)
    expect(setup.gateway.cache.stats.instances).toBe(0)
  })

  it('is 304 where its client holds it', async () => {
    const setup = await held({ http: { asyncAfter: '1h' } })
    setup.open()
    const first = await get(setup, METADATA, ASYNC)
    expect(first.status).toBe(200)
    const again = await get(setup, METADATA, { ...ASYNC, 'If-None-Match': first.headers.get('etag')! })
    expect(again.status).toBe(304)
  })
})
