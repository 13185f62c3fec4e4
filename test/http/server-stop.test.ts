import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { startGateway } from '../../src/gateway.ts'
import { failOnLeaks } from '../support/leaks.ts'

failOnLeaks()

it('stops at once though a connection was opened on which nothing was ever asked', async () => {
  const config = parseConfig({
    http: { port: 0, shutdownGrace: '20s' },
    archives: [{ aeTitle: 'NOBODY', host: '127.0.0.1', port: 1 }],
    log: { level: 'silent' },
  })
  const gateway = await startGateway(config)
  const socket = connect(gateway.port, '127.0.0.1')
  await once(socket, 'connect')
  // A whole request on another connection: the server has seen both by then.
  await (await fetch(`http://127.0.0.1:${gateway.port}/livez`)).text()
  const closed = once(socket, 'close')
  const started = performance.now()
  await gateway.stop()
  expect(performance.now() - started).toBeLessThan(5_000)
  await closed
})
