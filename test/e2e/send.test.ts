import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { E, instanceFile, S, seriesFiles } from '../support/dicom-files.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers, type PeerAddress, type RealPeer } from '../support/peers.ts'
import { related } from '../support/related.ts'

type Model = Record<string, { Value?: unknown[] }>

const peers: readonly (readonly [string, (peers: readonly PeerAddress[]) => Promise<RealPeer>])[] = [
  ['Orthanc', (peers) => startOrthanc({ peers })],
  ['Orthanc, which answers when it has queued it', (peers) => startOrthanc({ peers, synchronousMove: false })],
  ['dcmqrscp', (peers) => startDcmqrscp({ peers })],
]

describe.skipIf(skipWithoutPeers())('what an archive sends to others', () => {
  it.each(peers)('%s sends to whom it knows, and says so of whom it does not', async (name, start) => {
    await using partner = await DemoArchive.start({ aeTitle: 'PARTNER' })
    await using peer = await start([{ aeTitle: 'PARTNER', host: '127.0.0.1', port: partner.port }])
    const { aeTitle, host, port } = peer
    const destinations = [
      { name: 'partner', aeTitle: 'PARTNER' },
      { name: 'nobody', aeTitle: 'NOBODY' },
    ]
    await using gateway = await startGatewayFor([{ aeTitle, host, port, send: { destinations } }])
    const { type, body } = related([...seriesFiles(3), instanceFile({ series: '1.2.3.9', instance: '1.2.3.9.1' })])
    const headers = { 'Content-Type': type }
    const stored = await fetch(`${gateway.url}/studies`, { method: 'POST', headers, body: new Uint8Array(body) })
    expect(stored.status).toBe(200)
    let uids = 0
    const send = (path: string, destination = 'partner'): Promise<Response> =>
      fetch(`${gateway.url}${path}/send-requests/2.25.${++uids}?destination=${destination}`, { method: 'POST' })
    const received = (): string[] => partner.catalog.files.map(({ sopInstance }) => sopInstance).sort()

    const response = await send(`/studies/${S}/series/${E}/instances`)
    const model = (await response.json()) as Model
    expect([response.status, model['00080417']?.Value]).toEqual([200, ['COMPLETE']])
    if (!name.includes('queued')) expect(model['00001021']?.Value).toEqual([3])
    await eventually(() => expect(received()).toEqual([`${E}.1`, `${E}.2`, `${E}.3`]))

    expect((await send(`/studies/${S}/series`)).status).toBe(200)
    await eventually(() => expect(received()).toHaveLength(4))

    const refused = await send(`/studies/${S}/series`, 'nobody')
    expect(refused.status).toBeGreaterThanOrEqual(500)
    const nothing = await send('/studies/9.9.9/series')
    // Orthanc calls it a failure, dcmqrscp a success of nothing.
    expect(nothing.status).toBeGreaterThanOrEqual(404)
    expect([await refused.json(), await nothing.json()]).toMatchObject([{ dicom: {} }, {}])
  })
})
