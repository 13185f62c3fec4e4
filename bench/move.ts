import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../test/support/ports.ts'
import type { Contest, Scenario } from './contest.ts'
import { startDcmqrscp } from './dcmqrscp.ts'
import { identifier, verifiedGateway } from './retrieve.ts'
import { timed } from './timed.ts'

const OURS = 'DIMSEGATE'
const THEIRS = 'MOVESCU'

/** WADO-RS of a study by C-MOVE against movescu with a receiver of its own. */
export const moveScenarios: readonly Scenario[] = [
  {
    name: 'move-dcmqrscp',
    work: 'WADO study by C-MOVE: CT, 500 × 512 KiB (dcmqrscp)',
    against: 'movescu',
    target: { of: 'ratio', reach: 1.1, aim: 0.6 },
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.studies.ct
      const [ours, theirs] = [await freePort(), await freePort()]
      const destinations = [
        { aeTitle: OURS, port: ours },
        { aeTitle: THEIRS, port: theirs },
      ]
      const peer = resources.use(await startDcmqrscp([study], true, destinations))
      const { gateway, fetchStudy } = await verifiedGateway(peer, study, resources, program, {
        retrieve: 'move',
        dimse: { aeTitle: OURS, host: '127.0.0.1', port: ours },
      })
      const { path: folder } = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
      const options = [
        '-aet',
        THEIRS,
        '--port',
        String(theirs),
        '-pdu',
        '131072',
        '-od',
        folder,
        '--ignore',
        '-aem',
        THEIRS,
      ]
      const movescu = [...options, ...identifier(peer, study, 'STUDY', [])]
      const { output } = await timed('movescu', ['-v', ...movescu], true)
      const stored = output.match(/Received Store Request/g)?.length
      if (stored !== study.files.length) throw new Error(`movescu got ${String(stored)} of ${study.name}`)
      return { gateway, ours: fetchStudy, theirs: async () => (await timed('movescu', movescu)).seconds }
    },
  },
]
