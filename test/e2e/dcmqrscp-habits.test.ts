import { readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { S, seriesFiles } from '../support/dicom-files.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { keeper } from '../support/kept.ts'
import { readParts } from '../support/multipart.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { get, post, related } from './http.ts'

// What dcmqrscp does in its own way where it is set up so.

const kept = keeper()
const FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'

describe.skipIf(skipWithoutPeers())('dcmqrscp', () => {
  it(
    'that cannot read a file, and does not know us for C-MOVE, answers others meanwhile',
    { timeout: 60_000 },
    async () => {
      const folder = kept(await temporaryFolder())
      const files = await Promise.all(
        seriesFiles(3, { pixelBytes: 15_000 }).map(async (file, n) => {
          const path = join(folder.path, `${n}.dcm`)
          await writeFile(path, file)
          return path
        }),
      )
      const peer = kept(await startDcmqrscp({ files }))
      const port = await freePort()
      const { url } = kept(await gatewayTo(peer, { aeTitle: peer.aeTitle }, { dimse: { port, host: '127.0.0.1' } }))
      const stored = (await readdir(peer.folder)).filter((name) => name !== 'index.dat').sort()
      await truncate(join(peer.folder, stored[1]!), 8_000)
      const began = performance.now()
      const answer = await get(`${url}/studies/${S}`, FILES)
      expect(answer.status).toBe(206)
      expect(readParts(answer.headers.get('content-type')!, answer.body)).toHaveLength(2)
      const others = [`${url}/studies`, `${url}/studies/${S}/series`, `${url}/studies/${S}/metadata`]
      for (const target of others) expect((await get(target)).status).toBeLessThan(300)
      expect(performance.now() - began).toBeLessThan(20_000)
    },
  )

  it(
    'that takes storage contexts in one association at a time takes all that is stored at once',
    { timeout: 60_000 },
    async () => {
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
      const MR = '1.2.840.10008.5.1.4.1.1.4'
      expect(await store(5, MR)).toBe(200)
      // Both at once, beside downloads, again and again.
      for (const round of [10, 20, 30]) {
        const stores = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => store(round + n, n % 2 === 0 ? MR : undefined))
        const downloads = [1, 2].map(async (n) => (await get(`${url}/studies/1.2.900.${n}`, FILES)).status)
        expect(new Set(await Promise.all([...stores, ...downloads]))).toEqual(new Set([200]))
      }
    },
  )
})
