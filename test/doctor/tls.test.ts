import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { examined } from './examination.ts'

const folder = mkdtempSync(join(tmpdir(), 'dimsegate-doctor-tls-'))
const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]

afterAll(() => rmSync(folder, { recursive: true }))

/** Makes a certificate that signs itself; false where there is no openssl. */
function certify(): boolean {
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=pacs.test', '-addext', 'subjectAltName=DNS:pacs.test']
  try {
    execFileSync('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!certify())('an archive behind TLS', () => {
  /** Takes TLS before a demo archive and passes on what is in it. */
  async function behindTls(use: (port: number) => Promise<void>): Promise<void> {
    await using archive = await DemoArchive.start({ aeTitle: 'PACS' })
    const sockets = new Set<Socket>()
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (outer) => {
      const inner = connect(archive.port, '127.0.0.1')
      for (const socket of [outer, inner]) sockets.add(socket.on('error', () => undefined))
      outer.pipe(inner).pipe(outer)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      await use((server.address() as AddressInfo).port)
    } finally {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  test('is reached with its certificate, and not without', async () => {
    await behindTls(async (port) => {
      const address = { host: '127.0.0.1', port }
      const known = await examined(address, { tls: { ca: cert, servername: 'pacs.test' } })
      expect(known.at('problem')).toEqual([])
      expect(known.codes.slice(0, 3)).toEqual(['CONNECTED', 'TLS_CONNECTED', 'ASSOCIATED'])
      const unknown = await examined(address, { tls: { servername: 'pacs.test' } })
      expect(unknown.codes).toEqual(['CONNECTED', 'TLS_FAILED'])
      expect(unknown.finding('TLS_FAILED').text).toContain('DEPTH_ZERO_SELF_SIGNED_CERT')
    })
  })

  test('is guessed where TLS is not set', async () => {
    await behindTls(async (port) => {
      const result = await examined({ host: '127.0.0.1', port }, {}, { stepTimeout: 1_000 })
      expect(result.at('problem')).toHaveLength(1)
      expect(result.report.findings.at(-1)?.text).toContain('TLS')
    })
  })
})
