import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { viewerPages } from '../../src/demo/viewer.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { freePort } from '../support/ports.ts'
import { RawClient } from '../support/raw-http.ts'

const FILES = {
  'index.html': '<p>the application',
  'app.bundle.0123456789abcdef.js': 'code()',
  'app.bundle.css': 'p {}',
  '0123456789abcdef.wasm': 'wasm',
  'font.woff2': 'font',
  'logo.svg': '<svg/>',
  'manifest.json': '{}',
  'app-config.js': 'the one of the package',
  'assets/icon.png': 'png',
  '../secret.txt': 'SECRET',
}

describe('the pages of the viewer', () => {
  let home: string
  let gateway: Gateway
  let origin: string

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'dimsegate-viewer-'))
    const folder = join(home, 'ohif')
    await mkdir(join(folder, 'assets'), { recursive: true })
    for (const [name, content] of Object.entries(FILES)) await writeFile(join(folder, name), content)
    const archives = [{ aeTitle: 'NOBODY', host: '127.0.0.1', port: await freePort() }]
    const config = parseConfig({ http: { port: 0 }, archives, log: { level: 'silent' } })
    gateway = await startGateway(config, { pages: viewerPages(folder, config.http.basePath) })
    origin = new URL(gateway.url).origin
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    await rm(home, { recursive: true, force: true })
  })

  it.each([
    ['app.bundle.0123456789abcdef.js', 'text/javascript; charset=utf-8'],
    ['app.bundle.css', 'text/css; charset=utf-8'],
    ['0123456789abcdef.wasm', 'application/wasm'],
    ['font.woff2', 'font/woff2'],
    ['logo.svg', 'image/svg+xml; charset=utf-8'],
    ['manifest.json', 'application/json'],
    ['assets/icon.png', 'image/png'],
  ] as const)('%s is %s', async (name, type) => {
    const response = await fetch(`${origin}/viewer/${name}`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe(type)
    expect(await response.text()).toBe(FILES[name])
  })

  it.each(['/viewer', '/viewer/', '/viewer/viewer?StudyInstanceUIDs=1.2.3', '/viewer/a/b', '/viewer/index.html'])(
    '%s is the application',
    async (path) => {
      const response = await fetch(origin + path)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(await response.text()).toBe(FILES['index.html'])
    },
  )

  it('gives the application its configuration: this server, and nobody else', async () => {
    const response = await fetch(`${origin}/viewer/app-config.js`)
    expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    const script = await response.text()
    expect(script).not.toContain('http')
    const config = settings(script)
    expect(config.oidc).toBeUndefined()
    expect(config.routerBasename).toBe('/viewer')
    expect(config.dataSources[0]?.configuration).toMatchObject({
      qidoRoot: '/dicomweb',
      wadoRoot: '/dicomweb',
      wadoUriRoot: '/dicomweb',
      dicomUploadEnabled: true,
    })
  })

  it('keeps the browser on this server', async () => {
    const { headers } = await fetch(`${origin}/viewer`)
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'self' data: blob:;/)
    expect(headers.get('content-security-policy')).not.toMatch(/connect-src|http/)
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  })

  it('lets it reach where people sign in, and no more, where that is told', async () => {
    const signIn = { authority: 'https://idp.example/realms/one', client_id: 'viewer', scope: 'openid' }
    const pages = viewerPages(join(home, 'ohif'), '/dicomweb', signIn)
    const policy = (await pages.request('/viewer')).headers.get('content-security-policy')
    expect(policy).toMatch(/; connect-src 'self' data: blob: https:\/\/idp\.example$/)
    expect(policy!.match(/idp/g)).toHaveLength(1)
    expect(settings(await (await pages.request('/viewer/app-config.js')).text()).oidc).toEqual([
      expect.objectContaining({ ...signIn, response_type: 'code' }),
    ])
  })

  it('lets the browser keep what is named by its content, and nothing else', async () => {
    const caching = async (name: string) => (await fetch(`${origin}/viewer/${name}`)).headers.get('cache-control')
    expect(await caching('app.bundle.0123456789abcdef.js')).toContain('max-age')
    expect(await caching('0123456789abcdef.wasm')).toContain('max-age')
    for (const name of ['', 'index.html', 'app.bundle.css', 'app-config.js']) {
      expect(await caching(name), name).toBe('no-cache')
    }
  })

  it.each(['/viewer/missing.js', '/viewer/missing.css', '/viewerx', '/', '/index.html', '/logo.svg'])(
    '%s is not found',
    async (path) => {
      const response = await fetch(origin + path)
      expect(response.status).toBe(404)
      expect(response.headers.get('content-type')).toBe('application/problem+json')
    },
  )

  it.each([
    '/viewer/../secret.txt',
    '/viewer/..%2fsecret.txt',
    '/viewer/%2e%2e/secret.txt',
    '/viewer/%2e%2e%2fsecret.txt',
    '/viewer/..%5csecret.txt',
    '/viewer/..\\secret.txt',
    '/viewer/%252e%252e%252fsecret.txt',
    '/viewer/assets/../../secret.txt',
    '/viewer/assets/..%2f..%2fsecret.txt',
    '/viewer//../secret.txt',
    '/viewer/%00/../secret.txt',
    '/viewer/..%c0%afsecret.txt',
  ])('%s leads nowhere', async (path) => {
    await using client = await RawClient.connect(gateway.port)
    await client.request('GET', path, { Connection: 'close' })
    await client.closed()
    expect(client.status).toBeOneOf([400, 404])
    expect(client.text).not.toContain('SECRET')
  })

  it('answers HEAD, and no other method', async () => {
    const head = await fetch(`${origin}/viewer/logo.svg`, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe('6')
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await fetch(`${origin}/viewer/logo.svg`, { method })
      expect(response.status, method).toBe(405)
      expect(response.headers.get('allow')).toBe('GET, HEAD')
    }
  })

  it('leaves the rest of the server as it is', async () => {
    expect((await fetch(`${origin}/livez`)).status).toBe(200)
    expect((await fetch(`${gateway.url}/nothing`)).status).toBe(404)
  })
})

interface Settings {
  readonly routerBasename: string
  readonly dataSources: readonly { readonly configuration: object }[]
  readonly oidc?: readonly object[]
}

/** What the application finds. */
function settings(script: string): Settings {
  const window: { config?: Settings } = {}
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- it is a script
  new Function('window', script)(window)
  return window.config!
}
