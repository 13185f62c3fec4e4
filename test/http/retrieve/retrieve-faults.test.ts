import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { RequestEvent } from '../../../src/http/app.ts'
import { CT, E, I, instanceFile, MR, S, seriesFiles, Syntax } from '../../support/dicom-files.ts'
import { startGatewayFor, startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { SopClass } from '../../../src/dicom/uids.ts'
import { getResponse, STUDY_ROOT_GET } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { published } from '../../support/published.ts'
import { readParts } from '../../support/multipart.ts'
import { splitPart10 } from '../../support/part10.ts'
import { RawClient } from '../../support/raw-http.ts'
import { findAnswer, ScriptedArchive } from '../../support/scripted-archive.ts'
import { Field, WireTap } from '../../support/wire-tap.ts'

const STUDY = `/dicomweb/studies/${S}`
const INSTANCE = `${STUDY}/series/${E}/instances`

const kept = keeper()
const events = published('dimsegate:request')

async function started(options: SetupOptions): Promise<Setup> {
  return kept(await startSetup(options))
}

/** Compressed syntaxes are refused: a try in each of them is not what is looked at. */
const nativeOnly = {
  acceptsSyntax: (uid: string): boolean => !uid.startsWith('1.2.840.10008.1.2.4') && uid !== '1.2.840.10008.1.2.5',
}
/** Three of these are more than what is held back before the status line. */
const BIG = 40_000

async function get(url: string): Promise<{ status: number; retryAfter: string | null; type: string; body: Buffer }> {
  const response = await fetch(url)
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    type: response.headers.get('content-type') ?? '',
    body: Buffer.from(await response.arrayBuffer()),
  }
}

/** Everything that comes until the connection ends. */
async function cut(setup: Setup, target: string, accept = '*/*'): Promise<RawClient> {
  const client = kept(await RawClient.connect(setup.port))
  await client.request('GET', target, { Accept: accept })
  await client.closed()
  return client
}

/** The event of a request, which is published behind the end that the client sees. */
async function event(): Promise<RequestEvent> {
  await vi.waitFor(() => expect(events).not.toEqual([]), { timeout: 5000, interval: 5 })
  return events[0]!
}

async function expectCut(client: RawClient): Promise<void> {
  expect(client.status).toBe(200)
  expect(client.isWhole).toBe(false)
  const boundary = /boundary=(\w+)/.exec(client.text)?.[1]
  if (boundary !== undefined) expect(client.text).not.toContain(`--${boundary}--`)
  expect(await event()).toMatchObject({ method: 'GET', status: 200, cut: true })
}

describe('a retrieve that fails behind the first byte', () => {
  it('is cut, without a last chunk or closing boundary (case 21)', async () => {
    const setup = await started({ files: seriesFiles(10, { pixelBytes: BIG }), archive: { faults: { abortAfter: 3 } } })
    const client = await cut(setup, STUDY)
    await expectCut(client)
    expect(client.text.match(/Content-Type: application\/dicom; transfer-syntax/g)!.length).toBeGreaterThanOrEqual(1)
    expect(client.received.length).toBeGreaterThan(BIG)
    expect((await event()).error).toMatchObject({ code: 'ASSOCIATION_ABORTED' })
    await expect(fetch(`${setup.origin}${STUDY}`).then((response) => response.arrayBuffer())).rejects.toThrow()
  })

  it('is cut where it is a single file too', async () => {
    const setup = await started({
      files: [instanceFile({ pixelBytes: 3_000_000 })],
      archive: { faults: { stallAfterBytes: 2_000_000 } },
      timeouts: { response: '300ms' },
    })
    const client = await cut(setup, `${INSTANCE}/${I}`, 'application/dicom')
    await expectCut(client)
    expect(client.text).not.toMatch(/content-length/i)
    expect((await event()).error).toMatchObject({ code: 'PEER_TIMEOUT' })
  })

  it('is cut where the archive calls whole what ends inside an element', async () => {
    const setup = await started({
      files: [instanceFile({ pixelBytes: 4_000_000 })],
      archive: { faults: { endAfterBytes: 2_000_000 } },
    })
    for (const accept of ['application/dicom', undefined]) {
      const headers = accept === undefined ? {} : { accept }
      const fetched = fetch(`${setup.origin}${INSTANCE}/${I}`, { headers }).then((response) => response.arrayBuffer())
      await expect(fetched).rejects.toThrow()
    }
  })

  it('is cut where some instances did not come', async () => {
    const setup = await started({
      files: seriesFiles(10, { pixelBytes: BIG }),
      archive: { faults: { ...nativeOnly, getFails: (uid) => uid === `${E}.10` } },
    })
    const client = await cut(setup, STUDY)
    await expectCut(client)
    // What had not been sent when the connection was cut is gone with it.
    const parts = client.text.match(/Content-Type: application\/dicom; transfer-syntax/g)!.length
    expect(parts).toBeGreaterThanOrEqual(8)
    expect(parts).toBeLessThanOrEqual(9)
    expect((await event()).error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE' })
  })

  it('is cut where the rest is not acceptable to the client', async () => {
    const setup = await started({
      files: [
        ...seriesFiles(3, { pixelBytes: BIG }),
        instanceFile({
          instance: `${E}.9`,
          syntax: Syntax.jpegLossless,
          fragments: [Buffer.alloc(0), Buffer.alloc(8)],
        }),
      ],
    })
    await expectCut(await cut(setup, STUDY))
  })
})

describe('a retrieve that fails before the first byte', () => {
  it('is a 502 where the archive aborts', async () => {
    const setup = await started({ files: seriesFiles(4), archive: { faults: { abortAfter: 2 } } })
    const { status, body } = await get(setup.origin + STUDY)
    expect(status).toBe(502)
    expect(JSON.parse(body.toString())).toMatchObject({ code: 'ASSOCIATION_ABORTED' })
  })

  it('is a 504 where the archive begins an instance and stops', async () => {
    const setup = await started({
      files: seriesFiles(1),
      archive: { faults: { stallAfterBytes: 100 } },
      timeouts: { response: '200ms' },
    })
    expect((await get(setup.origin + STUDY)).status).toBe(504)
  })

  it('is a 206 of what did come, as long as none of it has been sent (case 57)', async () => {
    const setup = await started({
      files: seriesFiles(10),
      archive: { faults: { ...nativeOnly, getFails: (uid) => [`${E}.3`, `${E}.7`].includes(uid) } },
    })
    const { status, type, body } = await get(setup.origin + STUDY)
    expect(status).toBe(206)
    const came = readParts(type, body).map((part) => splitPart10(part.body).sopInstance)
    expect(came.sort()).toEqual([1, 2, 4, 5, 6, 8, 9, 10].map((n) => `${E}.${n}`).sort())
  })

  it('is a 200 where the second try brings what the first did not', async () => {
    const tries = new Map<string, number>()
    const setup = await started({
      files: seriesFiles(4),
      archive: {
        faults: {
          ...nativeOnly,
          getFails: (uid) => {
            tries.set(uid, (tries.get(uid) ?? 0) + 1)
            return uid === `${E}.2` && tries.get(uid) === 1
          },
        },
      },
    })
    const { status, type, body } = await get(setup.origin + STUDY)
    expect(status).toBe(200)
    expect(readParts(type, body)).toHaveLength(4)
    expect(setup.archive.retrievals).toBe(2)
  })

  it('is a 503 where no instance can be had: A702 (case 58)', async () => {
    const setup = await started({ files: seriesFiles(3), archive: { faults: { ...nativeOnly, getFails: () => true } } })
    const { status, retryAfter, body } = await get(setup.origin + STUDY)
    expect(status).toBe(503)
    expect(Number(retryAfter)).toBeGreaterThan(0)
    expect(JSON.parse(body.toString())).toMatchObject({ dicom: { status: 'A702' } })
  })

  it('is a 501 where the archive has neither C-GET nor C-MOVE', async () => {
    const setup = await started({
      files: seriesFiles(1),
      archive: { faults: { acceptsClass: (uid) => uid !== STUDY_ROOT_GET && uid !== SopClass.studyRootMove } },
    })
    const { status, body } = await get(setup.origin + STUDY)
    expect(status).toBe(501)
    expect(JSON.parse(body.toString())).toMatchObject({ code: 'NOT_SUPPORTED_BY_ARCHIVE' })
  })

  it.each([
    [0xa701, 503],
    [0xa702, 503],
    [0xa900, 502],
    [0xc001, 502],
    [0x0110, 502],
    [0x0112, 404],
    [0x0122, 501],
    [0x0124, 403],
    [0x0211, 502],
  ])('with status %i is HTTP %i (dimse.md 8)', async (status, http) => {
    const { url } = await withGet((messageId, contextId) =>
      getResponse({ messageId, contextId, status, completed: 0, failed: 1 }),
    )
    const answer = await get(`${url}/studies/${S}`)
    expect(answer.status).toBe(http)
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      dicom: { status: status.toString(16).toUpperCase().padStart(4, '0') },
    })
  })

  it('is a 502 where the archive lists a study, says success and sends nothing: it is there', async () => {
    const { url } = await withGet((messageId, contextId) => getResponse({ messageId, contextId, completed: 0 }))
    const { status, body } = await get(`${url}/studies/${S}`)
    expect([status, JSON.parse(body.toString())]).toMatchObject([502, { code: 'INCOMPLETE_RETRIEVE' }])
  })

  it('is a 404 where the query finds nothing, without a C-GET', async () => {
    const archive = kept(await ScriptedArchive.start({}))
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address }]))
    expect((await get(`${gateway.url}/studies/${S}`)).status).toBe(404)
    expect(archive.received(Field.get)).toEqual([])
  })

  it('is a 502 where the archive refuses connections', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]))
    expect((await get(`${gateway.url}/studies/${S}`)).status).toBe(502)
  })

  it('is a 504 where the archive does not answer the C-GET', async () => {
    const { url } = await withGet(() => Buffer.alloc(0), { timeouts: { response: '200ms' } })
    expect((await get(`${url}/studies/${S}`)).status).toBe(504)
  })

  /** An archive that finds one instance and answers a C-GET as told. */
  async function withGet(
    answer: (messageId: number, contextId: number) => Buffer,
    settings: object = {},
  ): Promise<{ url: string }> {
    const archive = kept(
      await ScriptedArchive.start({
        find: findAnswer(() => [
          new Dataset()
            .set(Attribute.Modality, 'CT')
            .set(Attribute.SOPClassUID, CT)
            .set(Attribute.SOPInstanceUID, I)
            .set(Attribute.StudyInstanceUID, S)
            .set(Attribute.SeriesInstanceUID, E),
        ]),
        get: async ({ peer }, { messageId, contextId }) => peer.send(answer(messageId, contextId)),
      }),
    )
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, ...settings }]))
    return { url: gateway.url }
  }
})

describe('a client that leaves in the middle', () => {
  it('has its C-GET cancelled, and the association goes on to be used', async () => {
    const setup = await started({ files: seriesFiles(40, { pixelBytes: 400_000 }) })
    const tap = kept(await WireTap.before(setup.archive.port))
    const gateway = kept(
      await startGatewayFor([{ aeTitle: 'DEMO', host: '127.0.0.1', port: tap.port, maxAssociations: 2 }]),
    )
    const client = await RawClient.connect(gateway.port)
    await client.request('GET', STUDY)
    await client.until(({ size }) => size > 500_000)
    client.socket.destroy()
    await vi.waitFor(() => expect(tap.count(Field.cancel)).toBe(1), { timeout: 5000, interval: 5 })
    const [stats] = gateway.archives.map(
      ({ stats }) =>
        () =>
          stats,
    )
    expect(stats).toBeDefined()
    await vi.waitFor(() => expect(gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 }), {
      timeout: 5000,
      interval: 5,
    })
    const before = tap.connections
    const answer = await get(`${gateway.url}/studies/${S}/series/${E}`)
    expect(readParts(answer.type, answer.body)).toHaveLength(40)
    expect(tap.aborts).toBe(0)
    expect(tap.connections).toBe(before)
    expect(await event()).toMatchObject({ cut: true })
  })

  it('many times leaves nothing behind', async () => {
    const setup = await started({ files: seriesFiles(12, { pixelBytes: 200_000 }), pacs: { maxAssociations: 2 } })
    for (let round = 0; round < 12; round++) {
      const client = await RawClient.connect(setup.port)
      await client.request('GET', STUDY)
      // Early, in the middle, late: wherever the retrieve is by then.
      await client.until(({ size }) => size > round * 100_000)
      client.socket.destroy()
    }
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 }), {
      timeout: 10_000,
      interval: 5,
    })
    expect(setup.archive.associations).toBeLessThanOrEqual(2)
    const { status, type, body } = await get(setup.origin + STUDY)
    expect(status).toBe(200)
    expect(readParts(type, body)).toHaveLength(12)
  })
})

describe('a client that does not read', () => {
  it('is given up after the stall time, and the association is free again', async () => {
    const setup = await started({
      files: seriesFiles(40, { pixelBytes: 1_000_000 }),
      pacs: { maxAssociations: 1 },
      timeouts: { stall: '300ms' },
    })
    const client = kept(await RawClient.connect(setup.port))
    await client.request('GET', STUDY)
    await client.until(({ size }) => size > 0)
    client.socket.pause()
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(0), { timeout: 8000, interval: 10 })
    expect(await event()).toMatchObject({ cut: true })
    expect((await get(`${setup.url}/studies`)).status).toBe(200)
  })

  it('does not keep others waiting', async () => {
    const setup = await started({
      files: [
        ...seriesFiles(40, { pixelBytes: 1_000_000 }),
        instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1', sopClass: MR }),
      ],
    })
    const slow = kept(await RawClient.connect(setup.port))
    await slow.request('GET', STUDY)
    await slow.until(({ size }) => size > 0)
    slow.socket.pause()
    for (let i = 0; i < 5; i++) {
      expect((await get(`${setup.url}/studies/1.2.9`)).status).toBe(200)
      expect((await get(`${setup.url}/studies?PatientID=123`)).status).toBe(200)
    }
    slow.socket.resume()
    await slow.until(({ isWhole }) => isWhole)
    expect(slow.size).toBeGreaterThan(40_000_000)
  })
})

it('ends what is under way when the service stops and its patience is over', async () => {
  const setup = await started({
    files: seriesFiles(40, { pixelBytes: 1_000_000 }),
    http: { shutdownGrace: '100ms' },
  })
  const client = kept(await RawClient.connect(setup.port))
  await client.request('GET', STUDY)
  await client.until(({ size }) => size > 0)
  client.socket.pause()
  await setup.gateway.stop()
  client.socket.resume()
  await client.closed()
  expect(client.isWhole).toBe(false)
})
