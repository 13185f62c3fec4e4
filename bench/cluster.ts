import { fileURLToPath } from 'node:url'
import { Balancer } from '../test/support/balancer.ts'
import { freePort } from '../test/support/ports.ts'
import { startValkey } from '../test/support/valkey.ts'
import type { Contest, Scenario } from './contest.ts'
import { curl } from './curl.ts'
import { startDcmqrscp } from './dcmqrscp.ts'
import { startGateway, startMeasured, type BenchGateway, type GatewayProgram, type GatewayTarget } from './gateway.ts'
import type { BenchPeer } from './peers.ts'
import { bytesOf, verifiedGateway } from './retrieve.ts'

const OURS = 'DIMSEGATE'
const HOST = '127.0.0.1'
const MEGABYTES = 512
const RELAY = fileURLToPath(new URL('cluster-relay.ts', import.meta.url))

/** What being one of several replicas costs, and brings. */
export const clusterScenarios: readonly Scenario[] = [
  {
    name: 'cluster-alone',
    work: 'WADO study by C-MOVE, `cluster` on, delivered where it was asked for: CT, 500 × 512 KiB (dcmqrscp)',
    against: 'the same without `cluster`',
    target: { of: 'ratio', reach: 1.05, aim: 1 },
    prepare: (peers, resources, program) =>
      moved(peers.data.studies.ct, resources, program, async ({ peer, port, url, other }) => ({
        ours: await verifiedGateway(peer, peers.data.studies.ct, resources, program, await replica(port, url)),
        theirs: await verifiedGateway(other.peer, peers.data.studies.ct, resources, program, alone(other.port)),
      })),
  },
  {
    name: 'cluster-relayed',
    work: 'WADO study by C-MOVE that is delivered to another replica: CT, 500 × 512 KiB (dcmqrscp)',
    against: 'the same, delivered where it was asked for',
    target: undefined,
    prepare: (peers, resources, program) =>
      moved(peers.data.studies.ct, resources, program, async ({ peer, port, url, other }) => {
        const { ct } = peers.data.studies
        // It listens where the archive delivers to, and asks for nothing.
        await started(peer, port, url, resources, program)
        return {
          ours: await verifiedGateway(peer, ct, resources, program, await replica(await freePort(), url)),
          theirs: await verifiedGateway(other.peer, ct, resources, program, alone(other.port)),
        }
      }),
  },
  {
    name: 'cluster-three',
    work: 'WADO of 8 studies by C-MOVE at once, of three replicas behind a balancer (dcmqrscp)',
    against: 'one gateway',
    target: { of: 'ratio', reach: 1.11, aim: 1 },
    async prepare(peers, resources, program): Promise<Contest> {
      const { together } = peers.data
      const valkey = resources.use(await startValkey())
      const [front, single] = [await freePort(), await freePort()]
      const archive = async (port: number): Promise<BenchPeer> =>
        resources.use(await startDcmqrscp([together], true, [{ aeTitle: OURS, port }]))
      const [peer, other] = [await archive(front), await archive(single)]
      const ports = [await freePort(), await freePort(), await freePort()]
      resources.use(await Balancer.start(ports, front))
      const gateways: BenchGateway[] = []
      for (const port of ports) gateways.push(await started(peer, port, valkey.url, resources, program, together.name))
      const one = resources.use(
        await startGateway(
          { aeTitle: other.titleOf(together), host: HOST, port: other.port, ...alone(single) },
          program,
        ),
      )
      const seconds = async (all: readonly BenchGateway[]): Promise<number> => {
        const start = performance.now()
        await Promise.all(together.uids.map((uid, at) => curl(`${all[at % all.length]!.url}/studies/${uid}`, [])))
        return (performance.now() - start) / 1_000
      }
      return {
        gateway: gateways[0]!,
        bytes: bytesOf(together),
        ours: async () => ({ seconds: await seconds(gateways), firstByteSeconds: 0 }),
        theirs: () => seconds([one]),
      }
    },
  },
  {
    name: 'cluster-bytes',
    work: `${MEGABYTES} MiB from one process to another as replicas pass them on, in instances of 512 KiB`,
    against: 'the same through streams of Valkey, in chunks of 512 KiB',
    target: undefined,
    async prepare(_peers, resources): Promise<Contest> {
      const valkey = resources.use(await startValkey())
      const [taker, giver, other] = [await freePort(), await freePort(), await freePort()]
      resources.use(await startMeasured([RELAY, 'taker', `${taker}`, `${other}`], taker))
      const gateway = resources.use(await startMeasured([RELAY, 'giver', `${giver}`, `${other}`], giver))
      const [reader, writer] = [await freePort(), await freePort()]
      resources.use(await startMeasured([RELAY, 'reader', `${reader}`, valkey.url], reader))
      resources.use(await startMeasured([RELAY, 'writer', `${writer}`, valkey.url], writer))
      const asked = async (port: number): Promise<number> => {
        const start = performance.now()
        const answer = await fetch(`http://${HOST}:${port}/${MEGABYTES}`)
        const text = await answer.text()
        if (text !== String(MEGABYTES * 1024 * 1024)) throw new Error(`${text} bytes were passed on`)
        return (performance.now() - start) / 1_000
      }
      return {
        gateway,
        bytes: MEGABYTES * 1024 * 1024,
        ours: async () => ({ seconds: await asked(giver), firstByteSeconds: 0 }),
        theirs: () => asked(writer),
      }
    },
  },
]

interface Place {
  readonly peer: BenchPeer
  /** Where it delivers to. */
  readonly port: number
}

type Fetched = Awaited<ReturnType<typeof verifiedGateway>>

/** Two archives with the same study, one for each side. */
async function moved(
  study: Parameters<typeof verifiedGateway>[1],
  resources: AsyncDisposableStack,
  _program: GatewayProgram,
  sides: (
    place: Place & { readonly url: string; readonly other: Place },
  ) => Promise<{ ours: Fetched; theirs: Fetched }>,
): Promise<Contest> {
  const valkey = resources.use(await startValkey())
  const place = async (): Promise<Place> => {
    const port = await freePort()
    return { port, peer: resources.use(await startDcmqrscp([study], true, [{ aeTitle: OURS, port }])) }
  }
  const { ours, theirs } = await sides({ ...(await place()), url: valkey.url, other: await place() })
  return {
    gateway: ours.gateway,
    bytes: bytesOf(study),
    ours: ours.fetchStudy,
    theirs: async () => (await theirs.fetchStudy()).seconds,
  }
}

function alone(port: number): Pick<GatewayTarget, 'dimse' | 'retrieve' | 'maxAssociations'> {
  return { retrieve: 'move', maxAssociations: 9, dimse: { aeTitle: OURS, host: HOST, port, enabled: true } }
}

async function replica(port: number, url: string): Promise<Pick<GatewayTarget, 'dimse' | 'retrieve' | 'others'>> {
  const cluster = { url, listen: `${HOST}:${await freePort()}`, secret: 'x'.repeat(32) }
  return { ...alone(port), others: { cluster } }
}

async function started(
  peer: BenchPeer,
  port: number,
  url: string,
  resources: AsyncDisposableStack,
  program: GatewayProgram,
  name = 'ct',
): Promise<BenchGateway> {
  const aeTitle = peer.titleOf({ name } as Parameters<BenchPeer['titleOf']>[0])
  const target = { aeTitle, host: HOST, port: peer.port, ...(await replica(port, url)) }
  return resources.use(await startGateway(target, program))
}
