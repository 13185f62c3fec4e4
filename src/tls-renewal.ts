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

export interface Renewal {
  /** Renews all at once. @throws TlsFileError for the first that cannot be */
  now(): Promise<void>
  stop(): void
}

/** Renews what has certificates when their files change, which are looked at every so many ms. */
export function renewWhenChanged(all: readonly Renewable[], every?: number): Renewal {
  const stops = all.map(({ path, tls, renew }) => {
    const files = Object.entries(tls ?? {}).flatMap(([key, value]) =>
      FILES.includes(key) && typeof value === 'string' ? [value] : [],
    )
    if (files.length === 0) return () => undefined
    return watchFiles(files, () => renewed(path, renew), every)
  })
  return {
    now: async () => {
      for (const { path, tls, renew } of all) if (tls) await renewed(path, renew)
    },
    stop: () => stops.forEach((stop) => stop()),
  }
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
