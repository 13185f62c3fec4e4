import { errors, jwtVerify, type JWTPayload, type JWTVerifyOptions } from 'jose'
import type { IssuerConfig } from './auth-config.ts'
import { principalOf } from './claims.ts'
import { Discovery } from './discovery.ts'
import { signInUnavailable, tokenRefused } from './errors.ts'
import { IssuerUnavailableError } from './fetch-json.ts'
import { Introspection } from './introspection.ts'
import { KeySet } from './key-set.ts'
import type { Principal } from './principal.ts'

/** Keys that are tried where a token does not name one. */
const MAX_KEYS_TRIED = 8

/** Somebody whose tokens are accepted. */
export class Issuer {
  readonly #config: IssuerConfig
  readonly #keys: KeySet
  readonly #introspection: Introspection | undefined

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
    try {
      return principalOf(await this.#verify(token), this.#config)
    } catch (error) {
      if (error instanceof IssuerUnavailableError) throw signInUnavailable(error)
      throw error instanceof errors.JOSEError ? tokenRefused(reasonOf(error)) : error
    }
  }

  /** The bearer of a token that only its issuer can read; undefined where that does not know it. @throws RequestError 401, 503 */
  async introspected(token: string): Promise<Principal | undefined> {
    try {
      const claims = await this.#introspection?.claims(token)
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
