import { describe, expect, it } from 'vitest'
import type { Gateway } from '../../../src/gateway.ts'
import { FAILURES_TO_OPEN, FIRST_PAUSE_MS, JITTER } from '../../../src/pacs/pool/breaker.ts'
import { eventually } from '../../support/eventually.ts'
import { startGatewayFor } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { freePort } from '../../support/ports.ts'
import { listing, ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'

const kept = keeper()

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly retryAfter: string | null
}

async function search(gateway: Gateway, aeTitle: string): Promise<Answer> {
  const response = await fetch(`${gateway.url}/aets/${aeTitle}/studies`)
  const body = response.status < 300 ? undefined : ((await response.json()) as { code: string })
  await (body ? undefined : response.arrayBuffer())
  return { status: response.status, code: body?.code, retryAfter: response.headers.get('retry-after') }
}

async function textOf(gateway: Gateway, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${gateway.port}${path}`)).text()
}

async function scripted(script: ArchiveScript): Promise<ScriptedArchive> {
  return kept(await ScriptedArchive.start(script))
}

describe('an archive that is down', () => {
  it('costs the searches of another nothing, and keeps nobody waiting', async () => {
    const down = await scripted({ associate: () => 'silent' })
    const up = await scripted({ find: listing([]) })
    const gateway = kept(
      await startGatewayFor([
        { aeTitle: 'DOWN', ...down.address, maxAssociations: 4, timeouts: { associate: '1500ms', queue: '30s' } },
        { aeTitle: 'UP', ...up.address },
      ]),
    )
    const [archive] = gateway.archives
    let settled = 0
    // Not over HTTP, where one client has fewer requests than that.
    const failing = Array.from({ length: 500 }, async () => {
      const error: unknown = await archive!.echo(new AbortController()).catch((reason: unknown) => reason)
      settled++
      return (error as { code: string }).code
    })
    expect(archive!.stats.waiting).toBe(496)
    for (let time = 0; time < 20; time++) expect((await search(gateway, 'UP')).status).toBe(200)
    expect(settled).toBe(0)
    const codes = await Promise.all(failing)
    expect(codes.filter((code) => code === 'PEER_TIMEOUT')).toHaveLength(4)
    expect(codes.filter((code) => code === 'ARCHIVE_DOWN')).toHaveLength(496)
    // A trial may have begun since.
    expect(down.connections.length).toBeLessThanOrEqual(5)
    for (let time = 0; time < 50; time++) expect((await search(gateway, 'DOWN')).code).toBe('ARCHIVE_DOWN')
    expect(down.connections.length).toBeLessThanOrEqual(6)
  })

  it('fails as ever at first, then at once, and is found when it is back, by one who was not asked for', async () => {
    const archive = await scripted({ associate: () => 'close' })
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address }], { readyCache: '0s' }))
    for (let time = 0; time < FAILURES_TO_OPEN; time++) {
      expect(await search(gateway, 'PACS')).toMatchObject({ status: 502, code: 'CONNECTION_LOST' })
    }
    const tried = archive.connections.length
    const { retryAfter, ...answer } = await search(gateway, 'PACS')
    expect(answer).toEqual({ status: 503, code: 'ARCHIVE_DOWN' })
    expect(Number(retryAfter)).toBeGreaterThanOrEqual(1)
    expect(Number(retryAfter)).toBeLessThanOrEqual(Math.ceil((FIRST_PAUSE_MS * (1 + JITTER)) / 1_000))
    expect(await textOf(gateway, '/readyz')).toContain('"error":"ARCHIVE_DOWN"')
    expect(await textOf(gateway, '/metrics')).toContain('dimsegate_archive_breaker{archive="pacs"} 2')
    expect(archive.connections).toHaveLength(tried)
    archive.script = { find: listing([]) }
    await eventually(() => expect(gateway.archives[0]!.breaker).toBe('closed'))
    // One C-ECHO over one association.
    expect(archive.received(0x0030)).toHaveLength(1)
    expect(archive.connections).toHaveLength(tried + 1)
    expect(await textOf(gateway, '/readyz')).toContain('"ready":true')
    expect(await textOf(gateway, '/metrics')).toContain('dimsegate_archive_breaker{archive="pacs"} 0')
    expect((await search(gateway, 'PACS')).status).toBe(200)
  })

  it('can be tried by the doctor', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: await freePort() }]))
    const [archive] = gateway.archives
    for (let time = 0; time < FAILURES_TO_OPEN; time++) await search(gateway, 'PACS')
    expect(archive!.breaker).not.toBe('closed')
    const { signal } = new AbortController()
    const leave = await archive!.reserve({ signal })
    leave()
    const { archives } = JSON.parse(await textOf(gateway, '/readyz?verbose')) as {
      archives: { examination: { findings: { code: string }[] } }[]
    }
    expect(archives[0]!.examination.findings.map(({ code }) => code)).toContain('CONNECT_REFUSED')
  })

  it('has those sent away who wait for an association, not who waits for a place', async () => {
    const script = await scripted({ associate: () => 'close' })
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...script.address, maxAssociations: 1 }]))
    const [archive] = gateway.archives
    const call = new AbortController()
    const echoes = Array.from({ length: FAILURES_TO_OPEN + 2 }, () =>
      archive!.echo(call).catch((error: unknown) => (error as { code: string }).code),
    )
    const place = archive!.reserve(call)
    expect(archive!.stats).toMatchObject({ opening: 1, waiting: FAILURES_TO_OPEN + 2 })
    expect(await Promise.all(echoes)).toEqual([
      ...Array<string>(FAILURES_TO_OPEN).fill('CONNECTION_LOST'),
      'ARCHIVE_DOWN',
      'ARCHIVE_DOWN',
    ])
    const leave = await place
    leave()
  })
})
