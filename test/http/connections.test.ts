import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { Connections, type ConnectionBounds } from '../../src/http/connections.ts'
import { RawClient } from '../support/raw-http.ts'

const opened: (AsyncDisposable | Server)[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

async function served(bounds: Partial<ConnectionBounds>, listener: RequestListener): Promise<() => Promise<RawClient>> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  const connections = new Connections(server, { most: 100, unread: 60_000, ...bounds })
  opened.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push({
    [Symbol.asyncDispose]: async () => {
      connections.closeIdle()
      return Promise.resolve()
    },
  })
  return async () => {
    const came = once(server, 'connection')
    const client = await RawClient.connect((server.address() as AddressInfo).port)
    await came
    opened.push(client)
    return client
  }
}

describe('with as many connections as there may be', () => {
  const late: (() => void)[] = []
  const slowly: RequestListener = ({ url }, response) => {
    const answer = (): void => {
      response.end(url)
    }
    if (url === '/now') answer()
    else late.push(answer)
  }
  const answered = (client: RawClient, text: string): Promise<void> => client.until((one) => one.text.endsWith(text))

  it('the one that is idle for longest makes room, whether it has asked anything or not', async () => {
    const connect = await served({ most: 3 }, slowly)
    const [asked, silent, half] = [await connect(), await connect(), await connect()]
    await asked.request('GET', '/now')
    await answered(asked, 'now')
    await half.send('GET /now HTTP/1.1\r\nHost: ')
    await connect()
    await silent.closed()
    await connect()
    await half.closed()
    expect(asked.ended).toBe(false)
    await connect()
    await asked.closed()
  })

  it('none with a request under way does, and who comes is turned away', async () => {
    const connect = await served({ most: 2 }, slowly)
    const busy = [await connect(), await connect()]
    for (const client of busy) await client.request('GET', '/late')
    while (late.length < busy.length) await delay(5)
    const turned = await connect()
    await turned.closed()
    for (const end of late.splice(0)) end()
    for (const client of busy) await answered(client, 'late')
    // They are idle again.
    const next = await connect()
    await busy[0]!.closed()
    expect([next.ended, busy[1]!.ended]).toEqual([false, false])
  })
})

describe('an answer', () => {
  const UNREAD = 300

  it('that its client does not take is given up, though it is all written', async () => {
    const connect = await served({ unread: UNREAD }, (_, response) => {
      response.end(Buffer.alloc(32 << 20))
    })
    const client = await connect()
    client.keeps = false
    client.socket.pause()
    await client.request('GET', '/')
    await delay(4 * UNREAD)
    client.socket.resume()
    await client.closed()
    expect(client.size).toBeLessThan(32 << 20)
  })

  it('that is long in coming, or taken slowly, is not', async () => {
    const connect = await served({ unread: UNREAD }, (_, response) => {
      response.writeHead(200, { 'Content-Length': 32 << 20 })
      response.flushHeaders()
      setTimeout(() => response.end(Buffer.alloc(32 << 20)), 3 * UNREAD)
    })
    const client = await connect()
    client.keeps = false
    await client.request('GET', '/')
    await delay(3 * UNREAD)
    for (let turn = 0; turn < 8 && client.size < 32 << 20; turn++) {
      client.socket.pause()
      await delay(UNREAD / 3)
      client.socket.resume()
      await delay(10)
    }
    await client.until(({ size }) => size > 32 << 20)
    expect(client.ended).toBe(false)
  })

  it('that is over leaves a connection for as long as that is kept open', async () => {
    const server = createServer({ keepAliveTimeout: 100 }, (_, response) => {
      response.end('done')
    })
    opened.push(server)
    expect(new Connections(server, { most: 1, unread: 60_000 })).toBeDefined()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = await RawClient.connect((server.address() as AddressInfo).port)
    opened.push(client)
    await client.request('GET', '/')
    await client.closed()
    expect(client.text).toContain('done')
  })
})

describe('a server whose connections are to close', () => {
  const held: ServerResponse[] = []

  async function closing(): Promise<{ connections: Connections; connect: () => Promise<RawClient> }> {
    held.length = 0
    const server = createServer({ keepAliveTimeout: 60_000 }, (_, response) => held.push(response))
    opened.push(server)
    const connections = new Connections(server, { most: 100, unread: 60_000 })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const connect = async (): Promise<RawClient> => {
      const came = once(server, 'connection')
      const client = await RawClient.connect((server.address() as AddressInfo).port)
      await came
      opened.push(client)
      return client
    }
    return { connections, connect }
  }

  const waiting = async (count: number): Promise<void> => {
    while (held.length < count) await delay(5)
  }

  it('lets all requests end that are under way on one, and says so with the last', async () => {
    const { connections, connect } = await closing()
    const client = await connect()
    for (const path of ['/1', '/2']) await client.request('GET', path)
    await waiting(2)
    connections.closeIdle()
    held[0]!.end('first')
    await client.until(({ text }) => text.endsWith('first'))
    expect(client.text).not.toContain('Connection: close')
    held[1]!.end('second')
    await client.closed()
    expect(client.text).toMatch(/Connection: close[^]*second$/)
    await connections.quiet()
  })

  it('closes none that was opened later', async () => {
    const { connections, connect } = await closing()
    const busy = await connect()
    await busy.request('GET', '/')
    await waiting(1)
    connections.closeIdle()
    const later = await connect()
    held[0]!.end('done')
    await busy.closed()
    await delay(50)
    expect(later.ended).toBe(false)
  })

  it('is not kept by who sends on behind an answer whose headers are out', async () => {
    const { connections, connect } = await closing()
    const client = await connect()
    await client.request('GET', '/1')
    await waiting(1)
    held[0]!.write('head')
    await client.until(({ text }) => text.includes('head'))
    connections.closeIdle()
    await client.request('GET', '/2')
    await waiting(2)
    held[0]!.end()
    held[1]!.end('last')
    await client.closed()
    expect(client.text).toMatch(/Connection: close[^]*last/)
  })
})
