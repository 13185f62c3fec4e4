import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { startGateway, type Gateway } from '../../../src/gateway.ts'
import { connectionsTo } from '../../support/connections.ts'
import { CT, E, I, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { EXPLICIT_LE } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { readParts } from '../../support/multipart.ts'
import { splitPart10 } from '../../support/part10.ts'
import { freePort } from '../../support/ports.ts'
import { RawClient } from '../../support/raw-http.ts'
import { listing, ScriptedArchive } from '../../support/scripted-archive.ts'
import { endMove, onMove, StorageCaller, type MoveHandler } from '../../support/scripted-mover.ts'
import { STUDY, sliceUid } from '../../support/slices.ts'

// What a web client sees of a retrieve by C-MOVE.

failOnLeaks()

const kept = keeper()

async function gatewayTo(
  archive: { aeTitle: string; port: number },
  port: number,
  http: object = {},
): Promise<Gateway> {
  const config = parseConfig({
    http: { port: 0, ...http },
    dimse: { host: '127.0.0.1', port },
    archives: [{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port, retrieve: 'move' }],
    log: { level: 'silent' },
  })
  return kept(await startGateway(config))
}

async function withDemo(
  files: readonly Buffer[],
  faults: Faults = {},
  known = true,
): Promise<{ demo: DemoArchive; gateway: Gateway; port: number }> {
  const port = await freePort()
  const destinations = known ? { DIMSEGATE: { host: '127.0.0.1', port } } : {}
  const demo = kept(await DemoArchive.start({ destinations, faults }))
  for (const file of files) await demo.put(file)
  return { demo, gateway: await gatewayTo(demo, port), port }
}

async function withMover(
  shapes: Parameters<typeof listing>[0],
  handler: (caller: () => Promise<StorageCaller>) => MoveHandler,
  http: object = {},
): Promise<{ gateway: Gateway; port: number }> {
  const port = await freePort()
  const scripted = kept(await ScriptedArchive.start({ find: listing(shapes) }))
  scripted.script.other = onMove(handler(async () => kept(await StorageCaller.open(port))))
  return { gateway: await gatewayTo({ aeTitle: 'PACS', port: scripted.address.port }, port, http), port }
}

async function get(url: string): Promise<{ status: number; type: string; body: Buffer }> {
  const response = await fetch(url)
  const body = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type') ?? '', body }
}

async function refusals(gateway: Gateway): Promise<string[]> {
  const { text } = await gateway.telemetry.metrics()
  return text.split('\n').filter((line) => line.startsWith('dimsegate_refused_stores_total{'))
}

describe('a retrieve by C-MOVE', () => {
  it.each(['', `/series/${E}`, `/series/${E}/instances/${E}.2`])(
    'of /studies/S%s is what the archive holds',
    async (path) => {
      const { gateway, demo } = await withDemo(seriesFiles(3))
      const { status, type, body } = await get(`${gateway.url}/studies/${S}${path}`)
      expect(status).toBe(200)
      const came = readParts(type, body).map((part) => splitPart10(part.body).sopInstance)
      expect(came).toEqual(path.endsWith('2') ? [`${E}.2`] : [1, 2, 3].map((n) => `${E}.${n}`))
      expect(demo.retrievals).toBe(0)
    },
  )

  it('of an archive that does not know our AE title is a 502 that tells what to do (A801)', async () => {
    const { gateway } = await withDemo(seriesFiles(1), {}, false)
    const { status, type, body } = await get(`${gateway.url}/studies/${S}`)
    expect([status, type]).toEqual([502, 'application/problem+json'])
    const problem = JSON.parse(body.toString()) as { detail: string; dicom: unknown }
    expect(problem.dicom).toEqual({ status: 'A801' })
    expect(problem.detail).toContain('dimse.aeTitle')
    expect(problem.detail).toContain('dimse.port')
  })

  it('that cannot come whole is a 206 of what did come', async () => {
    const { gateway } = await withDemo(seriesFiles(4), { getFails: (uid) => uid === `${E}.3` })
    const { status, type, body } = await get(`${gateway.url}/studies/${S}`)
    expect(status).toBe(206)
    const came = readParts(type, body).map((part) => splitPart10(part.body).sopInstance)
    expect(came).toEqual([1, 2, 4].map((n) => `${E}.${n}`))
  })

  it.each([
    ['did not all come', 80_000, { getFails: (uid: string) => uid === `${E}.4` }],
    ['end inside an element', 3_000_000, { endAfterBytes: 2_000_000 }],
  ])('whose instances %s when the status line is out is cut', async (_, pixelBytes, faults) => {
    const { gateway } = await withDemo(seriesFiles(4, { pixelBytes }), faults)
    const client = kept(await RawClient.connect(gateway.port))
    await client.request('GET', `/dicomweb/studies/${S}`, { Accept: '*/*' })
    await client.closed()
    expect(client.status).toBe(200)
    expect(client.isWhole).toBe(false)
  })

  it('of what is not there is a 404', async () => {
    const { gateway } = await withDemo(seriesFiles(1))
    expect((await get(`${gateway.url}/studies/${I}`)).status).toBe(404)
  })

  it('of an archive that moves under another name is no success, and counted', async () => {
    const { gateway } = await withDemo(seriesFiles(1), { movesAs: 'ROGUE' })
    const { status } = await get(`${gateway.url}/studies/${S}`)
    expect(status).toBeGreaterThanOrEqual(500)
    expect((await refusals(gateway)).join()).toMatch(/reason="unknown-caller"\} [1-9]/)
  })

  it('whose client leaves is cancelled, and the next client is served', async () => {
    const { gateway } = await withDemo(seriesFiles(30, { pixelBytes: 300_000 }))
    const client = kept(await RawClient.connect(gateway.port))
    await client.request('GET', `/dicomweb/studies/${S}`, { Accept: '*/*' })
    await eventually(() => expect(client.text.length).toBeGreaterThan(0))
    await client[Symbol.asyncDispose]()
    await eventually(() => expect(gateway.archives[0]!.stats.leased).toBe(0))
    expect((await get(`${gateway.url}/studies/${S}/series/${E}/instances/${E}.30`)).status).toBe(200)
  })
})

describe('what nobody asked for', () => {
  it('is counted by its reason', async () => {
    const over = Promise.withResolvers<undefined>()
    const { gateway, port } = await withMover([{}], (caller) => async (association, message, originator) => {
      const storage = await caller()
      await storage.store({ study: '1.2.66', series: '1.2.66.1' }, { originator })
      await storage.store({ series: '../x' }, { originator })
      await storage.store({}, { originator })
      over.resolve(undefined)
      await endMove(association, message, { completed: 1, failed: 2, status: 0xb000 })
    })
    expect((await get(`${gateway.url}/studies/${STUDY}`)).status).toBe(200)
    await over.promise
    const contexts = [{ id: 1, abstractSyntax: CT, transferSyntaxes: [EXPLICIT_LE] }]
    const stranger = kept(await StorageCaller.open(port, { callingAeTitle: 'STRANGER', contexts }))
    expect(stranger.rejection).toEqual([1, 1, 3])
    expect((await refusals(gateway)).sort()).toEqual([
      'dimsegate_refused_stores_total{reason="unexpected"} 1',
      'dimsegate_refused_stores_total{reason="unknown-caller"} 1',
      'dimsegate_refused_stores_total{reason="unreadable"} 1',
    ])
  })
})

describe('a service that stops', () => {
  it('while an archive delivers ends the response, the C-MOVE and the listener in good time', async () => {
    const begun = Promise.withResolvers<StorageCaller>()
    const { gateway, port } = await withMover(
      [{ number: 1 }, { number: 2 }],
      (caller) => async (association, _message, originator) => {
        const storage = await caller()
        await storage.store({ number: 1, size: 200_000 }, { originator })
        const bytes = storage.bytes({ number: 2, size: 500_000 }, { originator, fragments: [60_000] })
        await storage.peer.send(bytes.subarray(0, 200_000))
        begun.resolve(storage)
        await association.next()
      },
      { shutdownGrace: '300ms' },
    )
    const client = kept(await RawClient.connect(gateway.port))
    await client.request('GET', `/dicomweb/studies/${STUDY}`, { Accept: '*/*' })
    const storage = await begun.promise
    const silent = await StorageCaller.connect(port)
    await eventually(() => expect(client.text).toContain(sliceUid(1)))
    const start = performance.now()
    await gateway.stop()
    expect(performance.now() - start).toBeLessThan(9_000)
    await client.closed()
    expect([client.status, client.isWhole]).toEqual([200, false])
    await Promise.all([storage.peer.closed(), silent.closed()])
    silent.socket.destroy()
    storage.peer.socket.destroy()
    await expect(StorageCaller.connect(port)).rejects.toThrow()
    await eventually(() => expect(connectionsTo(port) ?? 0).toBe(0))
  })
})
