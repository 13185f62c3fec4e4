import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../test/support/ports.ts'
import { startProcess, type RunningProcess } from '../test/support/process.ts'
import type { SoakArchive } from './archives.ts'

export const UNBUILT = resolve(import.meta.dirname, '../src/main.ts')

/** How long requests may go on when it is stopped. */
export const SHUTDOWN_GRACE_MS = 15_000
/** Behind that, to release associations and end. */
const STOP_SLACK_MS = 5_000
/** Of web addresses in answers: the same whichever way a client came. */
const PUBLIC_URL = 'http://soak.test'
const CACHE_BYTES = 64 * 1024 * 1024

/** What a process takes of the machine, and what it holds. */
export interface Holdings {
  readonly rss: number
  /** Of V8: objects in use or not yet collected, and buffers beside its heap. */
  readonly heapUsed: number
  readonly external: number
  readonly sockets: number
  /** Other than sockets. */
  readonly descriptors: number
  readonly associations: number
  readonly leased: number
  readonly waiting: number
  readonly frames: number
  readonly cacheBytes: number
}

/** How a stop went. */
export interface Drain {
  readonly milliseconds: number
  /** As of a process: `exit code 0`. */
  readonly ended: string
}

/** The gateway as a process of its own, in front of the archives; it may be stopped and started again. */
export class SoakGateway implements AsyncDisposable {
  readonly port: number
  readonly #args: readonly string[]
  readonly #onOutput: (text: string) => void
  #running: RunningProcess | undefined

  private constructor(port: number, args: readonly string[], onOutput: (text: string) => void) {
    this.port = port
    this.#args = args
    this.#onOutput = onOutput
  }

  static async start(
    archives: readonly SoakArchive[],
    options: { readonly main: string; readonly folder: string; readonly onOutput: (text: string) => void },
  ): Promise<SoakGateway> {
    const port = await freePort()
    const path = join(options.folder, 'gateway.yaml')
    await writeFile(path, stringify(configuration(archives, port)))
    const args = ['--max-semi-space-size=4', options.main, 'serve', '--config', path]
    const gateway = new SoakGateway(port, args, options.onOutput)
    await gateway.start()
    return gateway
  }

  async start(): Promise<void> {
    this.#running = await startProcess(process.execPath, {
      args: this.#args,
      ports: [this.port],
      patience: SHUTDOWN_GRACE_MS + STOP_SLACK_MS,
      onOutput: this.#onOutput,
    })
  }

  /** SIGTERM, and SIGKILL if that is not enough; resolves when it has ended. */
  async drain(): Promise<Drain> {
    const started = performance.now()
    const running = this.#running!
    await running.stop()
    return { milliseconds: performance.now() - started, ended: await running.ended }
  }

  /** Of the process; undefined once it has ended. */
  async rss(): Promise<number | undefined> {
    const status = await readFile(`/proc/${this.#running!.pid}/status`, 'utf8').catch(() => '')
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  }

  async holdings(): Promise<Holdings> {
    const metrics = await this.#metrics()
    const sum = (name: string, label = ''): number =>
      metrics
        .split('\n')
        .filter((line) => line.startsWith(name) && line.includes(label))
        .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
    const folder = `/proc/${this.#running!.pid}/fd`
    const names = await readdir(folder)
    const links = await Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => '')))
    const sockets = links.filter((link) => link.startsWith('socket:')).length
    const pool = 'dimsegate_pool_associations'
    return {
      rss: (await this.rss()) ?? 0,
      heapUsed: sum('nodejs_heap_size_used_bytes'),
      external: sum('nodejs_external_memory_bytes'),
      sockets,
      descriptors: links.filter((link) => link !== '').length - sockets,
      associations: sum(pool, 'state="leased"') + sum(pool, 'state="idle"'),
      leased: sum(pool, 'state="leased"'),
      waiting: sum(pool, 'state="waiting"'),
      frames: sum('dimsegate_imaging_frames'),
      cacheBytes: sum('dimsegate_cache_bytes'),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.stop()
  }

  async #metrics(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/metrics`, { headers: { connection: 'close' } })
    return answer.text()
  }
}

/** Short time limits: what fails shall fail often. */
function configuration(archives: readonly SoakArchive[], port: number): object {
  return {
    auth: 'open',
    http: { port, publicUrl: PUBLIC_URL, shutdownGrace: `${SHUTDOWN_GRACE_MS}ms`, clientTimeout: '15s' },
    dimse: { enabled: false },
    cache: { maxBytes: CACHE_BYTES, ttl: '10s' },
    archives: archives.map(({ name, aeTitle, link, associations }) => ({
      name,
      aeTitle,
      host: '127.0.0.1',
      port: link.port,
      maxAssociations: associations,
      timeouts: { connect: '3s', associate: '5s', response: '10s', queue: '20s', idle: '5s' },
    })),
    log: { level: 'warn' },
  }
}
