import { X509Certificate } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import { readFile } from 'node:fs/promises'
import type { Config } from '../config/config.ts'
import { watchFiles } from './files-watch.ts'

/** Published when certificates were read anew, since their files changed, or could not be. */
export interface TlsRenewalEvent {
  /** The group of the configuration that names the files. */
  readonly path: string
  readonly error: unknown
}

/** Published at the start, and when it was read anew, of each certificate that we show. */
export interface CertificateEvent {
  /** The group of the configuration that names it. */
  readonly path: string
  /** The end of it, in ms since 1970. */
  readonly notAfter: number
}

const renewals = channel('dimsegate:tls-renewal')
const certificates = channel('dimsegate:certificate')

/** What has certificates, and how it takes others. */
export interface Renewable {
  readonly path: string
  readonly tls: Readonly<Record<string, unknown>> | null
  readonly renew: () => Promise<void>
}

export interface Renewal {
  /** Renews all at once. @throws TlsFileError for the first that cannot be */
  now(): Promise<void>
  stop(): void
}

/** Renews what has certificates when their files change, which are looked at every so many ms. */
export function renewWhenChanged(all: readonly Renewable[], every?: number): Renewal {
  for (const one of all) void tellEnd(one)
  const stops = all.map(({ path, tls, renew }) => {
    const files = Object.entries(tls ?? {}).flatMap(([key, value]) =>
      FILES.includes(key) && typeof value === 'string' ? [value] : [],
    )
    if (files.length === 0) return () => undefined
    return watchFiles(files, () => renewed({ path, tls, renew }), every)
  })
  return {
    now: async () => {
      for (const one of all) if (one.tls) await renewed(one)
    },
    stop: () => stops.forEach((stop) => stop()),
  }
}

const FILES: readonly string[] = ['cert', 'key', 'ca', 'clientCa'] satisfies (
  keyof NonNullable<Config['http']['tls']> | keyof NonNullable<Config['dimse']['tls']>
)[]

async function renewed(one: Renewable): Promise<void> {
  const { path, renew } = one
  try {
    await renew()
    renewals.publish({ path, error: undefined } satisfies TlsRenewalEvent)
    await tellEnd(one)
  } catch (error) {
    renewals.publish({ path, error } satisfies TlsRenewalEvent)
    throw error
  }
}

async function tellEnd({ path, tls }: Renewable): Promise<void> {
  const file = tls?.['cert']
  if (typeof file !== 'string') return
  const pem = await readFile(file).catch(() => undefined)
  if (!pem) return
  certificates.publish({ path, notAfter: endOf(pem) } satisfies CertificateEvent)
}

function endOf(pem: Buffer): number {
  return new X509Certificate(pem).validToDate.getTime()
}
