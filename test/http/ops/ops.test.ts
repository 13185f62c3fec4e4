import { createServer } from 'node:http'
import type * as http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { instanceFile, S } from '../../support/dicom-files.ts'
import { startGatewayFor, startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { faults } from '../../support/contract.ts'
import { keeper } from '../../support/kept.ts'
import { RawClient } from '../../support/raw-http.ts'
import { echoResponse, ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'

// What the web server is made with is seen, and its patience with clients made short enough to wait for.
vi.mock('node:http', async (original) => {
  const actual = await original<typeof http>()
  return { ...actual, createServer: vi.fn(actual.createServer) }
})

const kept = keeper()

async function started(options: SetupOptions = {}): Promise<Setup> {
  return kept(await startSetup(options))
}

const origin = (port: number): string => `http://127.0.0.1:${port}`

interface Ready {
  readonly status: number
  readonly body: { status: string; archives: { name: string; aeTitle: string; ready: boolean; error?: string }[] }
}

async function ready(port: number): Promise<Ready> {
  const response = await fetch(`${origin(port)}/readyz`)
  const body = (await response.json()) as Ready['body']
  expect(faults('#/components/schemas/Readiness', body)).toEqual([])
  return { status: response.status, body }
}

async function scripted(script: ArchiveScript): Promise<ScriptedArchive> {
  return kept(await ScriptedArchive.start(script))
}

describe('/livez', () => {
  it('is ok, and asks no archive', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]))
    const response = await fetch(`${origin(gateway.port)}/livez`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(await response.text()).toBe('ok')
    expect(gateway.archives[0]!.stats.open).toBe(0)
  })
})

describe('/readyz', () => {
  it('is 200 when the archive answers a C-ECHO', async () => {
    const setup = await started()
    expect(await ready(setup.port)).toEqual({
      status: 200,
      body: { status: 'ready', archives: [{ name: 'demo', aeTitle: 'DEMO', ready: true }] },
    })
  })

  it('is 503 when no archive can be reached, and says why', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]))
    expect(await ready(gateway.port)).toEqual({
      status: 503,
      body: { status: 'unready', archives: [{ name: 'pacs', aeTitle: 'PACS', ready: false, error: 'CONNECT_FAILED' }] },
    })
  })

  it('is 200 as long as one of several archives answers', async () => {
    const archive = await scripted({})
    const gateway = kept(
      await startGatewayFor([
        { aeTitle: 'DOWN', host: '127.0.0.1', port: 1 },
        { aeTitle: 'UP', ...archive.address },
      ]),
    )
    const { status, body } = await ready(gateway.port)
    expect(status).toBe(200)
    expect(body.archives.map(({ aeTitle, ready: is }) => [aeTitle, is])).toEqual([
      ['DOWN', false],
      ['UP', true],
    ])
  })

  it('asks once for many who ask, and again when the answer is old', async () => {
    const archive = await scripted({})
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address }], { readyCache: '300ms' }))
    const answers = await Promise.all(Array.from({ length: 10 }, () => ready(gateway.port)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(archive.received(0x0030)).toHaveLength(1)
    await vi.waitFor(
      async () => {
        await ready(gateway.port)
        expect(archive.received(0x0030).length).toBeGreaterThan(1)
      },
      { timeout: 5000, interval: 20 },
    )
  })

  it('asks one question at a time, and counts the age of its answer from the end', async () => {
    const { promise: patience, resolve } = Promise.withResolvers<undefined>()
    const archive = await scripted({
      echo: async ({ peer }, { contextId, messageId }) => {
        await patience
        await peer.send(echoResponse(contextId, messageId))
      },
    })
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address }], { readyCache: '1s' }))
    const early = ready(gateway.port)
    await vi.waitFor(() => expect(archive.received(0x0030)).toHaveLength(1), { timeout: 5000, interval: 5 })
    await delay(1_100)
    const late = ready(gateway.port)
    await delay(50)
    resolve(undefined)
    for (const answer of [await early, await late, await ready(gateway.port)]) expect(answer.status).toBe(200)
    expect(archive.received(0x0030)).toHaveLength(1)
  })

  it('sees an archive that goes away, and one that comes back', async () => {
    let up = true
    const archive = await scripted({ associate: () => (up ? undefined : [1, 1, 1]) })
    const gateway = kept(
      await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, timeouts: { idle: '1ms' } }], { readyCache: '0s' }),
    )
    expect((await ready(gateway.port)).status).toBe(200)
    await vi.waitFor(() => expect(gateway.archives[0]!.stats.open).toBe(0), { timeout: 5000, interval: 5 })
    up = false
    expect(await ready(gateway.port)).toMatchObject({
      status: 503,
      body: { archives: [{ error: 'ASSOCIATION_REJECTED' }] },
    })
    up = true
    expect((await ready(gateway.port)).status).toBe(200)
  })

  it.each<[string, ArchiveScript]>([
    ['an association request', { associate: () => 'silent' }],
    ['a C-ECHO', { echo: async () => undefined }],
  ])('is 503 in time when the archive never answers %s', async (_, script) => {
    const archive = await scripted(script)
    const gateway = kept(
      await startGatewayFor([
        { aeTitle: 'PACS', ...archive.address, timeouts: { connect: '200ms', associate: '200ms' } },
      ]),
    )
    expect(await ready(gateway.port)).toMatchObject({ status: 503, body: { archives: [{ error: 'PEER_TIMEOUT' }] } })
  })

  it('is 200 while every association is at work: a busy archive can be reached', async () => {
    const archive = await scripted({ find: async () => undefined })
    const settings = { maxAssociations: 1, timeouts: { connect: '150ms', associate: '150ms' } }
    const gateway = kept(
      await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, ...settings }], { readyCache: '0s' }),
    )
    expect((await ready(gateway.port)).status).toBe(200)
    const leaving = new AbortController()
    const search = fetch(`${gateway.url}/studies`, { signal: leaving.signal }).catch(() => undefined)
    await vi.waitFor(() => expect(archive.received(0x0020)).toHaveLength(1), { timeout: 5000, interval: 5 })
    expect(await ready(gateway.port)).toMatchObject({ status: 200 })
    leaving.abort()
    await search
  })

  it('is 200 on a process that has just started and has every association at work: they stand', async () => {
    const archive = await scripted({ find: async () => undefined })
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, maxAssociations: 1 }]))
    const leaving = new AbortController()
    const search = fetch(`${gateway.url}/studies`, { signal: leaving.signal }).catch(() => undefined)
    await vi.waitFor(() => expect(archive.received(0x0020)).toHaveLength(1), { timeout: 5000, interval: 5 })
    expect(await ready(gateway.port)).toMatchObject({ status: 200 })
    expect(archive.received(0x0030)).toHaveLength(0)
    leaving.abort()
    await search
  })

  it('is 200 while as many associations are at work as the archive takes, were more of them configured', async () => {
    const archive = await scripted({
      find: async () => undefined,
      associate: (_, index) => (index === 0 ? undefined : [2, 3, 2]),
    })
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, maxAssociations: 4 }]))
    const leaving = new AbortController()
    const search = (): Promise<unknown> =>
      fetch(`${gateway.url}/studies`, { signal: leaving.signal }).catch(() => undefined)
    const first = search()
    await vi.waitFor(() => expect(archive.received(0x0020)).toHaveLength(1), { timeout: 5000, interval: 5 })
    const second = search()
    await vi.waitFor(() => expect(gateway.archives[0]!.stats).toMatchObject({ limit: 1, waiting: 1 }), {
      timeout: 5000,
      interval: 5,
    })
    expect(await ready(gateway.port)).toMatchObject({ status: 200 })
    leaving.abort()
    await Promise.all([first, second])
  })

  it('is 503 on a process that has just started while associations are asked for and none stands', async () => {
    const archive = await scripted({ associate: () => 'silent' })
    const settings = { maxAssociations: 1, timeouts: { connect: '100ms', associate: '1s' } }
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, ...settings }]))
    const search = fetch(`${gateway.url}/studies`).catch(() => undefined)
    await vi.waitFor(() => expect(archive.associations).toHaveLength(1), { timeout: 5000, interval: 5 })
    expect(await ready(gateway.port)).toMatchObject({ status: 503, body: { archives: [{ error: 'POOL_BUSY' }] } })
    await search
  })
})

describe('/metrics', () => {
  it('counts requests by route, never by what is in a path or query', async () => {
    const setup = await started({ files: [instanceFile()] })
    for (const path of [
      `/studies/${S}`,
      '/studies?PatientID=123&PatientName=Canary',
      '/studies/9.8.7.6',
      '/nope/Canary',
    ]) {
      await (await fetch(setup.url + path)).arrayBuffer()
    }
    await vi.waitFor(
      async () => {
        const response = await fetch(`${setup.origin}/metrics`)
        expect(response.status).toBe(200)
        expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
        const text = await response.text()
        const line =
          /^dimsegate_http_request_duration_seconds_count\{method="GET",route="([^"]*)",status="(\d+)"\} \d+$/gm
        const counted = [...text.matchAll(line)].map(([, route, status]) => `${status!} ${route!}`)
        expect(counted).toEqual(
          expect.arrayContaining([
            '200 /dicomweb/studies/:study',
            '200 /dicomweb/studies',
            '404 /dicomweb/studies/:study',
          ]),
        )
        expect(text).toMatch(/^dimsegate_pool_associations\{archive="demo",state="idle"\} [1-9]/m)
        expect(text).toMatch(/^dimsegate_associations_total\{archive="demo",event="opened"\} [1-9]/m)
        expect(text).toContain('process_resident_memory_bytes')
        for (const secret of [S, '9.8.7.6', 'Canary', '123&']) expect(text).not.toContain(`"${secret}`)
        expect(text).not.toContain('Canary')
      },
      { timeout: 5000, interval: 20 },
    )
  })
})

describe('/openapi.json', () => {
  it('is the contract', async () => {
    const setup = await started()
    const response = await fetch(`${setup.origin}/openapi.json`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    const { parse } = await import('yaml')
    const { readFile } = await import('node:fs/promises')
    const yaml = await readFile(new URL('../../../openapi/dicomweb.yaml', import.meta.url), 'utf8')
    expect(await response.json()).toEqual(parse(yaml))
  })
})

describe('a client that does not send its request', () => {
  it('is given up with a 408 after a while', async () => {
    const setup = await started()
    const [given] = vi.mocked(createServer).mock.calls.at(-1)! as unknown as [{ headersTimeout: number }]
    expect(given.headersTimeout).toBeGreaterThan(0)
    expect(given.headersTimeout).toBeLessThanOrEqual(60_000)
    // The same server with little patience.
    const { createServer: actual } = await vi.importActual<typeof http>('node:http')
    vi.mocked(createServer).mockImplementationOnce(((options: object, listener: never) =>
      actual({ ...options, headersTimeout: 150, connectionsCheckingInterval: 30 }, listener)) as never)
    const hasty = await started()
    await using client = await RawClient.connect(hasty.port)
    await client.send('GET /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
    await client.closed()
    expect(client.status).toBe(408)
    expect((await fetch(`${setup.origin}/livez`)).status).toBe(200)
  })

  it.each([
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ])('but %j gets a 400, and others are served', async (bytes) => {
    const setup = await started()
    await using client = await RawClient.connect(setup.port)
    await client.send(bytes)
    await client.closed()
    expect(client.status).toBe(400)
    expect((await fetch(`${setup.origin}/livez`)).status).toBe(200)
  })

  it('because a header is too large gets a 431', async () => {
    const setup = await started()
    await using client = await RawClient.connect(setup.port)
    await client.request('GET', '/livez', { 'X-Large': 'x'.repeat(100_000) })
    await client.closed()
    expect(client.status).toBe(431)
  })
})
