import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ArchiveConfig, Config } from '../config/config.ts'
import type { ListenerTls } from '../network/listener.ts'
import { checkTls, type TlsOptions } from '../network/transport.ts'

/** A file of archives[].tls, dimse.tls, http.tls or audit.syslog cannot be read, is not what it should be, or does not belong to another. */
export class TlsFileError extends Error {
  readonly code = 'TLS_FILE_UNUSABLE'
  constructor(problem: string, cause: unknown) {
    const why = cause instanceof Error ? ` (${cause.message})` : ''
    super(`${problem}${why}`, { cause })
    this.name = 'TlsFileError'
  }
}

/** The TLS options of an archive, from its files. @throws TlsFileError */
export async function readTls(tls: NonNullable<ArchiveConfig['tls']>): Promise<TlsOptions> {
  const { servername, rejectUnauthorized } = tls
  const files = await readFiles('archives[].tls', tls)
  return { ...files, rejectUnauthorized, ...(servername !== null && { servername }) }
}

/** The TLS options of our DICOM listener, from its files. @throws TlsFileError */
export function readListenerTls(tls: NonNullable<Config['dimse']['tls']>): Promise<ListenerTls> {
  return readFiles('dimse.tls', tls)
}

/** The TLS options of the web server, from its files. @throws TlsFileError */
export function readHttpTls({ clientCa: ca, ...tls }: NonNullable<Config['http']['tls']>): Promise<ListenerTls> {
  return readFiles('http.tls', { ...tls, ca }, 'clientCa')
}

/** The TLS options of the connection to the syslog server, from its files. @throws TlsFileError */
export function readSyslogTls({ ca, cert, key }: Syslog): Promise<Pick<TlsOptions, keyof Files>> {
  return readFiles('audit.syslog', { ca, cert, key, minVersion: 'TLSv1.2' })
}

/** What replicas know each other and their server by. @throws TlsFileError */
export async function readClusterFiles({ ca, secret, tls }: ClusterConfig): Promise<ClusterFiles> {
  const authorities = await readFiles('cluster', { ca, cert: null, key: null, minVersion: 'TLSv1.2' })
  if (!tls) return { ca: authorities.ca, credentials: { secret: secret! } }
  return { ca: authorities.ca, credentials: await readFiles('cluster.tls', { ...tls, minVersion: 'TLSv1.3' }) }
}

/** Authorities of the server that replicas share, and what they know each other by: a secret, or certificates. */
export interface ClusterFiles {
  readonly ca: TlsOptions['ca']
  readonly credentials: { readonly secret: string } | Pick<TlsOptions, keyof Files>
}

type ClusterConfig = NonNullable<Config['cluster']>
type Syslog = NonNullable<NonNullable<Config['audit']>['syslog']>
type Files = Pick<NonNullable<ArchiveConfig['tls']>, 'ca' | 'cert' | 'key' | 'minVersion'>

/** `caKey`: what the authorities are called. */
async function readFiles(path: string, files: Files, caKey = 'ca'): Promise<Pick<TlsOptions, keyof Files>> {
  const certificate = (pem: Buffer): unknown => new X509Certificate(pem)
  const cert = await readPem(`${path}.cert`, files.cert, certificate)
  const key = await readPem(`${path}.key`, files.key, unlockedKey)
  const ca = await readPem(`${path}.${caKey}`, files.ca, (pem) => {
    // Of authorities OpenSSL takes whatever it is given, and then knows nobody.
    if (!pem.includes('-----BEGIN')) throw new Error('no PEM')
    certificate(pem)
  })
  const read = { minVersion: files.minVersion, ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) }
  try {
    if (cert && key && !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error('another key')
    checkTls(read)
  } catch (error) {
    throw new TlsFileError(`${path}.key is not of the certificate in ${path}.cert, or TLS is not possible`, error)
  }
  return read
}

function unlockedKey(pem: Buffer): unknown {
  // PKCS #8 and the older form say it so; OpenSSL only that it was interrupted.
  if (/ENCRYPTED/.test(pem.toString('latin1'))) throw new Error('it has a passphrase, which nobody is there to type')
  return createPrivateKey(pem)
}

async function readPem(
  path: string,
  file: string | null,
  parse: (pem: Buffer) => unknown,
): Promise<Buffer | undefined> {
  if (file === null) return undefined
  let pem: Buffer
  try {
    pem = await readFile(file)
  } catch (error) {
    throw new TlsFileError(`${path} cannot be read`, error)
  }
  try {
    parse(pem)
  } catch (error) {
    throw new TlsFileError(`${path} does not hold what it should, in PEM`, error)
  }
  return pem
}
