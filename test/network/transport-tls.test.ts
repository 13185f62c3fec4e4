import type { AddressInfo } from 'node:net'
import { createServer, type TlsOptions as ServerOptions, type TLSSocket } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import type { TlsOptions } from '../../src/network/transport.ts'
import { failureOf, requestOf } from '../support/associations.ts'
import { certificateFor } from '../support/certificate.ts'
import { dataPdu, pdv } from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { PeerConnection, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const [pacs, gateway] = [certificateFor('pacs.test'), certificateFor('gateway.localhost')]

afterAll(() => {
  for (const one of [pacs, gateway]) one?.[Symbol.dispose]()
})

/** Asks a TLS listener that plays a script for an association. */
async function withTls(
  server: ServerOptions,
  tls: TlsOptions,
  script: Script,
  test: (requesting: ReturnType<typeof requestOf>) => Promise<void>,
): Promise<void> {
  const sockets: TLSSocket[] = []
  const runs: Promise<void>[] = []
  const listener = createServer({ key: pacs!.key, cert: pacs!.cert, ...server }, (socket) => {
    sockets.push(socket)
    runs.push(script(new PeerConnection(socket)))
  })
  listener.on('tlsClientError', (_, socket) => socket.destroy())
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', () => resolve()))
  const address = { host: '127.0.0.1', port: (listener.address() as AddressInfo).port }
  try {
    await test(requestOf({ address }, { tls }))
    await Promise.all(runs)
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => listener.close(resolve))
  }
}

const none: Script = async () => undefined

describe.skipIf(!pacs || !gateway)('an association over TLS', () => {
  const trusting = { ca: pacs?.cert, servername: 'pacs.test' } as TlsOptions

  it('is opened, carries data larger than any buffer both ways, and is released', async () => {
    const size = 60_000
    const count = 30
    const bytes = dataPdu(pdv(1, 0, Buffer.alloc(size, 7)))
    const script: Script = async (it) => {
      await it.accept()
      for (let index = 0; index < count; index++) expect((await it.expect(4)).equals(bytes)).toBe(true)
      for (let index = 0; index < count; index++) await it.send(bytes)
      await it.released()
    }
    await withTls({}, trusting, script, async (requesting) => {
      const association = await requesting
      const wait = { timeout: 20_000, what: 'data' }
      for (let index = 0; index < count; index++) await association.send([bytes], wait)
      let received = 0
      while (received < size * count) {
        const piece = await association.read(wait)
        expect(piece!.bytes.every((byte) => byte === 7)).toBe(true)
        received += piece!.bytes.length
        // Slower than the peer: it is held up meanwhile.
        if (received % 7 === 0) await new Promise(setImmediate)
      }
      await association.release(5_000)
      await association.closed
    })
  })

  it('shows a client certificate where one is wanted', async () => {
    const server = { requestCert: true, rejectUnauthorized: true, ca: gateway!.cert }
    const script: Script = async (it) => {
      await it.accept()
      await it.released()
    }
    await withTls(server, { ...trusting, key: gateway!.key, cert: gateway!.cert }, script, async (requesting) => {
      const association = await requesting
      await association.release(5_000)
      await association.closed
    })
    await withTls(server, trusting, none, async (requesting) => {
      const error = await failureOf(requesting)
      expect(['CONNECT_FAILED', 'CONNECTION_LOST']).toContain((error as { code: string }).code)
    })
  })

  it.each([
    ['that nobody vouches for', {}, { servername: 'pacs.test' }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['for another name', {}, { ...trusting, servername: 'other.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('with a certificate %s does not come about', async (_, server, tls, code) => {
    await withTls(server, tls, none, async (requesting) => {
      expect(await failureOf(requesting)).toMatchObject({ code: 'CONNECT_FAILED', cause: { code } })
    })
  })

  it('with less than TLS 1.2 does not come about', async () => {
    const old: ServerOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await withTls(old, trusting, none, async (requesting) => {
      expect(await failureOf(requesting)).toMatchObject({ code: 'CONNECT_FAILED' })
    })
  })
})
