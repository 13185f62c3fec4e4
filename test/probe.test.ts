import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../src/config/config.ts'
import { startGateway } from '../src/gateway.ts'
import { asksForCertificate, isAlive, isListening, livezOf } from '../src/probe.ts'
import { certificateFor } from './support/certificate.ts'
import { dimsegate } from './support/command-line.ts'
import { published } from './support/published.ts'
import { freePort } from './support/ports.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

const refused = published('dimsegate:refused-connection')

const quiet = {
  archives: [{ aeTitle: 'PACS', host: '127.0.0.1', port: 104 }],
  dimse: { enabled: false },
  log: { level: 'silent' },
}

/** Where the probe of a service with these settings asks, and whether it takes that for alive. */
async function probed(settings: object): Promise<{ url: string; alive: boolean }> {
  const config = parseConfig({ ...quiet, ...settings })
  await using _ = await startGateway(config)
  const url = livezOf(config)
  return { url, alive: asksForCertificate(config) ? await isListening(url) : await isAlive(url) }
}

const certificate = certificateFor('localhost')

afterAll(() => certificate?.[Symbol.dispose]())

describe('the health check', () => {
  it('asks where the service listens: its port, TLS, its own address for any', async () => {
    const port = await freePort()
    expect(await probed({ http: { port } })).toEqual({ url: `http://127.0.0.1:${port}/livez`, alive: true })
    const asked = (host: string) => livezOf(parseConfig({ ...quiet, http: { host, port }, auth: 'open' }))
    expect(asked('0.0.0.0')).toBe(`http://127.0.0.1:${port}/livez`)
    expect(asked('::')).toBe(`http://[::1]:${port}/livez`)
    expect(asked('192.0.2.1')).toBe(`http://192.0.2.1:${port}/livez`)
  })

  it('asks at ops.listen where that is set', async () => {
    const [port, ops] = [await freePort(), await freePort()]
    const found = await probed({ http: { port }, ops: { listen: `127.0.0.1:${ops}` } })
    expect(found).toEqual({ url: `http://127.0.0.1:${ops}/livez`, alive: true })
  })

  it.skipIf(!certificate).each([
    ['TLSv1.2', false],
    ['TLSv1.3', false],
    ['TLSv1.3', true],
  ])('speaks TLS where http.tls is set: %s, client certificates: %s', async (minVersion, asks) => {
    const { cert, key } = certificate!.files
    const port = await freePort()
    const tls = { cert, key, minVersion, ...(asks && { clientCa: cert }) }
    expect(await probed({ http: { port, tls } })).toEqual({ url: `https://127.0.0.1:${port}/livez`, alive: true })
    // Nobody is alarmed by it.
    expect(refused).toEqual([])
  })

  it('takes nobody for alive who does not listen, or speaks something else', async () => {
    const port = await freePort()
    expect(await isAlive(`http://127.0.0.1:${port}/livez`)).toBe(false)
    expect(await isListening(`http://127.0.0.1:${port}/livez`)).toBe(false)
    expect(await isAlive(`https://127.0.0.1:${port}/livez`)).toBe(false)
    const other = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('220 ready\r\n'),
    )
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port: taken } = other.address() as AddressInfo
    expect(await isAlive(`http://127.0.0.1:${taken}/livez`)).toBe(false)
    expect(await isAlive(`https://127.0.0.1:${taken}/livez`)).toBe(false)
    await new Promise((resolve) => other.close(resolve))
  })

  it('is what the image runs', async () => {
    const image = await readFile(join(import.meta.dirname, '../Dockerfile'), 'utf8')
    expect(image).toMatch(/^HEALTHCHECK .* CMD \["node", "\/app\/dist\/probe\.js"\]$/m)
  })

  it('reads the configuration of the service by the same variables, and ends with 0 or 1', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'dimsegate.json')
    const port = await freePort()
    await writeFile(file, JSON.stringify({ ...quiet, auth: 'open', http: { port: 1 } }))
    const env = { DIMSEGATE_CONFIG: file, DIMSEGATE_HTTP__PORT: String(port), DIMSEGATE_HTTP__HOST: '0.0.0.0' }
    const ask = () => dimsegate([], { script: 'probe.ts', env })
    expect(await ask()).toMatchObject({ code: 1 })
    const config = parseConfig({ ...quiet, http: { port } })
    await using _ = await startGateway(config)
    expect(await ask()).toEqual({ code: 0, stdout: `http://127.0.0.1:${port}/livez answers\n`, stderr: '' })
    const faulty = await dimsegate([], { script: 'probe.ts', env: { ...env, DIMSEGATE_CONFIG: `${file}.none` } })
    expect(faulty).toMatchObject({ code: 1, stdout: '' })
    expect(faulty.stderr).toContain('dimsegate.json.none')
  })
})
