import { execFile } from 'node:child_process'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireProgram } from '../test/support/peers.ts'
import { freePort } from '../test/support/ports.ts'
import { startProcess } from '../test/support/process.ts'
import { type BenchStudy, once } from './data.ts'
import type { BenchPeer } from './peers.ts'

/**
 * Starts dcmqrscp over the studies where they lie, each under an AE title of its own: the index of one does not slow
 * another. The indices are kept, since making them looks through the whole index for each file (2,000 files: 14 s).
 * (test/support/dcmqrscp.ts copies its files and loads them anew each time.)
 */
export async function startDcmqrscp(
  studies: readonly BenchStudy[],
  tcpNoDelay: boolean,
  destinations: readonly { readonly aeTitle: string; readonly port: number }[] = [],
): Promise<BenchPeer> {
  const program = requireProgram('dcmqrscp')
  const areas: string[] = []
  for (const study of studies) {
    const folder = await once(`dcmqrscp-${study.name}`, (into) => index(into, study.files))
    areas.push(`${titleOf(study)} ${folder} RW (10, 1024mb) ANY`)
  }
  await using resources = new AsyncDisposableStack()
  const root = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
  const port = await freePort()
  const path = join(root.path, 'dcmqrscp.cfg')
  await writeFile(path, configuration(port, areas, destinations))
  const env = { TCP_NODELAY: tcpNoDelay ? '1' : '0' }
  resources.use(await startProcess(program, { args: ['--config', path, String(port)], env, ports: [port] }))
  const owned = resources.move()
  return {
    name: tcpNoDelay ? 'dcmqrscp' : 'dcmqrscp, Nagle on',
    host: '127.0.0.1',
    port,
    titleOf,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function titleOf({ name }: BenchStudy): string {
  return `BENCH_${name.toUpperCase()}`
}

/** Enters the files in the index of a folder. dcmqridx keeps their paths as they are given. */
async function index(folder: string, files: readonly string[]): Promise<void> {
  for (let at = 0; at < files.length; at += 500) {
    await promisify(execFile)(requireProgram('dcmqridx'), [folder, ...files.slice(at, at + 500)])
  }
}

function configuration(
  port: number,
  areas: readonly string[],
  destinations: readonly { readonly aeTitle: string; readonly port: number }[],
): string {
  const hosts = destinations.map(({ aeTitle, port: at }) => `${aeTitle.toLowerCase()} = (${aeTitle}, 127.0.0.1, ${at})`)
  return `
NetworkTCPPort  = ${port}
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
${hosts.join('\n')}
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
${areas.join('\n')}
AETable END
`
}
