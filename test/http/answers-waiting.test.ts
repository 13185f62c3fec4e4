import { describe, expect, it } from 'vitest'
import { MAX_ANSWERS_WAITING } from '../../src/http/answers-waiting.ts'
import { startSetup } from '../support/gateway.ts'
import { RawClient } from '../support/raw-http.ts'

const LIVEZ = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'
const answers = ({ text }: RawClient): number => text.split('HTTP/1.1 200').length - 1

describe('a client that sends on without reading its answers', () => {
  it('may have so many waiting', async () => {
    await using setup = await startSetup()
    await using client = await RawClient.connect(setup.port)
    for (let round = 1; round <= 3; round++) {
      await client.send(LIVEZ.repeat(MAX_ANSWERS_WAITING))
      await client.until((one) => answers(one) === round * MAX_ANSWERS_WAITING)
    }
  })

  it('is cut off with more, which take no memory', async () => {
    await using setup = await startSetup()
    const before = process.memoryUsage().rss
    for (let round = 0; round < 3; round++) {
      await using client = await RawClient.connect(setup.port)
      await client.send(LIVEZ.repeat(20_000)).catch(() => undefined)
      await client.closed()
      expect(answers(client)).toBeLessThan(20_000)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(120 * 1024 * 1024)
    expect((await fetch(`${setup.origin}/livez`)).status).toBe(200)
  })

  it('takes little memory by long answers', async () => {
    await using setup = await startSetup()
    const held = (): number => process.memoryUsage().rss
    await fetch(`${setup.origin}/openapi.json`).then((response) => response.text())
    const before = held()
    await using client = await RawClient.connect(setup.port)
    client.socket.pause()
    await client.send('GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(1_000))
    // Behind all that: it is told when the others have been made.
    await fetch(`${setup.origin}/livez`)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(held() - before).toBeLessThan(80 * 1024 * 1024)
  })
})
