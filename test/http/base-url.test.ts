import { afterEach, describe, expect, it } from 'vitest'
import { E, I, instanceFile, S } from '../support/dicom-files.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { RawClient } from '../support/raw-http.ts'
import { related } from '../support/related.ts'

const setups: Setup[] = []

afterEach(async () => {
  for (const setup of setups.splice(0)) await setup[Symbol.asyncDispose]()
})

async function started(http: object = {}): Promise<Setup> {
  const allowedHosts = ['*.example', 'inside', 'outside', 'p']
  const setup = await startSetup({ files: [instanceFile()], http: { allowedHosts, ...http }, others: { auth: 'open' } })
  setups.push(setup)
  return setup
}

/** The Retrieve URL of the one study, asked for with these headers. */
async function link(
  setup: Setup,
  headers: Readonly<Record<string, string>> = {},
  path = '/dicomweb/studies',
): Promise<string> {
  await using client = await RawClient.connect(setup.port)
  await client.request('GET', path, { Connection: 'close', ...headers })
  await client.closed()
  expect(client.status).toBe(200)
  return /"00081190":\{"vr":"UR","Value":\["([^"]*)"/.exec(client.text)![1]!
}

const study = `/studies/${S}`

describe('the base of links', () => {
  it('is what the Host header says', async () => {
    const setup = await started()
    expect(await link(setup)).toBe(`http://gateway.localhost:8042/dicomweb${study}`)
    expect(await link(setup, { Host: 'pacs.example:8443' })).toBe(`http://pacs.example:8443/dicomweb${study}`)
    expect(await link(setup, { Host: '[::1]:8080' })).toBe(`http://[::1]:8080/dicomweb${study}`)
  })

  it('has the port of the connection where the Host header has none, as the Python dicomweb-client sends it', async () => {
    const setup = await started()
    expect(await link(setup, { Host: 'pacs.example' })).toBe(`http://pacs.example:${setup.port}/dicomweb${study}`)
    expect(await link(setup, { Host: '[::1]' })).toBe(`http://[::1]:${setup.port}/dicomweb${study}`)
  })

  it.each([{ Forwarded: 'for=192.0.2.1' }, { 'X-Forwarded-For': '192.0.2.1' }, { Via: '1.1 proxy' }])(
    'has no port that the Host header has not where a proxy shows itself, trusted or not (%o)',
    async (header) => {
      const setup = await started()
      expect(await link(setup, { Host: 'pacs.example', ...header })).toBe(`http://pacs.example/dicomweb${study}`)
    },
  )

  it('is below the archive that the path names', async () => {
    const setup = await started()
    expect(await link(setup, {}, '/dicomweb/aets/DEMO/studies')).toBe(
      `http://gateway.localhost:8042/dicomweb/aets/DEMO${study}`,
    )
  })

  it('has the configured path, or none', async () => {
    expect(await link(await started({ basePath: '/pacs/dw' }), {}, '/pacs/dw/studies')).toBe(
      `http://gateway.localhost:8042/pacs/dw${study}`,
    )
    expect(await link(await started({ basePath: '/' }), {}, '/studies')).toBe(`http://gateway.localhost:8042${study}`)
  })

  it('is the public URL where it is configured, whatever the headers', async () => {
    const setup = await started({ publicUrl: 'https://pacs.example/radiology/', trustProxy: true })
    const headers = { Host: 'inside', 'X-Forwarded-Host': 'outside', Forwarded: 'host=elsewhere' }
    expect(await link(setup, headers)).toBe(`https://pacs.example/radiology/dicomweb${study}`)
  })

  it('is ASCII, however the public URL is written', async () => {
    const setup = await started({ publicUrl: 'https://klinikgebäude.example/räume/' })
    expect(await link(setup, {})).toBe(`https://xn--klinikgebude-ocb.example/r%C3%A4ume/dicomweb${study}`)
  })

  it('is what a trusted proxy says', async () => {
    const setup = await started({ trustProxy: true })
    const of = (headers: Readonly<Record<string, string>>): Promise<string> => link(setup, headers)
    expect(await of({ 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'pacs.example' })).toBe(
      `https://pacs.example/dicomweb${study}`,
    )
    expect(await of({ 'X-Forwarded-Proto': 'https' })).toBe(`https://gateway.localhost:8042/dicomweb${study}`)
    expect(await of({ 'X-Forwarded-Host': 'first.example, second.example' })).toBe(
      `http://first.example/dicomweb${study}`,
    )
    expect(await of({ 'X-Forwarded-Prefix': '/hospital/', 'X-Forwarded-Host': 'p' })).toBe(
      `http://p/hospital/dicomweb${study}`,
    )
    expect(await of({ Forwarded: 'for=192.0.2.1;proto=https;host="pacs.example:8443", for=10.0.0.1;host=inner' })).toBe(
      `https://pacs.example:8443/dicomweb${study}`,
    )
    expect(await of({ Forwarded: 'Host=a.example;Proto=https', 'X-Forwarded-Host': 'b.example' })).toBe(
      `https://a.example/dicomweb${study}`,
    )
  })

  it('is not what somebody who is not trusted says', async () => {
    const setup = await started()
    const headers = {
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Prefix': '/x',
      Forwarded: 'host=evil.example',
    }
    expect(await link(setup, headers)).toBe(`http://gateway.localhost:8042/dicomweb${study}`)
  })

  it.each([
    { 'X-Forwarded-Host': 'evil.example/path?x=' },
    { 'X-Forwarded-Host': 'user@evil.example' },
    { 'X-Forwarded-Host': '"><script>' },
    { 'X-Forwarded-Proto': 'javascript' },
    { Forwarded: 'host="a b"' },
    { 'X-Forwarded-Prefix': '"><script>' },
    { 'X-Forwarded-Prefix': '.evil.example' },
    { 'X-Forwarded-Prefix': '/a b' },
    { 'X-Forwarded-Prefix': '//evil.example?' },
  ])('is never text that cannot stand in a URL: %j', async (headers) => {
    const url = await link(await started({ trustProxy: true }), headers)
    expect(url).toMatch(/^http:\/\/[a-z0-9.:]+(\/[A-Za-z0-9._~-]+)*\/dicomweb\/studies\/1\.2\.3$/)
    expect(url).not.toContain('evil')
  })

  it('is that of Warnings, of the answer to a store and of Content-Location as well', async () => {
    const setup = await started({ publicUrl: 'https://pacs.example' })
    const base = 'https://pacs.example/dicomweb'
    const search = await fetch(`${setup.url}/studies?fuzzymatching=true`)
    expect(search.headers.get('warning')).toMatch(`299 ${base}: `)
    await search.arrayBuffer()
    const { type, body } = related([instanceFile()])
    const stored = await fetch(`${setup.url}/studies`, {
      method: 'POST',
      body: new Uint8Array(body),
      headers: { 'Content-Type': type },
    })
    const text = await stored.text()
    expect(text).toContain(`"${base}${study}"`)
    expect(text).toContain(`"${base}${study}/series/${E}/instances/${I}"`)
    const retrieved = await fetch(`${setup.url}${study}`)
    expect(retrieved.headers.get('content-location')).toBe(base + study)
    await retrieved.arrayBuffer()
  })

  it('without any Host header is a 400, and not a crash', async () => {
    const setup = await started()
    await using client = await RawClient.connect(setup.port)
    await client.send('GET /dicomweb/studies HTTP/1.1\r\nConnection: close\r\n\r\n')
    await client.closed()
    expect(client.status).toBe(400)
    await using old = await RawClient.connect(setup.port)
    await old.send('GET /dicomweb/studies HTTP/1.0\r\n\r\n')
    await old.closed()
    expect([200, 400]).toContain(old.status)
    expect((await fetch(`${setup.origin}/livez`)).status).toBe(200)
  })
})
