import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Gateway } from '../../../src/gateway.ts'
import { LOOK_MS } from '../../../src/http/auth/key-file.ts'
import { instanceFile, S } from '../../support/dicom-files.ts'
import { startGatewayFor } from '../../support/gateway.ts'
import { published } from '../../support/published.ts'
import { askAs, deeds, type Answer, type Init } from '../../support/signed-in.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'
import { TokenIssuer, type TokenOptions } from '../../support/token-issuer.ts'

let issuer: TokenIssuer
let archive: DemoArchive
let gateway: Gateway | undefined

beforeAll(async () => {
  archive = await DemoArchive.start()
  await archive.put(instanceFile())
})

beforeEach(async () => {
  issuer = await TokenIssuer.start()
})

afterEach(async () => {
  await gateway?.[Symbol.asyncDispose]()
  gateway = undefined
  await issuer[Symbol.asyncDispose]()
})

afterAll(async () => {
  await archive[Symbol.asyncDispose]()
})

async function started(settings: object = {}): Promise<Gateway> {
  const archives = [
    { aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port, name: 'main' },
    { aeTitle: 'OTHER', host: '127.0.0.1', port: archive.port, name: 'other' },
  ]
  gateway = await startGatewayFor(archives, {}, {}, { auth: issuer.config(settings) })
  return gateway
}

const ask = (authorization: string | undefined, path?: string, init?: Init): Promise<Answer> =>
  askAs(authorization, gateway!.url, path, init)

const bearer = async (options?: TokenOptions): Promise<string> => `Bearer ${await issuer.token(options)}`
const in1 = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

describe('a bearer token of the issuer', () => {
  it('lets in, where nothing else does', async () => {
    await started()
    expect(await ask(await bearer())).toMatchObject({ status: 200 })
    for (const path of ['/studies', `/studies/${S}`, `/studies/${S}/metadata`, '/metrics', '/readyz?verbose']) {
      const { status, code, headers } = await ask(undefined, path)
      expect([path, status, code]).toEqual([path, 401, 'SIGN_IN_NEEDED'])
      expect(headers.get('www-authenticate')).toBe('Bearer realm="dimsegate"')
    }
    for (const path of ['/livez', '/readyz', '/openapi.json', '/errors']) {
      expect([path, (await ask(undefined, path)).status]).toEqual([path, 200])
    }
  })

  it.each<[string, TokenOptions, string]>([
    ['that has expired', { claims: { exp: in1(-31) } }, 'expired'],
    ['without an end', { claims: { exp: undefined } }, 'exp'],
    ['that is not yet good', { claims: { nbf: in1(3600) } }, 'nbf'],
    ['for another audience', { claims: { aud: 'other' } }, 'aud'],
    ['without an audience', { claims: { aud: undefined } }, 'aud'],
    ['of another issuer', { claims: { iss: 'https://evil.example' } }, 'issuer'],
    ['without a subject', { claims: { sub: undefined } }, 'who'],
    ['whose subject is no text', { claims: { sub: ['a'] } }, 'claim'],
    ['whose subject has a line end', { claims: { sub: 'a\nb' } }, 'claim'],
    ['of a key that is not listed', { header: { kid: 'unknown' } }, 'key'],
  ])('%s is refused', async (_, options, reason) => {
    await started()
    const { status, code, detail, headers } = await ask(await bearer(options))
    expect([status, code]).toEqual([401, 'TOKEN_REFUSED'])
    expect(detail).toContain(reason)
    expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it('that ended within the skew of clocks is good still', async () => {
    await started({ clockSkew: '5s' })
    expect((await ask(await bearer({ claims: { exp: in1(-3) } }))).status).toBe(200)
    expect((await ask(await bearer({ claims: { exp: in1(-7) } }))).status).toBe(401)
  })

  it('is no longer good when it ends, though it was verified before', async () => {
    await started({ clockSkew: '0s' })
    const authorization = await bearer({ claims: { exp: in1(2) } })
    expect((await ask(authorization)).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect((await ask(authorization)).code).toBe('TOKEN_REFUSED')
  })

  it('that nobody signed, or the public key as a secret, is refused', async () => {
    await started()
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const [, payload] = (await issuer.token()).split('.')
    for (const alg of ['none', 'None', 'nOnE']) {
      expect(await ask(`Bearer ${encode({ alg })}.${payload}.`)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
    }
    const secret = Buffer.from(await issuer.pem())
    const forged = await bearer({ header: { alg: 'HS256' }, key: secret })
    expect(await ask(forged)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
    // Not even where the issuer lists a secret.
    issuer.otherKeys.push({ kty: 'oct', kid: 'shared', k: secret.toString('base64url'), alg: 'HS256' })
    expect((await ask(await bearer({ header: { alg: 'HS256', kid: 'shared' }, key: secret }))).status).toBe(401)
  })

  it('is not verified by a key that it brings or points at', async () => {
    await started()
    const { privateKey: key, publicKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const url = `${issuer.url}/evil`
    for (const header of [{ jwk }, { jku: url, kid: 'evil' }, { x5u: url, kid: 'evil' }, { jwk, kid: 'first' }]) {
      expect((await ask(await bearer({ header, key }))).status).toBe(401)
    }
    expect(issuer.asked.get('/evil')).toBeUndefined()
  })

  it('that was changed on the way is refused', async () => {
    await started()
    const [header, payload, signature] = (await issuer.token()).split('.')
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString()) as object
    const changed = Buffer.from(JSON.stringify({ ...claims, scope: 'dicom.admin' })).toString('base64url')
    expect((await ask(`Bearer ${header}.${changed}.${signature}`)).status).toBe(401)
  })

  it.each([
    'Basic dTpw',
    'Bearer',
    'Bearer a b',
    'Bearer \u00e4',
    'Token abc',
    `Bearer ${'a'.repeat(16_385)}`,
    'Bearer a.b.c',
  ])('%.20s is none', async (authorization) => {
    await started()
    expect(await ask(authorization)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
  })

  it('is not looked at where auth is off', async () => {
    gateway = await startGatewayFor([{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port }])
    expect((await ask('Bearer None')).status).toBe(200)
  })
})

describe('the keys of the issuer', () => {
  it('are fetched once, however many tokens name keys that are not there', async () => {
    await started()
    await ask(await bearer())
    await Promise.all(Array.from({ length: 50 }, async (_, at) => ask(await bearer({ header: { kid: `no-${at}` } }))))
    expect(issuer.asked.get('/jwks')).toBe(1)
    expect(issuer.asked.get('/.well-known/openid-configuration')).toBe(1)
  })

  it('that are not to be had make it 503, and a token that needs none of them 401', async () => {
    await started()
    issuer.isDown = true
    const { status, code, headers } = await ask(await bearer())
    expect([status, code, headers.get('retry-after')]).toEqual([503, 'SIGN_IN_UNAVAILABLE', '5'])
    expect((await ask(await bearer({ claims: { iss: 'https://evil.example' } }))).status).toBe(401)
  })

  it('are not taken from somebody who calls himself otherwise, or names an address that is not secure', async () => {
    await started()
    issuer.metadata = { issuer: 'https://evil.example' }
    expect((await ask(await bearer())).code).toBe('SIGN_IN_UNAVAILABLE')
    await gateway![Symbol.asyncDispose]()
    issuer.metadata = { jwks_uri: 'http://keys.example/jwks' }
    await started()
    expect((await ask(await bearer())).code).toBe('SIGN_IN_UNAVAILABLE')
  })

  it('may be at an address of their own', async () => {
    await started({ jwks: `${issuer.url}/jwks` })
    expect((await ask(await bearer())).status).toBe(200)
    expect(issuer.asked.get('/.well-known/openid-configuration')).toBeUndefined()
  })
})

describe('several issuers', () => {
  it('are each believed of their own tokens only', async () => {
    await using second = await TokenIssuer.start()
    await started({ issuers: [second.config({ scopes: { search: ['other.search'] } })] })
    expect((await ask(await bearer())).status).toBe(200)
    const other = async (claims: object): Promise<string> => `Bearer ${await second.token({ claims: { ...claims } })}`
    expect((await ask(await other({ scope: 'other.search' }))).status).toBe(200)
    expect((await ask(await other({}))).code).toBe('NOT_PERMITTED')
    // Signed by one, in the name of the other.
    expect((await ask(await other({ iss: issuer.url }))).code).toBe('TOKEN_REFUSED')
  })

  it('may have their keys in a file', async () => {
    await using folder = await temporaryFolder()
    const jwksFile = join(folder.path, 'keys.json')
    const response = await fetch(`${issuer.url}/jwks`)
    await writeFile(jwksFile, await response.text())
    await started({ jwksFile })
    issuer.isDown = true
    expect((await ask(await bearer())).status).toBe(200)
  })

  it('take a key out of a file at once, and new ones in', async () => {
    await using folder = await temporaryFolder()
    const jwksFile = join(folder.path, 'keys.json')
    const keys = await (await fetch(`${issuer.url}/jwks`)).text()
    await writeFile(jwksFile, keys)
    await started({ jwksFile })
    const authorization = await bearer()
    expect((await ask(authorization)).status).toBe(200)
    const patience = { timeout: 5 * LOOK_MS, interval: 100 }
    await writeFile(jwksFile, '{"keys":[]}')
    await vi.waitFor(async () => expect(await ask(authorization)).toMatchObject({ code: 'TOKEN_REFUSED' }), patience)
    await writeFile(jwksFile, keys)
    await vi.waitFor(async () => expect((await ask(authorization)).status).toBe(200), patience)
    await writeFile(jwksFile, 'half of')
    await vi.waitFor(
      async () => expect(await ask(authorization)).toMatchObject({ status: 503, code: 'SIGN_IN_UNAVAILABLE' }),
      patience,
    )
  })

  it.each([
    ['is not there', undefined, 'cannot be read'],
    ['is no JSON', 'x', 'is no JSON Web Key Set'],
    ['is a key alone', '{"kty":"EC"}', 'is no JSON Web Key Set'],
    ['has what is no key', '{"keys":[{}]}', 'something among its keys that is none'],
    ['has a private key', '{"keys":[{"kty":"EC","d":"x"}]}', 'has a private key'],
  ])('end the start where the file of keys %s', async (_, text, reason) => {
    await using folder = await temporaryFolder()
    const jwksFile = join(folder.path, 'keys.json')
    if (text !== undefined) await writeFile(jwksFile, text)
    await expect(started({ jwksFile })).rejects.toThrow(reason)
  })
})

describe('what is wrong with a token', () => {
  const requests = published('dimsegate:request')

  it.each([
    ['TOKEN_EXPIRED', { claims: { exp: in1(-3600) } }],
    ['TOKEN_AUDIENCE', { claims: { aud: 'others' } }],
    ['TOKEN_NOT_YET', { claims: { nbf: in1(3600) } }],
  ])('is %s in the log', async (code, options) => {
    await started()
    expect((await ask(await bearer(options))).status).toBe(401)
    await vi.waitFor(() => expect(requests).toHaveLength(1))
    expect(requests).toMatchObject([{ error: { code: 'TOKEN_REFUSED', cause: { code } } }])
  })
})

describe('the scopes of a token', () => {
  it.each(Object.keys(deeds))('let %s and nothing else', async (verb) => {
    await started()
    const authorization = await bearer({ claims: { scope: `openid dicom.${verb}` } })
    for (const [other, deed] of Object.entries(deeds)) {
      const { status, code } = await deed(authorization, gateway!.url)
      expect([other, status, code]).toEqual(other === verb ? [other, 200, undefined] : [other, 403, 'NOT_PERMITTED'])
    }
  })

  it('may be of one archive', async () => {
    await started({ scopes: { search: ['search:{archive}'] } })
    const authorization = await bearer({ claims: { scope: 'search:main' } })
    const other = `${new URL(gateway!.url).pathname}/aets/OTHER/studies`
    expect([(await ask(authorization)).status, (await ask(authorization, other)).status]).toEqual([200, 403])
  })

  it('may be in any claim, and archives in another', async () => {
    await started({ claims: { scope: 'realm_access.roles', archives: 'https://a.example/archives', subject: 'email' } })
    const claims = (archives: unknown): Readonly<Record<string, unknown>> => ({
      sub: undefined,
      scope: undefined,
      email: 'a@b.example',
      realm_access: { roles: ['dicom.search'] },
      'https://a.example/archives': archives,
    })
    const other = `${new URL(gateway!.url).pathname}/aets/OTHER/studies`
    for (const [archives, main, second] of [
      [['main'], 200, 403],
      ['other', 403, 200],
      [['DEMO', 'OTHER'], 200, 200],
      [undefined, 403, 403],
      [{ main: true }, 403, 403],
    ] as const) {
      const authorization = await bearer({ claims: claims(archives) })
      expect([archives, (await ask(authorization)).status]).toEqual([archives, main])
      expect([archives, (await ask(authorization, other)).status]).toEqual([archives, second])
    }
  })
})

describe('a token that only its issuer can read', () => {
  const introspection = { clientId: 'gateway', clientSecret: 'secret' }
  const good = (others: object = {}): Readonly<Record<string, unknown>> => ({
    active: true,
    sub: 'somebody',
    aud: 'dimsegate',
    scope: 'dicom.search',
    exp: in1(60),
    ...others,
  })

  it('is asked about once, and lets do what the issuer says', async () => {
    await started({ introspection })
    issuer.active.set('opaque', good())
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask('Bearer opaque')))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect((await ask('Bearer opaque', `/studies/${S}`)).status).toBe(403)
    expect(issuer.asked.get('/introspect')).toBe(1)
  })

  it.each([
    ['is not active', {}],
    ['is for another audience', good({ aud: 'other' })],
    ['has no audience', good({ aud: undefined })],
    ['is of another issuer', good({ iss: 'https://evil.example' })],
    ['has expired', good({ exp: in1(-31) })],
    ['is not yet good', good({ nbf: in1(3600) })],
  ])('is refused where it %s', async (_, answer) => {
    await started({ introspection })
    issuer.active.set('opaque', answer)
    expect(await ask('Bearer opaque')).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
  })

  it('is of the client where it does not say who it is for', async () => {
    await started({ introspection })
    issuer.active.set('of-a-client', good({ sub: undefined, client_id: 'machine' }))
    issuer.active.set('of-nobody', good({ sub: undefined }))
    expect((await ask('Bearer of-a-client')).status).toBe(200)
    expect(await ask('Bearer of-nobody')).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
  })

  it('is forgotten when it ends', async () => {
    await started({ introspection, clockSkew: '0s' })
    issuer.active.set('short', good({ exp: in1(2) }))
    expect((await ask('Bearer short')).status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect((await ask('Bearer short')).status).toBe(401)
  })

  it('is refused without introspection, and 503 where the issuer does not answer', async () => {
    await started()
    issuer.active.set('opaque', good())
    expect((await ask('Bearer opaque')).status).toBe(401)
    await gateway![Symbol.asyncDispose]()
    await started({ introspection })
    issuer.isDown = true
    expect((await ask('Bearer opaque')).code).toBe('SIGN_IN_UNAVAILABLE')
  })
})

describe('what is published of a request', () => {
  const requests = published('dimsegate:request')

  it('has nothing of its token', async () => {
    await started()
    const token = await issuer.token({ claims: { sub: 'somebody-secret' } })
    await ask(`Bearer ${token}`)
    await ask(`Bearer ${token}x`)
    expect(requests.length).toBeGreaterThanOrEqual(2)
    const text = JSON.stringify(requests, (_, value: unknown) => (value instanceof Error ? String(value) : value))
    expect(text).not.toContain(token.split('.')[2])
    expect(text).not.toContain('somebody-secret')
  })
})
