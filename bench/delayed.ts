import { fileURLToPath } from 'node:url'
import { startDelayed } from '../test/support/delayed.ts'
import { freePort } from '../test/support/ports.ts'
import { startMeasured } from './gateway.ts'
import type { BenchPeer } from './peers.ts'

/** From there to here and back, in ms: of an archive in another town. */
export const ROUND_TRIP_MS = 50

const PROGRAM = fileURLToPath(import.meta.url)

/** An archive behind a way that takes ROUND_TRIP_MS, in a process of its own. */
export async function farAway(peer: BenchPeer, resources: AsyncDisposableStack): Promise<BenchPeer> {
  const port = await freePort()
  resources.use(await startMeasured([PROGRAM, `${peer.port}`, `${port}`], port))
  return { ...peer, port, titleOf: (study) => peer.titleOf(study) }
}

if (process.argv[1] === PROGRAM) {
  const [target, port] = process.argv.slice(2).map(Number)
  await startDelayed(target!, ROUND_TRIP_MS / 2, port)
}
