import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Archive } from '../pacs/archive.ts'
import type { StoreNode } from '../pacs/store-node.ts'
import type { SilentArchiveEvent } from '../pacs/federation/gather.ts'
import { habitSentences, type HabitEvent } from '../pacs/habits.ts'
import type { AssociationEvent } from '../pacs/pool/association-event.ts'
import type { PoolStats } from '../pacs/pool/pool-stats.ts'
import type { BreakerEvent, BreakerState } from '../pacs/pool/breaker.ts'
import { errorFields } from './error-fields.ts'
import { listen } from './listen.ts'
import { SparedLines } from './spared-lines.ts'

export function logAssociations(log: Logger, registry: Registry): () => void {
  const events = new Counter({
    name: 'dimsegate_associations_total',
    help: 'Associations opened, failed to open, given up while they were, and ended',
    labelNames: ['archive', 'event'],
    registers: [registry],
  })
  return listen('dimsegate:association', (message) => {
    const { archive, event, error } = message as AssociationEvent
    events.inc({ archive, event })
    const isRoutine = event === 'opened' || event === 'given-up' || event === 'closed'
    log[isRoutine ? 'debug' : 'warn']({ archive, event, ...errorFields(error) }, 'association')
  })
}

/** An outage is told once; that each trial fails is to be expected. */
export function logBreakers(log: Logger): () => void {
  return listen('dimsegate:breaker', (message) => {
    const { archive, state, previous, failures, error } = message as BreakerEvent
    const level = state === 'closed' ? 'info' : state === 'open' && previous === 'closed' ? 'warn' : 'debug'
    log[level]({ archive, state, failures, ...errorFields(error) }, 'breaker of an archive')
  })
}

/** Each request may tell it. */
export function logSilentArchives(log: Logger): () => void {
  const spared = new SparedLines()
  return listen('dimsegate:silent-archive', (message) => {
    const { archive, error } = message as SilentArchiveEvent
    const line = spared.next(archive)
    if (line) log.warn({ archive, ...errorFields(error), ...line }, 'archive of several has not told all')
  })
}

export function logHabits(log: Logger): () => void {
  return listen('dimsegate:habit', (message) => {
    const { archive, habit } = message as HabitEvent
    log.warn({ archive, habit, what: habitSentences[habit] }, 'habit of an archive')
  })
}

/** Where associations are opened to: archives, the systems beside them, destinations of routes. */
function pools(
  archives: readonly Archive[],
  nodes: readonly StoreNode[],
): { name: string; stats: PoolStats; breaker: BreakerState }[] {
  return [
    ...archives.flatMap(poolsOf),
    ...nodes.map(({ config: { name }, stats, breaker }) => ({ name, stats, breaker })),
  ]
}

function poolsOf(archive: Archive): { name: string; stats: PoolStats; breaker: BreakerState }[] {
  const { config, stats, breaker, besides } = archive
  return [
    { name: config.name, stats, breaker },
    ...besides.map(({ name, pool }) => ({ name, stats: pool.stats, breaker: pool.breaker })),
  ]
}

export function measurePools(
  registry: Registry,
  archives: () => readonly Archive[],
  nodes: () => readonly StoreNode[],
): void {
  new Gauge({
    name: 'dimsegate_pool_associations',
    help: 'Associations of each archive by what they are doing, and requests waiting for one',
    labelNames: ['archive', 'state'],
    registers: [registry],
    collect() {
      for (const { name, stats } of pools(archives(), nodes())) {
        const { leased, idle, waiting } = stats
        for (const [state, value] of Object.entries({ leased, idle, waiting })) {
          this.set({ archive: name, state }, value)
        }
      }
    },
  })
}

const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const satisfies Record<BreakerState, number>

export function measureBreakers(
  registry: Registry,
  archives: () => readonly Archive[],
  nodes: () => readonly StoreNode[],
): void {
  new Gauge({
    name: 'dimsegate_archive_breaker',
    help: 'Whether each archive counts as down: 0 no, 2 yes, 1 while it is tried',
    labelNames: ['archive'],
    registers: [registry],
    collect() {
      for (const { name, breaker } of pools(archives(), nodes())) this.set({ archive: name }, BREAKER_VALUES[breaker])
    },
  })
}
