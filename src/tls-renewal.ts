import { channel } from 'node:diagnostics_channel'
import type { Config } from './config/config.ts'
import { watchFiles } from './pacs/files-watch.ts'

/** Published when certificates were read anew, since their files changed, or could not be. */
export interface TlsRenewalEvent {
  /** The group of the configuration that names the files. */
  readonly path: string
  readonly error: unknown
}

const renewals = channel('dimsegate:tls-renewal')

/** What has certificates, and how it takes others. */
export interface Renewable {
  readonly path: string
  readonly tls: Readonly<Record<string, unknown>> | null
  readonly renew: () => Promise<void>
}

/** Renews what has certificates when their files change. What is returned ends it. */
export function renewWhenChanged(all: readonly Renewable[], every?: number): () => void {
  const stops = all.map(({ path, tls, renew }) => {
    const files = Object.entries(tls ?? {}).flatMap(([key, value]) =>
      FILES.includes(key) && typeof value === 'string' ? [value] : [],
    )
    if (files.length === 0) return () => undefined
    return watchFiles(files, () => renewed(path, renew), every)
  })
  return () => stops.forEach((stop) => stop())
}

const FILES: readonly string[] = ['cert', 'key', 'ca', 'clientCa'] satisfies (
  keyof NonNullable<Config['http']['tls']> | keyof NonNullable<Config['dimse']['tls']>
)[]

async function renewed(path: string, renew: () => Promise<void>): Promise<void> {
  try {
    await renew()
    renewals.publish({ path, error: undefined } satisfies TlsRenewalEvent)
  } catch (error) {
    renewals.publish({ path, error } satisfies TlsRenewalEvent)
    throw error
  }
}
