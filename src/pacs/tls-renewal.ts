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

/** Published at the start, once a day, and when it was read anew, of each certificate that we show. */
export interface CertificateEvent {
  /** The group of the configuration that names it. */
  readonly path: string
  /** The end of it, in ms since 1970. */
  readonly notAfter: number
}

/** How often it is told when certificates end, in ms: a renewal may fail for weeks. */
export const TOLD_EVERY_MS = 24 * 60 * 60_000

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
  const tellAll = (): void => all.forEach((one) => void tellEnd(one))
  tellAll()
  const daily = setInterval(tellAll, TOLD_EVERY_MS).unref()
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
    stop: () => {
      clearInterval(daily)
      stops.forEach((stop) => stop())
    },
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
  } catch (error) {
    renewals.publish({ path, error } satisfies TlsRenewalEvent)
    throw error
  }
  await tellEnd(one)
}

async function tellEnd({ path, tls }: Renewable): Promise<void> {
  const file = tls?.['cert']
  if (typeof file !== 'string') return
  try {
    const { validToDate } = new X509Certificate(await readFile(file))
    certificates.publish({ path, notAfter: validToDate.getTime() } satisfies CertificateEvent)
  } catch {
    // What is wrong with it, or half written, who reads it to use it tells.
  }
}
