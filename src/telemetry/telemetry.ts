import { pino, type Logger } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Audit } from '../audit/audit.ts'
import type { Prefetcher } from '../cache/prefetch/prefetcher.ts'
import type { InstanceCache } from '../cache/instance-cache.ts'
import type { Config } from '../config/config.ts'
import type { ImagingPool } from '../imaging/pool/imaging-pool.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Spool } from '../routing/spool/spool.ts'
import type { Archive } from '../pacs/archive.ts'
import type { StoreNode } from '../pacs/store-node.ts'
import {
  logAssociations,
  logBreakers,
  logHabits,
  logSilentArchives,
  measureBreakers,
  measurePools,
} from './archives.ts'
import { logAudit, measureAudit } from './audit.ts'
import { logConnections, logListener, logRefusals } from './callers.ts'
import { logCertificates, logRenewals } from './certificates.ts'
import { measureCache, measureDisk, measureImaging } from './instances.ts'
import { logOfflinePriors, measurePrefetch } from './prefetch.ts'
import { logLines } from './log-lines.ts'
import { logRequests } from './requests.ts'
import { logCluster, measureCluster } from './cluster.ts'
import { logRouting, measureSpool } from './routing.ts'

export interface Telemetry {
  readonly log: Logger
  metrics(): Promise<{ readonly type: string; readonly text: string }>
  /** Listens no more. */
  stop(): void
}

/** What metrics are taken of. */
export interface Measured {
  readonly archives: () => readonly Archive[]
  readonly nodes?: (() => readonly StoreNode[]) | undefined
  readonly spool?: Pick<Spool, 'bytes' | 'stats'> | undefined
  readonly cluster?: Pick<Cluster, 'isUp'> | undefined
  readonly cache: InstanceCache
  readonly imaging: Pick<ImagingPool, 'stats'>
  readonly audit?: Pick<Audit, 'stats'>
  readonly prefetcher?: Pick<Prefetcher, 'stats'> | undefined
}

/**
 * Logs and metrics of what the layers below publish. Neither ever holds key values, names, UIDs or what an archive
 * wrote into an Error Comment: of an error only its code and kind are told, and the status of a DIMSE response;
 * what is wrong with a file of the configuration is a sentence.
 */
export function startTelemetry(config: Config['log'], measured: Measured): Telemetry {
  const { archives, nodes = () => [], spool, cluster, cache, imaging, audit, prefetcher } = measured
  const log = pino({ level: config.level, base: null }, logLines(config.format))
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const stops = [
    logRequests(log, registry),
    logAssociations(log, registry),
    logBreakers(log),
    logHabits(log),
    logSilentArchives(log),
    logOfflinePriors(log),
    logRefusals(log, registry),
    logConnections(log, registry),
    logListener(log),
    logRenewals(log),
    logCertificates(log, registry),
    logAudit(log),
    logRouting(log, registry),
    logCluster(log),
    ...(cluster ? [measureCluster(registry, cluster)] : []),
  ]
  measurePools(registry, archives, nodes)
  measureBreakers(registry, archives, nodes)
  measureCache(registry, cache)
  measureDisk(registry, cache)
  measureImaging(registry, imaging)
  if (spool) measureSpool(registry, spool)
  if (prefetcher) measurePrefetch(registry, prefetcher)
  if (audit && audit.stats.length > 0) measureAudit(registry, audit)
  return {
    log,
    metrics: async () => ({ type: registry.contentType, text: await registry.metrics() }),
    stop: () => stops.forEach((stop) => stop()),
  }
}
