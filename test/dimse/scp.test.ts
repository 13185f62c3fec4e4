import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { serve, type Handlers, type OutgoingInstance } from '../../src/dimse/scp.ts'
import { Scu } from '../../src/dimse/scu.ts'
import type { AcceptedContext } from '../../src/network/negotiation.ts'
import { Acceptor, contexts, failureOf, requestOf } from '../support/associations.ts'
import { chunksOf } from '../support/chunking.ts'
import {
  abort,
  associateRequest,
  commandSet,
  CT,
  element,
  golden,
  hex,
  message,
  storeRequest,
  storeResponse,
  STUDY_ROOT_FIND,
  STUDY_ROOT_GET,
  VERIFICATION,
  type Framing,
} from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedCaller, type PeerConnection, type ReceivedMessage, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const [ECHO, FIND, GET, STORE] = [1, 3, 5, 7]

/** How serving an association ended whose requestor plays a script: undefined, or the error. */
async function served(handlers: Handlers, script: Script, idleTimeout = 20_000): Promise<unknown> {
  await using acceptor = await Acceptor.listen()
  await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
    await it.send(associateRequest({ contexts }))
    await it.expect(2)
    await script(it)
  })
  const association = await acceptor.association()
  const outcome = await serve(association, handlers, { idleTimeout }).then(
    () => undefined,
    (error: unknown) => error,
  )
  await caller.finished()
  await association.closed
  return outcome
}

async function release(it: PeerConnection): Promise<void> {
  await it.send(golden.releaseRequest)
  await it.expect(6)
  it.close()
}

async function aborted(it: PeerConnection): Promise<void> {
  expect((await it.expect())[0]).toBe(7)
  it.close()
}

function findRequest(identifier: Buffer | undefined, messageId = 1): Buffer {
  const command = { '0002': STUDY_ROOT_FIND, '0100': 0x20, '0110': messageId, '0700': 0 }
  return message(commandSet({ ...command, '0800': identifier ? 1 : 0x0101 }), identifier, { contextId: FIND })
}

function getRequest(identifier: Buffer): Buffer {
  const command = { '0002': STUDY_ROOT_GET, '0100': 0x10, '0110': 1, '0700': 0, '0800': 1 }
  return message(commandSet(command), identifier, { contextId: GET })
}

const cancel = (messageId: number, contextId = FIND): Buffer =>
  message(commandSet({ '0100': 0x0fff, '0120': messageId, '0800': 0x0101 }), undefined, { contextId })
const identifier = element(0x0020000d, '1.2.')
const datasetOf = (uid: string): Dataset => new Dataset().set(Attribute.StudyInstanceUID, uid)
const statusOf = ({ command }: ReceivedMessage): number | undefined => command.get('0900')?.readUInt16LE(0)
const numbers = ({ command }: ReceivedMessage): (number | undefined)[] =>
  ['1020', '1021', '1022', '1023'].map((number) => command.get(number)?.readUInt16LE(0))

async function bytesOf(from: AsyncIterable<Bytes>): Promise<Buffer> {
  const chunks: Bytes[] = []
  for await (const chunk of from) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* stream(...chunks: readonly Bytes[]): AsyncGenerator<Bytes> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}

describe('C-ECHO', () => {
  it('is answered as DCMTK does, until the requestor releases', async () => {
    const outcome = await served({}, async (it) => {
      for (let count = 0; count < 2; count++) {
        await it.send(golden.echoRequest)
        expect(await it.expect(4)).toEqual(golden.echoResponse)
      }
      await release(it)
    })
    expect(outcome).toBeUndefined()
  })
})

describe('what is not supported is answered by 0211', () => {
  const none = { '0800': 0x0101 }
  const sopInstance = { '0002': CT, '1000': '1.2.3' }
  it.each([
    ['C-STORE', storeRequest({ contextId: STORE, data: Buffer.alloc(20) }), 0x8001],
    ['C-FIND', findRequest(identifier), 0x8020],
    ['C-GET', getRequest(identifier), 0x8010],
    ['C-MOVE', { '0100': 0x21, '0002': STUDY_ROOT_GET, '0600': 'DEST', '0700': 0, ...none }, 0x8021],
    ['N-EVENT-REPORT', { '0100': 0x100, '1002': 1, ...sopInstance, ...none }, 0x8100],
    ['N-ACTION', { '0100': 0x130, '0003': CT, '1001': '1.2.3', '1008': 1, ...none }, 0x8130],
    ['N-CREATE', { '0100': 0x140, ...sopInstance, ...none }, 0x8140],
    ['N-GET', { '0100': 0x110, '0003': CT, '1001': '1.2.3', ...none }, 0x8110],
    ['N-SET', { '0100': 0x120, '0003': CT, '1001': '1.2.3', ...none }, 0x8120],
  ])('%s', async (_, request, field) => {
    const bytes = Buffer.isBuffer(request) ? request : message(commandSet({ '0110': 1, ...request }), undefined)
    const outcome = await served({}, async (it) => {
      await it.send(bytes)
      const answer = await it.expectMessage()
      expect(answer).toMatchObject({ field, messageId: 1, data: undefined })
      expect(statusOf(answer)).toBe(0x0211)
      await it.send(golden.echoRequest)
      expect((await it.expectMessage()).field).toBe(0x8030)
      await release(it)
    })
    expect(outcome).toBeUndefined()
  })

  it.each([['a C-CANCEL that comes too late is passed over', cancel(1, ECHO)]])('%s', async (_, bytes) => {
    const outcome = await served({}, async (it) => {
      await it.send(bytes, golden.echoRequest)
      expect((await it.expectMessage()).field).toBe(0x8030)
      await release(it)
    })
    expect(outcome).toBeUndefined()
  })

  it.each([
    ['a response to nothing', storeResponse(), 'ASSOCIATION_ABORTED'],
    [
      'an operation that has no place here',
      message(commandSet({ '0100': 0x150, '0110': 1 }), undefined),
      'PROTOCOL_ERROR',
    ],
    ['an identifier that is no data set', findRequest(hex('20000d00ff')), 'MALFORMED_DATA_SET'],
  ])('but %s ends the association', async (_, bytes, code) => {
    const handlers: Handlers = { find: () => Promise.resolve(0) }
    const outcome = await served(handlers, async (it) => {
      await it.send(bytes)
      await aborted(it)
    })
    expect(outcome).toMatchObject({ code })
  })
})

describe('C-STORE', () => {
  it('hands each instance to its handler and answers with its status', async () => {
    const stored: unknown[] = []
    const handlers: Handlers = {
      store: async ({ body, syntax, ...instance }) => {
        stored.push({ ...instance, syntax: syntax.name, body: (await bytesOf(body)).toString() })
        return stored.length === 1 ? 0 : 0xa700
      },
    }
    const moved = { '0002': CT, '0100': 1, '0110': 2, '0800': 1, '1000': '1.2.4', '1030': 'MOVER', '1031': 9 }
    const framing: Framing = { contextId: STORE, fragments: [3], emptyLast: true }
    await served(handlers, async (it) => {
      await it.send(storeRequest({ data: Buffer.from('one'), messageId: 1, ...framing }))
      const first = await it.expectMessage()
      expect(first).toMatchObject({ contextId: STORE, field: 0x8001, messageId: 1 })
      expect([statusOf(first), first.command.get('1000')?.toString()]).toEqual([0, '1.2.3\0'])
      await it.send(message(commandSet(moved), Buffer.from('second'), framing))
      expect(statusOf(await it.expectMessage())).toBe(0xa700)
      await release(it)
    })
    const common = { sopClass: CT, syntax: 'Implicit VR Little Endian' }
    const [none, originator] = [undefined, { moveOriginatorAeTitle: 'MOVER', moveOriginatorMessageId: 9 }]
    expect(stored).toEqual([
      { ...common, sopInstance: '1.2.3', body: 'one', moveOriginatorAeTitle: none, moveOriginatorMessageId: none },
      { ...common, sopInstance: '1.2.4', body: 'second', ...originator },
    ])
  })

  it('reads what the handler left of an instance before it answers', async () => {
    const outcome = await served({ store: () => Promise.resolve(0x0122) }, async (it) => {
      await it.send(storeRequest({ contextId: STORE, data: Buffer.alloc(100), fragments: [10] }), golden.echoRequest)
      expect(statusOf(await it.expectMessage())).toBe(0x0122)
      expect((await it.expectMessage()).field).toBe(0x8030)
      await release(it)
    })
    expect(outcome).toBeUndefined()
  })

  it('without a data set is answered by C000', async () => {
    await served({ store: () => expect.unreachable() }, async (it) => {
      await it.send(storeRequest({ contextId: STORE, data: undefined }))
      expect(statusOf(await it.expectMessage())).toBe(0xc000)
      await release(it)
    })
  })

  it('whose handler throws ends the association', async () => {
    const outcome = await served({ store: () => Promise.reject(new Error('the disk is gone')) }, async (it) => {
      await it.send(storeRequest({ contextId: STORE, data: Buffer.alloc(10) }))
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    })
    expect(outcome).toMatchObject({ message: 'the disk is gone' })
  })

  it.each(['close', 'reset', 'abort'] as const)('cut by %s fails in its handler, never looks whole', async (how) => {
    let failure: unknown
    const handlers: Handlers = {
      store: async ({ body }) => {
        failure = await failureOf(bytesOf(body))
        throw failure as Error
      },
    }
    const begun = storeRequest({ contextId: STORE, data: Buffer.alloc(40), fragments: [20] })
    const outcome = await served(handlers, async (it) => {
      await it.send(begun.subarray(0, -32))
      await it[how]()
    })
    expect(outcome).toBe(failure)
    expect(failure).toMatchObject({ code: how === 'abort' ? 'ASSOCIATION_ABORTED' : 'CONNECTION_LOST' })
  })
})

describe('C-FIND', () => {
  it('is answered by each match and success', async () => {
    const asked: unknown[] = []
    const handlers: Handlers = {
      find: async (query, sopClass) => {
        asked.push(query.string(Attribute.StudyInstanceUID), sopClass)
        return (async function* () {
          await Promise.resolve()
          yield datasetOf('1.2.1')
          yield datasetOf('1.2.22')
        })()
      },
    }
    await served(handlers, async (it) => {
      await it.send(findRequest(identifier, 5))
      for (const uid of ['1.2.1\0', '1.2.22']) {
        const match = await it.expectMessage()
        expect(match).toMatchObject({ contextId: FIND, field: 0x8020, messageId: 5, data: element(0x0020000d, uid) })
        expect(statusOf(match)).toBe(0xff00)
      }
      const final = await it.expectMessage()
      expect(final).toMatchObject({ messageId: 5, data: undefined })
      expect(statusOf(final)).toBe(0)
      await release(it)
    })
    expect(asked).toEqual(['1.2.', STUDY_ROOT_FIND])
  })

  it('without an identifier has an empty one', async () => {
    const handlers: Handlers = { find: (query) => Promise.resolve(query.size === 0 ? 0xa900 : 0) }
    await served(handlers, async (it) => {
      await it.send(findRequest(undefined))
      expect(statusOf(await it.expectMessage())).toBe(0xa900)
      await release(it)
    })
  })

  it('stops at a C-CANCEL, closing the matches; one for another message is passed over', async () => {
    let closed = 0
    let given = 0
    const handlers: Handlers = {
      find: async () =>
        (async function* () {
          try {
            for (;;) {
              await delay(1)
              given++
              yield datasetOf('1.2.1')
            }
          } finally {
            closed++
          }
        })(),
    }
    const outcome = await served(handlers, async (it) => {
      await it.send(findRequest(identifier, 5))
      await it.expectMessage()
      await it.send(cancel(4))
      for (let count = 0; count < 10; count++) expect(statusOf(await it.expectMessage())).toBe(0xff00)
      await it.send(cancel(5))
      let last = await it.expectMessage()
      while (statusOf(last) === 0xff00) last = await it.expectMessage()
      expect(statusOf(last)).toBe(0xfe00)
      await it.send(golden.echoRequest)
      expect((await it.expectMessage()).field).toBe(0x8030)
      await release(it)
    })
    expect(outcome).toBeUndefined()
    expect(closed).toBe(1)
    expect(given).toBeGreaterThan(10)
  })

  it.each([
    ['another request', golden.echoRequest],
    ['data', storeRequest({ contextId: STORE, data: Buffer.alloc(2) })],
  ])('with %s before it is over ends the association', async (_, bytes) => {
    const handlers: Handlers = {
      find: async () =>
        (async function* () {
          for (;;) {
            await delay(1)
            yield datasetOf('1.2.1')
          }
        })(),
    }
    const outcome = await served(handlers, async (it) => {
      await it.send(findRequest(identifier), bytes)
      let last = await it.expect()
      while (last[0] === 4) last = await it.expect()
      expect(last[0]).toBe(7)
      it.close()
    })
    expect(outcome).toMatchObject({ code: 'ASSOCIATION_ABORTED' })
  })

  it('whose matches fail ends with a failure, and the association serves on', async () => {
    const handlers: Handlers = {
      find: async () =>
        (async function* () {
          await Promise.resolve()
          yield datasetOf('1.2.1')
          throw new Error('the index is gone')
        })(),
    }
    const outcome = await served(handlers, async (it) => {
      await it.send(findRequest(identifier))
      await it.expectMessage()
      expect(statusOf(await it.expectMessage())).toBe(0xa700)
      await it.send(golden.echoRequest)
      expect((await it.expectMessage()).field).toBe(0x8030)
      await release(it)
    })
    expect(outcome).toBeUndefined()
  })
})

describe('C-GET', () => {
  const instanceOf = (sopInstance: string, ...chunks: readonly Bytes[]): OutgoingInstance => ({
    sopClass: CT,
    sopInstance,
    open: ([context]) => ({ context: context!, body: stream(...chunks) }),
  })
  const without = (sopInstance: string): OutgoingInstance => ({ sopClass: CT, sopInstance, open: () => undefined })
  const returning = (...instances: readonly OutgoingInstance[]): Handlers => ({ get: () => Promise.resolve(instances) })

  async function stored(it: PeerConnection, sopInstance: string, status = 0): Promise<Buffer | undefined> {
    const one = await it.expectMessage()
    expect(one).toMatchObject({ contextId: STORE, field: 0x0001 })
    expect(one.command.get('1000')?.toString().replace('\0', '')).toBe(sopInstance)
    await it.send(storeResponse({ contextId: STORE, messageId: one.messageId, status, sopInstance }))
    return one.data
  }

  it('stores each instance, tells how far it is, and ends by success', async () => {
    await served(returning(instanceOf('1.2.1', Buffer.from('ab')), instanceOf('1.2.2')), async (it) => {
      await it.send(getRequest(identifier))
      expect(await stored(it, '1.2.1')).toEqual(Buffer.from('ab'))
      const pending = await it.expectMessage()
      expect(pending).toMatchObject({ contextId: GET, field: 0x8010, messageId: 1 })
      expect([statusOf(pending), ...numbers(pending)]).toEqual([0xff00, 1, 1, 0, 0])
      expect(await stored(it, '1.2.2')).toEqual(Buffer.alloc(0))
      const final = await it.expectMessage()
      expect([statusOf(final), ...numbers(final)]).toEqual([0, undefined, 2, 0, 0])
      await release(it)
    })
  })

  it('of nothing ends by success', async () => {
    await served(returning(), async (it) => {
      await it.send(getRequest(identifier))
      const final = await it.expectMessage()
      expect([statusOf(final), ...numbers(final)]).toEqual([0, undefined, 0, 0, 0])
      await release(it)
    })
  })

  it('refused by its handler ends by that status', async () => {
    await served({ get: () => Promise.resolve(0xa701) }, async (it) => {
      await it.send(getRequest(identifier))
      expect(statusOf(await it.expectMessage())).toBe(0xa701)
      await release(it)
    })
  })

  it('names the instances that could not be sent, or were refused', async () => {
    await served(returning(without('1.2.1'), instanceOf('1.2.2'), instanceOf('1.2.33')), async (it) => {
      await it.send(getRequest(identifier))
      expect(numbers(await it.expectMessage())).toEqual([2, 0, 1, 0])
      await stored(it, '1.2.2')
      expect(numbers(await it.expectMessage())).toEqual([1, 1, 1, 0])
      await stored(it, '1.2.33', 0xa700)
      const final = await it.expectMessage()
      expect([statusOf(final), ...numbers(final)]).toEqual([0xb000, undefined, 1, 2, 0])
      expect(final.data).toEqual(element(0x00080058, '1.2.1\\1.2.33'))
      await release(it)
    })
  })

  it('of which nothing could be sent ends by A702', async () => {
    await served(returning(without('1.2.1')), async (it) => {
      await it.send(getRequest(identifier))
      const final = await it.expectMessage()
      expect([statusOf(final), final.data]).toEqual([0xa702, element(0x00080058, '1.2.1\0')])
      await release(it)
    })
  })

  it('stops at a C-CANCEL', async () => {
    const opened: string[] = []
    const instances = ['1.2.1', '1.2.2', '1.2.3'].map((uid): OutgoingInstance => {
      const instance = instanceOf(uid)
      return { ...instance, open: (offered) => (opened.push(uid), instance.open(offered)) }
    })
    await served(returning(...instances), async (it) => {
      await it.send(getRequest(identifier))
      const { messageId } = await it.expectMessage()
      await it.send(cancel(1, GET), storeResponse({ contextId: STORE, messageId }))
      const final = await it.expectMessage()
      expect([statusOf(final), ...numbers(final)]).toEqual([0xfe00, 2, 1, 0, 0])
      await release(it)
    })
    expect(opened).toEqual(['1.2.1'])
  })

  it('of an instance whose body fails ends the association', async () => {
    const failing: OutgoingInstance = {
      ...instanceOf('1.2.1'),
      open: ([context]) => ({
        context: context!,
        body: (async function* (): AsyncGenerator<Bytes> {
          yield Buffer.alloc(70_000)
          await Promise.resolve()
          throw new Error('the disk is gone')
        })(),
      }),
    }
    const outcome = await served(returning(failing), async (it) => {
      await it.send(getRequest(identifier))
      let last = await it.expect()
      for (; last[0] === 4; last = await it.expect()) expect(last[11]).not.toBe(2)
      expect(last).toEqual(abort(0, 0))
      it.close()
    })
    expect(outcome).toMatchObject({ message: 'the disk is gone' })
  })
})

describe('an association that', () => {
  it('is silent for too long is aborted', async () => {
    const outcome = await served({}, aborted, 60)
    expect(outcome).toMatchObject({ code: 'PEER_TIMEOUT', milliseconds: 60 })
  })

  it.each(['close', 'reset', 'abort'] as const)('ends by %s: its error', async (how) => {
    const outcome = await served({}, async (it) => it[how]())
    expect(outcome).toMatchObject({ code: how === 'abort' ? 'ASSOCIATION_ABORTED' : 'CONNECTION_LOST' })
  })
})

describe('with the SCU', () => {
  interface Both {
    readonly scu: Scu
    readonly context: (abstractSyntax: string) => AcceptedContext
    readonly idle: () => boolean
  }

  async function together(
    handlers: Handlers,
    maxLengths: readonly [number, number],
    test: (both: Both) => Promise<void>,
  ) {
    await using acceptor = await Acceptor.listen({ maxPduLength: maxLengths[0] })
    const roles = [{ sopClass: CT, scu: false, scp: true }]
    const requesting = requestOf(acceptor, { maxPduLength: maxLengths[1], roles })
    const [association, other] = await Promise.all([requesting, acceptor.association()])
    const serving = serve(other, handlers, { idleTimeout: 20_000 })
    expect(association.peer.roles).toEqual(roles)
    const context = (abstractSyntax: string): AcceptedContext =>
      [...association.contexts.values()].find((one) => one.abstractSyntax === abstractSyntax)!
    await test({ scu: new Scu(association), context, idle: () => association.idle })
    await association.release(5_000)
    await serving
    await Promise.all([association.closed, other.closed])
  }

  const objects = [randomBytes(200_000), randomBytes(2), Buffer.alloc(0), randomBytes(65_530)]
  const digest = (bytes: Bytes): string => createHash('sha256').update(bytes).digest('hex')
  const handlers = (stored: string[]): Handlers => ({
    store: async ({ body }) => {
      stored.push(digest(await bytesOf(body)))
      return 0
    },
    find: async () =>
      (async function* () {
        for (const uid of ['1.1', '1.2', '1.3']) yield await Promise.resolve(datasetOf(uid))
      })(),
    get: async () =>
      objects.map((bytes, index) => ({
        sopClass: CT,
        sopInstance: `1.2.${index}`,
        open: ([context]) => ({ context: context!, body: stream(...chunksOf(bytes, 7_777)) }),
      })),
  })
  const operation = { timeout: 20_000 }

  it.each([
    [65_536, 65_536],
    [16_384, 131_072],
    [0, 0],
    [128, 300],
  ])('every operation over PDUs of %i and %i bytes', async (...lengths) => {
    const stored: string[] = []
    await together(handlers(stored), lengths, async ({ scu, context, idle }) => {
      await scu.echo(context(VERIFICATION), operation)
      for (const [index, bytes] of objects.entries()) {
        const instance = { sopClass: CT, sopInstance: `1.2.${index}`, body: stream(...chunksOf(bytes, 3_333)) }
        expect((await scu.store(context(CT), instance, operation)).status).toBe(0)
      }
      expect(stored).toEqual(objects.map(digest))
      const found: (string | undefined)[] = []
      for await (const match of scu.find(context(STUDY_ROOT_FIND), datasetOf('1'), operation)) {
        found.push(match.string(Attribute.StudyInstanceUID))
      }
      expect(found).toEqual(['1.1', '1.2', '1.3'])
      const retrieved: string[] = []
      for await (const event of scu.get(context(STUDY_ROOT_GET), datasetOf('1'), operation)) {
        if (event.kind === 'end') expect(event).toMatchObject({ status: 0, completed: 4, failed: 0 })
        else retrieved.push(digest(await bytesOf(event.body)))
      }
      expect(retrieved).toEqual(objects.map(digest))
      expect(idle()).toBe(true)
    })
  })

  it('operations that end early leave an association that goes on', async () => {
    await together(handlers([]), [16_384, 16_384], async ({ scu, context, idle }) => {
      for (let round = 0; round < 5; round++) {
        for await (const _ of scu.find(context(STUDY_ROOT_FIND), datasetOf('1'), operation)) break
        expect(idle()).toBe(true)
        for await (const event of scu.get(context(STUDY_ROOT_GET), datasetOf('1'), operation)) {
          if (event.kind === 'instance' && round % 2 === 0) for await (const _ of event.body) break
          break
        }
        expect(idle()).toBe(true)
        await scu.echo(context(VERIFICATION), operation)
      }
    })
  })

  it('a reader that takes its time holds up the sender, not the memory', async () => {
    const chunk = Buffer.alloc(256 * 1024)
    let given = 0
    async function* large(): AsyncGenerator<Bytes> {
      for (; given < 200; given++) {
        await Promise.resolve()
        yield chunk
      }
    }
    const get: Handlers['get'] = () =>
      Promise.resolve([
        { sopClass: CT, sopInstance: '1.2', open: ([context]) => ({ context: context!, body: large() }) },
      ])
    await together({ get }, [65_536, 65_536], async ({ scu, context }) => {
      for await (const event of scu.get(context(STUDY_ROOT_GET), datasetOf('1'), operation)) {
        if (event.kind === 'end') continue
        let size = 0
        let before = -1
        while (before !== given) {
          before = given
          await delay(60)
        }
        // 50 MiB in all: what is not held by us and the kernel has not been made yet.
        expect(given).toBeLessThan(120)
        for await (const bytes of event.body) size += bytes.length
        expect(size).toBe(200 * chunk.length)
      }
    })
  })
})
