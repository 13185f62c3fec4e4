import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { freePort } from '../test/support/ports.ts'
import type { Contest, Scenario } from './contest.ts'
import { curl } from './curl.ts'
import { BOUNDARY } from './data.ts'
import { startMeasured } from './gateway.ts'
import type { Peers } from './peers.ts'
import { bytesOf, checkGetscu, getscu } from './retrieve.ts'
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

/** What a store takes of Node before any of it is understood: the body of a request, searched for a boundary, written to a socket. */
const bareUpload: Scenario = {
  name: 'relay-upload',
  work: 'curl’s upload through a bare HTTP server that searches it for a boundary, into a socket: CT, 500 × 512 KiB',
  against: 'dcmsend',
  target: undefined,
  async prepare(peers, resources): Promise<Contest> {
    const receiver = await peers.receiver()
    const study = peers.data.studies.ct
    const [sinkPort, port] = [await freePort(), await freePort()]
    resources.use(await startMeasured([PROGRAM, 'sink', `${sinkPort}`], sinkPort))
    const server = resources.use(await startMeasured([PROGRAM, 'upload', `${port}`, `${sinkPort}`], port))
    const upload = ['-X', 'POST', '-T', study.body, '-H', 'Expect:']
    return {
      gateway: server,
      bytes: bytesOf(study),
      ours: () => curl(`http://127.0.0.1:${port}/`, upload),
      theirs: async () => (await timed('dcmsend', dcmsend(receiver, study))).seconds,
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
  bareUpload,
]

/** The port of the archive, and the arguments of the native tool for whatever stands there. */
type Preparation = (peers: Peers) => Promise<{ port: number; bytes: number; argumentsFor: (port: number) => string[] }>

function fetching(of: 'ct' | 'small'): Preparation {
  return async (peers) => {
    const peer = await peers.dcmqrscp()
    const study = peers.data.studies[of]
    await checkGetscu(peer, study)
    return { port: peer.port, bytes: bytesOf(study), argumentsFor: (port) => getscu({ ...peer, port }, study) }
  }
}

function sending(of: 'ct' | 'small'): Preparation {
  return async (peers) => {
    const receiver = await peers.receiver()
    const study = peers.data.studies[of]
    return {
      port: receiver.port,
      bytes: bytesOf(study),
      argumentsFor: (port) => dcmsend({ ...receiver, port }, study),
    }
  }
}

function relayed(name: string, data: string, tool: string, prepare: Preparation): Scenario {
  return {
    name: `relay-${name}`,
    work: `${tool} through a bare TCP relay: ${data}`,
    against: tool,
    target: undefined,
    async prepare(peers, resources): Promise<Contest> {
      const { port: target, bytes, argumentsFor } = await prepare(peers)
      const port = await freePort()
      const relay = resources.use(await startMeasured([PROGRAM, `${target}`, `${port}`], port))
      const run = async (to: number): Promise<number> => (await timed(tool, argumentsFor(to))).seconds
      return {
        gateway: relay,
        bytes,
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

/** The body of each request to a connection of its own. */
function uploadServer(port: number, sinkPort: number): void {
  const delimiter = Buffer.from(`\r\n--${BOUNDARY}`)
  createHttpServer((request, response) => {
    const far = connect({ port: sinkPort, host: '127.0.0.1', noDelay: true })
    request.on('data', (chunk: Buffer) => {
      for (let at = 0; (at = chunk.indexOf(delimiter, at)) >= 0; at += delimiter.length);
      if (far.write(chunk)) return
      request.pause()
      far.once('drain', () => request.resume())
    })
    request.on('end', () => far.end(() => response.writeHead(200).end()))
  }).listen(port, '127.0.0.1')
}

/** Reads what comes, and forgets it. */
function sink(port: number): void {
  createServer({ noDelay: true }, (socket) => socket.on('error', () => socket.destroy()).resume()).listen(
    port,
    '127.0.0.1',
  )
}

if (process.argv[1] === PROGRAM) {
  const [what, port, other] = process.argv.slice(2)
  if (what === 'frames') frameServer(Number(port), Number(other))
  else if (what === 'upload') uploadServer(Number(port), Number(other))
  else if (what === 'sink') sink(Number(port))
  else relay(Number(what), Number(port))
}
