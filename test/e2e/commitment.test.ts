import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { CT, E, I, instanceFile, S } from '../support/dicom-files.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { eventually } from '../support/eventually.ts'
import { readAnswer, related } from '../support/related.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const JSON_TYPE = 'application/dicom+json'
type Json = Record<string, { Value?: Record<string, { Value?: unknown[] }>[] }>

const reference = (sopInstance: string) => ({
  '00081150': { vr: 'UI', Value: [CT] },
  '00081155': { vr: 'UI', Value: [sopInstance] },
})
const FLAT = { '00081199': { vr: 'SQ', Value: [reference(I), reference('1.2.3.999')] } }
const BY_STUDY = {
  '00081110': {
    vr: 'SQ',
    Value: [
      {
        '0020000D': { vr: 'UI', Value: [S] },
        '00081115': {
          vr: 'SQ',
          Value: [
            {
              '0020000E': { vr: 'UI', Value: [E] },
              '00081112': {
                vr: 'SQ',
                Value: [
                  {
                    '00081150': { vr: 'UI', Value: [CT] },
                    '0008114A': { vr: 'SQ', Value: [reference(I), reference('1.2.3.999')] },
                  },
                ],
              },
            },
          ],
        },
      },
    ],
  },
}

async function store(url: string): Promise<void> {
  const { type, body } = related([instanceFile()])
  const stored = await fetch(`${url}/studies`, {
    method: 'POST',
    headers: { 'Content-Type': type },
    body: new Uint8Array(body),
  })
  expect(stored.status).toBe(200)
}

function ask(url: string, body: object, uid = '2.25.4711'): Promise<Response> {
  return fetch(`${url}/commitment-requests/${uid}`, {
    method: 'POST',
    headers: { 'Content-Type': JSON_TYPE, Accept: JSON_TYPE },
    body: JSON.stringify(body),
  })
}

const uidsOf = (json: Json, tag: string): unknown[] =>
  (json[tag]?.Value ?? []).map((one) => [one['00081155']?.Value?.[0], one['00081197']?.Value?.[0]])

describe.skipIf(skipWithoutPeers())('what is stored is committed before its sender deletes it', () => {
  it('by Orthanc, which reports over an association of its own', async () => {
    const port = await freePort()
    const peers = [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port }]
    await using orthanc = await startOrthanc({ peers })
    const { aeTitle, host } = orthanc
    await using gateway = await startGatewayFor(
      [{ aeTitle, host, port: orthanc.port, commitment: { wait: '20s' } }],
      {},
      {},
      { dimse: { enabled: 'auto', host: '127.0.0.1', port } },
    )
    await store(gateway.url)
    const response = await ask(gateway.url, FLAT)
    expect(response.status).toBe(200)
    const json = (await response.json()) as Json
    expect(uidsOf(json, '00081199')).toEqual([[I, undefined]])
    expect(uidsOf(json, '00081198')).toEqual([['1.2.3.999', 0x0112]])
    const again = await fetch(`${gateway.url}/commitment-requests/2.25.4711`, { headers: { Accept: JSON_TYPE } })
    expect(await again.json()).toEqual(json)
  })

  it('is 501 at dcmqrscp, or what it lists, where that is configured', async () => {
    await using dcmqrscp = await startDcmqrscp({})
    const { aeTitle, host, port } = dcmqrscp
    const at = { aeTitle, host, port }
    await using gateway = await startGatewayFor([at])
    await store(gateway.url)
    const refused = await ask(gateway.url, FLAT)
    expect([refused.status, await refused.json()]).toMatchObject([501, { code: 'NOT_SUPPORTED_BY_ARCHIVE' }])
    await using listing = await startGatewayFor([{ ...at, commitment: { fallback: 'query' } }])
    const response = await ask(listing.url, BY_STUDY)
    expect([response.status, response.headers.get('warning')]).toEqual([
      200,
      expect.stringContaining('does not promise'),
    ])
    const json = (await response.json()) as Json
    expect(json['00081110']).toBeDefined()
    expect(uidsOf(json, '00081198')).toEqual([['1.2.3.999', 0x0112]])
  })
  it('by Orthanc, in one go with its store: the sender deletes what is committed, and nothing else', async () => {
    const port = await freePort()
    await using orthanc = await startOrthanc({ peers: [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port }] })
    const { aeTitle, host } = orthanc
    await using gateway = await startGatewayFor(
      [{ aeTitle, host, port: orthanc.port, commitment: { wait: '20s' } }],
      {},
      {},
      { dimse: { enabled: 'auto', host: '127.0.0.1', port } },
    )
    await using folder = await temporaryFolder()
    const files = new Map(['1.5', '1.6'].map((uid) => [uid, join(folder.path, uid)]))
    for (const [uid, path] of files) await writeFile(path, instanceFile({ instance: uid }))
    const { type, body } = related([
      ...(await Promise.all([...files.values()].map((path) => readFile(path)))),
      Buffer.from('broken'),
    ])
    const answer = await readAnswer(
      await fetch(`${gateway.url}/studies?commit=true`, {
        method: 'POST',
        headers: { 'Content-Type': type },
        body: new Uint8Array(body),
      }),
    )
    // What was broken is not there, and is no reason to keep the others.
    expect([answer.status, answer.others]).toEqual([202, [0xc000]])
    for (const [uid] of answer.stored) await rm(files.get(uid)!)
    expect(await readdir(folder.path)).toEqual([])
    const listed = await fetch(`${gateway.url}/studies/${S}/instances`, { headers: { Accept: JSON_TYPE } })
    expect(await listed.json()).toHaveLength(2)
  })

  it('of the demo archive, for Orthanc as who asks', async () => {
    // Its address is known when it runs.
    const destinations: Record<string, { host: string; port: number }> = {}
    await using demo = await DemoArchive.start({ aeTitle: 'DEMO', destinations, faults: { reportsOwn: true } })
    await demo.put(instanceFile())
    await using orthanc = await startOrthanc({ peers: [{ aeTitle: 'DEMO', host: '127.0.0.1', port: demo.port }] })
    destinations['ORTHANC'] = { host: '127.0.0.1', port: orthanc.port }
    const rest = `http://127.0.0.1:${orthanc.httpPort}`
    const reference = (uid: string) => ({ SOPClassUID: CT, SOPInstanceUID: uid })
    const asked = await fetch(`${rest}/modalities/DEMO/storage-commitment`, {
      method: 'POST',
      body: JSON.stringify({ DicomInstances: [reference(I), reference('1.2.3.999')] }),
    })
    expect(asked.status, orthanc.log().slice(-500)).toBe(200)
    const { Path } = (await asked.json()) as { Path: string }
    await eventually(async () => {
      const report = (await (await fetch(rest + Path)).json()) as {
        Status: string
        Success: unknown[]
        Failures: unknown[]
      }
      expect(report).toMatchObject({ Status: 'Failure', Success: [reference(I)], Failures: [reference('1.2.3.999')] })
    })
  })
})
