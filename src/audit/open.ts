import { hostname } from 'node:os'
import type { Config } from '../config/config.ts'
import { Audit, type AlertBounds } from './audit.ts'
import type { AuditSink, AuditSource } from './event.ts'
import { FhirSink } from './fhir-sink.ts'
import { FileSink } from './file-sink.ts'
import { SyslogSink, type SyslogTls } from './syslog-sink.ts'

type SyslogConfig = NonNullable<NonNullable<Config['audit']>['syslog']>

export interface AuditPlace {
  /** What we call ourselves. */
  readonly aeTitle: string
  readonly readTls: (syslog: SyslogConfig) => Promise<SyslogTls>
  readonly alerts: AlertBounds
}

/** The audit trail of a configuration. @throws AuditFileError, what reading the files of certificates throws */
export async function openAudit(config: Config['audit'], { aeTitle, readTls, alerts }: AuditPlace): Promise<Audit> {
  if (config === null) return new Audit([], 'drop')
  const source: AuditSource = { aeTitle, host: hostname(), site: config.site ?? undefined }
  const sinks: AuditSink[] = []
  if (config.file !== null) sinks.push(await FileSink.open(config.file))
  if (config.syslog !== null) sinks.push(await syslogSink(config.syslog, source, readTls))
  if (config.fhir !== null) sinks.push(new FhirSink({ ...config.fhir, source }))
  return new Audit(sinks, config.onFailure, alerts)
}

async function syslogSink(
  config: SyslogConfig,
  source: AuditSource,
  readTls: AuditPlace['readTls'],
): Promise<SyslogSink> {
  const { host, port, servername } = config
  // Each connection reads them anew; what is wrong with them now is told at the start.
  const tls = async (): Promise<SyslogTls> => ({
    ...(await readTls(config)),
    ...(servername !== null && { servername }),
  })
  await tls()
  return new SyslogSink({ host, port, source, tls })
}
