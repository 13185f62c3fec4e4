import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { startFederation, studyFiles, type FederationSetup, type Member } from '../../support/federation.ts'
import { related } from '../../support/related.ts'
import { AUDIENCE, TokenIssuer } from '../../support/token-issuer.ts'

const all = newApiKey()
const some = newApiKey()

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

const members: Readonly<Record<'near' | 'far' | 'other', Member>> = {
  near: { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) },
  far: {
    files: [...studyFiles('1.1', { 1: [1, 2] }, { patient: '7' }), ...studyFiles('1.2', { 1: [1] }, { patient: '7' })],
  },
  other: {
    files: [...studyFiles('1.3', { 1: [1] }, { patient: '7' }), ...studyFiles('1.4', { 1: [1] }, { patient: '8' })],
    config: { patients: { issuer: 'CITY' } },
  },
}

type Setup = FederationSetup<'near' | 'far' | 'other'>

async function started(options: Parameters<typeof startFederation>[1]): Promise<Setup> {
  const setup = await startFederation(members, options)
  opened.push(() => setup[Symbol.asyncDispose]() as Promise<void>)
  return setup
}

function withKeys(): Promise<Setup> {
  const scopes = ['search', 'retrieve', 'store']
  const keys = [
    { name: 'all', hash: all.hash, scopes },
    { name: 'some', hash: some.hash, scopes, archives: ['far', 'other'] },
  ]
  return started({ others: { auth: { keys } } })
}

async function studies(url: string, token: string): Promise<unknown[] | number> {
  const response = await fetch(`${url}/studies`, { headers: { Authorization: `Bearer ${token}` } })
  if (response.status !== 200) return response.status
  const rows = (await response.json()) as Record<string, { Value?: unknown[] }>[]
  return rows.map((row) => row['0020000D']!.Value![0])
}

interface Init {
  readonly method?: string
  readonly body?: Uint8Array<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string>>
}

const status = async (url: string, token: string, init: Init = {}): Promise<number> => {
  const response = await fetch(url, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } })
  await response.arrayBuffer()
  return response.status
}

const stored = (study: string): Init => {
  const { type, body } = related(studyFiles(study, { 1: [1] }, { patient: '7' }))
  return { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } }
}

describe('who asks several archives as one', () => {
  it('sees what the archives hold that he is let to, and nothing of the others', async () => {
    const setup = await withKeys()
    expect(await studies(setup.all, all.key)).toEqual(['1.1', '1.3', '1.2', '1.4'])
    expect(await studies(setup.all, some.key)).toEqual(['1.1', '1.3', '1.2', '1.4'])
    const response = await fetch(`${setup.all}/studies?StudyInstanceUID=1.1`, {
      headers: { Authorization: `Bearer ${some.key}` },
    })
    const [row] = (await response.json()) as Record<string, { Value: unknown[] }>[]
    expect(row!['00080054']!.Value).toEqual(['FAR'])
    expect(await status(`${setup.all}/studies/1.1/metadata`, some.key)).toBe(200)
    expect(await studies(setup.all, 'nobody')).toBe(401)
    // What is stored would go to an archive that he is not let to.
    expect(await status(`${setup.all}/studies`, some.key, stored('1.9'))).toBe(403)
    expect(await status(`${setup.all}/studies`, all.key, stored('1.9'))).toBe(200)
  })

  it('sees the studies of the patient that he is bound to, not of another with that ID', async () => {
    const issuer = await TokenIssuer.start()
    opened.push(() => issuer[Symbol.asyncDispose]())
    const claims = { patient: 'patient', patientIssuer: 'patient_issuer', study: 'study' }
    const setup = await started({ others: { auth: { issuer: issuer.url, audience: AUDIENCE, claims } } })
    const his = await issuer.token({ claims: { patient: '7', patient_issuer: 'GENERAL' } })
    expect(await studies(setup.all, his)).toEqual(['1.1', '1.2'])
    expect(await status(`${setup.all}/studies/1.1/metadata`, his)).toBe(200)
    expect(await status(`${setup.all}/studies/1.3/metadata`, his)).toBe(404)
    expect(await status(`${setup.all}/studies/1.3/series`, his)).toBe(404)
    expect(await status(`${setup.all}/wado?requestType=WADO&studyUID=1.3&seriesUID=1.3.1&objectUID=1.3.1.1`, his)).toBe(
      404,
    )
    const anyones = await issuer.token({ claims: { patient: '7' } })
    expect(await studies(setup.all, anyones)).toBe(403)
    const ofStudy = await issuer.token({ claims: { study: '1.3' } })
    expect(await studies(setup.all, ofStudy)).toEqual(['1.3'])
    expect(await status(`${setup.all}/studies/1.1/metadata`, ofStudy)).toBe(404)
  })

  it('leaves in the audit trail each archive that was asked, and that an instance is from', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dimsegate-federation-'))
    opened.push(() => rm(folder, { recursive: true }))
    const file = join(folder, 'audit.jsonl')
    const setup = await started({ others: { audit: { file } } })
    const events = async (): Promise<AuditEvent[]> =>
      (await readFile(file, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as AuditEvent)
    await (await fetch(`${setup.all}/studies`)).arrayBuffer()
    await (await fetch(`${setup.all}/studies/1.1/metadata`)).arrayBuffer()
    await (await fetch(`${setup.all}/studies/9.9/metadata`)).arrayBuffer()
    const told = await vi.waitFor(async () => {
      const found = (await events()).filter(({ kind }) => kind === 'query' || kind === 'instances-transferred')
      expect(found).toHaveLength(5)
      return found
    })
    expect(told.map(({ kind, outcome, archive }) => [kind, outcome, archive?.name])).toEqual([
      ['query', 'success', 'near'],
      ['query', 'success', 'far'],
      ['query', 'success', 'other'],
      ['instances-transferred', 'success', 'far'],
      ['instances-transferred', 'serious-failure', 'near'],
    ])
  })
})

describe('a store to several archives as one', () => {
  it('goes to the first, or to the one that is configured, and is found at once', async () => {
    const first = await started({})
    expect((await fetch(`${first.all}/studies/1.2/metadata`)).status).toBe(200)
    expect((await fetch(`${first.all}/studies`, stored('1.2'))).status).toBe(200)
    expect(first.archives.near.catalog.studies).toBe(2)
    const last = await started({ federation: { store: 'other' } })
    expect((await fetch(`${last.all}/studies`, stored('1.9'))).status).toBe(200)
    expect(last.archives.other.catalog.studies).toBe(3)
    expect((await fetch(`${last.all}/studies/1.9/metadata`)).status).toBe(200)
  })
})
