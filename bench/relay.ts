import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { freePort } from '../test/support/ports.ts'
import type { Contest, Scenario } from './contest.ts'
import { startMeasured } from './gateway.ts'
import { getscu, checkGetscu } from './retrieve.ts'
import { dcmsend } from './store.ts'
import { timed } from './timed.ts'

/** What a ratio can be on this machine: the native tool against itself, through a program that only passes bytes on. */
export const relayScenarios: readonly Scenario[] = [
  relayed('ct', 'getscu', async (peers) => {
    const peer = await peers.dcmqrscp()
    const study = peers.data.studies.ct
    await checkGetscu(peer, study)
    return { port: peer.port, argumentsFor: (port) => getscu({ ...peer, port }, study) }
  }),
  relayed('store-ct', 'dcmsend', async (peers) => {
    const receiver = await peers.receiver()
    return {
      port: receiver.port,
      argumentsFor: (port) => dcmsend({ ...receiver, port }, peers.data.studies.ct),
    }
  }),
]

function relayed(
  name: string,
  tool: string,
  prepare: (
    peers: Parameters<Scenario['prepare']>[0],
  ) => Promise<{ port: number; argumentsFor: (port: number) => string[] }>,
): Scenario {
  return {
    name: `relay-${name}`,
    work: `${tool} through a bare TCP relay: CT, 500 × 512 KiB`,
    against: tool,
    target: undefined,
    async prepare(peers, resources): Promise<Contest> {
      const { port: target, argumentsFor } = await prepare(peers)
      const port = await freePort()
      const relay = resources.use(await startMeasured([fileURLToPath(import.meta.url), `${target}`, `${port}`], port))
      const run = async (to: number): Promise<number> => (await timed(tool, argumentsFor(to))).seconds
      return {
        gateway: relay,
        ours: async () => ({ seconds: await run(port), firstByteSeconds: 0 }),
        theirs: () => run(target),
      }
    },
  }
}

/** The fastest that Node does: reads into fresh buffers of 256 KiB, writes the views. */
function relay(target: number, port: number): void {
  const server = createServer({ noDelay: true }, (near) => {
    const pass = (to: () => Socket, from: () => Socket) => ({
      buffer: () => Buffer.allocUnsafeSlow(262_144),
      callback: (count: number, buffer: Uint8Array): boolean => {
        if (!to().write(buffer.subarray(0, count))) {
          from().pause()
          to().once('drain', () => from().resume())
        }
        return true
      },
    })
    const far: Socket = connect({
      port: target,
      host: '127.0.0.1',
      noDelay: true,
      onread: pass(
        () => near,
        () => far,
      ),
    })
    near.on('data', (chunk) => {
      if (far.write(chunk)) return
      near.pause()
      far.once('drain', () => near.resume())
    })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('end', () => other.end())
      one.on('error', () => other.destroy())
    }
  })
  server.listen(port, '127.0.0.1')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) relay(Number(process.argv[2]), Number(process.argv[3]))
