import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose'
import type { IssuerConfig } from './auth-config.ts'
import { principalOf } from './claims.ts'
import { Discovery } from './discovery.ts'
import { signInUnavailable, tokenRefused, type TokenFault } from './errors.ts'
import { IssuerUnavailableError } from './fetch-json.ts'
import { Introspection } from './introspection.ts'
import { KeyFile, KeyFileError } from './key-file.ts'
import { KeySet } from './key-set.ts'
import type { Principal } from './principal.ts'

/** How long a token that was verified is not verified again, in ms: a viewer asks for frame after frame with it. */
export const VERIFIED_MS = 60_000
/** Tokens of which that is kept. */
const MAX_VERIFIED = 10_000
/** Keys that are tried where a token does not name one. */
const MAX_KEYS_TRIED = 8

interface Verified {
  readonly principal: Principal
  /** By which it was verified. */
  readonly keys: JWTVerifyGetKey
}

/** Somebody whose tokens are accepted. */
export class Issuer {
  readonly #config: IssuerConfig
  readonly #keys: KeySet
  readonly #keyFile: KeyFile | undefined
  readonly #introspection: Introspection | undefined
  readonly #verified = new LRUCache<string, Verified>({ max: MAX_VERIFIED, ttl: VERIFIED_MS })

  constructor(config: IssuerConfig) {
    this.#config = config
    const discovery = new Discovery(config)
    this.#keys = new KeySet(() => discovery.keys())
    const { introspection, jwksFile } = config
    this.#keyFile = jwksFile === null ? undefined : new KeyFile(jwksFile)
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
    try {
      // A key that was taken out of a file makes no token good any more.
      const keys = (await this.#keyFile?.current()) ?? this.#keys.get
      const known = this.#verified.get(key)
      if (known?.keys === keys) return known.principal
      const claims = await this.#verify(token, keys)
      const principal = principalOf(claims, this.#config)
      const left = claims.exp! * 1000 + this.#config.clockSkew - Date.now()
      if (left > 0) this.#verified.set(key, { principal, keys }, { ttl: Math.min(VERIFIED_MS, left) })
      return principal
    } catch (error) {
      if (error instanceof IssuerUnavailableError || error instanceof KeyFileError) throw signInUnavailable(error)
      throw error instanceof errors.JOSEError ? tokenRefused(...reasonOf(error)) : error
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

  async #verify(token: string, keys: JWTVerifyGetKey): Promise<JWTPayload> {
    const { issuer, audience, algorithms, clockSkew } = this.#config
    const options: JWTVerifyOptions = {
      issuer,
      audience: [...audience],
      algorithms: [...algorithms],
      clockTolerance: clockSkew / 1000,
      requiredClaims: ['exp'],
    }
    try {
      return (await jwtVerify(token, keys, options)).payload
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

function reasonOf(error: errors.JOSEError): [string, TokenFault] {
  if (error instanceof errors.JWTExpired) return ['The token has expired: sign in again.', 'TOKEN_EXPIRED']
  if (error instanceof errors.JWTClaimValidationFailed) return reasonOfClaim(error.claim)
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return ['The token is signed by an algorithm that is not accepted.', 'TOKEN_ALGORITHM']
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return ['The token is signed by a key that its issuer does not list.', 'TOKEN_KEY']
  }
  return ['The token is not genuine.', 'TOKEN_SIGNATURE']
}

function reasonOfClaim(claim: string): [string, TokenFault] {
  if (claim === 'aud') return ['The token is for another audience (aud).', 'TOKEN_AUDIENCE']
  if (claim === 'iss') return ['The token is not good for us (iss).', 'TOKEN_ISSUER']
  if (claim === 'nbf') return ['The token is not good yet (nbf): clocks may differ.', 'TOKEN_NOT_YET']
  return [`The token is not good for us (${claim === 'exp' ? 'exp' : 'claims'}).`, 'TOKEN_CLAIMS']
}
