import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { examineDestination } from '../../src/doctor/destination.ts'
import { configWith } from '../support/changed.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { freePort } from '../support/ports.ts'

failOnLeaks()

async function found(destination: object): Promise<readonly string[]> {
  const { destinations, archives, dimse } = configWith({ destinations: [destination] })
  const report = await examineDestination({
    ...{ destination: destinations[0]!, like: archives[0]!, dimse, signal: new AbortController().signal },
  })
  return report.findings.map(({ level, code }) => `${level} ${code}`)
}

describe('the doctor at a destination of routes', () => {
  it('tries a DICOM node by C-ECHO, and what may be stored there', async () => {
    await using node = await DemoArchive.start({ aeTitle: 'WS' })
    const codes = await found({ type: 'dicom', name: 'ws', aeTitle: 'WS', host: '127.0.0.1', port: node.port })
    expect(codes).toEqual(expect.arrayContaining(['ok CONNECTED', 'ok ECHO_OK', 'ok STORE_ACCEPTED']))
    expect(codes.filter((code) => code.startsWith('problem'))).toEqual([])
  })

  it('says that nothing listens there', async () => {
    const port = await freePort()
    expect(await found({ type: 'dicom', name: 'ws', aeTitle: 'WS', host: '127.0.0.1', port })).toEqual([
      'problem CONNECT_REFUSED',
    ])
    expect(await found({ type: 'stow', name: 'web', url: `http://127.0.0.1:${port}` })).toEqual([
      'problem WEB_NOT_REACHED',
    ])
  })

  it.each([
    [400, 'ok WEB_STORES'],
    [401, 'problem WEB_FORBIDDEN'],
    [302, 'problem WEB_REDIRECTS'],
    [404, 'problem WEB_NO_STORE'],
    [503, 'note WEB_FAILS'],
  ])('knows a DICOMweb server by its answer %i: %s', async (status, code) => {
    const bodies: string[] = []
    const server = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => bodies.push(text))
      request.on('end', () => response.writeHead(status, { Location: 'http://127.0.0.1:1/' }).end())
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as AddressInfo
    expect(await found({ type: 'stow', name: 'web', url: `http://127.0.0.1:${port}` })).toEqual([code])
    // Nothing that could be stored.
    expect(bodies.join('')).toBe('--nothing--\r\n')
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  })
})
