import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, type TLSSocket } from 'node:tls'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { instanceFile } from '../support/dicom-files.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { published } from '../support/published.ts'
import { certificateFor, type Certificate } from '../support/certificate.ts'

const [server, renewed, viewer, stranger] = ['gateway.test', 'gateway.test', 'viewer.test', 'stranger.test'].map(
  (name) => certificateFor(name),
) as [Certificate, Certificate, Certificate, Certificate]

const refusedConnections = published('dimsegate:refused-connection')
const opened: Setup[] = []
let folder: string
let files: { cert: string; key: string }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dimsegate-https-'))
  files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
})

afterEach(async () => {
  for (const setup of opened.splice(0)) await setup[Symbol.asyncDispose]()
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  for (const one of [server, renewed, viewer, stranger]) (one as Certificate | undefined)?.[Symbol.dispose]()
})

async function put(certificate: Certificate): Promise<void> {
  await copyFile(certificate.files.cert, files.cert)
  await copyFile(certificate.files.key, files.key)
}

async function started(tls: object = {}, auth: unknown = null): Promise<Setup> {
  await put(server)
  const http = { tls: { ...files, ...tls }, allowedHosts: ['gateway.test'] }
  const setup = await startSetup({ files: [instanceFile()], http, others: { auth } })
  opened.push(setup)
  return setup
}

interface Asked {
  readonly client?: Certificate
  readonly ca?: Certificate
}

async function ask({ port }: Setup, { client, ca = server }: Asked = {}): Promise<{ status: number; body: string }> {
  const identity = client ? { cert: client.cert, key: client.key } : {}
  const options = { host: '127.0.0.1', port, servername: 'gateway.test', ca: ca.cert, agent: false, ...identity }
  const headers = { Host: 'gateway.test' }
  const sent = request({ ...options, path: '/dicomweb/studies', headers })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode!, body: await text(response) }
}

const trusting = ({ port }: Setup): { host: string; port: number; ca: string; servername: string } => ({
  host: '127.0.0.1',
  port,
  ca: server.cert,
  servername: 'gateway.test',
})

/** What a handshake came to: the protocol, or the reason against it. */
async function shakeHands({ port }: Setup, options: object): Promise<string> {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port,
    ca: server.cert,
    servername: 'gateway.test',
    ...options,
  })
  try {
    await once(socket, 'secureConnect')
    return socket.getProtocol()!
  } catch (error) {
    return (error as NodeJS.ErrnoException).code!
  } finally {
    socket.destroy()
  }
}

describe.skipIf(!server)('HTTPS', () => {
  it('is served, and is in links', async () => {
    const setup = await started()
    expect(setup.url).toMatch(/^https:\/\/127/)
    const { status, body } = await ask(setup)
    expect(status).toBe(200)
    expect(body).toContain(`"https://gateway.test:${setup.port}/dicomweb/studies/1.2.3"`)
  })

  it('is TLS 1.2 or later, or later still where that is asked for', async () => {
    const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }
    const setup = await started()
    expect(await shakeHands(setup, { ...old, maxVersion: 'TLSv1.1' })).toMatch(/PROTOCOL|VERSION/)
    expect(await shakeHands(setup, { maxVersion: 'TLSv1.2' })).toBe('TLSv1.2')
    const newer = await started({ minVersion: 'TLSv1.3' })
    expect(await shakeHands(newer, { maxVersion: 'TLSv1.2' })).toMatch(/PROTOCOL|VERSION/)
    expect(await shakeHands(newer, {})).toBe('TLSv1.3')
  })

  it('asks for a certificate of clientCa, and for nothing else where it is optional', async () => {
    const needed = await started({ clientCa: viewer.files.cert })
    expect(await ask(needed, { client: viewer })).toMatchObject({ status: 200 })
    await expect(ask(needed)).rejects.toThrow()
    await expect(ask(needed, { client: stranger })).rejects.toThrow()
    const optional = await started({ clientCa: viewer.files.cert, clientCertificate: 'optional' })
    expect(await ask(optional)).toMatchObject({ status: 200 })
  })

  it('knows who shows a certificate, and lets him do what he may', async () => {
    const auth = { certificates: [{ name: 'viewer.test', scopes: ['search'] }] }
    const tls = { clientCa: viewer.files.cert, clientCertificate: 'optional' }
    const setup = await started(tls, auth)
    expect((await ask(setup, { client: viewer })).status).toBe(200)
    expect((await ask(setup)).status).toBe(401)
    // Not verified, so nobody.
    expect((await ask(setup, { client: stranger })).status).toBe(401)
    const others = await started(tls, { certificates: [{ name: 'other.test' }] })
    const codeOf = ({ body }: { body: string }): string => (JSON.parse(body) as { code: string }).code
    expect(codeOf(await ask(others, { client: viewer }))).toBe('CERTIFICATE_REFUSED')
    expect(codeOf(await ask(others, { client: stranger }))).toBe('CERTIFICATE_REFUSED')
    expect(codeOf(await ask(others))).toBe('SIGN_IN_NEEDED')
  })

  it('asks for the certificate at each connection, also where a session could be resumed', async () => {
    const setup = await started({ clientCa: viewer.files.cert })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { ...trusting(setup), maxVersion, cert: viewer.cert, key: viewer.key }
      const sessions: Buffer[] = []
      const first = connect(options).on('session', (session: Buffer) => sessions.push(session))
      first.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      first.resume()
      await once(first, 'close')
      const again = connect({ ...options, session: sessions.at(-1) })
      await once(again, 'secureConnect')
      expect([maxVersion, again.isSessionReused()]).toEqual([maxVersion, false])
      again.destroy()
    }
  })

  it('takes no cipher without forward secrecy', async () => {
    const setup = await started()
    const old = { ...trusting(setup), maxVersion: 'TLSv1.2' as const }
    expect(await shakeHands(setup, { ...old, ciphers: 'AES128-SHA:AES256-GCM-SHA384' })).toMatch(
      /HANDSHAKE_FAILURE|NO_SHARED/,
    )
    expect(await shakeHands(setup, { ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).toBe('TLSv1.2')
  })

  it('tells of clients that show no certificate, or not a good one', async () => {
    const setup = await started({ clientCa: viewer.files.cert })
    await expect(ask(setup)).rejects.toThrow()
    await expect(ask(setup, { client: stranger })).rejects.toThrow()
    await ask(setup, { client: viewer })
    expect(refusedConnections).toEqual([
      { address: '127.0.0.1', code: expect.stringMatching(/CERTIFICATE/) as unknown },
      // Node has closed it before it tells.
      { address: undefined, code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    ])
  })

  it('closes connections at rest when other authorities are trusted', async () => {
    const authorities = join(folder, 'authorities.pem')
    await copyFile(viewer.files.cert, authorities)
    const setup = await started({ clientCa: authorities })
    const standing = connect({ ...trusting(setup), cert: viewer.cert, key: viewer.key })
    standing.resume()
    await once(standing, 'secureConnect')
    await setup.gateway.renewTls()
    expect(standing.destroyed).toBe(false)
    await copyFile(stranger.files.cert, authorities)
    const closed = once(standing, 'close')
    await setup.gateway.renewTls()
    await closed
    await expect(ask(setup, { client: viewer })).rejects.toThrow()
    expect((await ask(setup, { client: stranger })).status).toBe(200)
  })

  it('takes files that changed, from the next connection on; not those that do not belong together', async () => {
    const setup = await started()
    expect((await ask(setup)).status).toBe(200)
    await copyFile(renewed.files.cert, files.cert)
    await expect(setup.gateway.renewTls()).rejects.toMatchObject({ code: 'TLS_FILE_UNUSABLE' })
    expect((await ask(setup)).status).toBe(200)
    await copyFile(renewed.files.key, files.key)
    await setup.gateway.renewTls()
    expect((await ask(setup, { ca: renewed })).status).toBe(200)
    await expect(ask(setup, { ca: server })).rejects.toThrow()
  })

  it('is understood by curl, with a client certificate', async () => {
    const setup = await started({ clientCa: viewer.files.cert })
    const to = [
      '--resolve',
      `gateway.test:${setup.port}:127.0.0.1`,
      `https://gateway.test:${setup.port}/dicomweb/studies`,
    ]
    const trust = ['--silent', '--show-error', '--cacert', server.files.cert]
    const shown = ['--cert', viewer.files.cert, '--key', viewer.files.key]
    const curl = promisify(execFile)
    const { stdout } = await curl('curl', [...trust, ...shown, ...to])
    expect(JSON.parse(stdout)).toHaveLength(1)
    await expect(curl('curl', [...trust, ...to])).rejects.toThrow()
  })

  it('lets requests end when it stops, as without TLS', async () => {
    const setup = await started()
    setup.archive.faults = { findDelay: 400 }
    const asked = ask(setup)
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5000, interval: 5 })
    await setup.gateway.stop()
    expect((await asked).status).toBe(200)
  })

  it('does not start with files that are none', async () => {
    await put(server)
    await writeFile(files.key, await readFile(renewed.files.key))
    await expect(startSetup({ http: { tls: files } })).rejects.toMatchObject({ code: 'TLS_FILE_UNUSABLE' })
  })
})
