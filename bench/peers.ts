import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireProgram } from '../test/support/peers.ts'
import { freePort } from '../test/support/ports.ts'
import { startProcess } from '../test/support/process.ts'
import { compressedFiles } from './compressed.ts'
import type { BenchData, BenchStudy } from './data.ts'
import { startDcmqrscp } from './dcmqrscp.ts'
import { startOrthanc } from './orthanc.ts'

/** An archive with the studies of the benchmark in it. */
export interface BenchPeer extends AsyncDisposable {
  readonly name: string
  readonly host: string
  readonly port: number
  /** The AE title under which a study is found. */
  titleOf(study: BenchStudy): string
}

/** A destination of C-STORE. */
export interface BenchReceiver extends AsyncDisposable {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  /** Where the files are, if it keeps them. */
  readonly folder: string
}

/** The data, and the peers, each started when first asked for and then kept: idle they cost nothing. */
export class Peers implements AsyncDisposable {
  readonly data: BenchData
  readonly #resources = new AsyncDisposableStack()
  readonly #started = new Map<string, Promise<unknown>>()

  constructor(data: BenchData) {
    this.data = data
  }

  dcmqrscp(): Promise<BenchPeer> {
    const { studies, together } = this.data
    return this.#once('dcmqrscp', () => startDcmqrscp([...Object.values(studies), together], true))
  }

  /** With Nagle's algorithm on, as DCMTK has it unless told. */
  stallingDcmqrscp(): Promise<BenchPeer> {
    return this.#once('stalling', () => startDcmqrscp(Object.values(this.data.studies), false))
  }

  orthanc(): ReturnType<typeof startOrthanc> {
    const { studies, headers } = this.data
    const files = Object.values(studies).flatMap((study) => study.files)
    return this.#once('orthanc', () => startOrthanc('orthanc', [...files, ...headers]))
  }

  /** Orthanc with the study of many series. */
  openOrthanc(): ReturnType<typeof startOrthanc> {
    return this.#once('orthanc-open', () => startOrthanc('orthanc-open', this.data.open.files))
  }

  /** Orthanc with compressed studies. */
  compressedOrthanc(): ReturnType<typeof startOrthanc> {
    return this.#once('orthanc-compressed', async () => startOrthanc('orthanc-compressed', await compressedFiles()))
  }

  /** Throws away what it receives. */
  receiver(): Promise<BenchReceiver> {
    return this.#once('receiver', () => startReceiver(['--ignore']))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync()
  }

  #once<T extends AsyncDisposable>(name: string, start: () => Promise<T>): Promise<T> {
    const running = (this.#started.get(name) as Promise<T> | undefined) ?? start().then((it) => this.#resources.use(it))
    this.#started.set(name, running)
    return running
  }
}

/** storescp, a process for each association: ours may be kept open while dcmsend has its turn. */
export async function startReceiver(args: readonly string[]): Promise<BenchReceiver> {
  await using resources = new AsyncDisposableStack()
  const { path: folder } = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
  const port = await freePort()
  resources.use(
    await startProcess(requireProgram('storescp'), {
      args: ['--fork', '-pdu', '131072', '-od', folder, ...args, String(port)],
      env: { TCP_NODELAY: '1' },
      ports: [port],
    }),
  )
  const owned = resources.move()
  return {
    aeTitle: 'STORESCP',
    host: '127.0.0.1',
    port,
    folder,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
