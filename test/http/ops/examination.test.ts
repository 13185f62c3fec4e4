import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { startGateway, type Gateway } from '../../../src/gateway.ts'
import { EXAMINED_MS, type Readiness } from '../../../src/http/ops/readiness.ts'
import { schemaOf } from '../../support/contract.ts'
import { seriesFiles } from '../../support/dicom-files.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'

// /readyz?verbose: what the doctor finds, of archives that are being served.

failOnLeaks()

const kept = keeper()

afterEach(async () => {
  vi.restoreAllMocks()
})

async function serving(
  archiveSettings: object = {},
): Promise<{ demo: DemoArchive; gateway: Gateway; most: () => number }> {
  const port = await freePort()
  const demo = kept(await DemoArchive.start({ destinations: { DIMSEGATE: { host: '127.0.0.1', port } } }))
  for (const file of seriesFiles(3)) await demo.put(file)
  const config = parseConfig({
    http: { port: 0, readyCache: '0s' },
    dimse: { host: '127.0.0.1', port },
    archives: [{ aeTitle: demo.aeTitle, host: '127.0.0.1', port: demo.port, ...archiveSettings }],
    log: { level: 'silent' },
  })
  const gateway = kept(await startGateway(config))
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, demo.associations)), 1)
  kept({ [Symbol.asyncDispose]: async () => clearInterval(watch) })
  return { demo, gateway, most: () => most }
}

async function verbose(gateway: Gateway, query = 'verbose'): Promise<{ status: number; body: Readiness }> {
  const response = await fetch(`http://127.0.0.1:${gateway.port}/readyz?${query}`)
  return { status: response.status, body: (await response.json()) as Readiness }
}

const codesOf = ({ archives }: Readiness): string[] => archives[0]!.examination!.findings.map(({ code }) => code)

describe('/readyz?verbose', () => {
  it('tells what an archive was found to do in its own way', async () => {
    const { demo, gateway } = await serving()
    expect((await verbose(gateway)).body.archives[0]).not.toHaveProperty('habits')
    demo.faults = { acceptsClass: (uid) => uid !== '1.2.840.10008.5.1.4.1.2.2.3' }
    const studies = (await (await fetch(`${gateway.url}/studies`)).json()) as { '0020000D': { Value: [string] } }[]
    await (await fetch(`${gateway.url}/studies/${studies[0]!['0020000D'].Value[0]}`)).arrayBuffer()
    const { body } = await verbose(gateway)
    expect(body.archives[0]!.habits).toEqual(['It gives nothing by C-GET: it is asked by C-MOVE'])
    expect(schemaOf('Readiness')(body)).toEqual([])
  })

  it('tells what the doctor finds, and nothing of patients', async () => {
    const { demo, gateway } = await serving({ retrieve: 'move' })
    const { status, body } = await verbose(gateway)
    expect(status).toBe(200)
    expect(schemaOf('Readiness')(body)).toEqual([])
    expect(codesOf(body)).toEqual(
      expect.arrayContaining(['CONNECTED', 'ASSOCIATED', 'ECHO_OK', 'FIND_OK', 'GET_OK', 'MOVE_OK', 'STORE_ACCEPTED']),
    )
    expect(body.archives[0]!.examination).toMatchObject({ host: '127.0.0.1', port: demo.port, ourHost: '127.0.0.1' })
    expect(body.archives[0]!.examination!.level).not.toBe('problem')
    expect(gateway.destination.isOpen).toBe(true)
  })

  it('is asked for by its presence, and not by false', async () => {
    const { gateway } = await serving()
    expect((await verbose(gateway, 'verbose=false')).body.archives[0]).not.toHaveProperty('examination')
    expect((await verbose(gateway, 'verbose=true')).body.archives[0]).toHaveProperty('examination')
  })

  it('does not open the listener, nor more associations than it may', async () => {
    const { gateway, most } = await serving({ maxAssociations: 1 })
    const { body } = await verbose(gateway)
    expect(codesOf(body)).toContain('MOVE_LISTENER_NOT_OPEN')
    expect(codesOf(body)).not.toContain('LIMIT_OK')
    expect(gateway.destination.isOpen).toBe(false)
    expect(most()).toBe(1)
  })

  it('examines once for all who ask, and again when that is old', async () => {
    const { demo, gateway } = await serving()
    const answers = await Promise.all(Array.from({ length: 5 }, () => verbose(gateway)))
    const times = answers.map(({ body }) => body.archives[0]!.examination!.examinedAt)
    expect(new Set(times).size).toBe(1)
    expect(demo.retrievals).toBe(1)
    await verbose(gateway)
    expect(demo.retrievals).toBe(1)
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + EXAMINED_MS + 1)
    await verbose(gateway)
    expect(demo.retrievals).toBe(2)
  })

  it('of an archive that is down says what to ask for, with 503', async () => {
    const { demo, gateway } = await serving()
    await demo[Symbol.asyncDispose]()
    const { status, body } = await verbose(gateway)
    expect(status).toBe(503)
    expect(codesOf(body)).toEqual(['CONNECT_REFUSED'])
    expect(body.archives[0]!.examination!.findings[0]!.ask).toContain(`port ${demo.port}`)
  })

  it('is ended by a service that stops', async () => {
    const { demo, gateway } = await serving()
    demo.faults = { findDelay: 60_000 }
    const asked = verbose(gateway).catch(() => undefined)
    await vi.waitFor(() => expect(demo.associations).toBeGreaterThan(0), { interval: 1 })
    const started = performance.now()
    await gateway[Symbol.asyncDispose]()
    await asked
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
