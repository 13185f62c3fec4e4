import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { freePort } from '../test/support/ports.ts'
import type { Contest, Scenario } from './contest.ts'
import { startMeasured } from './gateway.ts'
import type { Peers } from './peers.ts'
import { getscu, checkGetscu } from './retrieve.ts'
import { dcmsend } from './store.ts'
import { timed } from './timed.ts'
import { fetchOfFrames } from './viewer.ts'

const PROGRAM = fileURLToPath(import.meta.url)

/** What a viewer's ratio can be: the series through the relay, then as many frames from a Node server that only has them. */
const bareViewer: Scenario = {
  name: 'relay-viewer',
  work: 'getscu through a bare TCP relay, then its 500 frames from a bare HTTP server',
  against: 'getscu',
  target: undefined,
  async prepare(peers, resources): Promise<Contest> {
    const peer = await peers.dcmqrscp()
    const study = peers.data.studies.ct
    await checkGetscu(peer, study)
    const [port, httpPort] = [await freePort(), await freePort()]
    const relay = resources.use(await startMeasured([PROGRAM, `${peer.port}`, `${port}`], port))
    resources.use(await startMeasured([PROGRAM, 'frames', `${httpPort}`, `${study.pixelBytes}`], httpPort))
    const urls = study.files.map((_, n) => `http://127.0.0.1:${httpPort}/${n}`)
    const frames = await fetchOfFrames(urls, study.pixelBytes, resources)
    const run = async (to: number): Promise<number> =>
      (await timed('getscu', getscu({ ...peer, port: to }, study))).seconds
    return {
      gateway: relay,
      ours: async () => ({ seconds: (await run(port)) + (await frames()), firstByteSeconds: 0 }),
      theirs: () => run(peer.port),
    }
  },
}

/** What a ratio can be on this machine: the native tool against itself, through a program that only passes bytes on. */
export const relayScenarios: readonly Scenario[] = [
  relayed('ct', 'CT, 500 × 512 KiB', 'getscu', fetching('ct')),
  relayed('small', '2,000 × 8 KiB', 'getscu', fetching('small')),
  relayed('store-ct', 'CT, 500 × 512 KiB', 'dcmsend', sending('ct')),
  relayed('store-small', '2,000 × 8 KiB', 'dcmsend', sending('small')),
  bareViewer,
]

/** The port of the archive, and the arguments of the native tool for whatever stands there. */
type Preparation = (peers: Peers) => Promise<{ port: number; argumentsFor: (port: number) => string[] }>

function fetching(of: 'ct' | 'small'): Preparation {
  return async (peers) => {
    const peer = await peers.dcmqrscp()
    const study = peers.data.studies[of]
    await checkGetscu(peer, study)
    return { port: peer.port, argumentsFor: (port) => getscu({ ...peer, port }, study) }
  }
}

function sending(of: 'ct' | 'small'): Preparation {
  return async (peers) => {
    const receiver = await peers.receiver()
    return { port: receiver.port, argumentsFor: (port) => dcmsend({ ...receiver, port }, peers.data.studies[of]) }
  }
}

function relayed(name: string, data: string, tool: string, prepare: Preparation): Scenario {
  return {
    name: `relay-${name}`,
    work: `${tool} through a bare TCP relay: ${data}`,
    against: tool,
    target: undefined,
    async prepare(peers, resources): Promise<Contest> {
      const { port: target, argumentsFor } = await prepare(peers)
      const port = await freePort()
      const relay = resources.use(await startMeasured([PROGRAM, `${target}`, `${port}`], port))
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

/** The same frame for whatever is asked. */
function frameServer(port: number, bytes: number): void {
  const frame = Buffer.alloc(bytes, 1)
  createHttpServer((_, response) => {
    response.writeHead(200, { 'Content-Length': bytes }).end(frame)
  }).listen(port, '127.0.0.1')
}

if (process.argv[1] === PROGRAM) {
  const [what, port, bytes] = process.argv.slice(2)
  if (what === 'frames') frameServer(Number(port), Number(bytes))
  else relay(Number(what), Number(port))
}
