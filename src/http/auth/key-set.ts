import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import { IssuerUnavailableError } from './fetch-json.ts'

/** The least time between two fetches of a key set, whatever tokens name, in ms. */
export const REFETCH_MS = 60_000
/** The same where there is no key set yet, in ms. */
export const RETRY_MS = 5_000
/** After so long a key set is fetched anew before it is used, in ms: keys that are withdrawn go. */
export const FRESH_MS = 10 * 60_000
/** For so long a key set is used though its issuer cannot be asked, in ms. */
export const KEPT_MS = 60 * 60_000

/** The keys of an issuer, fetched when they are needed. */
export class KeySet {
  readonly #load: () => Promise<JSONWebKeySet>
  readonly #now: () => number
  #keys: { readonly get: JWTVerifyGetKey; readonly at: number } | undefined
  #triedAt = -Infinity
  #loading: Promise<void> | undefined
  #failure: unknown

  constructor(load: () => Promise<JSONWebKeySet>, now = (): number => performance.now()) {
    this.#load = load
    this.#now = now
  }

  /** The key that a token names. @throws JOSEError where there is none, IssuerUnavailableError */
  readonly get: JWTVerifyGetKey = async (header, token) => {
    const keys = await this.#current()
    try {
      return await keys(header, token)
    } catch (error) {
      // It may be newer than what was fetched.
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refetched())) throw error
      return (await this.#current())(header, token)
    }
  }

  async #current(): Promise<JWTVerifyGetKey> {
    if (!this.#keys || this.#now() - this.#keys.at > FRESH_MS) await this.#refetched()
    if (this.#keys && this.#now() - this.#keys.at <= KEPT_MS) return this.#keys.get
    throw new IssuerUnavailableError('The keys of the issuer are not to be had', { cause: this.#failure })
  }

  /** Whether it was fetched anew, or is being fetched: not when it was tried a short time ago. */
  async #refetched(): Promise<boolean> {
    const pause = this.#keys ? REFETCH_MS : RETRY_MS
    if (!this.#loading && this.#now() - this.#triedAt < pause) return false
    this.#loading ??= this.#fetch().finally(() => (this.#loading = undefined))
    await this.#loading
    return this.#failure === undefined
  }

  async #fetch(): Promise<void> {
    this.#triedAt = this.#now()
    try {
      this.#keys = { get: createLocalJWKSet(await this.#load()), at: this.#now() }
      this.#failure = undefined
    } catch (error) {
      this.#failure = error
    }
  }
}
