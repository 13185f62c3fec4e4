import { afterEach, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import type { AuthConfig } from '../../../src/http/auth/auth-config.ts'
import { Introspection, MAX_ANSWERS } from '../../../src/http/auth/introspection.ts'

afterEach(() => vi.unstubAllGlobals())

it('does not ask again about a good token however many others are made up', async () => {
  const asked: string[] = []
  vi.stubGlobal('fetch', (_: string, { body }: { body: URLSearchParams }) => {
    const token = body.get('token')!
    asked.push(token)
    return Promise.resolve(Response.json(token === 'good' ? { active: true, sub: 'somebody', aud: 'us' } : {}))
  })
  const introspection = { clientId: 'us', clientSecret: 'secret' }
  const { auth } = parseConfig({
    auth: { issuer: 'https://issuer.example', audience: 'us', introspection },
    archives: [{ aeTitle: 'PACS', host: 'h', port: 1 }],
  })
  const [config] = (auth as AuthConfig).issuers
  const asking = new Introspection(config!, config!.introspection!, () => Promise.resolve('https://issuer.example/i'))
  expect(await asking.claims('good')).toMatchObject({ sub: 'somebody' })
  for (let n = 0; n < MAX_ANSWERS; n++) expect(await asking.claims(`made up ${n}`)).toBeUndefined()
  expect(await asking.claims('good')).toMatchObject({ sub: 'somebody' })
  expect(asked.filter((token) => token === 'good')).toHaveLength(1)
})
