import type { AssociationEvent } from './pacs/pool/association-event.ts'
import type { BreakerEvent, BreakerState } from './pacs/pool/breaker.ts'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { pino, type Logger } from 'pino'
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { InstanceCache } from './cache/instance-cache.ts'
import type { Config } from './config/config.ts'
import { formatStatus, StatusError } from './dimse/status.ts'
import type { RequestEvent } from './http/app.ts'
import type { RefusedConnectionEvent } from './http/tls.ts'
import type { ImagingPool } from './imaging/pool/imaging-pool.ts'
import { AssociationRejectedError } from './network/errors.ts'
import type { Archive } from './pacs/archive.ts'
import { habitSentences, type HabitEvent } from './pacs/habits.ts'
import type { Audit } from './audit/audit.ts'
import type { AuditSinkEvent } from './audit/queue.ts'
import { RepositoryError } from './audit/repository-error.ts'
import { logLines } from './log-lines.ts'
import { SparedLines } from './spared-lines.ts'
import type { CertificateEvent, TlsRenewalEvent } from './tls-renewal.ts'
import type { ListenerEvent, RefusedStoreEvent } from './pacs/delivery/events.ts'

export interface Telemetry {
  readonly log: Logger
  metrics(): Promise<{ readonly type: string; readonly text: string }>
  /** Listens no more. */
  stop(): void
}

/** What metrics are taken of. */
export interface Measured {
  readonly archives: () => readonly Archive[]
  readonly cache: InstanceCache
  readonly imaging: Pick<ImagingPool, 'stats'>
  readonly audit?: Pick<Audit, 'stats'>
}

/**
 * Logs and metrics of what the layers below publish. Neither ever holds key values, names, UIDs or what an archive
 * wrote into an Error Comment: of an error only its code and kind are told, and the status of a DIMSE response.
 */
export function startTelemetry(config: Config['log'], { archives, cache, imaging, audit }: Measured): Telemetry {
  const log = pino({ level: config.level, base: null }, logLines(config.format))
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const stops = [
    logRequests(log, registry),
    logAssociations(log, registry),
    logBreakers(log),
    logHabits(log),
    logRefusals(log, registry),
    logConnections(log, registry),
    logListener(log),
    logRenewals(log),
    logCertificates(log, registry),
    logAudit(log),
  ]
  measurePools(registry, archives)
  measureBreakers(registry, archives)
  measureCache(registry, cache)
  measureDisk(registry, cache)
  measureImaging(registry, imaging)
  if (audit && audit.stats.length > 0) measureAudit(registry, audit)
  return {
    log,
    metrics: async () => ({ type: registry.contentType, text: await registry.metrics() }),
    stop: () => stops.forEach((stop) => stop()),
  }
}

const PARTIAL_CONTENT = 206

/** Routes that probes and scrapers ask continually: logged at debug unless they fail. */
const operational = new Set(['/livez', '/readyz', '/metrics'])

function listen(name: string, listener: (message: unknown) => void): () => void {
  subscribe(name, listener)
  return () => void unsubscribe(name, listener)
}

function logRequests(log: Logger, registry: Registry): () => void {
  const duration = new Histogram({
    name: 'dimsegate_http_request_duration_seconds',
    help: 'Time from the request to the end of its response',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
    registers: [registry],
  })
  const cuts = new Counter({
    name: 'dimsegate_http_responses_cut_total',
    help: 'Responses whose connection ended before their body did',
    labelNames: ['route'],
    registers: [registry],
  })
  return listen('dimsegate:request', (message) => {
    const { method, route, archive, status, milliseconds, cut, error } = message as RequestEvent
    duration.observe({ method, route, status }, milliseconds / 1000)
    if (cut) cuts.inc({ route })
    const isFailure = status >= 500 || (cut && codeOf(error) !== 'CLIENT_GONE' && error !== undefined)
    // What an archive has damaged, or does not give, is its administrator's business.
    const level = isFailure ? 'error' : status === PARTIAL_CONTENT && error !== undefined ? 'warn' : 'info'
    const fields = {
      method,
      route,
      archive,
      status,
      ms: Math.round(milliseconds),
      ...(cut && { cut }),
      ...errorFields(error),
    }
    log[operational.has(route) && level === 'info' ? 'debug' : level](fields, 'request')
  })
}

function logAssociations(log: Logger, registry: Registry): () => void {
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
function logBreakers(log: Logger): () => void {
  return listen('dimsegate:breaker', (message) => {
    const { archive, state, previous, failures, error } = message as BreakerEvent
    const level = state === 'closed' ? 'info' : state === 'open' && previous === 'closed' ? 'warn' : 'debug'
    log[level]({ archive, state, failures, ...errorFields(error) }, 'breaker of an archive')
  })
}

function logHabits(log: Logger): () => void {
  return listen('dimsegate:habit', (message) => {
    const { archive, habit } = message as HabitEvent
    log.warn({ archive, habit, what: habitSentences[habit] }, 'habit of an archive')
  })
}

function logRefusals(log: Logger, registry: Registry): () => void {
  const refused = new Counter({
    name: 'dimsegate_refused_stores_total',
    help: 'Instances, associations and connections that our DICOM listener refused',
    labelNames: ['reason'],
    registers: [registry],
  })
  const lines = new SparedLines()
  return listen('dimsegate:refused-store', (message) => {
    const { reason, address, callingAeTitle, code } = message as RefusedStoreEvent
    refused.inc({ reason })
    const line = lines.next(reason)
    if (line) log.warn({ reason, address, callingAeTitle, code, ...line }, 'refused store')
  })
}

function logConnections(log: Logger, registry: Registry): () => void {
  const refused = new Counter({
    name: 'dimsegate_http_refused_connections_total',
    help: 'Connections to the web server that did not come to terms about TLS',
    registers: [registry],
  })
  const lines = new SparedLines()
  return listen('dimsegate:refused-connection', (message) => {
    const { address, code } = message as RefusedConnectionEvent
    refused.inc()
    const line = lines.next('tls')
    if (line) log.warn({ reason: 'tls-failed', address, code, ...line }, 'refused connection')
  })
}

function logRenewals(log: Logger): () => void {
  return listen('dimsegate:tls-renewal', (message) => {
    const { path, error } = message as TlsRenewalEvent
    if (error === undefined) log.info({ path }, 'certificates read anew')
    // What it says is of files and the configuration.
    else log.error({ path, ...errorFields(error), why: (error as Error).message }, 'certificates not read anew')
  })
}

/** So long before its end a certificate is warned of, in ms: those of Let's Encrypt are renewed 30 days before. */
export const WARNED_MS = 14 * 24 * 60 * 60_000

function logCertificates(log: Logger, registry: Registry): () => void {
  const ends = new Gauge({
    name: 'dimsegate_certificate_not_after_seconds',
    help: 'When the certificate that is shown ends, in seconds since 1970',
    labelNames: ['path'],
    registers: [registry],
  })
  return listen('dimsegate:certificate', (message) => {
    const { path, notAfter } = message as CertificateEvent
    ends.set({ path }, notAfter / 1000)
    const fields = { path, until: new Date(notAfter).toISOString() }
    if (notAfter <= Date.now()) log.error(fields, 'certificate has ended')
    else if (notAfter - Date.now() < WARNED_MS) log.warn(fields, 'certificate ends soon')
  })
}

const auditSentences = {
  failed: 'audit trail is not written',
  recovered: 'audit trail is written again',
  dropped: 'audit events are dropped',
  blocked: 'requests are refused until the audit trail is written',
  unblocked: 'requests are let in again',
  refused: 'audit events are refused, and given up',
  lost: 'audit events are lost by the stop',
} as const satisfies Record<AuditSinkEvent['what'], string>

function logAudit(log: Logger): () => void {
  return listen('dimsegate:audit', (message) => {
    const { sink, path, what, error, events } = message as AuditSinkEvent
    const level = what === 'recovered' || what === 'unblocked' ? 'info' : 'error'
    log[level]({ sink, path, what, events, ...errorFields(error) }, auditSentences[what])
  })
}

function measureAudit(registry: Registry, audit: Pick<Audit, 'stats'>): void {
  new Gauge({
    name: 'dimsegate_audit_waiting_events',
    help: 'Audit events that wait to be written',
    labelNames: ['sink'],
    registers: [registry],
    collect() {
      for (const { sink, waiting } of audit.stats) this.set({ sink }, waiting)
    },
  })
  new Counter({
    name: 'dimsegate_audit_dropped_events_total',
    help: 'Audit events that were lost, since they could not be written',
    labelNames: ['sink'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { sink, dropped } of audit.stats) this.inc({ sink }, dropped)
    },
  })
}

function logListener(log: Logger): () => void {
  return listen('dimsegate:listener', (message) => {
    const { aeTitle, port } = message as ListenerEvent
    log.info({ aeTitle, port }, 'DICOM listener')
  })
}

function measurePools(registry: Registry, archives: () => readonly Archive[]): void {
  new Gauge({
    name: 'dimsegate_pool_associations',
    help: 'Associations of each archive by what they are doing, and requests waiting for one',
    labelNames: ['archive', 'state'],
    registers: [registry],
    collect() {
      for (const archive of archives()) {
        const { leased, idle, waiting } = archive.stats
        for (const [state, value] of Object.entries({ leased, idle, waiting })) {
          this.set({ archive: archive.config.name, state }, value)
        }
      }
    },
  })
}

const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const satisfies Record<BreakerState, number>

function measureBreakers(registry: Registry, archives: () => readonly Archive[]): void {
  new Gauge({
    name: 'dimsegate_archive_breaker',
    help: 'Whether each archive counts as down: 0 no, 2 yes, 1 while it is tried',
    labelNames: ['archive'],
    registers: [registry],
    collect() {
      for (const { config, breaker } of archives()) this.set({ archive: config.name }, BREAKER_VALUES[breaker])
    },
  })
}

function measureCache(registry: Registry, cache: InstanceCache): void {
  new Counter({
    name: 'dimsegate_cache_requests_total',
    help: 'Requests served from memory or disk (hit), by a retrieval under way (join), by a new one (miss)',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      const { hits, joins, misses } = cache.stats
      this.reset()
      for (const [result, value] of Object.entries({ hit: hits, join: joins, miss: misses }))
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
function measureDisk(registry: Registry, cache: InstanceCache): void {
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

function measureImaging(registry: Registry, imaging: Pick<ImagingPool, 'stats'>): void {
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

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

/** The fields of an error that are logged: codes and numbers, never its message, which may quote anything. */
function errorFields(error: unknown): Record<string, unknown> {
  if (error === undefined) return {}
  if (!(error instanceof Error)) return { error: {} }
  const code = codeOf(error)
  return {
    error: {
      name: error.name,
      code,
      ...(error instanceof RepositoryError && { http: error.http }),
      ...(error instanceof StatusError && { dimse: formatStatus(error.status) }),
      ...(error instanceof AssociationRejectedError && {
        reject: { result: error.result, source: error.source, reason: error.reason },
      }),
      ...(error.cause instanceof Error && { cause: causesOf(error.cause) }),
      // An error without a code is a fault of ours: where it happened is needed.
      ...(code === undefined && { where: whereOf(error) }),
    },
  }
}

/** Each by its code or kind, from the next to the last. */
function causesOf(error: Error): string {
  const name = codeOf(error) ?? error.name
  return error.cause instanceof Error && error.cause !== error ? `${name} < ${causesOf(error.cause)}` : name
}

/** The frames of a stack: behind the message, which may have lines of its own. */
function whereOf({ stack = '', message }: Error): string {
  const at = stack.indexOf(message)
  const frames = at < 0 ? '' : stack.slice(at + message.length)
  return frames.split('\n').slice(1, 6).join('\n')
}
