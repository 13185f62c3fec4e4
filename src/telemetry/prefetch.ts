import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import type { OfflinePriorsEvent, Prefetcher } from '../cache/prefetch/prefetcher.ts'
import { listen } from './listen.ts'
import { SparedLines } from './spared-lines.ts'

/** Somebody has to fetch them from where they are. */
export function logOfflinePriors(log: Logger): () => void {
  const spared = new SparedLines()
  return listen('dimsegate:offline-priors', (message) => {
    const { archive, studies } = message as OfflinePriorsEvent
    const line = spared.next(archive)
    if (line) log.warn({ archive, studies, ...line }, 'priors that are offline')
  })
}

export function measurePrefetch(registry: Registry, prefetcher: Pick<Prefetcher, 'stats'>): void {
  const priors = new Counter({
    name: 'dimsegate_prefetch_studies_total',
    help: 'Priors that were fetched before anybody asked, then used or wasted; sent elsewhere; failed; offline at their archive',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      const { fetched, used, wasted, moved, failed, offline } = prefetcher.stats
      priors.reset()
      for (const [result, value] of Object.entries({ fetched, used, wasted, moved, failed, offline }))
        priors.inc({ result }, value)
    },
  })
  const bytes = new Counter({
    name: 'dimsegate_prefetch_bytes_total',
    help: 'Bytes of priors that were fetched before anybody asked',
    registers: [registry],
    collect() {
      bytes.reset()
      bytes.inc(prefetcher.stats.bytes)
    },
  })
  const opened = new Counter({
    name: 'dimsegate_prefetch_opened_total',
    help: 'Opened studies that have priors: all of them here by then (ready), or not',
    labelNames: ['priors'],
    registers: [registry],
    collect() {
      const { opened: all, ready } = prefetcher.stats
      opened.reset()
      opened.inc({ priors: 'ready' }, ready)
      opened.inc({ priors: 'missing' }, all - ready)
    },
  })
}
