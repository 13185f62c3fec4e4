import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from './peers.ts'
import { freePort } from './ports.ts'
import { startProcess } from './process.ts'
import { Restartable } from './restartable.ts'

export interface RunningValkey extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** It keeps nothing when it is killed. */
  readonly program: Restartable
}

/** For `describe.skipIf`: no server, and nobody insists. Under CI=true the tests run, and so fail. */
export function skipWithoutValkey(): boolean {
  return serverPath() === undefined && process.env['CI'] !== 'true'
}

/** Starts Debian's redis-server, or valkey-server where that is there, on a free port of loopback, without persistence. */
export async function startValkey({ args = [] }: { args?: readonly string[] } = {}): Promise<RunningValkey> {
  const path = serverPath()
  if (path === undefined) throw new Error('Neither valkey-server nor redis-server is installed')
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-valkey-'))
  const port = await freePort()
  const common = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  const program = await Restartable.start(() =>
    startProcess(path, { args: ['--port', String(port), ...common, ...args], ports: [port] }),
  )
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    program,
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function serverPath(): string | undefined {
  return findProgram('valkey-server') ?? findProgram('redis-server')
}
