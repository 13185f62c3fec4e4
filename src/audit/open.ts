import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Config } from '../config/config.ts'
import { Audit } from './audit.ts'
import type { AuditSink, AuditSource } from './event.ts'
import { FhirSink } from './fhir-sink.ts'
import { FileSink } from './file-sink.ts'
import { SyslogSink } from './syslog-sink.ts'

/** The audit trail of a configuration. @throws what reading the files of certificates throws */
export async function openAudit(config: Config['audit'], aeTitle: string): Promise<Audit> {
  if (config === null) return new Audit([], 'drop')
  const source: AuditSource = { aeTitle, host: hostname(), site: config.site ?? undefined }
  const sinks: AuditSink[] = []
  if (config.file !== null) sinks.push(new FileSink(config.file))
  if (config.syslog !== null) sinks.push(await syslogSink(config.syslog, source))
  if (config.fhir !== null) sinks.push(new FhirSink({ ...config.fhir, source }))
  return new Audit(sinks, config.onFailure)
}

async function syslogSink(
  { host, port, servername, ca, cert, key }: NonNullable<NonNullable<Config['audit']>['syslog']>,
  source: AuditSource,
): Promise<SyslogSink> {
  const files: Record<string, Buffer> = {}
  for (const [name, path] of Object.entries({ ca, cert, key })) {
    if (path !== null) files[name] = await readFile(path)
  }
  return new SyslogSink({ host, port, source, tls: { ...files, ...(servername !== null && { servername }) } })
}
