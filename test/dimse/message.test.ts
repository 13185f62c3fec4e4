import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { MAX_COMMAND_BYTES, MAX_EMPTY_FRAGMENTS, MessageReader, type Message } from '../../src/dimse/message.ts'
import { sendMessage } from '../../src/dimse/send-message.ts'
import type { Command } from '../../src/dimse/command.ts'
import type { Association } from '../../src/network/association.ts'
import type { Wait } from '../../src/network/waiters.ts'
import { failureOf, requestOf } from '../support/associations.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import {
  abort,
  commandSet,
  CT,
  dataPdu,
  element,
  findResponse,
  golden,
  message,
  Pdv,
  pdv,
  storeRequest,
  VERIFICATION,
} from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedPeer, type PeerConnection, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const WAIT: Wait = { timeout: 20_000, what: 'message' }
const closes: Script = async (it) => {
  await it.closed()
  it.close()
}

/** An association whose peer plays a script once it stands. */
async function withPeer(
  script: Script,
  test: (association: Association, peer: PeerConnection) => Promise<void>,
  maxLength = 16_384,
): Promise<void> {
  const stands = Promise.withResolvers<undefined>()
  await using peer = await ScriptedPeer.listen(async (it) => {
    await it.accept({ maxLength })
    await stands.promise
    await script(it)
  })
  const association = await requestOf(peer)
  stands.resolve(undefined)
  try {
    await test(association, peer.connection())
  } finally {
    association.abort()
  }
  await peer.finished()
}

async function bytesOf(data: AsyncIterable<Bytes> | undefined): Promise<Buffer | undefined> {
  if (!data) return undefined
  const chunks: Bytes[] = []
  for await (const chunk of data) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Command and data of a number of messages. */
async function readAll(association: Association, count: number): Promise<[Command, Buffer | undefined][]> {
  const reader = MessageReader.of(association)
  const all: [Command, Buffer | undefined][] = []
  for (let index = 0; index < count; index++) {
    const one = await reader.next(WAIT)
    all.push([one!.command, await bytesOf(one!.data)])
  }
  return all
}

const data = Buffer.from('data set of an odd number of bytes: 37')
const store: Command = {
  type: 'C-STORE-RQ',
  messageId: 9,
  affectedSopClassUid: CT,
  affectedSopInstanceUid: '1.2.3',
  priority: 0,
  hasDataSet: true,
}
const storeBytes = (framing: object = {}): Buffer => storeRequest({ messageId: 9, contextId: 7, data, ...framing })

describe('a message is read alike', () => {
  it.each([
    ['in two PDUs', [storeBytes()]],
    ['in one PDU', [storeBytes({ onePdu: true })]],
    ['in fragments of one byte', [storeBytes({ fragments: [1] })]],
    ['in odd fragments, several in a PDU', [storeBytes({ fragments: [3, 7, 5], onePdu: true })]],
    ['with an empty last PDV', [storeBytes({ emptyLast: true })]],
    ['with an empty last PDV, in one PDU', [storeBytes({ emptyLast: true, onePdu: true, fragments: [6] })]],
    // Case 124
    ['in fragments of two bytes and chunks of one', byteByByte(storeBytes({ fragments: [2] }))],
    ['in one PDU and chunks of one byte', byteByByte(storeBytes({ onePdu: true, fragments: [10] }))],
  ])('%s', async (_, chunks) => {
    const script: Script = async (it) => {
      await it.send(...chunks)
      await closes(it)
    }
    await withPeer(script, async (association) => {
      expect(await readAll(association, 1)).toEqual([[store, data]])
      expect(association.idle).toBe(true)
    })
  })

  it('however it is cut, with others before and behind it', async () => {
    const framing = fc.record({
      fragments: fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 4 }),
      onePdu: fc.boolean(),
      emptyLast: fc.boolean(),
      bytes: fc.uint8Array({ maxLength: 200 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(framing, { minLength: 1, maxLength: 4 }), cuts(1_500), async (framings, offsets) => {
        const stream = Buffer.concat(framings.map(({ bytes, ...how }) => storeBytes({ ...how, data: bytes })))
        const script: Script = async (it) => {
          await it.send(...cutAt(stream, offsets))
          await closes(it)
        }
        await withPeer(script, async (association) => {
          const read = await readAll(association, framings.length)
          expect(read).toEqual(framings.map(({ bytes }) => [store, Buffer.from(bytes)]))
        })
      }),
      { numRuns: 40 },
    )
  })
})

describe('between messages', () => {
  it('what is left of a data set is skipped, read or not', async () => {
    const script: Script = async (it) => {
      await it.send(storeBytes({ fragments: [4] }), storeBytes(), storeBytes({ emptyLast: true }), golden.echoRequest)
      await it.send(golden.releaseRequest)
      await it.expect(6)
      it.close()
    }
    await withPeer(script, async (association) => {
      const reader = MessageReader.of(association)
      const first = (await reader.next(WAIT))!
      for await (const chunk of first.data!) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      expect(first.data!.complete).toBe(false)
      expect((await reader.next(WAIT))!.command).toEqual(store)
      const third = (await reader.next(WAIT))!
      await third.data!.skip(WAIT)
      expect(third.data!.complete).toBe(true)
      expect((await reader.next(WAIT))!.command.type).toBe('C-ECHO-RQ')
      expect(await reader.next(WAIT)).toBeUndefined()
      expect(await reader.next(WAIT)).toBeUndefined()
    })
  })

  it('an association has one reader, so that one operation may leave its data to the next', async () => {
    const script: Script = async (it) => {
      await it.send(storeBytes(), golden.echoRequest)
      await closes(it)
    }
    await withPeer(script, async (association) => {
      await MessageReader.of(association).next(WAIT)
      expect((await MessageReader.of(association).next(WAIT))!.command.type).toBe('C-ECHO-RQ')
    })
  })

  it('a data set that was announced and does not come is passed over', async () => {
    const announced = message(commandSet({ '0100': 0x8020, '0120': 1, '0800': 1, '0900': 0 }), undefined)
    const script: Script = async (it) => {
      await it.send(announced, golden.echoRequest, announced, golden.releaseRequest)
      await it.expect(6)
      it.close()
    }
    await withPeer(script, async (association) => {
      const reader = MessageReader.of(association)
      for (const type of ['C-FIND-RSP', 'C-ECHO-RQ', 'C-FIND-RSP']) {
        expect((await reader.next(WAIT))!.command.type).toBe(type)
      }
      expect(await reader.next(WAIT)).toBeUndefined()
    })
  })

  it('a data set that was not announced is there for who asks', async () => {
    const pending = message(commandSet({ '0100': 0x8020, '0120': 1, '0800': 0x0101, '0900': 0xff00 }), undefined)
    const script: Script = async (it) => {
      await it.send(pending, dataPdu(pdv(1, Pdv.lastData, data)), pending, golden.echoRequest)
      await closes(it)
    }
    await withPeer(script, async (association) => {
      const reader = MessageReader.of(association)
      const first = (await reader.next(WAIT))!
      expect(first.data).toBeUndefined()
      expect(await bytesOf(await reader.unannounced(first, WAIT))).toEqual(data)
      const second = (await reader.next(WAIT))!
      expect(await reader.unannounced(second, WAIT)).toBeUndefined()
      expect((await reader.next(WAIT))!.command.type).toBe('C-ECHO-RQ')
    })
  })
})

describe('a breach', () => {
  const command = commandSet({ '0002': CT, '0100': 1, '0110': 1, '0700': 0, '0800': 1, '1000': '1.2.3' })
  const filler = (length: number): Buffer => element(0x00005120, Buffer.alloc(length))

  it.each([
    ['data without its command', dataPdu(pdv(1, Pdv.lastData, data))],
    ['an empty PDV of data without its command', dataPdu(pdv(1, Pdv.lastData, Buffer.alloc(0)))],
    ['data in the middle of a command', dataPdu(pdv(1, Pdv.command, command), pdv(1, Pdv.lastData, data))],
    ['a context that was not agreed on', dataPdu(pdv(9, Pdv.lastCommand, command))],
    ['a command that changes its context', dataPdu(pdv(1, Pdv.command, command), pdv(3, Pdv.lastCommand, command))],
    ['a command that says nothing', dataPdu(pdv(1, Pdv.lastCommand, Buffer.alloc(0)))],
    ['a command that is malformed', dataPdu(pdv(1, Pdv.lastCommand, command.subarray(0, -3)))],
    ['a command that is too long', message(Buffer.concat([command, filler(MAX_COMMAND_BYTES)]), undefined)],
    [
      'a command of fragments without bytes',
      dataPdu(...Array.from({ length: 70_000 / 7 }, () => pdv(1, 1, Buffer.of()))),
    ],
  ])('%s: ProtocolError', async (_, bytes) => {
    const answers: Buffer[] = []
    const script: Script = async (it) => {
      for (let count = 0; count < 7; count++) await it.send(bytes)
      for (let one = await it.next(); one; one = await it.next()) answers.push(one)
      it.close()
    }
    await withPeer(script, async (association) => {
      const error = await failureOf(MessageReader.of(association).next(WAIT))
      expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' })
      await association.closed
      expect(association.idle).toBe(false)
    })
    expect(answers).toEqual([abort(2, 2)])
  })

  it.each([
    [MAX_COMMAND_BYTES, 'is read'],
    [MAX_COMMAND_BYTES + 1, 'PROTOCOL_ERROR'],
  ])('a command of %i bytes: %s', async (size, expected) => {
    const bytes = Buffer.concat([command, filler(size - command.length - 8)])
    expect(bytes).toHaveLength(size)
    const script: Script = async (it) => {
      await it.send(message(bytes, undefined))
      await it.closed()
      it.close()
    }
    await withPeer(script, async (association) => {
      const read = MessageReader.of(association).next(WAIT)
      if (expected === 'is read') expect((await read)!.command.type).toBe('C-STORE-RQ')
      else await expect(read).rejects.toMatchObject({ code: expected })
    })
  })

  it.each([
    [MAX_EMPTY_FRAGMENTS, undefined],
    [MAX_EMPTY_FRAGMENTS + 1, 'PROTOCOL_ERROR'],
  ])('a data set with %i fragments without bytes in a row: %s', async (count, code) => {
    const empty = pdv(1, Pdv.data, Buffer.alloc(0))
    const pdus = Array.from({ length: Math.ceil(count / 8192) }, (_, at) =>
      dataPdu(...Array.from({ length: Math.min(8192, count - at * 8192) }, () => empty)),
    )
    const script: Script = async (it) => {
      await it.send(dataPdu(pdv(1, Pdv.lastCommand, command)), ...pdus, dataPdu(pdv(1, Pdv.lastData, data)))
      await it.closed()
      it.close()
    }
    await withPeer(script, async (association) => {
      const { data: stream } = (await MessageReader.of(association).next(WAIT))!
      const read = bytesOf(stream)
      if (code === undefined) expect(await read).toEqual(data)
      else await expect(read).rejects.toMatchObject({ code })
    })
  })

  it('a release in the middle of a command: ProtocolError', async () => {
    const script: Script = async (it) => {
      await it.send(dataPdu(pdv(1, Pdv.command, command)), golden.releaseRequest)
      await it.expect(6)
      it.close()
    }
    await withPeer(script, async (association) => {
      await expect(MessageReader.of(association).next(WAIT)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    })
  })

  it.each([
    ['the next command', message(command, undefined, { contextId: 1 })],
    ['data in another context', dataPdu(pdv(3, Pdv.data, data))],
    ['a release', golden.releaseRequest],
  ])('in a data set, %s: ProtocolError for who reads it', async (_, bytes) => {
    const script: Script = async (it) => {
      await it.send(dataPdu(pdv(1, Pdv.lastCommand, command), pdv(1, Pdv.data, data)), bytes)
      await it.next()
      it.close()
    }
    await withPeer(script, async (association) => {
      const one = (await MessageReader.of(association).next(WAIT))!
      await expect(bytesOf(one.data)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
      expect(one.data!.complete).toBe(false)
    })
  })

  it('a command of exactly the limit is read', async () => {
    const long = Buffer.concat([golden.echoRequest.subarray(12), filler(MAX_COMMAND_BYTES - 68 - 8)])
    expect(long).toHaveLength(MAX_COMMAND_BYTES)
    const script: Script = async (it) => {
      await it.send(message(long, undefined, { fragments: [16_000] }))
      await closes(it)
    }
    await withPeer(script, async (association) => {
      expect((await MessageReader.of(association).next(WAIT))!.command.type).toBe('C-ECHO-RQ')
    })
  })

  it.each(['close', 'reset', 'abort'] as const)('%s in a data set fails who reads it', async (how) => {
    const script: Script = async (it) => {
      await it.send(dataPdu(pdv(1, Pdv.lastCommand, command), pdv(1, Pdv.data, data)))
      await it[how]()
    }
    await withPeer(script, async (association) => {
      const code = how === 'abort' ? 'ASSOCIATION_ABORTED' : 'CONNECTION_LOST'
      const read = MessageReader.of(association)
        .next(WAIT)
        .then((one) => bytesOf(one?.data))
      await expect(read).rejects.toMatchObject({ code })
    })
  })
})

describe('sending', () => {
  const echo: Command = { type: 'C-ECHO-RQ', messageId: 1, affectedSopClassUid: VERIFICATION, hasDataSet: false }

  /** The P-DATA-TF PDUs that go out, as their PDVs, and whether an A-ABORT ended them. */
  async function sent(
    send: (association: Association) => Promise<void>,
    maxLength = 16_384,
  ): Promise<{ pdvs: { flags: number; bytes: Buffer }[]; aborted: boolean }> {
    const pdvs: { flags: number; bytes: Buffer }[] = []
    let aborted = false
    const script: Script = async (it) => {
      for (let one = await it.next(); one; one = await it.next()) {
        if (one[0] === 7) aborted = true
        if (one[0] === 5) await it.send(golden.releaseResponse)
        if (one[0] !== 4) continue
        expect(one.readUInt32BE(2)).toBeLessThanOrEqual(maxLength === 0 ? 131_072 : maxLength)
        expect(one.readUInt32BE(6)).toBe(one.length - 10)
        pdvs.push({ flags: one[11]!, bytes: one.subarray(12) })
      }
      it.close()
    }
    const run = async (association: Association): Promise<void> => {
      await send(association)
      await association.release(5_000)
    }
    await withPeer(script, run, maxLength)
    return { pdvs, aborted }
  }

  const dataOf = (pdvs: readonly { flags: number; bytes: Buffer }[]): Buffer =>
    Buffer.concat(pdvs.filter(({ flags }) => (flags & 1) === 0).map(({ bytes }) => bytes))

  async function* stream(chunks: Iterable<Bytes>): AsyncGenerator<Bytes> {
    for (const chunk of chunks) {
      await Promise.resolve()
      yield chunk
    }
  }

  it('a command alone: the golden bytes', async () => {
    await withPeer(
      async (it) => {
        expect(await it.expect(4)).toEqual(golden.echoRequest)
        await closes(it)
      },
      async (association, peer) => {
        await sendMessage(association, 1, echo, undefined, WAIT)
        await peer.until(() => peer.received.includes(golden.echoRequest), 'the request')
      },
    )
  })

  // Case 119
  it.each([
    ['whole', (bytes: Bytes) => bytes],
    ['in chunks of 1,000 bytes', (bytes: Bytes) => stream(chunksOf(bytes, 1_000))],
    ['in one chunk', (bytes: Bytes) => stream([bytes])],
    ['in odd chunks', (bytes: Bytes) => stream(chunksOf(bytes, 777))],
  ])('100,000 bytes %s to a peer that takes 16,384', async (_, form) => {
    const object = Buffer.from(Array.from({ length: 100_000 }, (__, at) => at % 251))
    const { pdvs } = await sent((association) => sendMessage(association, 7, store, form(object), WAIT))
    expect(pdvs.map(({ flags }) => flags)).toEqual([3, 0, 0, 0, 0, 0, 0, 2])
    expect(pdvs.every(({ bytes }) => bytes.length <= 16_378 && bytes.length % 2 === 0)).toBe(true)
    expect(dataOf(pdvs).equals(object)).toBe(true)
  })

  it('anything, in any chunks, to a peer that takes any length', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 8 }),
        fc.oneof(fc.integer({ min: 128, max: 400 }), fc.constantFrom(0, 16_384)),
        async (chunks, maxLength) => {
          const send = (association: Association): Promise<void> =>
            sendMessage(association, 7, store, stream(chunks), WAIT)
          const { pdvs, aborted } = await sent(send, maxLength)
          const object = Buffer.concat(chunks)
          const padded = object.length % 2 === 0 ? object : Buffer.concat([object, Buffer.of(0)])
          expect(aborted).toBe(false)
          expect(dataOf(pdvs)).toEqual(padded)
          const [commands, datas] = [pdvs.filter(({ flags }) => flags & 1), pdvs.filter(({ flags }) => !(flags & 1))]
          expect(pdvs).toEqual([...commands, ...datas])
          for (const kind of [commands, datas]) {
            expect(kind.map(({ flags }) => (flags & 2) === 2)).toEqual(kind.map((__, at) => at === kind.length - 1))
            expect(kind.every(({ bytes }) => bytes.length % 2 === 0)).toBe(true)
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each([
    ['no bytes', stream([]), ''],
    ['no bytes in chunks', stream([Buffer.of(), Buffer.of()]), ''],
    ['no bytes at once', Buffer.of(), ''],
    ['an odd number of bytes', stream([Buffer.from('abc')]), 'abc\0'],
    ['an odd number of bytes at once', Buffer.from('abc'), 'abc\0'],
  ])('a data set of %s ends in one last fragment', async (_, body, expected) => {
    const { pdvs } = await sent((association) => sendMessage(association, 7, store, body, WAIT))
    expect(pdvs.slice(1)).toEqual([{ flags: 2, bytes: Buffer.from(expected) }])
  })

  it.each([122, 244])('a data set of %i bytes, what the PDUs hold, has no empty fragment behind it', async (length) => {
    for (const body of [Buffer.alloc(length), stream(chunksOf(Buffer.alloc(length), 61))]) {
      const { pdvs } = await sent((association) => sendMessage(association, 7, store, body, WAIT), 128)
      const sizes = pdvs.filter(({ flags }) => (flags & 1) === 0).map(({ bytes }) => bytes.length)
      expect(sizes).toEqual(Array.from({ length: length / 122 }, () => 122))
    }
  })

  it('a data set that fails: its error, an A-ABORT, and never a last fragment', async () => {
    async function* failing(): AsyncGenerator<Bytes> {
      yield Buffer.alloc(50_000)
      yield Buffer.alloc(1)
      await Promise.resolve()
      throw new Error('the disk is gone')
    }
    const { pdvs, aborted } = await sent(async (association) => {
      await expect(sendMessage(association, 7, store, failing(), WAIT)).rejects.toThrow('the disk is gone')
      expect(association.idle).toBe(false)
    })
    expect(aborted).toBe(true)
    expect(pdvs.filter(({ flags }) => flags === 2)).toEqual([])
  })

  it('a data set that fails before its first byte: not even the command goes out', async () => {
    const failing = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('the disk is gone')) }) }
    const { pdvs, aborted } = await sent(async (association) => {
      await expect(sendMessage(association, 7, store, failing, WAIT)).rejects.toThrow('the disk is gone')
    })
    expect({ pdvs, aborted }).toEqual({ pdvs: [], aborted: true })
  })

  describe('to a peer that does not read on', () => {
    async function endless(
      end: (peer: PeerConnection, controller: AbortController) => void,
      timeout = WAIT.timeout,
    ): Promise<{ error: unknown; closed: number }> {
      const result = { error: undefined as unknown, closed: 0 }
      async function* body(): AsyncGenerator<Bytes> {
        try {
          for (;;) {
            await Promise.resolve()
            yield Buffer.alloc(100_000)
          }
        } finally {
          result.closed++
        }
      }
      const script: Script = async (it) => {
        it.stall()
        await it.until(() => it.isOver, 'the end')
      }
      await withPeer(script, async (association, peer) => {
        const controller = new AbortController()
        const wait = { ...WAIT, timeout, signal: controller.signal }
        const failure = failureOf(sendMessage(association, 7, store, body(), wait))
        setTimeout(() => end(peer, controller), 20)
        result.error = await failure
        expect(association.idle).toBe(false)
        peer.socket.destroy()
      })
      return result
    }

    it('ends by the signal: the association is aborted, the body closed once', async () => {
      const { error, closed } = await endless((_, controller) => controller.abort(new Error('gone')))
      expect(error).toMatchObject({ message: 'gone' })
      expect(closed).toBe(1)
    })

    it('ends by time', async () => {
      const { error, closed } = await endless(() => undefined, 60)
      expect(error).toMatchObject({ code: 'PEER_TIMEOUT' })
      expect(closed).toBe(1)
    })

    it('ends with the connection', async () => {
      const { error, closed } = await endless((peer) => peer.reset())
      expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
      expect(closed).toBe(1)
    })
  })
})

it('a final response is read with the golden helpers as with any peer', async () => {
  const script: Script = async (it) => {
    await it.send(findResponse({ data }), findResponse())
    await closes(it)
  }
  await withPeer(script, async (association) => {
    const reader = MessageReader.of(association)
    const pending = (await reader.next(WAIT)) as Message
    expect(pending.command).toMatchObject({ type: 'C-FIND-RSP', status: 0xff00, hasDataSet: true })
    expect(await bytesOf(pending.data)).toEqual(data)
    expect((await reader.next(WAIT))!.command).toMatchObject({ status: 0, hasDataSet: false })
  })
})
