import type { Logger } from 'pino'
import { Gauge, type Registry } from 'prom-client'
import type { CertificateEvent, TlsRenewalEvent } from '../pacs/tls-renewal.ts'
import { errorFields } from './error-fields.ts'
import { listen } from './listen.ts'

/** So long before its end a certificate is warned of, in ms: those of Let's Encrypt are renewed 30 days before. */
export const WARNED_MS = 14 * 24 * 60 * 60_000

export function logRenewals(log: Logger): () => void {
  return listen('dimsegate:tls-renewal', (message) => {
    const { path, error } = message as TlsRenewalEvent
    if (error === undefined) log.info({ path }, 'certificates read anew')
    // What it says is of files and the configuration.
    else log.error({ path, ...errorFields(error), why: (error as Error).message }, 'certificates not read anew')
  })
}

export function logCertificates(log: Logger, registry: Registry): () => void {
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
