import { setTimeout as delay } from 'node:timers/promises'
import type { Contest, Scenario, Turn } from './contest.ts'
import { curl } from './curl.ts'
import { farAway, ROUND_TRIP_MS } from './delayed.ts'
import { startGateway, type BenchGateway, type GatewayProgram } from './gateway.ts'
import type { BenchPeer } from './peers.ts'
import { Person, type Opened } from './person.ts'
import { checkGetscu, getscu, verifiedGateway } from './retrieve.ts'
import { timed } from './timed.ts'

/** What was opened is forgotten before the next turn: each is a first one. */
const TTL_MS = 12_000
/** Of metadata, on the wire: what is left of it. */
const MOST_OF_PLAIN = 1 / 8

/** What a person waits for who opens studies, and what goes over the wire for that. */
export const openScenarios: readonly Scenario[] = [
  firstImage({ name: 'open-orthanc', prefetch: 'study', of: 'imageSeconds' }),
  firstImage({ name: 'open-early', prefetch: 'first', of: 'earlyImageSeconds' }),
  firstImage({ name: 'open-delayed', prefetch: 'first', of: 'earlyImageSeconds', isFar: true }),
  {
    name: 'reopen-orthanc',
    work: 'The same study, opened again (Orthanc)',
    against: 'opening it in another browser, from what the gateway holds',
    target: { of: 'ratio', reach: 0.5, aim: 0.2 },
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.open.study
      const gateway = await gatewayTo(await peers.openOrthanc(), resources, program, { maxBytes: '512MiB' })
      const person = resources.use(new Person(gateway.url))
      await person.open(study)
      const ours = async (): Promise<Turn> => {
        const opened = await person.open(study)
        if (opened.frameBytes > 0) throw new Error(`${opened.frameBytes} bytes of frames came again`)
        return { seconds: opened.imageSeconds, firstByteSeconds: 0, wireBytes: opened.bytes }
      }
      return { gateway, ours, theirs: async () => (await openAnew(gateway, study)).imageSeconds }
    },
  },
  {
    name: 'metadata-wire',
    work: 'Metadata of 500 slices, compressed with zstd (held)',
    against: 'the same, plain',
    target: { of: 'ratio', reach: 1.5, aim: 1 },
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.studies.ct
      const peer = await peers.dcmqrscp()
      const cache = { maxBytes: '512MiB', ttl: '10m' }
      const { host, port } = peer
      const gateway = resources.use(await startGateway({ aeTitle: peer.titleOf(study), host, port, cache }, program))
      const url = `${gateway.url}/studies/${study.study}/series/${study.study}.1/metadata`
      const plain = await curl(url, [])
      const ours = async (): Promise<Turn> => {
        const { seconds, firstByteSeconds, bytes } = await curl(url, ['-H', 'Accept-Encoding: zstd'])
        if (bytes > plain.bytes * MOST_OF_PLAIN) throw new Error(`${bytes} of ${plain.bytes} bytes went over the wire`)
        return { seconds, firstByteSeconds, wireBytes: bytes }
      }
      return { gateway, ours, theirs: async () => (await curl(url, [])).seconds }
    },
  },
  {
    name: 'small-delayed',
    work: `WADO study: 4 × 500 × 8 KiB (Orthanc, behind ${ROUND_TRIP_MS} ms)`,
    against: 'getscu',
    target: { of: 'ratio', reach: 0.7, aim: 0.4 },
    maxRounds: 1,
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.studies.small
      const peer = await farAway(await peers.orthanc(), resources)
      await checkGetscu(await peers.orthanc(), study)
      // The first is over one association, by which it is learnt that several do better.
      const { gateway, fetchStudy } = await verifiedGateway(peer, study, resources, program)
      return { gateway, ours: fetchStudy, theirs: async () => (await timed('getscu', getscu(peer, study))).seconds }
    },
  },
]

interface First {
  readonly name: string
  readonly prefetch: 'first' | 'study'
  readonly of: 'imageSeconds' | 'earlyImageSeconds'
  readonly isFar?: boolean
}

function firstImage({ name, prefetch, of, isFar = false }: First): Scenario {
  const what = of === 'imageSeconds' ? 'First image as OHIF has it' : 'First image of the first series'
  return {
    name,
    work: `${what}, of 20 × 100 × 128 KiB, prefetch: ${prefetch} (Orthanc${isFar ? `, behind ${ROUND_TRIP_MS} ms` : ''})`,
    against: 'the same without prefetch',
    target: { of: 'ratio', reach: 0.5, aim: 0.3 },
    maxRounds: 3,
    async prepare(peers, resources, program): Promise<Contest> {
      const { study } = peers.data.open
      const near = await peers.openOrthanc()
      const peer: BenchPeer = isFar ? await farAway(near, resources) : near
      const gateway = (how: object): Promise<BenchGateway> =>
        gatewayTo(peer, resources, program, { ttl: `${TTL_MS}ms`, ...how })
      const [ahead, plain] = [await gateway({ prefetch }), await gateway({})]
      const opened = async (by: BenchGateway): Promise<number> => {
        await delay(TTL_MS + 200)
        return (await openAnew(by, study))[of]
      }
      const ours = async (): Promise<Turn> => ({ seconds: await opened(ahead), firstByteSeconds: 0 })
      return { gateway: ahead, ours, theirs: () => opened(plain) }
    },
  }
}

async function openAnew({ url }: BenchGateway, study: string): Promise<Opened> {
  using person = new Person(url)
  await person.select(study)
  return await person.open(study)
}

async function gatewayTo(
  peer: BenchPeer,
  resources: AsyncDisposableStack,
  program: GatewayProgram,
  cache: object,
): Promise<BenchGateway> {
  const { host, port } = peer
  return resources.use(await startGateway({ aeTitle: 'ORTHANC', host, port, cache }, program))
}
