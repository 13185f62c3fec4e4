import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { encodeXml } from '../../../src/dicomweb/encode/xml.ts'
import { CT, E, I, instanceFile, MR, S } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startGatewayFor, startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { related } from '../../support/related.ts'

failOnLeaks()

const JSON_TYPE = 'application/dicom+json'
type Json = Record<string, { vr: string; Value?: Record<string, { Value?: unknown[] }>[] }>

const reference = (sopInstance: string, sopClass = CT) => ({
  '00081150': { vr: 'UI', Value: [sopClass] },
  '00081155': { vr: 'UI', Value: [sopInstance] },
})
const requestOf = (...sopInstances: readonly string[]) => ({
  '00081199': { vr: 'SQ', Value: sopInstances.map((uid) => reference(uid)) },
})

let uids = 0
const newUid = (): string => `2.25.${++uids}`

function ask(setup: Setup, body: unknown, uid = newUid(), headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${setup.url}/commitment-requests/${uid}`, {
    method: 'POST',
    headers: { 'Content-Type': JSON_TYPE, Accept: JSON_TYPE, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** A client that waits for the result of a request, once the archive has been asked. Call what is returned for it to leave. */
async function waiting(setup: Setup, uid = newUid()): Promise<() => Promise<void>> {
  const gone = new AbortController()
  const asked = fetch(`${setup.url}/commitment-requests/${uid}`, {
    method: 'POST',
    headers: { 'Content-Type': JSON_TYPE },
    body: JSON.stringify(requestOf(I)),
    signal: gone.signal,
  }).catch(() => undefined)
  await eventually(() => expect(setup.archive.commitments).toBe(1))
  return async () => {
    gone.abort()
    await asked
  }
}

const result = (
  setup: Setup,
  uid: string,
  headers: Record<string, string> = { Accept: JSON_TYPE },
): Promise<Response> => fetch(`${setup.url}/commitment-requests/${uid}`, { headers })

/** UIDs that an answer names as committed, and as failed with their reasons. */
async function told(response: Response): Promise<{ committed: unknown[]; failed: unknown[] }> {
  expect(response.status).toBe(200)
  const json = (await response.json()) as Json
  const uidsOf = (tag: string): unknown[] =>
    (json[tag]?.Value ?? []).map((one) => [one['00081155']?.Value?.[0], one['00081197']?.Value?.[0]])
  return { committed: uidsOf('00081199').map((one) => (one as unknown[])[0]), failed: uidsOf('00081198') }
}

/** A gateway, with a listener where reports come by associations of the archive's own. */
async function start(faults: Faults = {}, options: SetupOptions = {}): Promise<Setup> {
  const port = await freePort()
  const { commitment = { wait: '10s' } } = (options.pacs ?? {}) as { commitment?: object }
  return startSetup({
    files: [instanceFile()],
    ...options,
    archive: { faults, destinations: { DIMSEGATE: { host: '127.0.0.1', port } }, ...options.archive },
    pacs: { ...options.pacs, commitment },
    others: { dimse: { enabled: 'auto', host: '127.0.0.1', port }, ...options.others },
  })
}

describe('a commitment request (PS3.18 13.4)', () => {
  it('comes to what the archive keeps safe, by one question', async () => {
    const statuses: number[] = []
    await using setup = await start({ reported: (status) => void statuses.push(status) })
    expect(await told(await ask(setup, requestOf(I, '1.9')))).toEqual({ committed: [I], failed: [['1.9', 0x0112]] })
    expect(setup.archive.commitments).toBe(1)
    expect(statuses).toEqual([0])
    await eventually(() => expect(setup.archive.associations).toBe(0))
  })

  it.each([
    ['in a list of one', [requestOf(I)]],
    ['as text/json’s kin', requestOf(I)],
  ])('is taken %s', async (_, body) => {
    await using setup = await start()
    const response = await ask(setup, body, newUid(), {
      'Content-Type': 'application/json',
      Accept: 'application/json',
    })
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await told(response)).toEqual({ committed: [I], failed: [] })
  })

  it('is taken, and answered, in XML', async () => {
    await using setup = await start()
    const dataset = new Dataset().setItems(Attribute.ReferencedSOPSequence, [
      new Dataset().set(Attribute.ReferencedSOPClassUID, CT).set(Attribute.ReferencedSOPInstanceUID, I),
    ])
    const XML = 'application/dicom+xml'
    const response = await ask(setup, encodeXml(dataset), newUid(), { 'Content-Type': XML, Accept: XML })
    expect(response.headers.get('content-type')).toBe(XML)
    expect(await response.text()).toBe(encodeXml(dataset))
    const parts = await ask(setup, requestOf(I), newUid(), { Accept: `multipart/related; type="${XML}"` })
    expect(parts.headers.get('content-type')).toMatch(/^multipart\/related; type="application\/dicom\+xml"; boundary=/)
    expect(await parts.text()).toContain(encodeXml(dataset))
  })

  it('by studies and series is answered by them', async () => {
    await using setup = await start()
    const series = {
      '0020000E': { vr: 'UI', Value: [E] },
      '00081112': {
        vr: 'SQ',
        Value: [
          { '00081150': { vr: 'UI', Value: [CT] }, '0008114A': { vr: 'SQ', Value: [reference(I), reference('1.9')] } },
        ],
      },
    }
    const body = {
      '00081110': {
        vr: 'SQ',
        Value: [{ '0020000D': { vr: 'UI', Value: [S] }, '00081115': { vr: 'SQ', Value: [series] } }],
      },
    }
    const response = await ask(setup, body)
    const json = (await response.json()) as Json
    expect(json['00081199']).toBeUndefined()
    const [study] = json['00081110']!.Value! as unknown as (typeof body)['00081110']['Value']
    expect(study!['0020000D'].Value).toEqual([S])
    expect(study!['00081115'].Value[0]!['00081112'].Value[0]!['0008114A'].Value).toEqual([reference(I)])
    expect(json['00081198']!.Value![0]!['00081155']!.Value).toEqual(['1.9'])
  })

  it('is answered when the archive reports over an association of its own', async () => {
    const statuses: number[] = []
    await using setup = await start({ reportsOwn: true, reported: (status) => void statuses.push(status) })
    expect(await told(await ask(setup, requestOf(I)))).toEqual({ committed: [I], failed: [] })
    await eventually(() => expect(statuses).toEqual([0]))
  })

  it('is answered though that association does not say who is the SCP', async () => {
    await using setup = await start({ reportsOwn: true, withoutRoles: true })
    expect(await told(await ask(setup, requestOf(I)))).toEqual({ committed: [I], failed: [] })
  })

  it('whose report does not come in time is 202, and its result is there when it has come', async () => {
    const late = Promise.withResolvers<undefined>()
    await using setup = await start(
      { reportsOwn: true, beforeReport: () => late.promise.then(() => undefined) },
      { pacs: { commitment: { wait: '50ms' } } },
    )
    const uid = newUid()
    const pending = await ask(setup, requestOf(I), uid)
    expect([pending.status, pending.headers.get('retry-after'), pending.headers.get('location')]).toEqual([
      ...[202, '5', `${setup.url}/commitment-requests/${uid}`],
    ])
    expect((await result(setup, uid)).status).toBe(202)
    late.resolve(undefined)
    await eventually(async () => expect((await result(setup, uid)).status).toBe(200))
    expect(await told(await result(setup, uid))).toEqual({ committed: [I], failed: [] })
    expect(setup.archive.commitments).toBe(1)
  })

  it('holds its association no longer than nobody else waits for it', async () => {
    await using setup = await start(
      { onReport: () => 'none' },
      { pacs: { maxAssociations: 1, commitment: { wait: '20s' } } },
    )
    const leave = await waiting(setup)
    expect((await fetch(`${setup.url}/studies`)).status).toBe(200)
    await leave()
  })

  it('whose archive does not say whether it has taken it may be reported all the same', async () => {
    // The archive is asked, and answers nothing.
    await using setup = await start({ actionStatus: 'none' }, { pacs: { timeouts: { response: '100ms' } } })
    const uid = newUid()
    expect((await ask(setup, requestOf(I), uid)).status).toBe(504)
    expect((await ask(setup, requestOf(I), uid)).status).toBe(409)
    expect((await result(setup, uid)).status).toBe(202)
    const information = new Dataset().set(Attribute.TransactionUID, uid)
    information.setItems(Attribute.ReferencedSOPSequence, [
      new Dataset().set(Attribute.ReferencedSOPClassUID, CT).set(Attribute.ReferencedSOPInstanceUID, I),
    ])
    const report = {
      sopClass: '1.2.840.10008.1.20.1',
      sopInstance: '1.2.840.10008.1.20.1.1',
      eventTypeId: 1,
      information,
    }
    expect(await setup.gateway.archives[0]!.commitments.take(report)).toBe(0)
    expect(await told(await result(setup, uid))).toEqual({ committed: [I], failed: [] })
  })

  it('names up to 10,000 instances', async () => {
    await using setup = await start()
    const uids = Array.from({ length: 10_001 }, (_, n) => `1.2.${n}`)
    const response = await ask(setup, requestOf(...uids))
    expect([response.status, await response.json()]).toMatchObject([413, { code: 'TOO_MANY_REFERENCES' }])
    const most = await told(await ask(setup, requestOf(...uids.slice(1))))
    expect(most.failed).toHaveLength(10_000)
  })

  it('lets its association go for who stores, too', async () => {
    await using setup = await start(
      { onReport: () => 'none' },
      { pacs: { maxAssociations: 2, commitment: { wait: '20s' } } },
    )
    const leave = await waiting(setup)
    const { type, body } = related([instanceFile({ instance: `${E}.9` })])
    const since = performance.now()
    const sent = { method: 'POST', headers: { 'Content-Type': type }, body: new Uint8Array(body) }
    expect((await fetch(`${setup.url}/studies`, sent)).status).toBe(200)
    expect(performance.now() - since).toBeLessThan(10_000)
    await leave()
  })

  it('goes on when its client leaves', async () => {
    const late = Promise.withResolvers<undefined>()
    await using setup = await start({ reportsOwn: true, beforeReport: () => late.promise.then(() => undefined) })
    const uid = newUid()
    const leave = await waiting(setup, uid)
    await leave()
    late.resolve(undefined)
    await eventually(async () => expect((await result(setup, uid)).status).toBe(200))
  })

  it('takes nothing for committed that the report does not name', async () => {
    await using setup = await start({
      onReport: (information) => (information.delete(Attribute.ReferencedSOPSequence), information),
    })
    expect(await told(await ask(setup, requestOf(I)))).toEqual({ committed: [], failed: [[I, 0x0110]] })
  })

  it('says 0119 where the archive has the instance as one of another class', async () => {
    await using setup = await start()
    const body = { '00081199': { vr: 'SQ', Value: [reference(I, MR)] } }
    expect(await told(await ask(setup, body))).toEqual({ committed: [], failed: [[I, 0x0119]] })
  })

  it('is made once by a Transaction UID', async () => {
    await using setup = await start()
    const uid = newUid()
    expect((await ask(setup, requestOf(I), uid)).status).toBe(200)
    const again = await ask(setup, requestOf(I), uid)
    expect([again.status, await again.json()]).toMatchObject([409, { code: 'TRANSACTION_IN_USE' }])
    expect(setup.archive.commitments).toBe(1)
  })

  it('that the archive refuses may be made again by its UID', async () => {
    await using setup = await start({ actionStatus: 0x0213 })
    const uid = newUid()
    const refused = await ask(setup, requestOf(I), uid)
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { code: 'DIMSE_STATUS', dicom: { status: '0213' } },
    ])
    setup.archive.faults = {}
    expect((await ask(setup, requestOf(I), uid)).status).toBe(200)
  })

  it.each<[string, unknown, Record<string, string>, number, string]>([
    ['no JSON', '{', {}, 400, 'INVALID_MODEL'],
    ['no instance', {}, {}, 400, 'INVALID_MODEL'],
    [
      'an instance without a class',
      { '00081199': { vr: 'SQ', Value: [{ '00081155': { vr: 'UI', Value: [I] } }] } },
      {},
      400,
      'INVALID_MODEL',
    ],
    [
      'an instance in two ways',
      { '00081199': { vr: 'SQ', Value: [reference(I), reference(I, MR)] } },
      {},
      400,
      'INVALID_MODEL',
    ],
    ['two data sets', [requestOf(I), requestOf(I)], {}, 400, 'INVALID_MODEL'],
    ['another type', requestOf(I), { 'Content-Type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a coding', requestOf(I), { 'Content-Encoding': 'gzip' }, 415, 'CONTENT_ENCODING'],
    ['what is not accepted', requestOf(I), { Accept: 'image/jpeg' }, 406, 'NOT_ACCEPTABLE'],
    ['too much', ' '.repeat(4 * 1024 * 1024 + 1), {}, 413, 'BODY_TOO_LARGE'],
  ])('is refused with %s, and the archive is not asked', async (_, body, headers, status, code) => {
    await using setup = await start()
    const response = await ask(setup, body, newUid(), headers)
    expect([response.status, await response.json()]).toMatchObject([status, { code }])
    expect(setup.archive.commitments).toBe(0)
  })

  it('says of a UID that is none that it is none', async () => {
    await using setup = await start()
    const response = await ask(setup, requestOf(I), '2.25.x')
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'INVALID_UID' }])
  })
})

describe('a store that is to be committed', () => {
  const store = (setup: Setup, query = '?commit=true'): Promise<Response> => {
    const { type, body } = related([instanceFile({ instance: `${E}.3` }), instanceFile({ instance: `${E}.4` })])
    const sent = { method: 'POST', headers: { 'Content-Type': type }, body: new Uint8Array(body) }
    return fetch(`${setup.url}/studies${query}`, sent)
  }

  it('is 200 when the archive has promised to keep all of it', async () => {
    await using setup = await start()
    expect(await told(await store(setup))).toEqual({ committed: [`${E}.3`, `${E}.4`], failed: [] })
    expect(setup.archive.commitments).toBe(1)
    expect((await store(setup, '')).status).toBe(200)
    expect(setup.archive.commitments).toBe(1)
  })

  it('is 202 where it does not keep all, and names that as failed', async () => {
    const onReport = (information: Dataset): Dataset => {
      const [first, second] = information.items(Attribute.ReferencedSOPSequence)
      return information
        .setItems(Attribute.ReferencedSOPSequence, [first!])
        .setItems(Attribute.FailedSOPSequence, [second!.set(Attribute.FailureReason, 0x0213)])
    }
    await using setup = await start({ onReport })
    const response = await store(setup)
    expect(response.status).toBe(202)
    const json = (await response.json()) as Json
    expect(json['00081199']!.Value!.map((one) => one['00081155']!.Value)).toEqual([[`${E}.3`]])
    expect(json['00081198']!.Value!.map((one) => [one['00081155']!.Value, one['00081197']!.Value])).toEqual([
      [[`${E}.4`], [0x0213]],
    ])
  })

  it('is 202 where the archive has yet to say, and says where its answer will be', async () => {
    const late = Promise.withResolvers<undefined>()
    const beforeReport = () => late.promise.then(() => undefined)
    await using setup = await start({ reportsOwn: true, beforeReport }, { pacs: { commitment: { wait: '50ms' } } })
    const response = await store(setup)
    expect([response.status, response.headers.get('retry-after')]).toEqual([202, '5'])
    late.resolve(undefined)
    const at = response.headers.get('location')!
    await eventually(async () => expect((await fetch(at)).status).toBe(200))
  })

  it('is 202 where the archive cannot be asked: what is stored stays stored', async () => {
    await using setup = await start({ actionStatus: 0x0110 })
    const response = await store(setup)
    expect([response.status, response.headers.get('warning')]).toEqual([
      202,
      expect.stringContaining('could not be asked: DIMSE_STATUS') as string,
    ])
    expect(((await response.json()) as Json)['00081199']!.Value).toHaveLength(2)
  })

  it('is refused where it says neither yes nor no, and nothing is stored', async () => {
    await using setup = await start()
    const response = await store(setup, '?commit=maybe')
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'INVALID_PARAMETER' }])
    expect(setup.archive.catalog.size).toBe(1)
  })
})

describe('an archive without storage commitment', () => {
  const without: Faults = { acceptsClass: (uid) => uid !== '1.2.840.10008.1.20.1' }

  it('is 501', async () => {
    await using setup = await start(without)
    const response = await ask(setup, requestOf(I))
    expect([response.status, await response.json()]).toMatchObject([501, { code: 'NOT_SUPPORTED_BY_ARCHIVE' }])
  })

  it('is looked at by C-FIND where that is configured, and the answer says that it is no promise', async () => {
    await using setup = await start(without, {
      archive: { relational: true },
      pacs: { commitment: { fallback: 'query' } },
    })
    const body = { '00081199': { vr: 'SQ', Value: [reference(I), reference('1.9')] } }
    const response = await ask(setup, body)
    expect(response.headers.get('warning')).toMatch(/^299 .*does not promise to keep them/)
    expect(await told(response)).toEqual({ committed: [I], failed: [['1.9', 0x0112]] })
  })

  it('that finds instances by their series alone wants them named so', async () => {
    await using setup = await start(without, { pacs: { commitment: { fallback: 'query' } } })
    const response = await ask(setup, requestOf(I))
    expect([response.status, await response.json()]).toMatchObject([
      501,
      { detail: expect.stringContaining('Referenced Study Sequence') as string },
    ])
  })
})

describe('the result of a commitment request (PS3.18 13.5)', () => {
  it('is 404 where none was made, and 410 when its time is over', async () => {
    await using setup = await start({}, { pacs: { commitment: { wait: '400ms', keep: '500ms' } } })
    const none = await result(setup, newUid())
    expect([none.status, await none.json()]).toMatchObject([404, { code: 'NO_SUCH_COMMITMENT' }])
    const uid = newUid()
    expect((await ask(setup, requestOf(I), uid)).status).toBe(200)
    await eventually(async () => expect((await result(setup, uid)).status).toBe(410))
  })
})

describe('archives that call by one title', () => {
  it('are not taken one for the other', async () => {
    const port = await freePort()
    const [host, statuses] = ['127.0.0.1', [] as number[]]
    const destinations = { DIMSEGATE: { host, port } }
    const faults: Faults = { reportsOwn: true, reported: (status) => void statuses.push(status) }
    await using first = await DemoArchive.start({ aeTitle: 'AAA', destinations, faults: { onReport: () => 'none' } })
    await using second = await DemoArchive.start({ aeTitle: 'BBB', destinations, faults })
    await second.put(instanceFile())
    const commitment = { wait: '300ms' }
    await using gateway = await startGatewayFor(
      [
        { aeTitle: 'AAA', host, port: first.port, commitment, delivery: { aeTitles: ['BBB'] } },
        { aeTitle: 'BBB', host, port: second.port, commitment },
      ],
      {},
      {},
      { dimse: { enabled: 'auto', host, port } },
    )
    const uid = newUid()
    const asked = ['AAA', 'BBB'].map((aeTitle) =>
      fetch(`${gateway.url}/aets/${aeTitle}/commitment-requests/${uid}`, {
        method: 'POST',
        headers: { 'Content-Type': JSON_TYPE },
        body: JSON.stringify(requestOf(I)),
      }),
    )
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([202, 202])
    await eventually(() => expect(statuses).toEqual([0x0110]))
  })
})

describe('reports that nobody waits for', () => {
  it('are answered by 0110', async () => {
    const statuses: number[] = []
    await using setup = await start(
      {
        reportsOwn: true,
        reported: (status) => void statuses.push(status),
        onReport: (information) => information.set(Attribute.TransactionUID, '1.2.3.4'),
      },
      { pacs: { commitment: { wait: '200ms' } } },
    )
    expect((await ask(setup, requestOf(I))).status).toBe(202)
    await eventually(() => expect(statuses).toEqual([0x0110]))
  })

  it('that come again are taken, and change nothing', async () => {
    await using setup = await start()
    const uid = newUid()
    expect(await told(await ask(setup, requestOf(I), uid))).toEqual({ committed: [I], failed: [] })
    const take = setup.gateway.archives[0]!.commitments.take.bind(setup.gateway.archives[0]!.commitments)
    const information = new Dataset().set(Attribute.TransactionUID, uid)
    const again = { sopClass: '1.2.840.10008.1.20.1', sopInstance: '1.2.840.10008.1.20.1.1', information }
    expect(await take({ ...again, eventTypeId: 1 })).toBe(0)
    expect(await take({ ...again, eventTypeId: 3 })).toBe(0x0113)
    expect(await told(await result(setup, uid))).toEqual({ committed: [I], failed: [] })
  })
})
