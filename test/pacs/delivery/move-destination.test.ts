import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { MAX_PASSED_OVER_BYTES } from '../../../src/dimse/scp.ts'
import { DATA_PDU_SLACK_BYTES } from '../../../src/network/pdu-decode.ts'
import { delivererOf, type Deliverer } from '../../../src/pacs/delivery/deliverer.ts'
import {
  MAX_STORAGE_ASSOCIATIONS,
  MoveDestination,
  type DestinationLimits,
} from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { connectionsTo } from '../../support/connections.ts'
import {
  associateRequest,
  commandSet,
  CT,
  dataPdu,
  EXPLICIT_LE,
  IMPLICIT_LE,
  message,
  pdu,
  pdv,
  Pdv,
  readItems,
  storeRequest,
  STUDY_ROOT_FIND,
  VERIFICATION,
} from '../../support/golden.ts'
import { configOf } from '../../support/gateway-to.ts'
import { keeper } from '../../support/kept.ts'
import { expecting } from '../../support/expected-move.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { published } from '../../support/published.ts'
import { StorageCaller, type StoreOptions } from '../../support/scripted-mover.ts'
import type { PeerConnection } from '../../support/scripted-peer.ts'
import { sliceDataset, sliceUid, STUDY } from '../../support/slices.ts'

// Lines 1 to 15 of the list of faults to survive: our listener and peers that are up to no good.

failOnLeaks()

const OTHER_STUDY = '1.2.826.0.1.3680043.10.1561.91'
const [ABORT, REJECT, ACCEPT] = [7, 3, 2]
const CT_CONTEXT = { id: 1, abstractSyntax: CT, transferSyntaxes: [EXPLICIT_LE] }
const rightTitles = { calledAeTitle: 'DIMSEGATE', callingAeTitle: 'PACS' }

const kept = keeper()
const refusals = published('dimsegate:refused-store')
const refused = (): string[] => refusals.map(({ reason }) => reason)

async function listening(limits: DestinationLimits = {}): Promise<{ destination: MoveDestination; port: number }> {
  const port = await freePort()
  const dimse = { host: '127.0.0.1', port, enabled: true }
  const config = parseConfig({ dimse, archives: [{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }] })
  const destination = kept(new MoveDestination(config.dimse, { limits }))
  for (const aeTitle of ['PACS', 'OTHER']) {
    destination.know({
      aeTitle,
      host: '127.0.0.1',
      aeTitles: [],
      addresses: undefined,
      timeout: 30_000,
      ownSyntaxes: [],
    })
  }
  await destination.listen()
  return { destination, port }
}

async function connected(port: number): Promise<PeerConnection> {
  const peer = await StorageCaller.connect(port)
  kept({ [Symbol.asyncDispose]: async () => void peer.socket.destroy() })
  return peer
}

async function calling(port: number, options: Parameters<typeof StorageCaller.open>[1] = {}): Promise<StorageCaller> {
  return kept(await StorageCaller.open(port, options))
}

/** The types of the PDUs that come until the connection ends. */
async function answersOf(peer: PeerConnection): Promise<number[]> {
  const types: number[] = []
  for (let one = await peer.next(); one; one = await peer.next()) types.push(one[0]!)
  return types
}

describe('a caller of our listener', () => {
  it('that says nothing is cut when ARTIM expires (fault 1)', async () => {
    const { port } = await listening({ artim: 200 })
    const peer = await connected(port)
    const start = performance.now()
    await peer.closed()
    expect(performance.now() - start).toBeGreaterThan(150)
    expect(performance.now() - start).toBeLessThan(2_000)
  })

  it('that sends its request byte by byte has no more time than others (fault 2)', async () => {
    const { destination, port } = await listening({ artim: 300 })
    expecting(destination)
    const peer = await connected(port)
    const start = performance.now()
    const bytes = associateRequest({ ...rightTitles, contexts: [CT_CONTEXT] })
    await peer.sendSlowly(
      Array.from(bytes, (byte) => Buffer.of(byte)),
      25,
    )
    await peer.closed()
    expect(performance.now() - start).toBeLessThan(2_000)
    expect(peer.received).toHaveLength(0)
  })

  it('is served where its request came in time, however long its instances take then', async () => {
    const { destination, port } = await listening({ artim: 200 })
    const delivered = expecting(destination)
    const caller = await calling(port)
    await delay(400)
    expect(await caller.store({})).toBe(0)
    expect(delivered).toEqual([sliceUid(1)])
  })

  it('that is silent within an association is cut after the idle time', async () => {
    const { destination, port } = await listening({ idle: 200 })
    expecting(destination)
    const caller = await calling(port)
    expect(await answersOf(caller.peer)).toEqual([ABORT])
  })

  it.each([
    ['an A-ASSOCIATE-RQ', 1],
    ['a P-DATA-TF', 4],
    ['a PDU of no type', 0x42],
  ])('that announces %s of 4 GB is told at its header (fault 3)', async (_, type) => {
    const { port } = await listening()
    const peer = await connected(port)
    await peer.send(pdu(type, [], 0xffffffff))
    expect(await answersOf(peer)).toEqual([ABORT])
  })

  it('that sends PDUs above the limit within an association is aborted (fault 3)', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    await caller.peer.send(pdu(4, [], 131_072 + DATA_PDU_SLACK_BYTES + 1))
    expect(await answersOf(caller.peer)).toEqual([ABORT])
    expect(delivered).toEqual([])
  })

  it('that sends data before it has an association is aborted (fault 4)', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const peer = await connected(port)
    await peer.send(storeRequest({ data: Buffer.alloc(8) }))
    expect(await answersOf(peer)).toEqual([ABORT])
    expect(delivered).toEqual([])
  })

  it('whose request is cut within an item is never accepted (fault 5)', async () => {
    const { destination, port } = await listening()
    expecting(destination)
    const body = associateRequest({ ...rightTitles, contexts: [CT_CONTEXT] }).subarray(6)
    const ends = new Set([68])
    for (const { value } of readItems(body.subarray(68))) ends.add(Math.max(...ends) + 4 + value.length)
    for (let length = 1; length < body.length; length += 3) {
      if (ends.has(length)) continue
      const peer = await connected(port)
      await peer.send(pdu(1, [body.subarray(0, length)]))
      expect(await answersOf(peer), `${length} bytes`).toEqual([ABORT])
    }
  })

  it.each([
    ['no called AE title', { calledAeTitle: '' }, [1, 1, 7]],
    ['no calling AE title', { callingAeTitle: '' }, [1, 1, 3]],
    ['AE titles of NULs', { calledAeTitle: '\0'.repeat(16), callingAeTitle: '\0'.repeat(16) }, [1, 1, 7]],
    ['the title of somebody else', { calledAeTitle: 'SOMEBODY' }, [1, 1, 7]],
    ['our title in lower case', { calledAeTitle: 'dimsegate' }, [1, 1, 7]],
    ['the title of an archive that was asked nothing', { callingAeTitle: 'STRANGER' }, [1, 1, 3]],
    ['a context id that is even', { contexts: [{ ...CT_CONTEXT, id: 2 }] }, [1, 1, 1]],
    ['a context id twice', { contexts: [CT_CONTEXT, CT_CONTEXT] }, [1, 1, 1]],
    ['a PDU limit that leaves no room', { maxLength: 6 }, [1, 1, 1]],
  ])('with %s is rejected (faults 6, 7, 11)', async (name, options, rejection) => {
    const { destination, port } = await listening()
    expecting(destination)
    const caller = await calling(port, options)
    expect(caller.rejection).toEqual(rejection)
    // What is no AE title at all is rejected before anybody looks who calls.
    const reasons = { 'was asked nothing': 'unknown-caller', somebody: 'wrong-title', 'lower case': 'wrong-title' }
    const reason = Object.entries(reasons).flatMap(([part, one]) => (name.includes(part) ? [one] : []))
    expect(refused()).toEqual(reason)
  })

  it('may store no more as soon as nothing is asked of it any more', async () => {
    const { destination, port } = await listening()
    const over = destination.moves.expect({
      archiveAeTitle: 'PACS',
      callingAeTitle: 'DIMSEGATE',
      messageIds: new Set([1]),
      refused: () => undefined,
      selection: { study: STUDY },
      lacks: () => true,
      deliver: () => Promise.resolve(0),
    })
    const caller = await calling(port)
    expect(caller.rejection).toBe(ACCEPT)
    over()
    // PS3.8 9.3.3.2: abstract syntax not supported.
    expect((await calling(port)).results).toEqual([3])
    expect(await caller.store({})).toBe(0x0124)
    // Not who is not in the configuration: the reasons lead to different places.
    const refusal = { reason: 'unasked', callingAeTitle: 'PACS', address: '127.0.0.1' }
    expect(refusals).toEqual([refusal, refusal])
  })

  it('that is an archive of ours may verify us at any time, and store nothing', async () => {
    const { destination, port } = await listening()
    destination.know({
      aeTitle: 'PACS',
      host: '127.0.0.1',
      aeTitles: [],
      addresses: undefined,
      timeout: 5_000,
      ownSyntaxes: [],
    })
    const verification = { id: 3, abstractSyntax: VERIFICATION, transferSyntaxes: [IMPLICIT_LE] }
    const caller = await calling(port, { contexts: [CT_CONTEXT, verification] })
    expect(caller.results).toEqual([3, 0])
    const echo = commandSet({ '0002': VERIFICATION, '0100': 0x30, '0110': 1, '0800': 0x0101 })
    await caller.peer.send(message(echo, undefined, { contextId: 3 }))
    expect((await caller.peer.expect(4)).includes(Buffer.from('00000009020000000000', 'hex'))).toBe(true)
    // In a context that was refused.
    expect(await caller.store({})).toBeUndefined()
    const stranger = await calling(port, { contexts: [verification], callingAeTitle: 'STRANGER' })
    expect(stranger.rejection).toEqual([1, 1, 3])
  })

  it('beyond the limit is rejected for now, others are served, and a place that is left is free (fault 8)', async () => {
    const { destination, port } = await listening({ rest: 60_000 })
    const delivered = expecting(destination)
    const callers: StorageCaller[] = []
    for (let n = 0; n < MAX_STORAGE_ASSOCIATIONS; n++) callers.push(await calling(port))
    expect(callers.map(({ rejection }) => rejection)).toEqual(callers.map(() => ACCEPT))
    expect((await calling(port)).rejection).toEqual([2, 3, 2])
    expect(await callers[40]!.store({ number: 40 })).toBe(0)
    await callers[0]!.release()
    await callers[0]!.peer.closed()
    expect(await (await calling(port)).store({ number: 41 })).toBe(0)
    expect(delivered).toEqual([sliceUid(40), sliceUid(41)])
  })

  it("offered by vendors' classes is taken, services that are no storage are not", async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const vendor = '1.3.46.670589.11.0.0.12.1'
    const contexts = [vendor, STUDY_ROOT_FIND].map((abstractSyntax, n) => ({
      id: 2 * n + 1,
      abstractSyntax,
      transferSyntaxes: [EXPLICIT_LE],
    }))
    const caller = await calling(port, { contexts })
    expect(caller.results).toEqual([0, 3])
    expect(await caller.store({ sopClass: vendor })).toBe(0)
    expect(delivered).toEqual([sliceUid(1)])
  })

  it('that speaks TLS, or HTTP, where neither is wanted is told of', async () => {
    const { port } = await listening()
    for (const bytes of [Buffer.from('1603010200010001fc0303', 'hex'), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const peer = await connected(port)
      await peer.send(bytes)
      await peer.closed()
    }
    expect(refused()).toEqual(['not-dicom', 'not-dicom'])
    expect(refusals[0]?.address).toMatch(/127\.0\.0\.1$/)
  })

  it('that comes and goes some hundred times leaves nothing (fault 9)', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const request = associateRequest({ ...rightTitles, contexts: [CT_CONTEXT] })
    const visits: ((peer: PeerConnection) => Promise<void> | void)[] = [
      (peer) => peer.close(),
      (peer) => peer.reset(),
      (peer) => peer.send(request.subarray(0, 40)).then(() => peer.reset()),
      (peer) => peer.send(request).then(() => peer.reset()),
      (peer) => peer.send(request, storeRequest({ data: Buffer.alloc(64) }).subarray(0, 200)).then(() => peer.close()),
    ]
    for (let round = 0; round < 15; round++) {
      await Promise.all(
        [visits, visits, visits, visits].flat().map(async (visit) => {
          const peer = await StorageCaller.connect(port)
          await visit(peer)
          peer.socket.destroySoon()
        }),
      )
    }
    // To look takes its time, which the listener needs.
    await vi.waitFor(() => expect(connectionsTo(port) ?? 0).toBe(0), { timeout: 8_000, interval: 200 })
    expect(await (await calling(port)).store({})).toBe(0)
    expect(delivered).toEqual([sliceUid(1)])
    expect(refused().filter((reason) => reason !== 'unreadable')).toEqual([])
  })
})

describe('an archive that delivers otherwise than it is called', () => {
  const delivererOfConfig = (delivery: object): Deliverer =>
    delivererOf(configOf({ host: '127.0.0.1', port: 104 }, { delivery }))

  it('is known by the AE titles that the configuration gives it besides', async () => {
    const { destination, port } = await listening()
    destination.know(delivererOfConfig({ aeTitles: ['STORE1', 'STORE2'] }))
    const delivered = expecting(destination)
    for (const [n, callingAeTitle] of ['STORE1', 'PACS', 'STORE2'].entries()) {
      const caller = await calling(port, { callingAeTitle })
      expect(await caller.store({ number: n + 1 })).toBe(0)
    }
    expect(delivered).toEqual([sliceUid(1), sliceUid(2), sliceUid(3)])
    expect((await calling(port, { callingAeTitle: 'STORE3' })).rejection).toEqual([1, 1, 3])
  })

  it.each([
    [['127.0.0.1'], true],
    [['127.0.0.0/8', '::1'], true],
    [['192.0.2.1', '2001:db8::/32'], false],
  ])('from %j is let in: %s (fault 13)', async (addresses, isLetIn) => {
    const { destination, port } = await listening()
    destination.know(delivererOfConfig({ addresses }))
    const delivered = expecting(destination)
    const caller = await calling(port)
    expect(caller.rejection).toEqual(isLetIn ? 2 : [1, 1, 3])
    expect(refused()).toEqual(isLetIn ? [] : ['unknown-caller'])
    if (isLetIn) expect(await caller.store({})).toBe(0)
    expect(delivered).toHaveLength(isLetIn ? 1 : 0)
  })

  it('and stalls within an instance is ended in its own time, not in that between instances', async () => {
    const { destination, port } = await listening({ idle: 60_000 })
    destination.know({ ...delivererOfConfig({}), timeout: 200 })
    const broken: unknown[] = []
    expecting(destination, {
      deliver: async ({ body }) => {
        await collect(body).catch((error: unknown) => broken.push(error))
        return 0xc000
      },
    })
    const caller = await calling(port)
    const bytes = caller.bytes({ size: 300_000 })
    await caller.peer.send(bytes.subarray(0, bytes.length - 1_000))
    expect(await answersOf(caller.peer)).toEqual([ABORT])
    expect(broken).toMatchObject([{ code: 'PEER_TIMEOUT' }])
  })
})

describe('an instance without end (fault 10)', () => {
  const command = commandSet({ '0002': CT, '0100': 1, '0110': 1, '0700': 0, '0800': 1, '1000': sliceUid(1) })

  it.each([
    [
      'of fragments of a command',
      Buffer.concat(Array.from({ length: 64 }, () => pdv(1, Pdv.command, Buffer.alloc(64)))),
    ],
    ['of fragments of a command without bytes', Buffer.concat(Array(512).fill(pdv(1, Pdv.command, Buffer.alloc(0))))],
  ])('%s is aborted', async (_, fragments) => {
    const { destination, port } = await listening()
    expecting(destination)
    const caller = await calling(port)
    await caller.peer.flood(dataPdu(fragments))
    expect(await answersOf(caller.peer)).toEqual([ABORT])
  })

  it('of fragments without bytes is aborted', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    await caller.peer.send(dataPdu(pdv(1, Pdv.lastCommand, command)))
    await caller.peer.flood(dataPdu(Buffer.concat(Array(2048).fill(pdv(1, Pdv.data, Buffer.alloc(0))))))
    expect(await answersOf(caller.peer)).toEqual([ABORT])
    expect(delivered).toEqual([])
  })

  it('that says nothing of itself is refused within its first megabyte and aborted when it goes on', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    await caller.peer.send(dataPdu(pdv(1, Pdv.lastCommand, command)))
    // A private element of almost 4 GB.
    await caller.peer.send(dataPdu(pdv(1, Pdv.data, Buffer.from('0100100055 4e0000f0ffffff'.replace(' ', ''), 'hex'))))
    await caller.peer.flood(dataPdu(pdv(1, Pdv.data, Buffer.alloc(120_000))))
    expect(await answersOf(caller.peer)).toEqual([ABORT])
    expect(caller.peer.bytesSent).toBeLessThan(MAX_PASSED_OVER_BYTES * 1.2)
    expect(delivered).toEqual([])
    expect(refused()).toEqual(['unreadable'])
  })
})

describe('an instance that nobody asked for', () => {
  const other = { study: OTHER_STUDY, series: `${OTHER_STUDY}.1` }

  it('is refused, told, and nothing of it is kept (fault 12)', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    expect(await caller.store({ ...other, size: 500_000 })).toBe(0x0124)
    expect(await caller.store({ number: 2 })).toBe(0)
    expect(delivered).toEqual([sliceUid(2)])
    expect(refused()).toEqual(['unexpected'])
  })

  it('is refused though it names the move that was asked for', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    const originator = { aeTitle: 'DIMSEGATE', messageId: 7 }
    expect(await caller.store(other, { originator })).toBe(0x0124)
    expect(delivered).toEqual([])
  })

  it('of the study that was asked for, but of another series or instance, is refused', async () => {
    const { destination, port } = await listening()
    const series = `${STUDY}.2`
    const delivered = expecting(destination, { selection: { study: STUDY, series, instance: sliceUid(1, series) } })
    const caller = await calling(port)
    expect(await caller.store({ number: 1 })).toBe(0x0124)
    expect(await caller.store({ series, number: 2 })).toBe(0x0124)
    expect(await caller.store({ series, number: 1 })).toBe(0)
    expect(delivered).toEqual([sliceUid(1, series)])
  })

  it('of another archive is refused, though its UID is right (fault 13)', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const others = expecting(destination, {
      archiveAeTitle: 'OTHER',
      messageIds: new Set([8]),
      selection: { study: OTHER_STUDY },
    })
    const caller = await calling(port, { callingAeTitle: 'OTHER' })
    const named: StoreOptions[] = [{}, { originator: { aeTitle: 'DIMSEGATE', messageId: 7 } }]
    for (const options of named) expect(await caller.store({}, options)).toBe(0x0124)
    expect(await caller.store(other)).toBe(0)
    expect(delivered).toEqual([])
    expect(others).toEqual([`${OTHER_STUDY}.1.1`])
    expect(refused()).toEqual(['unexpected', 'unexpected'])
  })

  it.each(['../../x', '/etc/passwd', '1.2.3\0.4', '1.2.3\r\nX-Evil: 1', '..', `1.${'2'.repeat(140)}`])(
    'by a UID that is none, %j, is refused (fault 14)',
    async (uid) => {
      const { destination, port } = await listening()
      const delivered = expecting(destination)
      const caller = await calling(port)
      const shapes = [
        sliceDataset().set(Attribute.SOPInstanceUID, uid),
        sliceDataset().set(Attribute.SeriesInstanceUID, uid),
      ]
      for (const shape of shapes) expect(await caller.store(shape)).toBe(0xc000)
      const nameless = sliceDataset()
      nameless.delete(Attribute.SOPInstanceUID)
      expect(await caller.store(nameless, { sopInstance: uid })).toBe(0xc000)
      expect(await caller.store({ study: uid })).toBe(0x0124)
      expect(await caller.store({ number: 2 })).toBe(0)
      expect(delivered).toEqual([sliceUid(2)])
    },
  )

  it('is no data set: refused, and what follows is taken', async () => {
    const { destination, port } = await listening()
    const delivered = expecting(destination)
    const caller = await calling(port)
    await caller.peer.send(storeRequest({ sopInstance: sliceUid(1), data: Buffer.from('080016005549ffff3132', 'hex') }))
    const answer = await caller.peer.expect(4)
    expect(answer.includes(Buffer.from('0000000902000000' + '00c0', 'hex'))).toBe(true)
    expect(await caller.store({ number: 2 })).toBe(0)
    expect(delivered).toEqual([sliceUid(2)])
    expect(refused()).toEqual(['unreadable'])
  })

  it('for which there is no room is told so, and comes when there is (fault 15)', async () => {
    const { destination, port } = await listening()
    let full = true
    expecting(destination, { deliver: () => Promise.resolve(full ? 0xa700 : 0) })
    const caller = await calling(port)
    expect(await caller.store({ size: 300_000 })).toBe(0xa700)
    full = false
    expect(await caller.store({ size: 300_000 })).toBe(0)
  })
})

describe('a listener that is closed', () => {
  it('ends callers that say nothing, that have associations, and that do not close', async () => {
    const { destination, port } = await listening()
    expecting(destination)
    const silent = await connected(port)
    const midway = await connected(port)
    await midway.send(associateRequest(rightTitles).subarray(0, 50))
    const caller = await calling(port)
    expect(caller.rejection).toBe(ACCEPT)
    const rejected = await calling(port, { calledAeTitle: 'X' })
    expect(rejected.rejection).toHaveLength(REJECT)
    const start = performance.now()
    await destination[Symbol.asyncDispose]()
    expect(performance.now() - start).toBeLessThan(3_000)
    expect(await answersOf(caller.peer)).toEqual([ABORT])
    await Promise.all([silent.closed(), midway.closed(), rejected.peer.closed()])
    await expect(StorageCaller.connect(port)).rejects.toThrow()
  })

  it('in the middle of an instance does not let it look whole', async () => {
    const { destination, port } = await listening()
    const ends = Promise.withResolvers<unknown>()
    expecting(destination, {
      deliver: async ({ body }) => {
        await collect(body).then(() => ends.resolve('whole'), ends.resolve)
        return 0
      },
    })
    const caller = await calling(port)
    const bytes = caller.bytes({ size: 50_000 }, { fragments: [20_000] })
    await caller.peer.send(bytes.subarray(0, 40_000))
    await delay(20)
    await destination[Symbol.asyncDispose]()
    expect(await ends.promise).toMatchObject({ code: 'ASSOCIATION_ABORTED' })
  })
})
