import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { E, I, instanceFile, S } from '../support/dicom-files.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { related } from '../support/related.ts'

const VIEWER = 'https://viewer.example'
const EXPOSED = ['content-location', 'content-type', 'warning', 'link']

function list(value: string | null): string[] {
  return (value ?? '').split(',').map((one) => one.trim().toLowerCase())
}

interface Init {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A page that is not listed cannot even store. */
function foreign({ method }: Init, status: number): number {
  return method === 'POST' ? 403 : status
}

function withOrigin({ headers = {} }: Init): Record<string, string> {
  return { ...headers, origin: VIEWER }
}

/** Every kind of answer: streamed or not, good or bad. */
const requests: [string, string, Init, number][] = [
  ['a search', '/studies', {}, 200],
  ['an empty search', '/studies?limit=0', {}, 200],
  ['a study', `/studies/${S}`, {}, 200],
  ['an instance', `/studies/${S}/series/${E}/instances/${I}`, { headers: { accept: 'application/dicom' } }, 200],
  ['a refused search', '/studies?limit=x', {}, 400],
  ['what is not there', '/studies/9.9', {}, 404],
  ['a path that is not served', '/nothing', {}, 404],
  ['a method that is not served', '/studies', { method: 'DELETE' }, 405],
  ['what is not acceptable', `/studies/${S}`, { headers: { accept: 'image/jpeg' } }, 406],
  ['a store', '/studies', { method: 'POST', body: related([instanceFile()]).body.toString('latin1') }, 415],
]

describe('with a list of origins', () => {
  let setup: Setup

  beforeAll(async () => {
    setup = await startSetup({
      files: [instanceFile()],
      http: { cors: { origins: [VIEWER, 'http://localhost:3000'] } },
    })
  })

  afterAll(async () => {
    await setup[Symbol.asyncDispose]()
  })

  async function ask(path: string, init: Init, origin?: string): Promise<Response> {
    const headers = new Headers(init.headers)
    if (origin !== undefined) headers.set('origin', origin)
    const response = await fetch(setup.url + path, { ...init, headers })
    await response.arrayBuffer()
    return response
  }

  it.each(requests)('a page of a listed origin may read the answer to %s', async (_, path, init, status) => {
    const { status: got, headers } = await ask(path, init, VIEWER)
    expect(got).toBe(status)
    expect(headers.get('access-control-allow-origin')).toBe(VIEWER)
    expect(list(headers.get('access-control-expose-headers'))).toEqual(expect.arrayContaining(EXPOSED))
    expect(list(headers.get('vary'))).toContain('origin')
    expect(headers.get('access-control-allow-credentials')).toBeNull()
  })

  it.each(requests)('a page of another origin may not read the answer to %s', async (_, path, init, status) => {
    for (const origin of [
      'https://evil.example',
      'null',
      `${VIEWER}.evil.example`,
      'http://viewer.example',
      undefined,
    ]) {
      const { status: got, headers } = await ask(path, init, origin)
      expect(got).toBe(origin === undefined ? status : foreign(init, status))
      expect(headers.get('access-control-allow-origin')).toBeNull()
      expect(list(headers.get('vary'))).toContain('origin')
    }
  })

  it.each(['/studies', `/studies/${S}`, '/aets/DEMO/studies'])(
    'a preflight for %s is answered for a listed origin',
    async (path) => {
      const preflight = {
        method: 'OPTIONS',
        headers: {
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type,accept',
        },
      }
      const { status, headers } = await ask(path, preflight, VIEWER)
      expect(status).toBe(204)
      expect(headers.get('access-control-allow-origin')).toBe(VIEWER)
      expect(list(headers.get('access-control-allow-methods'))).toEqual(expect.arrayContaining(['get', 'post']))
      expect(list(headers.get('access-control-allow-headers'))).toEqual(
        expect.arrayContaining(['authorization', 'content-type', 'accept']),
      )
      expect(Number(headers.get('access-control-max-age'))).toBeGreaterThan(0)
      const other = await ask(path, preflight, 'https://evil.example')
      expect(other.headers.get('access-control-allow-origin')).toBeNull()
      expect(other.headers.get('access-control-allow-methods')).toBeNull()
      expect(setup.gateway.archives[0]!.stats.leased).toBe(0)
    },
  )

  it('OPTIONS without the headers of a preflight is a method like others: 405', async () => {
    const { status, headers } = await ask('/studies', { method: 'OPTIONS' }, VIEWER)
    expect(status).toBe(405)
    expect(headers.get('allow')).toBe('GET, POST')
  })
})

describe('with any origin', () => {
  it.each(requests)('every page may read the answer to %s, without credentials', async (_, path, init, status) => {
    await using setup = await startSetup({ files: [instanceFile()], http: { cors: { origins: '*' } } })
    const response = await fetch(setup.url + path, { ...init, headers: withOrigin(init) })
    await response.arrayBuffer()
    expect(response.status).toBe(status)
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(response.headers.get('access-control-allow-credentials')).toBeNull()
  })
})

describe('with none', () => {
  it('no page may read anything', async () => {
    await using setup = await startSetup({ files: [instanceFile()] })
    for (const [, path, init, status] of requests) {
      const response = await fetch(setup.url + path, { ...init, headers: withOrigin(init) })
      await response.arrayBuffer()
      expect(response.status).toBe(foreign(init, status))
      expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })
})

describe('a store from a page', () => {
  const status = async (setup: Setup, headers: Record<string, string>): Promise<number> => {
    const { type, body } = related([instanceFile()])
    const init = { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type, ...headers } }
    return (await fetch(`${setup.url}/studies`, init)).status
  }

  it('of another origin is refused, though the browser would not ask first', async () => {
    await using setup = await startSetup({ http: { cors: { origins: ['https://viewer.example'] } } })
    expect(await status(setup, { Origin: 'http://evil.example' })).toBe(403)
    expect(await status(setup, { Origin: 'null' })).toBe(403)
    expect(setup.archive.catalog.size).toBe(0)
  })

  it('of our own name at another port, or without HTTPS where we have it, is refused', async () => {
    await using setup = await startSetup({
      http: { publicUrl: 'https://pacs.example/gw' },
      others: { auth: 'open' },
    })
    for (const origin of ['https://pacs.example:8443', 'http://pacs.example', `http://pacs.example:${setup.port}`]) {
      expect([origin, await status(setup, { Origin: origin })]).toEqual([origin, 403])
    }
    await using plain = await startSetup({ http: { allowedHosts: ['pacs.example'] } })
    expect(await status(plain, { Origin: 'http://pacs.example:8443' })).toBe(403)
    // As behind a proxy that writes a Host of its own.
    expect(await status(plain, { Origin: 'https://pacs.example' })).toBe(200)
  })

  it('of our own origin, of one that is listed, or from no page at all is taken', async () => {
    await using setup = await startSetup({
      http: { cors: { origins: ['https://viewer.example'] }, publicUrl: 'https://pacs.example/gw' },
      others: { auth: 'open' },
    })
    for (const headers of [
      { Origin: setup.origin },
      { Origin: 'https://viewer.example' },
      { Origin: 'https://pacs.example' },
      {},
    ] as Record<string, string>[]) {
      expect(await status(setup, headers)).toBe(200)
    }
  })
})
