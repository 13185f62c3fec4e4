import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type GenerateKeyPairResult, type JWK } from 'jose'

/** The audience of its tokens. */
export const AUDIENCE = 'dimsegate'

export interface TokenOptions {
  /** Claims over those that a good token has; undefined leaves one out. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Parts of the header. */
  readonly header?: Readonly<Record<string, unknown>>
  /** The key that signs it; that of the issuer unless told. */
  readonly key?: GenerateKeyPairResult['privateKey'] | Uint8Array
}

/** An issuer of tokens on loopback, whose tokens may be as bad as is asked for. It counts what it is asked. */
export class TokenIssuer implements AsyncDisposable {
  readonly #server = createServer((request, response) => void this.#answer(request, response))
  #pair!: GenerateKeyPairResult
  #keyId = 'first'
  /** How often each path was asked for. */
  readonly asked = new Map<string, number>()
  /** Answers to introspection by token; others are not active. */
  readonly active = new Map<string, Readonly<Record<string, unknown>>>()
  /** Every request fails. */
  isDown = false
  /** In place of what the discovery document has. */
  metadata: Readonly<Record<string, unknown>> = {}
  /** Further keys of the set. */
  readonly otherKeys: JWK[] = []

  static async start(): Promise<TokenIssuer> {
    const issuer = new TokenIssuer()
    await issuer.rotate('first')
    issuer.#server.listen(0, '127.0.0.1')
    await once(issuer.#server, 'listening')
    return issuer
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get publicKey(): GenerateKeyPairResult['publicKey'] {
    return this.#pair.publicKey
  }

  /** What the configuration has of it. */
  config(others: object = {}): object {
    return { issuer: this.url, audience: AUDIENCE, ...others }
  }

  /** Signs with another key from now on, and lists that alone. */
  async rotate(keyId: string): Promise<void> {
    this.#pair = await generateKeyPair('ES256', { extractable: true })
    this.#keyId = keyId
  }

  pem(): Promise<string> {
    return exportSPKI(this.#pair.publicKey)
  }

  /** A token for everything but administration, for a minute. */
  token({ claims = {}, header = {}, key }: TokenOptions = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const good = { iss: this.url, aud: AUDIENCE, sub: 'somebody', iat: now, exp: now + 60 }
    const scope = 'dicom.search dicom.retrieve dicom.store'
    return new SignJWT({ ...good, scope, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: this.#keyId, ...header })
      .sign(key ?? this.#pair.privateKey)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '' } = request
    this.asked.set(url, (this.asked.get(url) ?? 0) + 1)
    if (this.isDown) {
      response.writeHead(503).end()
      return
    }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(await this.#document(request)))
  }

  async #document(request: IncomingMessage): Promise<object> {
    const { url: issuer } = this
    switch (request.url) {
      case '/.well-known/openid-configuration':
        return {
          issuer,
          jwks_uri: `${issuer}/jwks`,
          introspection_endpoint: `${issuer}/introspect`,
          ...this.metadata,
        }
      case '/jwks':
        return {
          keys: [{ ...(await exportJWK(this.#pair.publicKey)), kid: this.#keyId, use: 'sig' }, ...this.otherKeys],
        }
      case '/introspect': {
        const token = new URLSearchParams(await text(request)).get('token') ?? ''
        const isClient = request.headers.authorization === `Basic ${Buffer.from('gateway:secret').toString('base64')}`
        return isClient ? { active: false, ...this.active.get(token) } : { active: false }
      }
      default:
        return {}
    }
  }
}
