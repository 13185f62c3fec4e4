import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import type { HttpContext } from '../context.ts'
import { isSecured } from '../secured.ts'
import type { CertificateConfig } from './auth-config.ts'
import { identityRefused } from './errors.ts'
import { byVerbs } from './permissions.ts'
import type { Principal } from './principal.ts'

/** Who shows a certificate of http.tls.clientCa (RFC 8705 has the same for tokens). */
export class ClientCertificates {
  readonly #known: readonly (readonly [string, Principal])[]
  /** Who each connection is of; undefined for nobody. */
  readonly #ofSocket = new WeakMap<Socket, Principal | undefined>()

  constructor(certificates: readonly CertificateConfig[]) {
    this.#known = certificates.map(({ name, scopes, archives }) => [
      name,
      { kind: 'certificate', name, may: byVerbs(scopes, archives) },
    ])
  }

  of(c: HttpContext): Principal | undefined {
    const certificate = this.#shown(c)
    if (!certificate || !isAuthorized(c) || !isGoodNow(certificate)) return undefined
    const { socket } = c.env.incoming
    if (!this.#ofSocket.has(socket)) {
      this.#ofSocket.set(socket, this.#known.find(([name]) => isNamed(certificate, name))?.[1])
    }
    return this.#ofSocket.get(socket)
  }

  /** @throws RequestError 401 where one was shown that does not say who it is */
  refuse(c: HttpContext): void {
    const certificate = this.#shown(c)
    if (!certificate) return
    const why = !isAuthorized(c)
      ? 'The certificate is not of http.tls.clientCa, or is not good any more.'
      : isGoodNow(certificate)
        ? 'None of the names of the certificate is in auth.certificates.'
        : 'The certificate has expired since the connection was opened.'
    throw identityRefused('CERTIFICATE_REFUSED', why)
  }

  #shown({ env: { incoming } }: HttpContext): X509Certificate | undefined {
    const { socket } = incoming
    return this.#known.length > 0 && isSecured(socket) ? socket.getPeerX509Certificate() : undefined
  }
}

function isAuthorized({ env: { incoming } }: HttpContext): boolean {
  return isSecured(incoming.socket) && incoming.socket.authorized
}

/** A connection may stand for longer than the certificate that it was opened with. */
function isGoodNow({ validToDate }: X509Certificate): boolean {
  return validToDate.getTime() > Date.now()
}

/** Of each kind by what looks for that kind only: Node writes others so that they may look like any (RFC 5280 4.2.1.6). */
export function isNamed(certificate: X509Certificate, name: string): boolean {
  const exactly = { subject: 'never', wildcards: false } as const
  return (
    certificate.checkHost(name, exactly) !== undefined ||
    certificate.checkEmail(name, exactly) !== undefined ||
    (isIP(name) !== 0 && certificate.checkIP(name) !== undefined) ||
    uris(certificate.subjectAltName).includes(name) ||
    commonNames(certificate.subject).includes(name)
  )
}

/** Kinds that Node writes as they are, or quotes as JSON where they are ambiguous. */
const PLAIN_KINDS = ['DNS', 'IP Address', 'URI', 'email']

/**
 * The URIs of `DNS:a.example, IP Address:192.0.2.1, URI:"x, y"`. None where there is a name of another kind, whose text may
 * hold what looks like one.
 */
export function uris(text: string | undefined): string[] {
  const entry = /(?:^|, )([A-Za-z][A-Za-z ]*):("(?:[^"\\]|\\.)*"|[^,"]*)/g
  const entries = [...(text ?? '').matchAll(entry)]
  const length = entries.reduce((sum, [whole]) => sum + whole.length, 0)
  if (length !== (text ?? '').length || !entries.every(([, kind = '']) => PLAIN_KINDS.includes(kind))) return []
  return entries.flatMap(([, kind, told = '']) =>
    kind === 'URI' ? [told.startsWith('"') ? (JSON.parse(told) as string) : told] : [],
  )
}

/** One attribute a line, with what is special escaped. */
export function commonNames(subject: string): string[] {
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3).replace(/\\(.)/g, '$1')] : []))
}
