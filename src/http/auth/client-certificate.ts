import type { X509Certificate } from 'node:crypto'
import type { HttpContext } from '../context.ts'
import { isSecured } from '../secured.ts'
import type { CertificateConfig } from './auth-config.ts'
import { identityRefused } from './errors.ts'
import { byVerbs } from './permissions.ts'
import type { Principal } from './principal.ts'

/** Who shows a certificate of http.tls.clientCa (RFC 8705 has the same for tokens). */
export class ClientCertificates {
  readonly #byName: ReadonlyMap<string, Principal>

  constructor(certificates: readonly CertificateConfig[]) {
    this.#byName = new Map(
      certificates.map(({ name, scopes, archives }) => [
        name,
        { kind: 'certificate', name, may: byVerbs(scopes, archives) },
      ]),
    )
  }

  of(c: HttpContext): Principal | undefined {
    const certificate = this.#shown(c)
    if (!certificate || !isAuthorized(c) || !isGoodNow(certificate)) return undefined
    for (const name of [...alternativeNames(certificate.subjectAltName), ...commonNames(certificate.subject)]) {
      const known = this.#byName.get(name)
      if (known) return known
    }
    return undefined
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
    return this.#byName.size > 0 && isSecured(socket) ? socket.getPeerX509Certificate() : undefined
  }
}

function isAuthorized({ env: { incoming } }: HttpContext): boolean {
  return isSecured(incoming.socket) && incoming.socket.authorized
}

/** A connection may stand for longer than the certificate that it was opened with. */
function isGoodNow({ validToDate }: X509Certificate): boolean {
  return validToDate.getTime() > Date.now()
}

/** What names of a kind have, so that none is taken for one of another kind (RFC 5280 4.2.1.6). */
const looks: Readonly<Record<string, RegExp>> = { DNS: /^[^@:]+$/, 'IP Address': /^[\da-f.:]+$/i, URI: /:/, email: /@/ }

/** `DNS:a.example, IP Address:192.0.2.1, URI:"x, y"`: Node quotes, as JSON, what would be ambiguous. */
export function alternativeNames(text: string | undefined): string[] {
  const entry = /(?:^|, )(DNS|IP Address|URI|email):("(?:[^"\\]|\\.)*"|[^,"]*)/g
  return [...(text ?? '').matchAll(entry)].flatMap(([, kind = '', told = '']) => {
    const name = told.startsWith('"') ? (JSON.parse(told) as string) : told
    return looks[kind]!.test(name) ? [name] : []
  })
}

/** One attribute a line, with what is special escaped. */
export function commonNames(subject: string): string[] {
  return subject.split('\n').flatMap((line) => (line.startsWith('CN=') ? [line.slice(3).replace(/\\(.)/g, '$1')] : []))
}
