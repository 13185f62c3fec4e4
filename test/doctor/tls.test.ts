import { connect, type AddressInfo, type Socket } from 'node:net'
import { createServer } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { SopClass } from '../../src/dicom/uids.ts'
import { certificateFor } from '../support/certificate.ts'
import { freePort } from '../support/ports.ts'
import { sliceFile } from '../support/slices.ts'
import { examined, type Examined } from './examination.ts'

const pacs = certificateFor('pacs.test')

afterAll(() => pacs?.[Symbol.dispose]())

describe.skipIf(!pacs)('an archive behind TLS', () => {
  /** Takes TLS before a demo archive and passes on what is in it. */
  async function behindTls(use: (port: number) => Promise<void>): Promise<void> {
    await using archive = await DemoArchive.start({ aeTitle: 'PACS' })
    const sockets = new Set<Socket>()
    const server = createServer({ key: pacs!.key, cert: pacs!.cert }, (outer) => {
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
      const known = await examined(address, { tls: { ca: pacs!.files.cert, servername: 'pacs.test' } })
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

describe.skipIf(!pacs)('our listener behind TLS', () => {
  /** An archive without C-GET, TLS of its own, or a way to speak it. */
  async function examinedBy(files: { key: string; cert: string }): Promise<Examined> {
    const port = await freePort()
    await using archive = await DemoArchive.start({
      aeTitle: 'PACS',
      destinations: { DIMSEGATE: { host: '127.0.0.1', port } },
      faults: { acceptsClass: (uid) => uid !== SopClass.studyRootGet },
    })
    await archive.put(sliceFile({ number: 1 }))
    const dimse = { port, host: '127.0.0.1', tls: files }
    return await examined({ host: '127.0.0.1', port: archive.port }, {}, { dimse })
  }

  test('is not reached by an archive that delivers without', async () => {
    const result = await examinedBy(pacs!.files)
    expect(result.at('problem')).toContain('MOVE_TLS_FAILED')
    expect(result.finding('MOVE_TLS_FAILED').ask).toContain('by DICOM over TLS')
  })

  test('is not opened with a key that is not of its certificate', async () => {
    using other = certificateFor('other.test')
    const result = await examinedBy({ key: other!.files.key, cert: pacs!.files.cert })
    expect(result.at('problem')).toContain('MOVE_TLS_UNUSABLE')
  })
})
