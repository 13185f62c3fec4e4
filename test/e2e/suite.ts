import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import type { PeerAddress } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import type { ArchiveUnderTest, Running } from './archive-under-test.ts'
import { clientTests } from './client-tests.ts'
import { Corpus, type Sample } from './corpus.ts'
import { metadataTests } from './metadata-tests.ts'
import { reopenTests } from './reopen-tests.ts'
import { retrieveTests } from './retrieve-tests.ts'
import { searchTests } from './search-tests.ts'
import { storeTests } from './store-tests.ts'

/** Few, so that requests have to wait for each other. */
const MAX_ASSOCIATIONS = 2

/** Some tests fetch every file, one by one; where the machine is busy that takes its time. */
const TIMEOUT_MS = 120_000

/** The same tests for every archive, through a real gateway, over HTTP. */
export function archiveSuite(
  name: string,
  start: (files: readonly string[], destinations: readonly PeerAddress[]) => Promise<ArchiveUnderTest>,
  retrieve: 'auto' | 'move' = 'auto',
): void {
  describe(name, { timeout: TIMEOUT_MS }, () => {
    let corpus: Corpus
    let archive: ArchiveUnderTest
    let gateway: Gateway
    let samples: readonly Sample[]
    const use = (): Running => ({ gateway, archive, samples })

    beforeAll(async () => {
      corpus = await Corpus.open()
      const listener = { aeTitle: 'DIMSEGATE', host: '127.0.0.1', port: retrieve === 'move' ? await freePort() : 0 }
      archive = await start(corpus.paths, retrieve === 'move' ? [listener] : [])
      samples = await corpus.samples([...archive.refused, ...(archive.withheld ?? [])])
      gateway = await startGateway(
        parseConfig({
          http: { port: 0 },
          dimse: { host: '127.0.0.1', port: listener.port, enabled: retrieve === 'move' },
          archives: [{ ...archive.address, retrieve, maxAssociations: MAX_ASSOCIATIONS }],
          log: { level: 'silent' },
        }),
      )
    })

    afterAll(async () => {
      await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
      await (archive as ArchiveUnderTest | undefined)?.[Symbol.asyncDispose]()
      await (corpus as Corpus | undefined)?.[Symbol.asyncDispose]()
    })

    it('has taken all the files it was given', () => {
      expect(archive.refused).toEqual([])
    })

    describe('search', () => searchTests(use))
    describe('retrieve', () => retrieveTests(use))
    describe('metadata', () => metadataTests(use))
    describe('reopened', () => reopenTests(use, retrieve))
    describe('store', () => storeTests(use))
    describe('dicomweb-client', () => clientTests(use))

    it('leaves no association leased, and none open once the gateway has stopped', async () => {
      const [{ stats }] = gateway.archives as [Gateway['archives'][number]]
      expect(stats).toMatchObject({ leased: 0, waiting: 0 })
      await gateway.stop()
      expect(gateway.archives[0]!.stats).toMatchObject({ open: 0, leased: 0, idle: 0, waiting: 0 })
      await expect.poll(() => archive.openAssociations() ?? 0, { timeout: 5_000, interval: 10 }).toBe(0)
    })
  })
}
