import { createPrivateKey, X509Certificate } from 'node:crypto'
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

/** The files of dimse.tls cannot be read, are not what they should be, or do not belong together. */
export class ListenerTlsError extends Error {
  readonly code = 'LISTENER_TLS_UNUSABLE'
  constructor(problem: string, cause: unknown) {
    const why = cause instanceof Error ? ` (${cause.message})` : ''
    super(`${problem}${why}`, { cause })
    this.name = 'ListenerTlsError'
  }
}

/** The TLS options of our DICOM listener, from its files. @throws ListenerTlsError */
export async function readListenerTls(tls: NonNullable<Config['dimse']['tls']>): Promise<ListenerTls> {
  const certificate = (pem: Buffer): unknown => new X509Certificate(pem)
  const cert = await readPem('cert', tls.cert, certificate)
  const key = await readPem('key', tls.key, createPrivateKey)
  // Of authorities OpenSSL takes whatever it is given, and then knows nobody.
  const ca = tls.ca === null ? undefined : await readPem('ca', tls.ca, certificate)
  const read = { minVersion: tls.minVersion, cert, key, ...(ca && { ca }) }
  try {
    checkListenerTls(read)
  } catch (error) {
    throw new ListenerTlsError(
      'dimse.tls.key is not of the certificate in dimse.tls.cert, or TLS is not possible',
      error,
    )
  }
  return read
}

async function readPem(name: string, file: string, parse: (pem: Buffer) => unknown): Promise<Buffer> {
  let pem: Buffer
  try {
    pem = await readFile(file)
  } catch (error) {
    throw new ListenerTlsError(`dimse.tls.${name} cannot be read`, error)
  }
  try {
    parse(pem)
  } catch (error) {
    throw new ListenerTlsError(`dimse.tls.${name} does not hold what it should, in PEM`, error)
  }
  return pem
}
