import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import type { IssuerConfig } from './auth-config.ts'
import { principalOf } from './claims.ts'
import { Discovery } from './discovery.ts'
import { signInUnavailable, tokenRefused } from './errors.ts'
import { IssuerUnavailableError } from './fetch-json.ts'
import { Introspection } from './introspection.ts'
import { KeySet } from './key-set.ts'
import type { Principal } from './principal.ts'

/** How long a token that was verified is not verified again, in ms: a viewer asks for frame after frame with it. */
export const VERIFIED_MS = 60_000
/** Tokens of which that is kept. */
const MAX_VERIFIED = 10_000
/** Keys that are tried where a token does not name one. */
const MAX_KEYS_TRIED = 8

/** Somebody whose tokens are accepted. */
export class Issuer {
  readonly #config: IssuerConfig
  readonly #keys: KeySet
  readonly #introspection: Introspection | undefined
  readonly #verified = new LRUCache<string, Principal>({ max: MAX_VERIFIED, ttl: VERIFIED_MS })

  constructor(config: IssuerConfig) {
    this.#config = config
    const discovery = new Discovery(config)
    this.#keys = new KeySet(() => discovery.keys())
    const { introspection } = config
    this.#introspection = introspection
      ? new Introspection(config, introspection, () => discovery.introspection())
      : undefined
  }

  get name(): string {
    return this.#config.issuer
  }

  /** It can be asked about tokens that are no JWT. */
  get isAskable(): boolean {
    return this.#introspection !== undefined
  }

  /** The bearer of a JWT of this issuer (RFC 9068, RFC 8725). @throws RequestError 401, 503 */
  async verified(token: string): Promise<Principal> {
    const key = createHash('sha256').update(token).digest('base64')
    const known = this.#verified.get(key)
    if (known) return known
    try {
      const claims = await this.#verify(token)
      const principal = principalOf(claims, this.#config)
      const left = claims.exp! * 1000 + this.#config.clockSkew - Date.now()
      if (left > 0) this.#verified.set(key, principal, { ttl: Math.min(VERIFIED_MS, left) })
      return principal
    } catch (error) {
      if (error instanceof IssuerUnavailableError) throw signInUnavailable(error)
      throw error instanceof errors.JOSEError ? tokenRefused(reasonOf(error)) : error
    }
  }

  /**
   * The bearer of a token that only its issuer can read, and that `client` sent; undefined where that does not know it.
   * @throws RequestError 401, 503
   */
  async introspected(token: string, client: string): Promise<Principal | undefined> {
    try {
      const claims = await this.#introspection?.claims(token, client)
      return claims && principalOf(claims, this.#config)
    } catch (error) {
      if (error instanceof IssuerUnavailableError) throw signInUnavailable(error)
      throw error
    }
  }

  async #verify(token: string): Promise<JWTPayload> {
    const { issuer, audience, algorithms, clockSkew } = this.#config
    const options: JWTVerifyOptions = {
      issuer,
      audience: [...audience],
      algorithms: [...algorithms],
      clockTolerance: clockSkew / 1000,
      requiredClaims: ['exp'],
    }
    try {
      return (await jwtVerify(token, this.#keys.get, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      return await verifiedByAny(token, error, options)
    }
  }
}

async function verifiedByAny(
  token: string,
  keys: errors.JWKSMultipleMatchingKeys,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  let tried = 0
  for await (const key of keys) {
    if (++tried > MAX_KEYS_TRIED) break
    try {
      return (await jwtVerify(token, key, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error
    }
  }
  throw new errors.JWSSignatureVerificationFailed()
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired: sign in again.'
  if (error instanceof errors.JWTClaimValidationFailed) {
    const claim = ['aud', 'iss', 'nbf', 'exp'].includes(error.claim) ? error.claim : 'claims'
    return claim === 'aud' ? 'The token is for another audience (aud).' : `The token is not good for us (${claim}).`
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'The token is signed by an algorithm that is not accepted.'
  if (error instanceof errors.JWKSNoMatchingKey) return 'The token is signed by a key that its issuer does not list.'
  return 'The token is not genuine.'
}
