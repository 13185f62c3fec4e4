import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { parsePart10 } from '../../src/dicom/part10.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { requireProgram, skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { startProcess } from '../support/process.ts'
import { daikonFiles } from '../support/testdata.ts'

const run = promisify(execFile)
const POST = { method: 'POST', headers: { 'Content-Type': 'application/json' } }

/** Single images in many syntaxes, and some of a series. */
const FILES = daikonFiles().filter((file) => !/deflated|volume\/brain_0(01|[12])/.test(file))

/** Data sets by their SOP Instance UIDs. */
async function dataSets(files: readonly string[]): Promise<Map<string, Dataset>> {
  const read = await Promise.all(
    files.map(async (file) => {
      const { syntax, data } = await parsePart10(await readFile(file))
      return parseDataset(data, syntax)
    }),
  )
  return new Map(read.map((dataset) => [dataset.string(Attribute.SOPInstanceUID)!, dataset]))
}

const pixelsOf = (dataset: Dataset | undefined): unknown => dataset?.get(Attribute.PixelData)?.value

describe.skipIf(skipWithoutPeers())('devices that are DCMTK and Orthanc', () => {
  it('reach dcmqrscp, storescp, Orthanc by STOW-RS and another gateway, whole; with the changes of each route', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dimsegate-storescp-'))
    await using dcmqrscp = await startDcmqrscp({ files: [FILES[0]!], association: 'all' })
    await using cloud = await startOrthanc({ dicomWeb: true })
    await using research = await startOrthanc({ aeTitle: 'RESEARCH' })
    await using next = await startGatewayFor([{ aeTitle: 'RESEARCH', host: '127.0.0.1', port: research.port }])
    const scpPort = await freePort()
    await using _ = await startProcess(requireProgram('storescp'), {
      args: ['-aet', 'WS', '+xa', '-od', folder, String(scpPort)],
      env: {},
      ports: [scpPort],
    })
    const port = await freePort()
    await using gateway = await startGatewayFor(
      [{ aeTitle: dcmqrscp.aeTitle, host: '127.0.0.1', port: dcmqrscp.port }],
      {},
      {},
      {
        dimse: { host: '127.0.0.1', port },
        pseudonyms: { key: 'of the tests, with more than 32 bytes' },
        devices: [{ aeTitle: 'STORESCU' }, { aeTitle: 'DCMSEND' }],
        destinations: [
          // storescp serves one association at a time.
          { type: 'dicom', name: 'ws', aeTitle: 'WS', host: '127.0.0.1', port: scpPort, maxAssociations: 1 },
          { type: 'stow', name: 'cloud', url: `http://127.0.0.1:${cloud.httpPort}/dicom-web` },
          { type: 'stow', name: 'next', url: next.url },
        ],
        routes: [
          { name: 'clinical', to: ['ws', 'cloud'] },
          {
            name: 'named',
            set: [{ prefix: { StudyID: 'R-' } }, { default: { StudyID: 'R-' } }],
            to: [dcmqrscp.aeTitle.toLowerCase()],
          },
          { name: 'research', set: [{ profile: { name: 'basic', burnedIn: 'flag' } }], to: ['next'] },
        ],
      },
    )
    const sent = await dataSets(FILES)
    const address = ['-aec', 'DIMSEGATE', '127.0.0.1', String(port)]
    // It asks for a context of each file's own syntax.
    await run(requireProgram('dcmsend'), ['-aet', 'DCMSEND', ...address, ...FILES])
    const held = await dataSets((await readdir(folder)).map((file) => join(folder, file)))
    expect([...held.keys()].sort()).toEqual([...sent.keys()].sort())
    for (const [uid, dataset] of sent) expect(pixelsOf(held.get(uid)), uid).toEqual(pixelsOf(dataset))
    const count = async (httpPort: number): Promise<number> =>
      ((await (await fetch(`http://127.0.0.1:${httpPort}/statistics`)).json()) as { CountInstances: number })
        .CountInstances
    expect([await count(cloud.httpPort), await count(research.httpPort)]).toEqual([sent.size, sent.size])
    // Once more by the other tool, uncompressed: the same UIDs, nothing doubled.
    await run(requireProgram('storescu'), [
      '-aet',
      'STORESCU',
      ...address,
      FILES.find((file) => file.endsWith('explicit_little.dcm'))!,
    ])
    expect([await count(cloud.httpPort), await count(research.httpPort)]).toEqual([sent.size, sent.size])
    const found = (await (await fetch(`${gateway.url}/studies?includefield=StudyID`)).json()) as Record<
      string,
      { Value?: [string] }
    >[]
    // One of them was there before.
    const named = found.filter((row) => row['00200010']?.Value?.[0].startsWith('R-'))
    expect(named.length).toBeGreaterThanOrEqual(found.length - 1)
    const patients = (await (await fetch(`http://127.0.0.1:${research.httpPort}/patients?expand`)).json()) as {
      MainDicomTags: { PatientID: string; PatientName: string }
    }[]
    for (const { MainDicomTags } of patients) expect(MainDicomTags.PatientID).toMatch(/^[A-Z2-7]{16}$/)
    await rm(folder, { recursive: true })
  })

  it('ask for storage commitment through us, and are told what the archive has promised', async () => {
    const port = await freePort()
    await using archive = await startOrthanc({
      aeTitle: 'ARCHIVE',
      peers: [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port }],
    })
    await using device = await startOrthanc({
      aeTitle: 'MODALITY',
      files: FILES.slice(0, 3),
      peers: [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port }],
    })
    await using _ = await startGatewayFor(
      [{ aeTitle: 'ARCHIVE', host: '127.0.0.1', port: archive.port, callingAeTitle: 'DIMSEGATE' }],
      {},
      {},
      {
        dimse: { host: '127.0.0.1', port },
        devices: [{ aeTitle: 'MODALITY', commitment: { archive: 'archive', host: '127.0.0.1', port: device.port } }],
        routes: [{ name: 'all', to: ['archive'] }],
      },
    )
    const orthanc = `http://127.0.0.1:${device.httpPort}`
    const ids = (await (await fetch(`${orthanc}/instances`)).json()) as string[]
    const body = JSON.stringify({ Resources: ids, StorageCommitment: true, Synchronous: true, Timeout: 30 })
    const stored = await fetch(`${orthanc}/modalities/DIMSEGATE/store`, { ...POST, body })
    const told = (await stored.json()) as { FailedInstancesCount: number; StorageCommitmentTransactionUID: string }
    expect([stored.status, told.FailedInstancesCount]).toEqual([200, 0])
    const asked = async (): Promise<{ Status: string; Success?: unknown[] }> =>
      (await (await fetch(`${orthanc}/storage-commitment/${told.StorageCommitmentTransactionUID}`)).json()) as {
        Status: string
      }
    await expect.poll(async () => (await asked()).Status, { timeout: 15_000, interval: 200 }).toBe('Success')
    expect((await asked()).Success).toHaveLength(ids.length)
  })
})
