import type { HttpContext } from '../context.ts'
import { isSecured } from '../secured.ts'
import type { CertificateConfig } from './auth-config.ts'
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

  of({ env: { incoming } }: HttpContext): Principal | undefined {
    const { socket } = incoming
    if (this.#byName.size === 0 || !isSecured(socket) || !socket.authorized) return undefined
    const certificate = socket.getPeerX509Certificate()
    if (!certificate) return undefined
    for (const name of [...alternativeNames(certificate.subjectAltName), ...commonNames(certificate.subject)]) {
      const known = this.#byName.get(name)
      if (known) return known
    }
    return undefined
  }
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
