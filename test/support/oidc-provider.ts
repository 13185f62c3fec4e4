import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider, type ClientMetadata, type Configuration } from 'oidc-provider'
import { OidcMemory } from './oidc-adapter.ts'
import { AUDIENCE } from './token-issuer.ts'

/** What the tokens for the gateway are asked for by (RFC 8707); they name AUDIENCE. */
export const RESOURCE = 'https://dimsegate.example/'
/** Something else that the provider gives tokens for. */
export const OTHER_RESOURCE = 'https://other.example/'
/** Who signs in at the pages of the provider. */
export const [PERSON, PASSWORD] = ['somebody', 'the password']

/** Client id of the viewer. */
export const VIEWER = 'viewer'
/** Asks about tokens. */
export const GATEWAY = { clientId: 'gateway', clientSecret: 'secret of the gateway' }
const MACHINE_SECRET = 'secret of the machine'

export interface TokenRequest {
  /** `opaque`: only the provider can read it. */
  readonly format?: 'jwt' | 'opaque'
  /** Undefined: for none. */
  readonly resource?: string | undefined
}

export interface OidcProviderOptions {
  /** Where the viewer is: it may sign people in. Its redirect URI is `<viewer>/callback`. */
  readonly viewer?: string
}

/** A real OpenID provider on loopback, which keeps what it knows in memory. */
export class OidcProvider implements AsyncDisposable {
  /** Seconds that the access tokens it gives are good for. */
  lifetime = 60
  readonly #server = createServer((request, response) => this.#answer(request, response))
  #answer!: (request: IncomingMessage, response: ServerResponse) => void

  static async start({ viewer }: OidcProviderOptions = {}): Promise<OidcProvider> {
    const issuer = new OidcProvider()
    issuer.#server.listen(0, '127.0.0.1')
    await once(issuer.#server, 'listening')
    const provider = new Provider(issuer.url, await issuer.#configuration(viewer))
    const answer = provider.callback()
    issuer.#answer = (request, response) => {
      const own = request.url?.startsWith('/interaction/')
        ? interact(provider, request, response)
        : answer(request, response)
      own.catch((error: unknown) => response.writeHead(500).end(String(error)))
    }
    return issuer
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** An access token of a machine (RFC 6749 4.4). @throws Error with what the provider says */
  async token(scope: string, { format = 'jwt', resource }: TokenRequest = { resource: RESOURCE }): Promise<string> {
    const answer = await this.#post('/token', format, {
      grant_type: 'client_credentials',
      scope,
      ...(resource !== undefined && { resource }),
    })
    return (JSON.parse(answer) as { access_token: string }).access_token
  }

  /** Takes back an opaque token (RFC 7009). */
  async revoke(token: string): Promise<void> {
    await this.#post('/token/revocation', 'opaque', { token })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #post(path: string, client: string, form: Readonly<Record<string, string>>): Promise<string> {
    const credentials = [client, MACHINE_SECRET].map(encodeURIComponent).join(':')
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams(form),
    })
    const answer = await response.text()
    if (!response.ok) throw new Error(answer)
    return answer
  }

  /** What is named here beside the features is what the provider would print a notice about. */
  async #configuration(viewer: string | undefined): Promise<Configuration> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    return {
      adapter: new OidcMemory().adapter,
      jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'first', use: 'sig', alg: 'RS256' }] },
      cookies: { keys: ['signs cookies'] },
      clients: clients(viewer),
      clientBasedCORS: (_, origin, { clientId }) =>
        clientId === VIEWER && origin === (viewer && new URL(viewer).origin),
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
      interactions: { url: (_, { uid }) => `/interaction/${uid}` },
      ttl: {
        ...{ Session: KEPT_S, Grant: KEPT_S, Interaction: KEPT_S, IdToken: KEPT_S, RefreshToken: KEPT_S },
        ...{ AccessToken: () => this.lifetime, ClientCredentials: () => this.lifetime },
      },
      renderError: (c, out) => {
        c.body = out
      },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        introspection: { enabled: true, allowedPolicy: (_, { clientId }) => clientId === GATEWAY.clientId },
        rpInitiatedLogout: {
          logoutSource: (c, form) => {
            c.body = SIGN_OUT.replace('{form}', form)
          },
        },
        revocation: { enabled: true, allowedPolicy: (_, client, token) => client.clientId === token.clientId },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_, resource, { clientId }) => ({
            audience: resource === RESOURCE ? AUDIENCE : resource,
            scope: 'dicom.search dicom.retrieve dicom.store dicom.admin',
            accessTokenFormat: clientId === 'opaque' ? 'opaque' : 'jwt',
          }),
        },
      },
    }
  }
}

/** Longer than any test, in seconds. */
const KEPT_S = 600

function clients(viewer: string | undefined): ClientMetadata[] {
  const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }
  return [
    { ...machine, client_id: 'jwt', client_secret: MACHINE_SECRET },
    { ...machine, client_id: 'opaque', client_secret: MACHINE_SECRET },
    { ...machine, client_id: GATEWAY.clientId, client_secret: GATEWAY.clientSecret, grant_types: [] },
    ...(viewer === undefined
      ? []
      : [
          {
            client_id: VIEWER,
            token_endpoint_auth_method: 'none' as const,
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code' as const],
            redirect_uris: [`${viewer}/callback`],
            post_logout_redirect_uris: [viewer],
          },
        ]),
  ]
}

/** The pages on which somebody says who he is, and lets the viewer have what it asks for. */
async function interact(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { prompt, params, session } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(prompt.name === 'login' ? LOGIN : CONSENT)
    return
  }
  const form = new URLSearchParams(await text(request))
  if (prompt.name === 'login') {
    const isRight = form.get('name') === PERSON && form.get('password') === PASSWORD
    const result = isRight ? { login: { accountId: PERSON } } : { error: 'access_denied' }
    await provider.interactionFinished(request, response, result)
    return
  }
  const grant = new provider.Grant({ accountId: session!.accountId, clientId: String(params['client_id']) })
  grant.addOIDCScope(String(params['scope']))
  grant.addResourceScope(RESOURCE, String(params['scope']))
  const consent = { grantId: await grant.save() }
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
}

const page = (title: string, form: string): string =>
  `<!doctype html><title>${title}</title><link rel="icon" href="data:,"><form method="post">${form}</form>`
const LOGIN = page('Sign in', '<input name="name"><input name="password" type="password"><button>Sign in</button>')
const CONSENT = page('Consent', '<button>Allow</button>')
const SIGN_OUT =
  '<!doctype html><title>Sign out</title><link rel="icon" href="data:,">{form}' +
  '<button form="op.logoutForm" name="logout" value="yes">Sign out</button>'
