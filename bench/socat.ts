import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { findProgram } from '../test/support/peers.ts'
import { freePort } from '../test/support/ports.ts'
import type { Contest, Scenario } from './contest.ts'
import type { StudyName } from './data.ts'
import type { BenchPeer, Peers } from './peers.ts'
import { bytesOf, getscu } from './retrieve.ts'
import { dcmsend } from './store.ts'
import { timed } from './timed.ts'

/** What it costs to pass the same bytes on without looking at them: the native tool through socat, written in C. */
export const socatScenarios: readonly Scenario[] = [
  retrieval('ct', 'CT, 500 × 512 KiB'),
  retrieval('multiframe', 'multi-frame, 1 × 300 MiB'),
  passing('store-ct', 'dcmsend', 'CT, 500 × 512 KiB', 'ct', async (peers) => {
    const receiver = await peers.receiver()
    return { port: receiver.port, argumentsFor: (port) => dcmsend({ ...receiver, port }, peers.data.studies.ct) }
  }),
]

type Way = { readonly port: number; readonly argumentsFor: (port: number) => string[] }

function retrieval(name: StudyName, what: string): Scenario {
  return passing(name, 'getscu', what, name, async (peers) => {
    const peer: BenchPeer = await peers.dcmqrscp()
    return { port: peer.port, argumentsFor: (port) => getscu({ ...peer, port }, peers.data.studies[name]) }
  })
}

function passing(
  name: string,
  tool: string,
  what: string,
  study: StudyName,
  prepare: (peers: Peers) => Promise<Way>,
): Scenario {
  return {
    name: `socat-${name}`,
    work: `${tool} through socat: ${what}`,
    against: tool,
    target: undefined,
    async prepare(peers): Promise<Contest> {
      const { port: target, argumentsFor } = await prepare(peers)
      const relay = new Socat()
      const run = async (port: number): Promise<number> => (await timed(tool, argumentsFor(port))).seconds
      return {
        gateway: relay,
        bytes: bytesOf(peers.data.studies[study]),
        ours: async () => ({ seconds: await relay.around(target, run), firstByteSeconds: 0 }),
        theirs: () => run(target),
      }
    },
  }
}

/** socat, anew for each connection: what it has used is known when it has ended. */
class Socat {
  #seconds = 0

  async around(target: number, run: (port: number) => Promise<number>): Promise<number> {
    const program = findProgram('socat')
    if (program === undefined) throw new Error('socat is not installed: it is a package of that name')
    const port = await freePort()
    const socat = `${program} -d -d -b 262144 TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,nodelay TCP:127.0.0.1:${target},nodelay`
    // The shell tells what its children have used.
    const shell = spawn('bash', ['-c', `${socat}; times`], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    shell.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    const ended = once(shell, 'close')
    await listening(shell.stderr)
    const seconds = await run(port)
    await ended
    this.#seconds += usedByChildren(output)
    return seconds
  }

  cpuSeconds(): Promise<number> {
    return Promise.resolve(this.#seconds)
  }

  peakRss(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It has ended with its connection.
  }
}

/** Resolves when socat says that it listens; what it says afterwards is read and dropped. */
async function listening(log: Readable): Promise<void> {
  log.setEncoding('utf8')
  for await (const text of log.iterator({ destroyOnReturn: false })) {
    if (String(text).includes('listening on')) break
  }
  log.resume()
}

/** The second line of bash's `times`: user and system time of the children, as 0m1.234s. */
function usedByChildren(times: string): number {
  const found = [...(times.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  return found.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0)
}
