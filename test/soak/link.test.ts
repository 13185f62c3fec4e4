import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Link } from '../../soak/link.ts'
import { eventually } from '../support/eventually.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'

failOnLeaks()
const kept = keeper()

/** A server that sends back what comes, behind a link. */
async function echoBehindLink(): Promise<Link> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  kept({
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  return kept(await Link.open((server.address() as AddressInfo).port))
}

interface Client {
  readonly socket: Socket
  readonly received: () => string
  /** The code of the error that ended it. */
  readonly failure: () => string | undefined
}

function client(port: number): Client {
  const socket = connect({ port, host: '127.0.0.1' })
  let [text, code] = ['', undefined as string | undefined]
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code))
  kept({ [Symbol.asyncDispose]: async () => void socket.destroy() })
  return { socket, received: () => text, failure: () => code }
}

test('bytes and the end of either side pass', async () => {
  const link = await echoBehindLink()
  const { socket, received } = client(link.port)
  socket.end('x'.repeat(300_000))
  await once(socket, 'close')
  expect(received()).toHaveLength(300_000)
  await eventually(() => expect(link.connections).toBe(0))
})

test('a stall keeps bytes back until it is healed', async () => {
  const link = await echoBehindLink()
  const { socket, received } = client(link.port)
  link.stall()
  socket.write('late')
  await delay(100)
  expect(received()).toBe('')
  link.heal()
  await eventually(() => expect(received()).toBe('late'))
})

test('a cut resets every connection', async () => {
  const link = await echoBehindLink()
  const { socket, received, failure } = client(link.port)
  socket.write('here')
  await eventually(() => expect(received()).toBe('here'))
  link.cut()
  await eventually(() => expect(failure()).toBe('ECONNRESET'))
  await eventually(() => expect(link.connections).toBe(0))
})

test('a cut gives back a connection that is just being ended', async () => {
  const link = await echoBehindLink()
  for (let n = 0; n < 20; n++) {
    const { socket, received } = client(link.port)
    socket.end('here')
    await eventually(() => expect(received()).toBe('here'))
    link.cut()
  }
  await eventually(() => expect(link.connections).toBe(0))
})

test('a cut in transfer lets no more than so many bytes pass', async () => {
  const link = await echoBehindLink()
  const { socket, received, failure } = client(link.port)
  socket.write('here')
  await eventually(() => expect(received()).toBe('here'))
  link.cutAfter(3_000)
  socket.write('x'.repeat(2_000))
  await eventually(() => expect(failure()).toBe('ECONNRESET'))
  expect(received().length).toBeLessThanOrEqual(4 + 1_000)
})

test('a connection that is refused, and later not', async () => {
  const link = await echoBehindLink()
  const { port } = link
  link.refuse()
  const refused = client(port)
  await eventually(() => expect(refused.failure()).toBe('ECONNREFUSED'))
  await link.accept()
  expect(link.port).toBe(port)
  const { socket, received } = client(port)
  socket.write('here')
  await eventually(() => expect(received()).toBe('here'))
})
