import { decodeJwt } from 'jose'
import { addressOf, networkOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { ApiKeys, isApiKey } from './api-keys.ts'
import type { AuthConfig, LinksConfig } from './auth-config.ts'
import { ClientCertificates } from './client-certificate.ts'
import { signInNeeded, tokenRefused } from './errors.ts'
import { Issuer } from './issuer.ts'
import { LINK_ISSUER, verifiedLink } from './links.ts'
import { linkCookie } from './link-cookie.ts'
import type { Principal } from './principal.ts'
import { ProxyHeaders } from './proxy-headers.ts'

/** Letters of the longest token that is looked at. */
export const MAX_TOKEN = 16_384

/** Finds out who asks. */
export class Authenticator {
  readonly #issuers: readonly Issuer[]
  readonly #keys: ApiKeys
  readonly #certificates: ClientCertificates
  readonly #proxy: ProxyHeaders | undefined
  readonly #links: LinksConfig | undefined
  /** Bearer tokens mean something here. */
  readonly #takesTokens: boolean
  /** How to sign in. */
  readonly #how: string

  constructor({ issuers, keys, certificates, proxy, links }: AuthConfig) {
    this.#issuers = issuers.map((issuer) => new Issuer(issuer))
    this.#keys = new ApiKeys(keys)
    this.#certificates = new ClientCertificates(certificates)
    this.#proxy = proxy ? new ProxyHeaders(proxy) : undefined
    this.#links = links ?? undefined
    this.#takesTokens = issuers.length > 0 || keys.length > 0 || links !== null
    const ways = [
      ...(this.#takesTokens ? ['send a bearer token in the Authorization header'] : []),
      ...(proxy ? ['come by the proxy that signs people in'] : []),
      ...(certificates.length > 0 ? ['show a client certificate'] : []),
    ]
    this.#how = `Sign in first: ${ways.join(', or ')}.`
  }

  /**
   * A token goes before all else: who sends one that is no good is not let in by another way.
   * @throws RequestError 401, 503
   */
  async whoAsks(c: HttpContext): Promise<Principal> {
    const authorization = c.req.header('authorization')
    if (authorization !== undefined && this.#takesTokens) return this.#bearer(authorization, c)
    const known = this.#proxy?.of(c) ?? this.#certificates.of(c)
    if (known) return known
    const cookie = this.#links && linkCookie(c)
    if (this.#links && cookie !== undefined) return verifiedLink(cookie, this.#links)
    this.#proxy?.refuse(c)
    this.#certificates.refuse(c)
    throw signInNeeded(this.#how)
  }

  async #bearer(authorization: string, c: HttpContext): Promise<Principal> {
    const [, token] = /^Bearer +([\w.~+/=-]+) *$/i.exec(authorization) ?? []
    if (token === undefined || token.length > MAX_TOKEN)
      throw tokenRefused('Authorization holds no bearer token.', 'TOKEN_MALFORMED')
    if (isApiKey(token)) {
      const known = this.#keys.of(token)
      if (known) return known
      throw tokenRefused('The key is not known.', 'TOKEN_UNKNOWN')
    }
    const issuer = issuerOf(token)
    if (issuer === undefined) return this.#opaque(token, networkOf(addressOf(c)))
    if (issuer === LINK_ISSUER && this.#links) return verifiedLink(token, this.#links)
    const known = this.#issuers.find(({ name }) => name === issuer)
    if (!known) throw tokenRefused('The token is of an issuer that is not accepted.', 'TOKEN_ISSUER')
    return known.verified(token)
  }

  async #opaque(token: string, client: string): Promise<Principal> {
    for (const issuer of this.#issuers) {
      const known = issuer.isAskable ? await issuer.introspected(token, client) : undefined
      if (known) return known
    }
    throw tokenRefused('The token is not known, or no longer good.', 'TOKEN_UNKNOWN')
  }
}

/** What a JWT claims, not yet believed, to find who can tell; undefined for what is no JWT. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}
