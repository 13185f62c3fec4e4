import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { startFederation, studyFiles, type FederationSetup, type Member } from '../../support/federation.ts'

const members: Readonly<Record<'near' | 'far', Member>> = {
  near: {
    files: [...studyFiles('1.1', { 1: [1] }, { patient: '7' }), ...studyFiles('1.5', { 1: [1] }, { patient: '7' })],
  },
  far: {
    files: [
      ...studyFiles('1.2', { 1: [1] }, { patient: 'c-9' }),
      ...studyFiles('1.3', { 1: [1] }, { patient: '7' }),
      ...studyFiles('1.5', { 1: [1, 2] }, { patient: 'c-9' }),
    ],
    config: { patients: { issuer: 'CITY' } },
  },
}

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

/** A PIXm manager that answers so; the queries that it was asked. */
async function manager(answer: RequestListener): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? ''))
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`, asked }
}

async function withManager(
  answer: RequestListener,
): Promise<{ setup: FederationSetup<'near' | 'far'>; asked: string[] }> {
  const { url, asked } = await manager(answer)
  const systems = [
    { issuer: 'GENERAL', system: 'urn:oid:1.2.3' },
    { issuer: 'CITY', system: 'urn:oid:1.2.4' },
  ]
  const setup = await startFederation(members, { federation: { pixm: { url, systems, timeout: '300ms' } } })
  opened.push(async () => setup[Symbol.asyncDispose]())
  return { setup, asked }
}

const linked: RequestListener = (request, response) => {
  const isOfCity = decodeURIComponent(request.url ?? '').includes('1.2.4|c-9')
  const parameter = [
    isOfCity
      ? { name: 'targetIdentifier', valueIdentifier: { system: 'urn:oid:1.2.3', value: '7' } }
      : { name: 'targetIdentifier', valueIdentifier: { system: 'urn:oid:1.2.4', value: 'c-9' } },
    { name: 'targetIdentifier', valueIdentifier: { system: 'urn:oid:9.9', value: '12' } },
    { name: 'targetIdentifier', valueIdentifier: { system: 'urn:oid:1.2.4', value: '*' } },
    { name: 'targetId', valueReference: { reference: 'Patient/1' } },
    7,
  ]
  response.setHeader('Content-Type', 'application/fhir+json')
  response.end(JSON.stringify({ resourceType: 'Parameters', parameter }))
}

async function studies(url: string): Promise<{ studies: unknown[]; warning: string | null }> {
  const response = await fetch(url)
  const rows = (await response.json()) as Record<string, { Value?: unknown[] }>[]
  const found = rows.map((row) => row['0020000D']!.Value![0])
  return { studies: found.sort(), warning: response.headers.get('warning') }
}

describe('IDs that a PIXm manager links', () => {
  it('are searched by together, asked once for a while, and make copies of what is of one patient', async () => {
    const { setup, asked } = await withManager(linked)
    const query = `${setup.all}/studies?PatientID=7&IssuerOfPatientID=GENERAL`
    expect(await studies(query)).toEqual({ studies: ['1.1', '1.2', '1.5'], warning: null })
    expect(await studies(query)).toEqual({ studies: ['1.1', '1.2', '1.5'], warning: null })
    expect(asked).toEqual(['/fhir/Patient/$ihe-pix?sourceIdentifier=urn:oid:1.2.3|7'])
    const metadata = await fetch(`${setup.all}/studies/1.5/metadata`)
    expect(metadata.status).toBe(200)
    expect(await metadata.json()).toHaveLength(2)
  })

  it('are not looked for where the search does not name one patient', async () => {
    const { setup, asked } = await withManager(linked)
    expect((await studies(`${setup.all}/studies?PatientID=7`)).studies).toEqual(['1.1', '1.3', '1.5'])
    expect((await studies(`${setup.all}/studies?PatientID=7*&IssuerOfPatientID=GENERAL`)).studies).toEqual([
      '1.1',
      '1.5',
    ])
    expect(asked).toEqual([])
  })

  it.each<[string, RequestListener]>([
    ['is silent', () => undefined],
    ['fails', (_, response) => response.writeHead(500).end()],
    ['answers what is no JSON', (_, response) => response.end('<html>')],
  ])('are done without where the manager %s, which is told', async (_, answer) => {
    const { setup } = await withManager(answer)
    const { studies: found, warning } = await studies(`${setup.all}/studies?PatientID=7&IssuerOfPatientID=GENERAL`)
    expect(found).toEqual(['1.1', '1.5'])
    expect(warning).toContain('What IDs the patient has at other issuers cannot be found out')
    expect((await fetch(`${setup.all}/studies/1.5/metadata`)).status).toBe(409)
  })
})
