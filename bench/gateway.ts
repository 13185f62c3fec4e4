import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../test/support/ports.ts'
import { startProcess } from '../test/support/process.ts'

/** A program whose use of the machine is told. */
export interface MeasuredProcess extends AsyncDisposable {
  /** Most memory it has held since it started, in bytes (VmHWM); undefined where there is no /proc. */
  peakRss(): Promise<number | undefined>
  /** Processor time it has used since it started, in seconds. */
  cpuSeconds(): Promise<number | undefined>
}

/** The gateway as a process of its own. */
export interface BenchGateway extends MeasuredProcess {
  /** Of the DICOMweb root. */
  readonly url: string
}

export interface GatewayTarget {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  /** As in the configuration file; without one every turn is a retrieval. */
  readonly cache?: object
  readonly dimse?: object
  readonly retrieve?: 'auto' | 'move'
  readonly maxAssociations?: number
  readonly prefetch?: object
  /** Of the whole configuration. */
  readonly others?: object
}

const NO_CACHE = { maxBytes: 0 }

/** What is started. */
export interface GatewayProgram {
  /** Arguments of its Node, such as those for profiles. */
  readonly nodeOptions: readonly string[]
  /** Its entry point. */
  readonly main: string
}

export const unbuilt = resolve(import.meta.dirname, '../src/main.ts')

/** Starts it in front of one archive. */
export async function startGateway(target: GatewayTarget, program: GatewayProgram): Promise<BenchGateway> {
  await using resources = new AsyncDisposableStack()
  const root = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
  const port = await freePort()
  const path = join(root.path, 'gateway.yaml')
  await writeFile(path, stringify(configuration(target, port)))
  const running = resources.use(
    await startMeasured(
      ['--max-semi-space-size=4', ...program.nodeOptions, program.main, 'serve', '--config', path],
      port,
    ),
  )
  const owned = resources.move()
  return {
    ...running,
    url: `http://127.0.0.1:${port}/dicomweb`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A Node program that listens on a port. */
export async function startMeasured(args: readonly string[], port: number): Promise<MeasuredProcess> {
  const running = await startProcess(process.execPath, {
    args,
    ports: [port],
    patience: 20_000, // to write a profile
  })
  return {
    peakRss: () => peakRss(running.pid),
    cpuSeconds: () => cpuSeconds(running.pid),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

function configuration(target: GatewayTarget, httpPort: number): object {
  const {
    aeTitle,
    host,
    port,
    cache = NO_CACHE,
    dimse = { enabled: false },
    retrieve = 'auto',
    maxAssociations = 4,
    prefetch = null,
    others = {},
  } = target
  return {
    http: { port: httpPort },
    dimse,
    cache,
    prefetch,
    archives: [
      { aeTitle, host, port, retrieve, maxAssociations, search: { maxResults: 10_000, deriveCounts: 'never' } },
    ],
    log: { level: 'warn' },
    ...others,
  }
}

async function peakRss(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
}

/** proc(5): utime and stime are fields 14 and 15, in hundredths of a second. */
async function cpuSeconds(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
