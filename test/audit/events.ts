import type { AuditEvent, AuditSource } from '../../src/audit/event.ts'

export const SOURCE: AuditSource = { aeTitle: 'DIMSEGATE', host: 'gateway.test', site: 'Süd & Co' }

const common = {
  at: '2026-02-03T04:05:06.789Z',
  outcome: 'success',
  user: { kind: 'token', name: 'dr. <"who">', authority: 'https://login.example' },
  address: '2001:db8::1',
  archive: { name: 'main', aeTitle: 'PACS', host: 'pacs.example' },
} as const

const study = { uid: '1.2.3', instances: { '1.2.840.10008.5.1.4.1.1.2': 3, '1.2.840.10008.5.1.4.1.1.4': 1 } }

/** One of each kind. */
export const EVENTS: readonly AuditEvent[] = [
  { kind: 'application-start', at: common.at, outcome: 'success' },
  { kind: 'application-stop', at: common.at, outcome: 'success' },
  { ...common, kind: 'query', verb: 'search', resource: '/dicomweb/studies', query: 'PatientName=M%C3%BCller*' },
  { ...common, kind: 'begin-transferring', verb: 'retrieve', study: { uid: '1.2.3', instances: {} } },
  {
    ...{ ...common, kind: 'instances-transferred', verb: 'retrieve', study, bytes: 12_345 },
    patient: { id: 'P-1', issuer: 'HOSPITAL' },
  },
  {
    ...{
      ...common,
      kind: 'instances-transferred',
      verb: 'store',
      study,
      outcome: 'minor-failure',
      reason: 'CLIENT_GONE',
    },
    patient: { id: 'P-1' },
  },
  {
    ...{ kind: 'security-alert', at: common.at, outcome: 'serious-failure', reason: 'TOKEN_REFUSED' },
    ...{ address: '192.0.2.1', resource: '/dicomweb/studies/\u0000\u001b[31m', spared: 3 },
  },
]
