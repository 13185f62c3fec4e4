import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { ANSWER_MS } from '../../../src/http/auth/introspection.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { GATEWAY, OidcProvider, OTHER_RESOURCE, RESOURCE, type TokenRequest } from '../../support/oidc-provider.ts'
import { askAs, deeds, type Answer } from '../../support/signed-in.ts'
import { AUDIENCE } from '../../support/token-issuer.ts'

let provider: OidcProvider
let setup: Setup

beforeAll(async () => {
  provider = await OidcProvider.start()
  const auth = { issuer: provider.url, audience: AUDIENCE, clockSkew: '0s', introspection: GATEWAY }
  setup = await startSetup({ files: [instanceFile()], others: { auth } })
})

afterEach(() => {
  provider.lifetime = 60
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
})

const ask = (token: string): Promise<Answer> => askAs(`Bearer ${token}`, setup.url)

describe.each(['jwt', 'opaque'] as const)('a token of oidc-provider (%s)', (format) => {
  const token = (scope = 'dicom.search', request: TokenRequest = { resource: RESOURCE }): Promise<string> =>
    provider.token(scope, { format, ...request })

  it('is of that form', async () => {
    expect((await token()).split('.')).toHaveLength(format === 'jwt' ? 3 : 1)
  })

  it.each(Object.keys(deeds))('with the scope for it lets %s, and nothing else', async (verb) => {
    const authorization = `Bearer ${await token(`dicom.${verb}`)}`
    for (const [other, deed] of Object.entries(deeds)) {
      const { status, code } = await deed(authorization, setup.url)
      expect([other, status, code]).toEqual(other === verb ? [other, 200, undefined] : [other, 403, 'NOT_PERMITTED'])
    }
  })

  it('with all the scopes lets do everything', async () => {
    const authorization = `Bearer ${await token('dicom.search dicom.retrieve dicom.store dicom.admin')}`
    const statuses = Object.values(deeds).map(async (deed) => (await deed(authorization, setup.url)).status)
    expect(await Promise.all(statuses)).toEqual([200, 200, 200, 200])
  })

  it('ends when it does', async () => {
    provider.lifetime = 3
    const short = await token()
    expect((await ask(short)).status).toBe(200)
    await vi.waitFor(async () => expect(await ask(short)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' }), 5_000)
  })

  it('for another resource is refused', async () => {
    const { status, code, detail } = await ask(await token('dicom.search', { resource: OTHER_RESOURCE }))
    expect([status, code]).toEqual([401, 'TOKEN_REFUSED'])
    expect(detail).toContain('(aud)')
  })
})

describe('an opaque token of oidc-provider', () => {
  const token = (resource: string | undefined): Promise<string> =>
    provider.token('dicom.search', { format: 'opaque', resource })

  it('for no resource is refused', async () => {
    expect(await ask(await token(undefined))).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
  })

  it('that was revoked is refused, after ANSWER_MS where it has been seen before', async () => {
    const [seen, unseen] = [await token(RESOURCE), await token(RESOURCE)]
    expect((await ask(seen)).status).toBe(200)
    await provider.revoke(seen)
    await provider.revoke(unseen)
    expect(await ask(unseen)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' })
    expect((await ask(seen)).status).toBe(200)
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + ANSWER_MS)
    await vi.waitFor(async () => expect(await ask(seen)).toMatchObject({ status: 401, code: 'TOKEN_REFUSED' }), 3_000)
  })
})
