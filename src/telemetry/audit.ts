import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Audit } from '../audit/audit.ts'
import type { AuditSinkEvent } from '../audit/queue.ts'
import { errorFields } from './error-fields.ts'
import { listen } from './listen.ts'

const auditSentences = {
  failed: 'audit trail is not written',
  recovered: 'audit trail is written again',
  dropped: 'audit events are dropped',
  blocked: 'requests are refused until the audit trail is written',
  unblocked: 'requests are let in again',
  refused: 'audit events are refused, and given up',
  lost: 'audit events are lost by the stop',
} as const satisfies Record<AuditSinkEvent['what'], string>

export function logAudit(log: Logger): () => void {
  return listen('dimsegate:audit', (message) => {
    const { sink, path, what, error, events } = message as AuditSinkEvent
    const level = what === 'recovered' || what === 'unblocked' ? 'info' : 'error'
    log[level]({ sink, path, what, events, ...errorFields(error) }, auditSentences[what])
  })
}

export function measureAudit(registry: Registry, audit: Pick<Audit, 'stats'>): void {
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
