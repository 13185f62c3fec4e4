import { parseConfig } from '../../src/config/config.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { Balancer } from './balancer.ts'
import { freePort } from './ports.ts'

export const CLUSTER_SECRET = 'replicas of the tests, thirty-two bytes and more'

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
  /** Of `cluster` and of the whole configuration. */
  readonly cluster?: object
  readonly others?: object
}

/** Gateways of one process that are replicas of each other, behind a balancer. */
export async function startReplicas(options: ReplicasOptions): Promise<Replicas> {
  const { url, archives, count = 2, port, cluster = {}, others = {} } = options
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
            cluster: { url, listen: '127.0.0.1:0', secret: CLUSTER_SECRET, ...cluster },
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
