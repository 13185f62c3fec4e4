import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it, vi } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { RawClient } from '../support/raw-http.ts'
import { failOnLeaks } from '../support/leaks.ts'

failOnLeaks()

/** A gateway before nothing, with all the time to stop. */
function started(archive: object = { aeTitle: 'NOBODY', host: '127.0.0.1', port: 1 }): Promise<Gateway> {
  const http = { port: 0, shutdownGrace: '20s' }
  return startGateway(parseConfig({ http, archives: [archive], log: { level: 'silent' } }))
}

it('takes no new work once it stops, on connections that are open already too, and does not wait for them', async () => {
  await using archive = await DemoArchive.start({ faults: { findDelay: 400 } })
  await archive.put(instanceFile())
  const gateway = await started({ aeTitle: 'DEMO', host: '127.0.0.1', port: archive.port })
  const running = await RawClient.connect(gateway.port)
  const kept = await RawClient.connect(gateway.port)
  await running.request('GET', '/dicomweb/studies')
  await kept.request('GET', '/livez')
  await vi.waitFor(() => expect(kept.text).toMatch(/ok$/), { timeout: 5000, interval: 5 })
  await vi.waitFor(() => expect(gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5000, interval: 5 })
  const since = performance.now()
  await gateway.stop()
  expect(performance.now() - since).toBeLessThan(5_000)
  expect(running.text).toMatch(/^HTTP\/1.1 200/)
  expect(running.isWhole).toBe(true)
  await kept.closed()
})

it('stops at once though a connection was opened on which nothing was ever asked', async () => {
  const gateway = await started()
  const socket = connect(gateway.port, '127.0.0.1')
  await once(socket, 'connect')
  // A whole request on another connection: the server has seen both by then.
  await (await fetch(`http://127.0.0.1:${gateway.port}/livez`)).text()
  const closed = once(socket, 'close')
  const since = performance.now()
  await gateway.stop()
  expect(performance.now() - since).toBeLessThan(5_000)
  await closed
})
