import { afterEach, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import type { AuthConfig } from '../../../src/http/auth/auth-config.ts'
import { IssuerUnavailableError } from '../../../src/http/auth/fetch-json.ts'
import {
  Introspection,
  MAX_ANSWERS,
  MAX_INTROSPECTIONS,
  MAX_INTROSPECTIONS_OF_CLIENT,
} from '../../../src/http/auth/introspection.ts'

afterEach(() => vi.unstubAllGlobals())

it('does not ask again about a good token however many others are made up', async () => {
  const asked: string[] = []
  vi.stubGlobal('fetch', (_: string, { body }: { body: URLSearchParams }) => {
    const token = body.get('token')!
    asked.push(token)
    return Promise.resolve(Response.json(token === 'good' ? { active: true, sub: 'somebody', aud: 'us' } : {}))
  })
  const asking = introspection()
  expect(await asking.claims('good', 'a')).toMatchObject({ sub: 'somebody' })
  for (let n = 0; n < MAX_ANSWERS; n++) expect(await asking.claims(`made up ${n}`, 'b')).toBeUndefined()
  expect(await asking.claims('good', 'a')).toMatchObject({ sub: 'somebody' })
  expect(asked.filter((token) => token === 'good')).toHaveLength(1)
})

it('asks at most so much for one client at a time, so that others sign in', async () => {
  const asked: (() => void)[] = []
  vi.stubGlobal('fetch', () => {
    const { promise, resolve } = Promise.withResolvers<Response>()
    asked.push(() => resolve(Response.json({ active: false })))
    return promise
  })
  const asking = introspection()
  const outcome = (token: string, client: string): Promise<unknown> =>
    asking.claims(token, client).catch((error: unknown) => error)
  const running = Array.from({ length: MAX_INTROSPECTIONS_OF_CLIENT }, (_, n) => outcome(`a ${n}`, 'a'))
  expect(await outcome('one more', 'a')).toBeInstanceOf(IssuerUnavailableError)
  // What is being asked already takes nothing.
  running.push(outcome('a 0', 'a'))
  for (let n = MAX_INTROSPECTIONS_OF_CLIENT; n < MAX_INTROSPECTIONS; n++) running.push(outcome(`b ${n}`, `b ${n}`))
  expect(await outcome('one too many', 'c')).toBeInstanceOf(IssuerUnavailableError)
  await vi.waitFor(() => expect(asked).toHaveLength(MAX_INTROSPECTIONS))
  for (const answer of asked.splice(0)) answer()
  expect(await Promise.all(running)).toEqual(running.map(() => undefined))
  const next = outcome('one more', 'a')
  await vi.waitFor(() => expect(asked).toHaveLength(1))
  asked[0]!()
  expect(await next).toBeUndefined()
})

function introspection(): Introspection {
  const client = { clientId: 'us', clientSecret: 'secret' }
  const { auth } = parseConfig({
    auth: { issuer: 'https://issuer.example', audience: 'us', introspection: client },
    archives: [{ aeTitle: 'PACS', host: 'h', port: 1 }],
  })
  const [config] = (auth as AuthConfig).issuers
  return new Introspection(config!, config!.introspection!, () => Promise.resolve('https://issuer.example/i'))
}
