import { describe, expect, it } from 'vitest'
import { seriesFiles } from '../support/dicom-files.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { keeper } from '../support/kept.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { post, related } from './http.ts'

// What dcmqrscp does in its own way where it is set up so.

const kept = keeper()

describe.skipIf(skipWithoutPeers())('dcmqrscp', () => {
  it('that takes storage contexts in one association at a time takes all that is stored at once', async () => {
    const peer = kept(await startDcmqrscp({ storesOneAtATime: true }))
    const { url } = kept(await gatewayTo(peer, { aeTitle: peer.aeTitle }))
    const store = async (study: number, sopClass?: string): Promise<number> => {
      const shape = { study: `1.2.900.${study}`, series: `1.2.900.${study}.1`, ...(sopClass && { sopClass }) }
      const { type, body } = related(seriesFiles(3, { ...shape, pixelBytes: 100_000 }))
      return (await post(`${url}/studies`, type, body)).status
    }
    expect(await store(1)).toBe(200)
    expect(await Promise.all([2, 3, 4].map((study) => store(study)))).toEqual([200, 200, 200])
    // Another class, while the association for the one before is idle.
    expect(await store(5, '1.2.840.10008.5.1.4.1.1.4')).toBe(200)
  })
})
