import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { Counts } from '../../network/counts.ts'
import type { Claims } from './claims.ts'
import { tokenRefused } from './errors.ts'
import { fetchJson, IssuerUnavailableError } from './fetch-json.ts'
import type { IntrospectionConfig, IssuerConfig } from './auth-config.ts'

/** How long an answer is kept at most, in ms, and never longer than the token lives. */
export const ANSWER_MS = 60_000
/** Answers that are kept, of tokens that are good and of others each. */
export const MAX_ANSWERS = 10_000
/** Tokens that are asked about at once. */
export const MAX_INTROSPECTIONS = 32
/** Of one client: anybody makes up tokens, and others sign in too. */
export const MAX_INTROSPECTIONS_OF_CLIENT = 16

interface Answer {
  /** Undefined: it is not active. */
  readonly claims: Claims | undefined
  /** Milliseconds since 1970; the token's end. */
  readonly until: number
}

/** Asks the issuer about tokens (RFC 7662). */
export class Introspection {
  readonly #config: IssuerConfig
  readonly #client: IntrospectionConfig
  readonly #url: () => Promise<string>
  readonly #good = new LRUCache<string, Answer>({ max: MAX_ANSWERS, ttl: ANSWER_MS })
  /** Apart: anybody makes up tokens, and must not drive out those that are good. */
  readonly #bad = new LRUCache<string, Answer>({ max: MAX_ANSWERS, ttl: ANSWER_MS })
  readonly #asking = new Map<string, Promise<Answer>>()
  readonly #ofClient = new Counts<string>()

  constructor(config: IssuerConfig, client: IntrospectionConfig, url: () => Promise<string>) {
    this.#config = config
    this.#client = client
    this.#url = url
  }

  /**
   * What the issuer says of a token that `client` sent; undefined where it is none of its own, or no longer good.
   * @throws IssuerUnavailableError, RequestError 401 where it is for others
   */
  async claims(token: string, client: string): Promise<Claims | undefined> {
    const key = createHash('sha256').update(token).digest('base64')
    const answer = this.#good.get(key) ?? this.#bad.get(key) ?? (await this.#asked(key, token, client))
    if (!answer.claims || Date.now() >= answer.until + this.#config.clockSkew) return undefined
    this.#check(answer.claims)
    return answer.claims
  }

  async #asked(key: string, token: string, client: string): Promise<Answer> {
    const running = this.#asking.get(key)
    if (running) return running
    if (this.#asking.size >= MAX_INTROSPECTIONS || this.#ofClient.of(client) >= MAX_INTROSPECTIONS_OF_CLIENT)
      throw new IssuerUnavailableError('Too many tokens are being asked about')
    const over = this.#ofClient.count(client)
    const asking = this.#ask(token).finally(() => {
      over()
      this.#asking.delete(key)
    })
    this.#asking.set(key, asking)
    const answer = await asking
    const ttl = Math.min(ANSWER_MS, answer.until - Date.now())
    if (ttl > 0) (answer.claims ? this.#good : this.#bad).set(key, answer, { ttl })
    return answer
  }

  async #ask(token: string): Promise<Answer> {
    const { clientId, clientSecret } = this.#client
    // RFC 6749 2.3.1: both are form-encoded first.
    const credentials = [clientId, clientSecret].map(encodeURIComponent).join(':')
    const claims = await fetchJson(await this.#url(), {
      method: 'POST',
      headers: {
        Accept: 'application/json',
        Authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
      },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
    })
    const { exp } = claims
    const until = typeof exp === 'number' ? exp * 1000 : Date.now() + ANSWER_MS
    return { claims: claims['active'] === true ? named(claims) : undefined, until }
  }

  #check({ iss, aud, nbf }: Claims): void {
    const { issuer, audience, clockSkew } = this.#config
    if (iss !== undefined && iss !== issuer) throw tokenRefused('The token is not good for us (iss).', 'TOKEN_ISSUER')
    const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
    if (!named.some((one) => typeof one === 'string' && audience.includes(one))) {
      throw tokenRefused('The token is for another audience (aud).', 'TOKEN_AUDIENCE')
    }
    if (typeof nbf === 'number' && nbf * 1000 > Date.now() + clockSkew) {
      throw tokenRefused('The token is not good yet (nbf): clocks may differ.', 'TOKEN_NOT_YET')
    }
  }
}

/** RFC 7662 2.2: `sub` may be left out, as it is where a client asks for itself. RFC 9068 2.2 puts its id there. */
function named(claims: Claims): Claims {
  return { sub: claims['client_id'], ...claims }
}
