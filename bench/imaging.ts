import { setTimeout as delay } from 'node:timers/promises'
import { COMPRESSED_INSTANCES, COMPRESSED_STUDIES, compressedStudy } from './compressed.ts'
import type { Scenario } from './contest.ts'
import { curl } from './curl.ts'
import { startGateway } from './gateway.ts'
import { ORTHANC_TITLE } from './orthanc.ts'

/** Searches of which the time is taken, one after the other. */
const SEARCHES = 20
/** How long retrieves take to get going, in ms. */
const BEGUN_MS = 1_000
/** Less than this, and something came compressed, or not at all. */
const LEAST_BYTES = COMPRESSED_INSTANCES * 512 * 512 * 2

/** What decoding costs those who want something else. */
export const imagingScenarios: readonly Scenario[] = [
  {
    name: 'search-beside-decoding',
    work: `QIDO while ${COMPRESSED_STUDIES} JPEG 2000 studies are decoded (Orthanc)`,
    against: 'the same QIDO, idle',
    target: { of: 'ratio', reach: 3, aim: 1.5 },
    maxRounds: 3,
    async prepare(peers, resources, program) {
      const { host, port } = await peers.compressedOrthanc()
      const target = { aeTitle: ORTHANC_TITLE, host, port, maxAssociations: COMPRESSED_STUDIES + 2 }
      const gateway = resources.use(await startGateway(target, program))
      const search = `${gateway.url}/studies?limit=1`
      const searches = async (): Promise<{ seconds: number; firstByteSeconds: number }> => {
        const started = performance.now()
        for (let n = 0; n < SEARCHES; n++) await (await fetch(search)).arrayBuffer()
        const seconds = (performance.now() - started) / 1000
        return { seconds, firstByteSeconds: seconds / SEARCHES }
      }
      return {
        gateway,
        async ours() {
          const decoding = Promise.all(
            Array.from({ length: COMPRESSED_STUDIES }, (_, n) => uncompressed(gateway.url, n)),
          )
          // By then all of them are at it.
          await delay(BEGUN_MS)
          const turn = await searches()
          await decoding
          return turn
        },
        theirs: async () => (await searches()).seconds,
      }
    },
  },
]

async function uncompressed(root: string, n: number): Promise<void> {
  const accept = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
  const { bytes } = await curl(`${root}/studies/${compressedStudy(n)}`, ['-H', accept])
  if (bytes < LEAST_BYTES) throw new Error(`${root} gave ${bytes} bytes where ${LEAST_BYTES} were due`)
}
