import { Counter, Gauge, type Registry } from 'prom-client'
import type { InstanceCache } from '../cache/instance-cache.ts'
import type { ImagingPool } from '../imaging/pool/imaging-pool.ts'

export function measureCache(registry: Registry, cache: InstanceCache): void {
  new Counter({
    name: 'dimsegate_cache_requests_total',
    help: 'Requests served from memory or disk (hit), by a retrieval under way (join), by a new one (miss); retrievals begun before anybody asked (ahead)',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      const { hits, joins, misses, ahead } = cache.stats
      this.reset()
      for (const [result, value] of Object.entries({ hit: hits, join: joins, miss: misses, ahead }))
        this.inc({ result }, value)
    },
  })
  new Counter({
    name: 'dimsegate_cache_evictions_total',
    help: 'Instances that had to make room for others',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(cache.stats.evictions)
    },
  })
  new Gauge({
    name: 'dimsegate_cache_bytes',
    help: 'Memory that instances take in the cache',
    registers: [registry],
    collect() {
      this.set(cache.stats.bytes)
    },
  })
}

/** A cache without a disk has none of these. */
export function measureDisk(registry: Registry, cache: InstanceCache): void {
  if (!cache.stats.disk) return
  const registers = [registry]
  const gauges = [
    ['dimsegate_cache_disk_bytes', 'bytes', 'Bytes on disk that instances of the cache take'],
    ['dimsegate_cache_disk_instances', 'instances', 'Instances of the cache on disk'],
  ] as const
  for (const [name, value, help] of gauges) {
    const collect = (): void => gauge.set(cache.stats.disk?.[value] ?? 0)
    const gauge = new Gauge({ name, help, registers, collect })
  }
  const counters = [
    ['dimsegate_cache_disk_hits_total', 'hits', 'Requests that were served from disk'],
    ['dimsegate_cache_disk_errors_total', 'errors', 'Reads and writes that failed, and blocks that were changed'],
  ] as const
  for (const [name, value, help] of counters) {
    const collect = (): void => {
      counter.reset()
      counter.inc(cache.stats.disk?.[value] ?? 0)
    }
    const counter = new Counter({ name, help, registers, collect })
  }
}

export function measureImaging(registry: Registry, imaging: Pick<ImagingPool, 'stats'>): void {
  new Gauge({
    name: 'dimsegate_imaging_frames',
    help: 'Frames that are being decoded, encoded or drawn, and that wait for a thread',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, value] of Object.entries(imaging.stats)) this.set({ state }, value)
    },
  })
}
