import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { MAX_NEWCOMERS_PER_ADDRESS } from '../../../src/network/newcomers.ts'
import { delivererOf } from '../../../src/pacs/delivery/deliverer.ts'
import {
  MAX_CONNECTIONS,
  MAX_STORAGE_ASSOCIATIONS,
  MoveDestination,
  type DestinationLimits,
} from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { eventually } from '../../support/eventually.ts'
import { expecting } from '../../support/expected-move.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { published } from '../../support/published.ts'
import { StorageCaller } from '../../support/scripted-mover.ts'

failOnLeaks()

const kept = keeper()
const refusals = published('dimsegate:refused-store')
const refused = (): string[] => refusals.map(({ reason }) => reason)
/** Where the archive is; it calls from 127.0.0.1 as well, which is nobody's. */
const KNOWN = '127.0.0.2'
const ACCEPT = 2

async function listening(
  dimse: object = {},
  limits: DestinationLimits = {},
): Promise<{ destination: MoveDestination; port: number }> {
  const port = await freePort()
  const config = parseConfig({
    dimse: { host: '127.0.0.1', port, enabled: true, ...dimse },
    archives: [{ aeTitle: 'PACS', host: KNOWN, port: 1 }],
  })
  // As the kernel hands over what calls to any address of loopback.
  const destination = kept(new MoveDestination({ ...config.dimse, host: '0.0.0.0' }, { limits }))
  destination.know(delivererOf(config.archives[0]!))
  await destination.listen()
  // Names are looked up behind.
  await delay(20)
  return { destination, port }
}

/** Connections that say nothing. */
async function silent(port: number, count: number, localAddress = '127.0.0.1'): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let n = 0; n < count; n++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    socket.on('error', () => undefined)
    kept({ [Symbol.asyncDispose]: async () => void socket.destroy() })
    await once(socket, 'connect')
    sockets.push(socket)
  }
  return sockets
}

const closed = (sockets: readonly Socket[]): number[] =>
  sockets.flatMap(({ closed: isClosed, readableEnded }, at) => (isClosed || readableEnded ? [at] : []))

function watched(sockets: Socket[]): Socket[] {
  for (const socket of sockets) socket.resume()
  return sockets
}

async function calling(port: number, callingAeTitle = 'PACS'): Promise<StorageCaller> {
  return kept(await StorageCaller.open(port, { callingAeTitle }))
}

describe('connections without an association', () => {
  it('of one address are so many, then the oldest makes room', async () => {
    const { port } = await listening()
    const sockets = watched(await silent(port, MAX_NEWCOMERS_PER_ADDRESS))
    await delay(50)
    expect(closed(sockets)).toEqual([])
    const more = watched(await silent(port, 2))
    await eventually(() => expect(closed(sockets)).toEqual([0, 1]))
    expect(closed(more)).toEqual([])
    expect(refused()).toEqual(['made-room', 'made-room'])
    expect(refusals[0]).toMatchObject({ address: '127.0.0.1' })
  })

  it('of an archive are as many as may have an association', async () => {
    const { port } = await listening()
    const sockets = watched(await silent(port, MAX_STORAGE_ASSOCIATIONS, KNOWN))
    await delay(50)
    expect(closed(sockets)).toEqual([])
    await silent(port, 1, KNOWN)
    await eventually(() => expect(closed(sockets)).toEqual([0]))
  })

  it('do not keep a delivery out, however many; those of an archive and associations stay', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const standing = await calling(port)
    const ofArchive = watched(await silent(port, 4, KNOWN))
    const sockets: Socket[] = []
    const addresses = Math.ceil(MAX_CONNECTIONS / MAX_NEWCOMERS_PER_ADDRESS)
    for (let n = 0; n < addresses; n++) {
      sockets.push(...watched(await silent(port, MAX_NEWCOMERS_PER_ADDRESS, `127.0.1.${n + 1}`)))
    }
    // 1 and 4 were there before.
    await eventually(() => expect(closed(sockets)).toEqual([0, 1, 2, 3, 4]))
    const late = await calling(port)
    expect(await late.store({ number: 1 })).toBe(0)
    expect(await standing.store({ number: 2 })).toBe(0)
    expect(delivered).toHaveLength(2)
    expect(closed(ofArchive)).toEqual([])
    expect(closed(sockets)).toHaveLength(6)
  })

  it('that go by themselves are not counted any more', async () => {
    const { port } = await listening()
    for (let round = 0; round < 3; round++) {
      const sockets = await silent(port, MAX_NEWCOMERS_PER_ADDRESS)
      for (const socket of sockets) socket.destroy()
      await delay(50)
    }
    expect(refused()).toEqual([])
  })

  it('count no more when their association stands', async () => {
    const { destination, port } = await listening()
    expecting(destination)
    const callers: StorageCaller[] = []
    for (let n = 0; n < MAX_NEWCOMERS_PER_ADDRESS + 1; n++) callers.push(await calling(port))
    expect(callers.map(({ rejection }) => rejection)).toEqual(callers.map(() => ACCEPT))
    expect(refused()).toEqual([])
  })
})

describe('associations at rest', () => {
  it('do not keep a delivery out: the longest at rest makes room, not one that stores', async () => {
    const { destination, port } = await listening({}, { rest: 0 })
    const { promise, resolve } = Promise.withResolvers<number>()
    let storing = 0
    expecting(destination, {
      deliver: async ({ body }) => {
        await collect(body)
        storing++
        return promise
      },
    })
    const callers: StorageCaller[] = []
    for (let n = 0; n < MAX_STORAGE_ASSOCIATIONS; n++) callers.push(await calling(port))
    await callers[0]!.send({ number: 1 })
    await eventually(() => expect(storing).toBe(1))
    const late = await calling(port)
    expect(late.rejection).toBe(ACCEPT)
    expect((await callers[1]!.peer.next())?.[0]).toBe(7)
    expect(refusals).toEqual([{ reason: 'made-room', callingAeTitle: 'PACS', address: '127.0.0.1' }])
    resolve(0)
    expect((await callers[0]!.peer.next())?.[0]).toBe(4)
  })

  it('stay where none has been so for long', async () => {
    const { port } = await listening({}, { rest: 60_000 })
    for (let n = 0; n < MAX_STORAGE_ASSOCIATIONS; n++) await calling(port)
    expect((await calling(port)).rejection).toEqual([2, 3, 2])
  })
})

describe('dimse.allowedPeers', () => {
  it('has others closed at once', async () => {
    const { destination, port } = await listening({ allowedPeers: ['127.0.0.2', '127.0.3.0/24'] })
    expecting(destination)
    const other = watched(await silent(port, 1))
    await eventually(() => expect(closed(other)).toEqual([0]))
    expect(refusals).toEqual([{ reason: 'not-allowed', address: '127.0.0.1' }])
    const allowed = watched([...(await silent(port, 1, '127.0.0.2')), ...(await silent(port, 1, '127.0.3.9'))])
    await delay(50)
    expect(closed(allowed)).toEqual([])
  })

  it('lets everybody connect where it is empty', async () => {
    const { destination, port } = await listening()
    expecting(destination)
    expect(await (await calling(port)).store({ number: 1 })).toBe(0)
  })
})
