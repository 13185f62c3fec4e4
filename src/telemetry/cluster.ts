import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Cluster } from '../cluster/cluster.ts'
import type { ControlPlaneEvent, RelayEvent } from '../cluster/events.ts'
import { errorFields } from './error-fields.ts'
import { listen } from './listen.ts'
import { SparedLines } from './spared-lines.ts'

/** When the server that replicas share is lost and found, and what one replica could not pass on to another. */
export function logCluster(log: Logger): () => void {
  const spared = new SparedLines()
  const stops = [
    listen('dimsegate:control-plane', (message) => {
      const { event, error } = message as ControlPlaneEvent
      log[event === 'lost' ? 'warn' : 'info'](errorFields(error), `server of the replicas ${event}`)
    }),
    listen('dimsegate:relay', (message) => {
      const { direction, outcome, bytes } = message as RelayEvent
      const line = outcome === 'failed' ? spared.next(direction) : undefined
      if (line) log.warn({ direction, bytes, ...line }, 'an instance was not passed on between replicas')
    }),
  ]
  return () => stops.forEach((stop) => stop())
}

export function measureCluster(registry: Registry, cluster: Pick<Cluster, 'isUp'>): () => void {
  new Gauge({
    name: 'dimsegate_cluster_up',
    help: 'Whether the server that the replicas share is there',
    registers: [registry],
    collect() {
      this.set(cluster.isUp ? 1 : 0)
    },
  })
  const instances = new Counter({
    name: 'dimsegate_relayed_instances_total',
    help: 'Instances that an archive stored to one replica and another had asked for, by what became of them',
    labelNames: ['direction', 'outcome'],
    registers: [registry],
  })
  const bytes = new Counter({
    name: 'dimsegate_relayed_bytes_total',
    help: 'Bytes of instances between replicas',
    labelNames: ['direction'],
    registers: [registry],
  })
  return listen('dimsegate:relay', (message) => {
    const { direction, outcome, bytes: count } = message as RelayEvent
    instances.inc({ direction, outcome })
    bytes.inc({ direction }, count)
  })
}
