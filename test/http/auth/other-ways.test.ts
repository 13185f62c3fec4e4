import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { commonNames, isNamed, uris } from '../../../src/http/auth/client-certificate.ts'
import { LINK_ISSUER, signLink } from '../../../src/http/auth/links.ts'
import { TOKEN_MS } from '../../../src/http/auth/share-page.ts'
import { shareLink } from '../../../src/share.ts'
import { parseConfig, type Config } from '../../../src/config/config.ts'
import { instanceFile, S } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { RawClient } from '../../support/raw-http.ts'
import { TokenIssuer } from '../../support/token-issuer.ts'

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

async function started(auth: unknown, options: SetupOptions = {}): Promise<Setup> {
  const files = [instanceFile(), instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' })]
  const setup = await startSetup({ files, ...options, others: { auth, ...options.others } })
  opened.push(setup)
  return setup
}

const linkToken = async (...of: Parameters<typeof signLink>): Promise<string> => (await signLink(...of)).token

const ask = async (
  url: string,
  headers: Readonly<Record<string, string>> = {},
  init: RequestInit = {},
): Promise<number> => (await fetch(url, { ...init, headers })).status

describe('headers of a proxy', () => {
  const user = { 'X-Auth-Request-User': 'doctor', 'X-Auth-Request-Groups': 'radiology, admins' }

  it('let in whom they name, from the addresses of the proxy', async () => {
    const { url, origin } = await started({ proxy: { addresses: ['127.0.0.0/8'], scopes: { admin: ['admins'] } } })
    expect(await ask(`${url}/studies`, user)).toBe(200)
    expect(await ask(`${origin}/metrics`, user)).toBe(200)
    expect(await ask(`${origin}/metrics`, { ...user, 'X-Auth-Request-Groups': 'radiology' })).toBe(403)
    expect(await ask(`${url}/studies`, user, { method: 'POST' })).toBe(403)
    expect(await ask(`${url}/studies`)).toBe(401)
    expect(await ask(`${url}/studies`, { 'X-Auth-Request-User': ' ' })).toBe(401)
  })

  it('say nothing from anywhere else, whoever it was forwarded for', async () => {
    const { url } = await started({ proxy: { addresses: ['192.0.2.1', '2001:db8::/32'] } })
    for (const forwarded of [{}, { 'X-Forwarded-For': '192.0.2.1' }, { Forwarded: 'for=192.0.2.1' }]) {
      expect(await ask(`${url}/studies`, { ...user, ...forwarded })).toBe(401)
    }
  })

  it('are refused where there are two of one, or where they come from elsewhere', async () => {
    const { port, url } = await started({ proxy: { addresses: ['127.0.0.1'] } })
    const client = await RawClient.connect(port)
    opened.push(client)
    const twice = 'X-Auth-Request-User: a\r\n'.repeat(2)
    await client.send(`GET /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${twice}\r\n`)
    await client.closed()
    expect(client.text).toContain('"PROXY_REFUSED"')
    const code = async (of: string, headers: object): Promise<string> => {
      const response = await fetch(`${of}/studies`, { headers: { ...headers } })
      return ((await response.json()) as { code: string }).code
    }
    const elsewhere = await started({ proxy: { addresses: ['192.0.2.1'] } })
    expect([await code(elsewhere.url, user), await code(url, {})]).toEqual(['PROXY_REFUSED', 'SIGN_IN_NEEDED'])
  })

  it('may be others', async () => {
    const { url } = await started({ proxy: { addresses: ['127.0.0.1'], userHeader: 'Remote-User' } })
    expect([await ask(`${url}/studies`, { 'Remote-User': 'a' }), await ask(`${url}/studies`, user)]).toEqual([200, 401])
  })
})

describe('auth: open', () => {
  const behindProxy = { 'X-Forwarded-For': '192.0.2.1' }

  it('lets everybody search, retrieve and store; who comes by a proxy sees no metrics', async () => {
    const { url, origin } = await started('open')
    expect(await ask(`${url}/studies`, behindProxy)).toBe(200)
    expect(await ask(`${url}/studies/${S}`, { ...behindProxy, Authorization: 'Bearer None' })).toBe(200)
    expect(await ask(`${origin}/metrics`)).toBe(200)
    for (const path of ['/metrics', '/readyz?verbose']) expect(await ask(origin + path, behindProxy)).toBe(403)
    expect(await ask(`${origin}/readyz`, behindProxy)).toBe(200)
  })

  it('takes a proxy that is trusted for somebody else in any case', async () => {
    const { origin } = await started('open', { http: { trustProxy: true } })
    expect(await ask(`${origin}/metrics`)).toBe(403)
  })
})

describe('ops.listen', () => {
  it('goes by our names only, and tells browsers as much as elsewhere', async () => {
    const { gateway } = await started('open', { others: { ops: { listen: '127.0.0.1:0' } } })
    const client = await RawClient.connect(gateway.opsPort!)
    opened.push(client)
    await client.send('GET /metrics HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n')
    await client.closed()
    expect(client.status).toBe(421)
    const { headers } = await fetch(`http://127.0.0.1:${gateway.opsPort!}/metrics`)
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  it('serves metrics and probes without a question, which are no longer beside DICOMweb', async () => {
    const { gateway, origin } = await started(
      { keys: [{ name: 'k', hash: `sha256:${'0'.repeat(64)}` }] },
      {
        others: { ops: { listen: '127.0.0.1:0' } },
      },
    )
    const ops = `http://127.0.0.1:${gateway.opsPort}`
    for (const path of ['/livez', '/readyz', '/readyz?verbose', '/metrics']) expect(await ask(ops + path)).toBe(200)
    expect(await ask(`${ops}/dicomweb/studies`)).toBe(404)
    expect([await ask(`${origin}/livez`), await ask(`${origin}/readyz`), await ask(`${origin}/metrics`)]).toEqual([
      200, 200, 404,
    ])
    const verbose = await fetch(`${origin}/readyz?verbose`)
    expect(await verbose.text()).not.toContain('examination')
  })
})

describe('a link to a study', () => {
  const key = 'a key of at least thirty-two bytes'
  const links = { key, maxAge: 3_600_000, viewer: null }
  const DAY = 86_400_000

  it('lets see that study, and nothing else', async () => {
    const { url, origin } = await started({ links: { key } })
    const Authorization = `Bearer ${await linkToken({ study: S, archive: 'demo' }, 60_000, links)}`
    expect(await ask(`${url}/studies/${S}`, { Authorization })).toBe(200)
    expect(await ask(`${url}/studies/1.2.9`, { Authorization })).toBe(404)
    expect(await ask(`${url}/studies/${S}`, { Authorization }, { method: 'POST' })).toBe(403)
    expect(await ask(`${origin}/metrics`, { Authorization })).toBe(403)
    expect(await (await fetch(`${url}/studies`, { headers: { Authorization } })).json()).toHaveLength(1)
  })

  it.each([
    ['has ended', 'demo', -1_000, key, 401],
    ['is good', 'demo', 60_000, key, 200],
    ['is signed by another key', 'demo', 60_000, `${key}!`, 401],
    ['is of another archive', 'other', 60_000, key, 403],
  ])('that %s', async (_, archive, ms, signed, status) => {
    const { url } = await started({ links: { key } })
    const Authorization = `Bearer ${await linkToken({ study: S, archive }, ms, { ...links, key: signed })}`
    expect(await ask(`${url}/studies/${S}`, { Authorization })).toBe(status)
  })

  it('is no longer good after maxAge, whatever its own end', async () => {
    const { url } = await started({ links: { key, maxAge: '1s' } })
    const Authorization = `Bearer ${await linkToken({ study: S, archive: 'demo' }, DAY, links)}`
    expect(await ask(`${url}/studies/${S}`, { Authorization })).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect(await ask(`${url}/studies/${S}`, { Authorization })).toBe(401)
  })

  it('is not a token of an issuer who calls himself as links do', async () => {
    await using issuer = await TokenIssuer.start()
    const { url } = await started({ ...issuer.config(), links: { key } })
    const Authorization = `Bearer ${await issuer.token({ claims: { iss: LINK_ISSUER } })}`
    expect(await ask(`${url}/studies/${S}`, { Authorization })).toBe(401)
  })

  it('opens a page that gives its token for a cookie, which no script and no other site has', async () => {
    const { origin } = await started({ links: { key } })
    const page = await fetch(`${origin}/share`)
    const html = await page.text()
    const policy = page.headers.get('content-security-policy')!
    const script = /<script>([^]*)<\/script>/.exec(html)![1]!
    expect(policy).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    expect(policy).not.toContain('unsafe')
    const body = await linkToken({ study: S, archive: 'demo' }, 60_000, links)
    const answer = await fetch(`${origin}/share`, { method: 'POST', body })
    expect(await answer.json()).toEqual({ study: `/dicomweb/aets/DEMO/studies/${S}` })
    const cookie = answer.headers.get('set-cookie')!
    expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict$/)
    const Cookie = cookie.split(';')[0]!
    expect(await ask(`${origin}/dicomweb/aets/DEMO/studies/${S}/series`, { Cookie })).toBe(200)
    expect(await ask(`${origin}/dicomweb/studies/1.2.9`, { Cookie })).toBe(404)
    // Loaded again.
    expect(await ask(`${origin}/share`, { Cookie }, { method: 'POST', body: '' })).toBe(200)
    for (const bad of ['', 'x', `${body}x`, 'a'.repeat(16_385)]) {
      expect([401, 413]).toContain(await ask(`${origin}/share`, {}, { method: 'POST', body: bad }))
    }
  })

  it('is not waited for without end', { timeout: 4 * TOKEN_MS }, async () => {
    const { port } = await started({ links: { key } })
    const client = await RawClient.connect(port)
    opened.push(client)
    client.socket.write('POST /share HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx')
    await new Promise((resolve) => setTimeout(resolve, TOKEN_MS + 1_000))
    expect(client.received.toString()).toMatch(/^HTTP\/1\.1 408 /)
    expect(client.ended).toBe(true)
  })

  it('has a cookie that no other host can plant, where browsers come by HTTPS', async () => {
    const { origin, url } = await started({ links: { key } }, { http: { publicUrl: 'https://pacs.example' } })
    const body = await linkToken({ study: S, archive: 'demo' }, 60_000, links)
    const answer = await fetch(`${origin}/share`, { method: 'POST', body })
    const cookie = answer.headers.get('set-cookie')!
    expect(cookie).toMatch(/^__Host-dimsegate-link=.*; Path=\/; HttpOnly; Secure; SameSite=Strict$/)
    expect(await ask(`${url}/studies/${S}`, { Cookie: cookie.split(';')[0]! })).toBe(200)
    expect(await ask(`${url}/studies/${S}`, { Cookie: `dimsegate-link=${body}` })).toBe(401)
  })

  it('is none without a key', async () => {
    const { origin } = await started('open')
    expect(await ask(`${origin}/share`)).toBe(404)
  })

  const config = (auth: unknown, http: object = {}): Config =>
    parseConfig({ http, auth, archives: [{ aeTitle: 'DEMO', host: 'h', port: 1 }] })

  it('is made by `dimsegate share`, its token behind # alone', async () => {
    const shared = config({ links: { key } }, { publicUrl: 'https://pacs.example/x' })
    const text = await shareLink(shared, { study: S, time: '12h', archive: undefined })
    const [, token] = /^https:\/\/pacs\.example\/x\/share#(\S+)$/m.exec(text)!
    expect(text.split('\n')).toContain(token)
    const { url } = await started({ links: { key } })
    expect(await ask(`${url}/studies/${S}`, { Authorization: `Bearer ${token!}` })).toBe(200)
  })

  it.each([
    [null, { study: S }, 'auth.links.key'],
    [{ links: { key } }, {}, '--study'],
    [{ links: { key } }, { study: 'x' }, '--study'],
    [{ links: { key } }, { study: S, time: '7' }, '--for'],
    [{ links: { key } }, { study: S, time: '8d' }, 'maxAge'],
    [{ links: { key } }, { study: S, archive: 'x' }, '--archive'],
  ])('is not made of %j and %j', async (auth, options: { study?: string; time?: string; archive?: string }, reason) => {
    const { study, time, archive } = options
    await expect(shareLink(config(auth), { study, time, archive })).rejects.toThrow(reason)
  })
})

describe('the names of a certificate', () => {
  it.each([
    ['DNS:a.example, DNS:b.example', []],
    ['IP Address:192.0.2.1, URI:spiffe://x/y', ['spiffe://x/y']],
    // CVE-2021-44532: a name with a comma in it is no second name.
    ['URI:"http://x/\\u002c URI:spiffe://admin", DNS:a.example', ['http://x/, URI:spiffe://admin']],
    // Of another kind, which Node does not quote.
    ['URI:spiffe://x/y, othername:UPN:x, URI:spiffe://admin', []],
    ['DirName:"CN = x, URI:spiffe://admin"', []],
    [undefined, []],
  ])('%s are the URIs %j', (text, names) => {
    expect(uris(text)).toEqual(names)
  })

  it('are found as what they are', () => {
    const alternatives = 'DNS:a.example,DNS:*.w.example,email:c@d.example,IP:192.0.2.7,URI:spiffe://x/y'
    const hidden = '@alt\n[alt]\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:"x, DNS:upn.example, URI:spiffe://upn"'
    const certificate = new X509Certificate(madeCertificate(alternatives))
    const named = (name: string): boolean => isNamed(certificate, name)
    expect(['a.example', 'c@d.example', '192.0.2.7', 'spiffe://x/y', 'common name'].filter(named)).toHaveLength(5)
    expect(['b.w.example', '*.w.example', 'd.example', 'x', 'spiffe://x', ''].filter(named)).toEqual(['*.w.example'])
    const other = new X509Certificate(madeCertificate(hidden))
    expect(other.subjectAltName).toContain('upn')
    for (const name of ['upn.example', 'spiffe://upn', 'x']) expect([name, isNamed(other, name)]).toEqual([name, false])
  })

  it('are those of CN in its subject, each line an attribute', () => {
    expect(commonNames('C=DE\nO=CN=admin\nCN=viewer\\, inc')).toEqual(['viewer, inc'])
  })
})

/** A certificate with these alternative names, as openssl writes them. */
function madeCertificate(names: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'dimsegate-names-'))
  try {
    const [config, key, cert] = ['config', 'key', 'cert'].map((name) => join(folder, name)) as [string, string, string]
    writeFileSync(config, `[req]\ndistinguished_name=dn\n[dn]\n[ext]\nsubjectAltName=${names}\n`)
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    const out = ['-config', config, '-extensions', 'ext', '-subj', '/CN=common name', '-keyout', key, '-out', cert]
    execFileSync('openssl', ['req', '-x509', ...kind, ...out], { stdio: 'pipe' })
    return readFileSync(cert)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
