import type { JSONWebKeySet } from 'jose'
import type { IssuerConfig } from './auth-config.ts'
import { fetchJson, IssuerUnavailableError } from './fetch-json.ts'

/** How long what an issuer says of itself is kept, in ms. */
const METADATA_MS = 60 * 60_000

/** Where things are at an issuer (OpenID Connect Discovery 1.0, 4). */
export class Discovery {
  readonly #config: Pick<IssuerConfig, 'issuer' | 'jwks' | 'introspection'>
  #metadata: { readonly at: number; readonly found: Promise<Readonly<Record<string, unknown>>> } | undefined

  constructor(config: Pick<IssuerConfig, 'issuer' | 'jwks' | 'introspection'>) {
    this.#config = config
  }

  /** The issuer's keys, fetched. @throws IssuerUnavailableError */
  async keys(): Promise<JSONWebKeySet> {
    return (await fetchJson(this.#config.jwks ?? (await this.#endpoint('jwks_uri')))) as unknown as JSONWebKeySet
  }

  /** Where tokens are asked about. @throws IssuerUnavailableError */
  async introspection(): Promise<string> {
    return this.#config.introspection?.url ?? (await this.#endpoint('introspection_endpoint'))
  }

  async #endpoint(name: string): Promise<string> {
    if (!this.#metadata || performance.now() - this.#metadata.at > METADATA_MS) {
      this.#metadata = { at: performance.now(), found: this.#fetch() }
    }
    const { found } = this.#metadata
    const metadata = await found.catch((error: unknown) => {
      this.#metadata = undefined
      throw error
    })
    const url = metadata[name]
    if (typeof url === 'string' && isSecure(url, this.#config.issuer)) return url
    throw new IssuerUnavailableError(`The issuer names no ${name} that is an https address`)
  }

  async #fetch(): Promise<Readonly<Record<string, unknown>>> {
    const { issuer } = this.#config
    const metadata = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    // 4.3: another's document would make its tokens good here.
    if (metadata['issuer'] === issuer) return metadata
    throw new IssuerUnavailableError('The issuer calls itself otherwise than auth.issuer does')
  }
}

/** Not less secure than the issuer itself, which on loopback need not be. */
function isSecure(url: string, issuer: string): boolean {
  const { protocol, origin } = URL.parse(url) ?? {}
  return protocol === 'https:' || origin === URL.parse(issuer)?.origin
}
