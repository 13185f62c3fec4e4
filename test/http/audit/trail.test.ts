import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { ConfigError } from '../../../src/config/config.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { MAX_LINES_A_MINUTE } from '../../../src/telemetry/spared-lines.ts'
import { CT, E, I, instanceFile, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { related } from '../../support/related.ts'

const { key, hash } = newApiKey()
/** Of somebody who may see and store one study. */
const bound = newApiKey()

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

interface Audited {
  readonly setup: Setup
  /** Events so far, without those of the start. */
  readonly events: () => Promise<AuditEvent[]>
}

async function audited(others: object = {}, pacs: object = {}): Promise<Audited> {
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-trail-'))
  opened.push(() => rm(folder, { recursive: true }))
  const file = join(folder, 'audit.jsonl')
  const scopes = ['search', 'retrieve', 'store']
  const auth = {
    keys: [
      { name: 'robot', hash, scopes },
      { name: 'bound', hash: bound.hash, scopes, study: S },
    ],
  }
  const setup = await startSetup({
    pacs,
    files: [
      ...seriesFiles(3),
      instanceFile({
        ...{ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' },
        change: (dataset) => dataset.set(Attribute.PatientID, 'P-9').set(Attribute.IssuerOfPatientID, 'HOSPITAL'),
      }),
    ],
    others: { auth, audit: { file }, ...others },
  })
  opened.push(() => setup[Symbol.asyncDispose]() as Promise<void>)
  const events = async (): Promise<AuditEvent[]> =>
    (await readFile(file, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(({ kind }) => kind !== 'application-start')
  return { setup, events }
}

interface Init {
  readonly method?: string
  readonly body?: Uint8Array<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string>>
}

const ask = async (url: string, init: Init = {}, token = key): Promise<number> => {
  const response = await fetch(url, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } })
  await response.arrayBuffer()
  return response.status
}

const who = {
  user: { kind: 'key', name: 'robot' },
  address: '127.0.0.1',
  archive: { name: 'demo', aeTitle: 'DEMO', host: '127.0.0.1' },
}

describe('the audit trail', () => {
  it('says who searched for what', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies?PatientName=Sample*&limit=5`)).toBe(200)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        {
          ...who,
          ...{ kind: 'query', outcome: 'success', verb: 'search', resource: '/dicomweb/studies' },
          query: 'PatientName=Sample*&limit=5',
        },
      ])
    })
  })

  it('says which instances of whom were given, when it begins and at the end', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies/${S}`)).toBe(200)
    await eventually(async () => {
      const [begin, end, ...more] = await events()
      expect(more).toEqual([])
      expect(begin).toMatchObject({ ...who, kind: 'begin-transferring', verb: 'retrieve', study: { uid: S } })
      expect(end).toMatchObject({
        ...who,
        ...{ kind: 'instances-transferred', outcome: 'success', verb: 'retrieve' },
        patient: { id: '123' },
        study: { uid: S, instances: { [CT]: 3 } },
      })
      expect(end!.bytes).toBeGreaterThan(1000)
    })
  })

  it.each([
    `/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1/frames/1`,
    `/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1/rendered`,
    `/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1/bulkdata/7FE00010`,
    `/studies/1.2.9/metadata`,
    `/studies/1.2.9/thumbnail`,
    `/wado?requestType=WADO&studyUID=1.2.9&seriesUID=1.2.9.1&objectUID=1.2.9.1.1`,
  ])('has the patient of %s', async (path) => {
    const { setup, events } = await audited()
    expect(await ask(setup.url + path)).toBe(200)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        {
          ...{ kind: 'instances-transferred', outcome: 'success', patient: { id: 'P-9', issuer: 'HOSPITAL' } },
          study: { uid: '1.2.9', instances: { [CT]: 1 } },
        },
      ])
    })
  })

  it.each([
    ['held', undefined],
    ['not held', { maxBytes: 0 }],
  ])('has whose it is that a browser holds, and is told to show: %s', async (_, cache) => {
    const { setup, events } = await audited(cache && { cache })
    const series = `${setup.url}/studies/${S}/series/${E}`
    const paths = [`${series}/metadata`, `${series}/instances/${E}.1/frames/1`, `${series}/thumbnail`]
    for (const path of paths) {
      const headers = { Authorization: `Bearer ${key}`, Accept: '*/*' }
      const first = await fetch(path, { headers })
      await first.arrayBuffer()
      expect(await ask(path, { headers: { ...headers, 'If-None-Match': first.headers.get('etag')! } })).toBe(304)
    }
    await eventually(async () => {
      const all = (await events()).filter(({ kind }) => kind === 'instances-transferred')
      expect(all.map(({ patient, study }) => ({ patient, instances: study?.instances }))).toEqual(
        [3, 3, 1, 1, 1, 1].map((count) => ({ patient: { id: '123' }, instances: { [CT]: count } })),
      )
    })
  })

  it('says what was stored, of each study', async () => {
    const { setup, events } = await audited()
    const files = ['1.2.77', '1.2.78'].map((study) =>
      instanceFile({ study, series: `${study}.1`, instance: `${study}.1.1` }),
    )
    const { type, body } = related([...files, Buffer.from('garbage')])
    const init = { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } }
    expect(await ask(`${setup.url}/studies`, init)).toBe(202)
    await eventually(async () => {
      const of = (uid: string): object => ({
        ...{ ...who, kind: 'instances-transferred', verb: 'store', outcome: 'minor-failure', patient: { id: '123' } },
        study: { uid, instances: { [CT]: 1 } },
      })
      expect(await events()).toMatchObject([of('1.2.77'), of('1.2.78')])
    })
  })

  it('says what failed, and why', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies/9.9`)).toBe(404)
    setup.archive.faults = { findStatus: 0xa700 }
    expect(await ask(`${setup.url}/studies?PatientID=1`)).toBe(503)
    await eventually(async () => {
      expect((await events()).filter(({ kind }) => kind !== 'begin-transferring')).toMatchObject([
        {
          kind: 'instances-transferred',
          outcome: 'serious-failure',
          reason: 'NO_SUCH_INSTANCE',
          study: { uid: '9.9' },
        },
        { kind: 'query', outcome: 'serious-failure', reason: 'DIMSE_STATUS' },
      ])
    })
  })

  it('has an alert for who is not let in, and for what he may not do', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies`, {}, newApiKey().key)).toBe(401)
    expect(await ask(`${setup.origin}/metrics`)).toBe(403)
    // Who has not signed in yet is none.
    expect((await fetch(`${setup.url}/studies`)).status).toBe(401)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        { kind: 'security-alert', reason: 'TOKEN_REFUSED', address: '127.0.0.1', resource: '/dicomweb/studies' },
        { kind: 'security-alert', reason: 'NOT_PERMITTED', user: who.user, resource: '/metrics' },
      ])
    })
  })

  it('has an alert for headers of a proxy that come from elsewhere', async () => {
    const { setup, events } = await audited({ auth: { proxy: { addresses: ['192.0.2.1'] } } })
    expect(await ask(`${setup.url}/studies`, { headers: { 'X-Auth-Request-User': 'doctor' } })).toBe(401)
    await eventually(async () => {
      expect(await events()).toMatchObject([{ kind: 'security-alert', reason: 'PROXY_REFUSED' }])
    })
  })

  it('has so many alerts a minute for one address and reason, and says how many were left out', async () => {
    const { setup, events } = await audited()
    // Whole: the sum of a fraction and a minute may be less than a minute away.
    const now = Math.ceil(performance.now())
    const time = vi.spyOn(performance, 'now')
    try {
      time.mockImplementation(() => now)
      for (let n = 0; n < MAX_LINES_A_MINUTE + 3; n++) expect(await ask(`${setup.url}/studies`, {}, 'dsg_x')).toBe(401)
      expect(await ask(`${setup.origin}/metrics`)).toBe(403)
      time.mockImplementation(() => now + 60_000)
      expect(await ask(`${setup.url}/studies`, {}, 'dsg_x')).toBe(401)
    } finally {
      time.mockRestore()
    }
    await eventually(async () => {
      const all = await events()
      expect(all.map(({ reason, spared }) => [reason, spared])).toEqual([
        ...Array.from({ length: MAX_LINES_A_MINUTE }, () => ['TOKEN_REFUSED', undefined]),
        ['NOT_PERMITTED', undefined],
        ['TOKEN_REFUSED', 3],
      ])
    })
  })

  it.each(['/studies/a*b', '/aets/NOBODY/studies'])(
    'has an alert for %s, which is asked for by somebody',
    async (path) => {
      const { setup, events } = await audited()
      expect(await ask(setup.url + path)).toBeGreaterThanOrEqual(400)
      expect((await fetch(setup.url + path)).status).toBe(401)
      await eventually(async () => {
        expect(await events()).toMatchObject([{ kind: 'security-alert', user: who.user, resource: `/dicomweb${path}` }])
      })
    },
  )

  it('has one event, and no alert, where the path is wrong further on', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies/${S}/series/a*b/instances/1/frames/1`)).toBe(400)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        { kind: 'instances-transferred', reason: 'INVALID_UID', study: { uid: S } },
      ])
    })
  })

  it("has an alert for who asks for another's study, and no beginning of a transfer", async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies/1.2.9`, {}, bound.key)).toBe(404)
    await eventually(async () => {
      expect((await events()).toSorted((a, b) => a.kind.localeCompare(b.kind))).toMatchObject([
        { kind: 'instances-transferred', outcome: 'serious-failure', reason: 'NO_SUCH_STUDY', study: { uid: '1.2.9' } },
        {
          kind: 'security-alert',
          reason: 'NO_SUCH_STUDY',
          user: { name: 'bound' },
          resource: '/dicomweb/studies/1.2.9',
        },
      ])
    })
  })

  it('says what was not stored since the sign-in is not for it', async () => {
    const { setup, events } = await audited()
    const files = [S, '1.2.78'].map((study) => instanceFile({ study, series: `${study}.5`, instance: `${study}.5.1` }))
    const { type, body } = related(files)
    const init = { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } }
    expect(await ask(`${setup.url}/studies`, init, bound.key)).toBe(202)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        { verb: 'store', outcome: 'minor-failure', study: { uid: S, instances: { [CT]: 1 } } },
        {
          ...{ verb: 'store', outcome: 'serious-failure', reason: 'NOT_PERMITTED', patient: { id: '123' } },
          study: { uid: '1.2.78', instances: { [CT]: 1 } },
        },
      ])
    })
  })

  it('takes a range that was asked for for a success', async () => {
    const { setup, events } = await audited()
    const url = `${setup.url}/studies/1.2.9/series/1.2.9.1/instances/1.2.9.1.1/frames/1`
    const Accept = 'multipart/related; type="application/octet-stream", application/octet-stream'
    expect(await ask(url, { headers: { Range: 'bytes=0-1', Accept: 'application/octet-stream' } })).toBe(206)
    expect(await ask(url, { headers: { Accept } })).toBe(200)
    await eventually(async () => {
      expect((await events()).map(({ outcome }) => outcome)).toEqual(['success', 'success'])
    })
  })

  it('has what a search told, where metadata is made of that', async () => {
    const { setup, events } = await audited({}, { metadata: 'find' })
    expect(await ask(`${setup.url}/studies/${S}/metadata`)).toBe(200)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        { kind: 'instances-transferred', patient: { id: '123' }, study: { uid: S, instances: { [CT]: 3 } } },
      ])
    })
  })

  it.each([
    [true, '192.0.2.7'],
    [false, '127.0.0.1'],
  ])('has the address that a proxy says, if it is trusted: %s', async (trustProxy, address) => {
    const { setup, events } = await audited({ http: { port: 0, trustProxy } })
    await ask(`${setup.url}/studies`, { headers: { 'X-Forwarded-For': '198.51.100.1, 192.0.2.7' } })
    await eventually(async () => {
      expect(await events()).toMatchObject([{ address }])
    })
  })

  it('has no tokens', async () => {
    const { setup, events } = await audited()
    expect(await ask(`${setup.url}/studies?PatientID=1&access_token=${key}`)).toBe(200)
    expect(await ask(`${setup.url}/aets/${key}/studies`)).toBe(404)
    await eventually(async () => {
      expect(await events()).toMatchObject([
        { kind: 'query', query: 'PatientID=1&access_token=***' },
        { kind: 'security-alert', resource: '/dicomweb/aets/***/studies' },
      ])
    })
  })

  it('says that a download was cut by our stop', async () => {
    const { setup, events } = await audited()
    setup.archive.faults = { stallAfterBytes: 100 }
    const cut = ask(`${setup.url}/studies/${S}`).catch(() => 'cut')
    await eventually(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1))
    await setup.gateway[Symbol.asyncDispose]()
    expect(await cut).toBe('cut')
    expect((await events()).filter(({ verb }) => verb === 'retrieve')).toMatchObject([
      { kind: 'begin-transferring' },
      { kind: 'instances-transferred', outcome: 'serious-failure', reason: 'STOPPED' },
    ])
  })

  it('has the end of the service behind all else, also behind what its stop has cut', async () => {
    const { setup, events } = await audited()
    setup.archive.faults = { findDelay: 5_000 }
    const asked = [1, 2, 3].map((limit) => ask(`${setup.url}/studies?limit=${limit}`).catch(() => 'cut'))
    const { archives } = setup.gateway
    await eventually(() => expect(archives[0]!.stats.leased + archives[0]!.stats.waiting).toBe(3))
    await setup.gateway[Symbol.asyncDispose]()
    await Promise.all(asked)
    const kinds = (await events()).map(({ kind }) => kind)
    expect(kinds).toEqual(['query', 'query', 'query', 'application-stop'])
  })

  it('begins and ends with the service', async () => {
    const { setup, events } = await audited()
    await setup.gateway.stop()
    expect(await events()).toMatchObject([{ kind: 'application-stop' }])
  })

  it('that cannot be written ends the start, and says where it was to be', async () => {
    const file = '/nowhere/at/all.jsonl'
    const failure = await audited({ audit: { file } }).catch((error: unknown) => error)
    expect((failure as ConfigError).faults).toMatchObject([
      {
        path: 'audit.file',
        message: expect.stringContaining(`${file} cannot be made: its folder does not exist`) as unknown,
      },
    ])
  })

  it('that cannot be written lets nobody in, where that is asked for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dimsegate-trail-'))
    const { setup } = await audited({ audit: { file: join(folder, 'audit.jsonl'), onFailure: 'block' } })
    await eventually(() => expect(setup.gateway.audit.stats[0]!.waiting).toBe(0))
    await rm(folder, { recursive: true })
    const ahead = Array.from({ length: 10_000 }, () => setup.gateway.audit.write({ kind: 'query', outcome: 'success' }))
    expect(ahead).toHaveLength(10_000)
    const response = await fetch(`${setup.url}/studies`, { headers: { Authorization: `Bearer ${key}` } })
    expect([response.status, await response.json()]).toMatchObject([503, { code: 'AUDIT_UNAVAILABLE' }])
    expect((await fetch(`${setup.origin}/livez`)).status).toBe(200)
  })

  it('is not there unless it is asked for', async () => {
    const { setup } = await audited({ audit: null })
    expect(await ask(`${setup.url}/studies/${S}/series/${E}/instances/${I}`)).toBe(404)
    expect(setup.gateway.audit.isOff).toBe(true)
  })
})
