import { hash, randomUUID } from 'node:crypto'
import { parseConfig } from '../../src/config/config.ts'
import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import type { Selection } from '../../src/instance/uids.ts'
import { collect } from './byte-stream.ts'
import { Balancer } from './balancer.ts'
import { freePort } from './ports.ts'
import { splitPart10 } from './part10.ts'

const CLUSTER = { listen: '127.0.0.1:0', secret: 'replicas of the tests, thirty-two bytes and more' }

export interface Replicas extends AsyncDisposable {
  readonly gateways: readonly Gateway[]
  /** What archives know as our only address. */
  readonly balancer: Balancer
}

export interface ReplicasOptions {
  /** URL of the shared server. */
  readonly url: string
  readonly archives: readonly object[]
  readonly count?: number
  /** Where archives deliver to; a free port unless told. */
  readonly port?: number
  /** Of `cluster`, for each replica by its number. */
  readonly cluster?: (index: number) => object
  /** Of the whole configuration. */
  readonly others?: object
}

/** Gateways of one process that are replicas of each other, behind a balancer. */
export async function startReplicas(options: ReplicasOptions): Promise<Replicas> {
  const { url, archives, count = 2, port, cluster = () => ({}), others = {} } = options
  const gateways: Gateway[] = []
  const ports: number[] = []
  const balancer = await Balancer.start(ports, port)
  const end = async (): Promise<void> => {
    for (const gateway of gateways) await gateway[Symbol.asyncDispose]()
    await balancer[Symbol.asyncDispose]()
  }
  try {
    while (gateways.length < count) {
      const own = await freePort()
      gateways.push(
        await startGateway(
          parseConfig({
            http: { port: 0 },
            dimse: { host: '127.0.0.1', port: own, enabled: true },
            archives,
            cluster: { ...CLUSTER, url, ...cluster(gateways.length) },
            cache: { maxBytes: 0 },
            log: { level: 'silent' },
            ...others,
          }),
        ),
      )
      ports.push(own)
    }
  } catch (error) {
    await end()
    throw error
  }
  return { gateways, balancer, [Symbol.asyncDispose]: end }
}

export interface ReplicasAndArchive extends Replicas {
  readonly demo: DemoArchive
}

export interface MovedOptions extends Partial<ReplicasOptions> {
  readonly url: string
  readonly files: readonly Bytes[]
  readonly archive?: DemoArchiveOptions
  /** As in the configuration file. */
  readonly settings?: object
  /** Which of the replicas the archive delivers to; at random unless told. */
  readonly to?: number
}

/** Replicas, and a demo archive that gives by C-MOVE to the balancer in front of them. */
export async function startMoved(options: MovedOptions): Promise<ReplicasAndArchive> {
  const { files, archive = {}, settings = {}, to, cluster = () => ({}), ...rest } = options
  const port = await freePort()
  const demo = await DemoArchive.start({ destinations: { DIMSEGATE: { host: '127.0.0.1', port } }, ...archive })
  try {
    for (const file of files) await demo.put(file)
    // Tests share a server, and not what they write there.
    const name = randomUUID()
    const replicas = await startReplicas({
      port,
      ...rest,
      archives: [{ aeTitle: demo.aeTitle, host: '127.0.0.1', port: demo.port, retrieve: 'move', ...settings }],
      cluster: (index) => ({ name, ...cluster(index) }),
    })
    if (to !== undefined) replicas.balancer.choose = () => to
    const end = async (): Promise<void> => {
      await replicas[Symbol.asyncDispose]()
      await demo[Symbol.asyncDispose]()
    }
    return { ...replicas, demo, [Symbol.asyncDispose]: end }
  } catch (error) {
    await demo[Symbol.asyncDispose]()
    throw error
  }
}

/** Digests of the data sets that a retrieval of a replica brings, by SOP Instance UID. @throws what the retrieval does */
export async function digestsOf(
  gateway: Gateway,
  selection: Selection,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const call = { signal: signal ?? new AbortController().signal }
  for await (const { sopInstance, body } of gateway.archives[0]!.retrieve(selection, true, call)) {
    if (found.has(sopInstance)) throw new Error(`${sopInstance} came twice`)
    found.set(sopInstance, hash('sha256', await collect(body)))
  }
  return found
}

/** Those of files, as far as their data sets are given as they are. */
export function digestsOfFiles(files: readonly Buffer[]): Map<string, string> {
  const parts = files.map(splitPart10)
  return new Map(parts.map(({ sopInstance, data }) => [sopInstance, hash('sha256', data)]))
}
