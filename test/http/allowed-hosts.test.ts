import { request } from 'node:http'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { instanceFile, S } from '../support/dicom-files.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { related } from '../support/related.ts'

let setup: Setup

beforeAll(async () => {
  setup = await startSetup({
    files: [instanceFile()],
    http: { allowedHosts: ['pacs.example', '*.svc.example'], publicUrl: 'https://public.example/x', trustProxy: true },
    others: { auth: 'open' },
  })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

async function status(headers: Record<string, string>, path = '/dicomweb/studies', body?: Buffer): Promise<number> {
  const sent = request(`http://127.0.0.1:${setup.port}${path}`, {
    method: body ? 'POST' : 'GET',
    headers,
    agent: false,
  })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.statusCode!
}

describe('a request under the name', () => {
  it.each([
    'localhost',
    'LOCALHOST:8080',
    'a.localhost:1',
    '127.0.0.1',
    '192.0.2.7:8080',
    '[::1]:8080',
    '[2001:db8::1]',
    'pacs.example',
    'PACS.example.:8443',
    'a.svc.example',
    'public.example',
  ])('%s is answered', async (host) => {
    expect(await status({ Host: host })).toBe(200)
  })

  it.each([
    'evil.example',
    'pacs.example.evil.example',
    'svc.example',
    'xsvc.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
  ])('%s is refused, whatever it asks for but a probe of life', async (host) => {
    for (const path of ['/dicomweb/studies', '/metrics', '/readyz', '/openapi.json', '/errors', '/nowhere']) {
      expect([path, await status({ Host: host }, path)]).toEqual([path, 421])
    }
    expect(await status({ Host: host }, '/livez')).toBe(200)
  })

  it.each(['user@localhost', 'localhost/x', 'a b', '[::1', 'localhost:99999999'])('%s is malformed', async (host) => {
    expect(await status({ Host: host })).toBe(400)
  })

  it('that a page makes up for a proxy that it says there is, is refused too', async () => {
    await using other = await startSetup({ http: { trustProxy: true }, others: { auth: 'open' } })
    for (const headers of [
      { 'X-Forwarded-Host': 'evil.example' },
      { 'X-Forwarded-Host': 'a:b' },
      { Forwarded: 'host=evil.example' },
    ]) {
      const response = await fetch(`${other.url}/studies`, { headers: headers as Record<string, string> })
      expect([response.status, await response.json()]).toMatchObject([421, { code: 'HOST_NOT_ALLOWED' }])
    }
  })
})

describe('a store of a page', () => {
  const { type, body } = related([instanceFile({ instance: '1.2.3.4.6' })])

  it.each([
    ['of the name it was sent to', { Host: 'pacs.example', Origin: 'https://pacs.example' }, 200],
    ['of another of our names', { Host: '10.0.0.1', Origin: 'https://public.example' }, 200],
    ['of the address it was sent to', { Host: '10.0.0.1:81', Origin: 'http://10.0.0.1:81' }, 200],
    ['of another address, though addresses may be used for us', { Host: '10.0.0.1', Origin: 'http://10.0.0.2' }, 403],
    ['of another port of this machine', { Host: 'localhost:8080', Origin: 'http://localhost:3000' }, 403],
    ['of another name that says it is of ours', { Host: 'pacs.example', Origin: 'https://evil.example' }, 403],
    ['of a name that leads here by now', { Host: 'evil.example', Origin: 'http://evil.example' }, 421],
    ['of no origin', { Host: 'pacs.example', Origin: 'null' }, 403],
  ])('%s', async (_, headers, expected) => {
    const sent = { ...headers, 'Content-Type': type, 'Sec-Fetch-Site': 'same-origin' }
    expect(await status(sent, '/dicomweb/studies', body)).toBe(expected)
  })
})

describe('every answer', () => {
  const paths = [
    '/dicomweb/studies',
    `/dicomweb/studies/${S}`,
    `/dicomweb/studies/${S}/metadata`,
    `/dicomweb/studies/${S}/rendered`,
    '/dicomweb/studies/9.9',
    '/livez',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/errors',
    '/nowhere',
  ]

  it.each(paths)(
    '%s tells browsers to keep it to themselves, guess at nothing, and show it to nobody else',
    async (path) => {
      const { headers } = await fetch(`http://127.0.0.1:${setup.port}${path}`, { headers: { Accept: '*/*' } })
      // What may be kept has a tag by which it is asked for again.
      expect(headers.get('cache-control')).toBe(headers.has('etag') ? 'private, no-cache' : 'private, no-store')
      expect(headers.get('vary')).toBe('Accept, Accept-Encoding, Authorization, Cookie, Origin')
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toMatch(/^default-src 'none';.* frame-ancestors 'self'$/)
    },
  )

  it('may be shown by pages of origins that are listed', async () => {
    await using other = await startSetup({ http: { cors: { origins: ['https://viewer.example'] } } })
    const policy = async (headers: Record<string, string>): Promise<string | null> =>
      (await fetch(`${other.url}/studies`, { headers })).headers.get('cross-origin-resource-policy')
    expect(await policy({ Origin: 'https://viewer.example' })).toBe('cross-origin')
    expect(await policy({ Referer: 'https://viewer.example/study?x' })).toBe('cross-origin')
    for (const others of [
      { Referer: 'https://evil.example/' },
      { Origin: 'https://evil.example' },
      { Referer: 'x' },
      {},
    ]) {
      expect(await policy(others as Record<string, string>)).toBe('same-origin')
    }
    const { headers } = await fetch(`${other.url}/studies`)
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'self' https://viewer.example")
  })
})
