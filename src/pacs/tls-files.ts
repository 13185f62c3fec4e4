import { readFile } from 'node:fs/promises'
import type { ArchiveConfig, Config } from '../config.ts'
import { checkListenerTls, type ListenerTls } from '../network/listener.ts'
import type { TlsOptions } from '../network/transport.ts'

/** The TLS options of an archive, from its files. @throws when a file cannot be read */
export async function readTls(tls: NonNullable<ArchiveConfig['tls']>): Promise<TlsOptions> {
  const { ca, cert, key, servername, minVersion, rejectUnauthorized } = tls
  return {
    minVersion,
    rejectUnauthorized,
    ...(ca !== null && { ca: await readFile(ca) }),
    ...(cert !== null && { cert: await readFile(cert) }),
    ...(key !== null && { key: await readFile(key) }),
    ...(servername !== null && { servername }),
  }
}

/** The files of dimse.tls cannot be read, or do not belong together. */
export class ListenerTlsError extends Error {
  readonly code = 'LISTENER_TLS_UNUSABLE'
  constructor(cause: unknown) {
    const why = cause instanceof Error ? `: ${cause.message}` : ''
    super(`The files of dimse.tls cannot be used${why}`, { cause })
    this.name = 'ListenerTlsError'
  }
}

/** The TLS options of our DICOM listener, from its files. @throws ListenerTlsError */
export async function readListenerTls(tls: NonNullable<Config['dimse']['tls']>): Promise<ListenerTls> {
  const { ca, cert, key, minVersion } = tls
  try {
    const read = {
      minVersion,
      cert: await readFile(cert),
      key: await readFile(key),
      ...(ca !== null && { ca: await readFile(ca) }),
    }
    // What is no certificate, or has another key, is found now and not when an archive calls.
    checkListenerTls(read)
    return read
  } catch (error) {
    throw new ListenerTlsError(error)
  }
}
