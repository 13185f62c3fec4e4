import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { E, I, instanceFile, S } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { published } from '../../support/published.ts'

// Clients that do not read, or speak HTTP/1.0, over real sockets.

const MB = 1024 * 1024
const kept = keeper()
const events = published('dimsegate:request')

async function started(options: SetupOptions): Promise<Setup> {
  const setup = await startSetup({ cache: { maxBytes: 0 }, ...options })
  kept(setup)
  return setup
}

async function asked(setup: Setup, version: '1.0' | '1.1', instance: string = I): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: setup.port })
  await once(socket, 'connect')
  kept({ [Symbol.asyncDispose]: async () => void socket.destroy() })
  socket.write(
    `GET /dicomweb/studies/${S}/series/${E}/instances/${instance} HTTP/${version}\r\nHost: localhost\r\nAccept: application/dicom\r\nConnection: close\r\n\r\n`,
  )
  return socket
}

describe('a client that reads', () => {
  it('no more is given up, though everything may have been written', async () => {
    // What the buffers of the system take differs: of some size the rest just fits into what may wait in the process.
    const sizes = [2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8]
    const files = sizes.map((size, n) => instanceFile({ instance: `${I}.${n}`, pixelBytes: size * MB }))
    const setup = await started({ files, timeouts: { stall: '300ms' }, pacs: { maxAssociations: 16 } })
    for (const n of sizes.keys()) {
      const socket = await asked(setup, '1.1', `${I}.${n}`)
      socket.on('error', () => undefined)
      socket.pause()
    }
    await vi.waitFor(() => expect(events).toHaveLength(sizes.length), { timeout: 8000, interval: 10 })
    expect(events.some(({ cut }) => cut)).toBe(true)
  })
})

describe('a client that leaves', () => {
  it('before the status line is told so in the event of its request', async () => {
    const setup = await started({ files: [instanceFile()], archive: { faults: { findDelay: 500 } } })
    const socket = await asked(setup, '1.1')
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5000, interval: 5 })
    socket.destroy()
    await vi.waitFor(() => expect(events).toHaveLength(1), { timeout: 5000, interval: 10 })
    expect(events).toMatchObject([{ status: 499, cut: true, error: { code: 'CLIENT_GONE' } }])
  })
})

describe('a response that is cut', () => {
  it('is reset, so that HTTP/1.0 too sees that it is not whole', async () => {
    const setup = await started({
      files: [instanceFile({ pixelBytes: 4 * MB })],
      archive: { faults: { stallAfterBytes: 2 * MB } },
      timeouts: { response: '300ms' },
    })
    const socket = await asked(setup, '1.0')
    socket.resume()
    const [error] = (await once(socket, 'close').catch((reason: unknown) => [reason])) as [unknown]
    expect(error).toMatchObject({ code: 'ECONNRESET' })
  })
})
