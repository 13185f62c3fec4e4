import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { MAX_IDENTIFIER_BYTES } from '../../src/dimse/collect.ts'
import { MAX_BARREN_MS, Scu, type RetrieveEnd, type SubOperation } from '../../src/dimse/scu.ts'
import type { Association } from '../../src/network/association.ts'
import type { AcceptedContext } from '../../src/network/negotiation.ts'
import { failureOf, requestOf } from '../support/associations.ts'
import {
  abort,
  commandSet,
  CT,
  dataPdu,
  element,
  EXPLICIT_LE,
  findResponse,
  getResponse,
  golden,
  hex,
  IMPLICIT_LE,
  message,
  Pdv,
  pdv,
  storeRequest,
  storeResponse,
  STUDY_ROOT_FIND,
  STUDY_ROOT_GET,
  VERIFICATION,
} from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedPeer, type PeerConnection, type ReceivedMessage, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const Field = { store: 0x0001, get: 0x0010, find: 0x0020, cancel: 0x0fff, echo: 0x0030, storeResponse: 0x8001 }
const OPERATION = { timeout: 20_000 }

interface Setup {
  readonly scu: Scu
  readonly association: Association
  readonly peer: PeerConnection
  readonly context: (abstractSyntax: string) => AcceptedContext
}

interface Conditions {
  readonly contexts?: readonly { id: number; abstractSyntax: string; transferSyntaxes: readonly string[] }[]
  readonly cancelGrace?: number
}

/** An SCU and its peer, which plays a script once the association stands. The script has to end well. */
async function withPeer(
  script: Script,
  test: (setup: Setup) => Promise<void>,
  { cancelGrace = 5_000, contexts }: Conditions = {},
): Promise<void> {
  await using peer = await ScriptedPeer.listen(async (it) => {
    await it.accept()
    await script(it)
  })
  const association = await requestOf(peer, contexts ? { contexts } : {})
  const context = (abstractSyntax: string): AcceptedContext =>
    [...association.contexts.values()].find((one) => one.abstractSyntax === abstractSyntax)!
  try {
    await test({ scu: new Scu(association, { cancelGrace }), association, peer: peer.connection(), context })
  } finally {
    association.abort()
  }
  await peer.finished()
}

const ends: Script = async (it) => {
  await it.closed()
  it.close()
}

async function expectField(it: PeerConnection, field: number): Promise<ReceivedMessage> {
  const one = await it.expectMessage()
  expect(one.field.toString(16)).toBe(field.toString(16))
  return one
}

async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const one of from) list.push(one)
  return list
}

async function bytesOf(from: AsyncIterable<Bytes>): Promise<string> {
  return Buffer.concat(await all(from)).toString('latin1')
}

const query = new Dataset().set(Attribute.QueryRetrieveLevel, 'STUDY').setEmpty(Attribute.StudyInstanceUID)
const queryBytes = Buffer.concat([element(0x00080052, 'STUDY '), element(0x0020000d, '')])
const match = (uid: string): Buffer => element(0x0020000d, uid.length % 2 === 0 ? uid : `${uid}\0`)
const studyOf = (dataset: Dataset): string | undefined => dataset.string(Attribute.StudyInstanceUID)

describe('C-ECHO', () => {
  it('is answered by success, any number of times, each with an id of its own', async () => {
    const ids: number[] = []
    const script: Script = async (it) => {
      for (let count = 0; count < 3; count++) {
        const { messageId, contextId, command } = await expectField(it, Field.echo)
        expect(contextId).toBe(1)
        expect(command.get('0002')?.toString('latin1')).toBe(`${VERIFICATION}\0`)
        ids.push(messageId)
        await it.send(golden.echoResponse)
      }
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      for (let count = 0; count < 3; count++) await scu.echo(context(VERIFICATION), OPERATION)
      expect(ids).toEqual([1, 2, 3])
      expect(association.idle).toBe(true)
    })
  })

  it('that fails is a StatusError, after which the association can be used', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.echo)
      await it.send(message(commandSet({ '0100': 0x8030, '0120': 1, '0800': 0x0101, '0900': 0x0122 }), undefined))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const error = await failureOf(scu.echo(context(VERIFICATION), OPERATION))
      expect(error).toMatchObject({ code: 'DIMSE_STATUS', operation: 'C-ECHO', status: 0x0122 })
      expect(association.idle).toBe(true)
    })
  })

  it('that is not answered times out, and the association is aborted', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.echo)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const error = await failureOf(scu.echo(context(VERIFICATION), { timeout: 50 }))
      expect(error).toMatchObject({ code: 'PEER_TIMEOUT', waitedFor: 'C-ECHO response', milliseconds: 50 })
      expect(association.idle).toBe(false)
    })
  })

  it('that is given up leaves no association with an answer to come', async () => {
    const controller = new AbortController()
    const script: Script = async (it) => {
      await expectField(it, Field.echo)
      controller.abort(new Error('gone'))
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const operation = { ...OPERATION, signal: controller.signal }
      await expect(scu.echo(context(VERIFICATION), operation)).rejects.toThrow('gone')
      expect(association.idle).toBe(false)
    })
  })

  it.each([
    ['another response', findResponse()],
    ['a request', golden.echoRequest],
    ['data', dataPdu(pdv(1, Pdv.lastData, Buffer.alloc(2)))],
  ])('answered by %s is a ProtocolError', async (_, bytes) => {
    const script: Script = async (it) => {
      await expectField(it, Field.echo)
      await it.send(bytes)
      expect(await it.expect()).toEqual(abort(2, 2))
      it.close()
    }
    await withPeer(script, async ({ scu, context }) => {
      await expect(scu.echo(context(VERIFICATION), OPERATION)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    })
  })

  it('answered by a release is a ConnectionLostError', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.echo)
      await it.send(golden.releaseRequest)
      await it.expect(6)
      it.close()
    }
    await withPeer(script, async ({ scu, context }) => {
      await expect(scu.echo(context(VERIFICATION), OPERATION)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    })
  })
})

describe('no operation begins when its signal is aborted already', () => {
  it.each(['echo', 'find', 'get', 'store'] as const)('%s: the association stays as it is', async (kind) => {
    await withPeer(ends, async ({ scu, association, context }) => {
      const operation = { ...OPERATION, signal: AbortSignal.abort(new Error('gone')) }
      const body = { [Symbol.asyncIterator]: () => expect.unreachable() }
      const attempts = {
        echo: () => scu.echo(context(VERIFICATION), operation),
        find: () => all(scu.find(context(STUDY_ROOT_FIND), query, operation)),
        get: () => all(scu.get(context(STUDY_ROOT_GET), query, operation)),
        store: () => scu.store(context(CT), { sopClass: CT, sopInstance: '1.2.3', body }, operation),
      }
      await expect(attempts[kind]()).rejects.toThrow('gone')
      expect(association.idle).toBe(true)
    })
  })
})

describe('C-FIND', () => {
  it('gives matches as they arrive', async () => {
    const seen = Promise.withResolvers<undefined>()
    const script: Script = async (it) => {
      const { contextId, command, data } = await expectField(it, Field.find)
      expect(contextId).toBe(3)
      expect(command.get('0002')?.toString('latin1')).toBe(`${STUDY_ROOT_FIND}\0`)
      expect(command.get('0700')?.readUInt16LE(0)).toBe(2)
      expect(data).toEqual(queryBytes)
      await it.send(findResponse({ contextId, data: match('1.2.3') }))
      await seen.promise
      await it.send(findResponse({ contextId, data: match('1.2.4'), status: 0xff01, fragments: [3] }))
      await it.send(findResponse({ contextId }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const found: (string | undefined)[] = []
      for await (const dataset of scu.find(context(STUDY_ROOT_FIND), query, { ...OPERATION, priority: 2 })) {
        found.push(studyOf(dataset))
        seen.resolve(undefined)
      }
      expect(found).toEqual(['1.2.3', '1.2.4'])
      expect(association.idle).toBe(true)
    })
  })

  /** The matches of a find that is answered by bytes, and whether the association is fit for more. */
  async function find(...answers: readonly Buffer[]): Promise<(string | undefined)[]> {
    const found: (string | undefined)[] = []
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(...answers)
      await expectField(it, Field.echo)
      await it.send(golden.echoResponse)
      await ends(it)
    }
    await withPeer(script, async ({ association, context }) => {
      const matches = new Scu(association).find(context(STUDY_ROOT_FIND), query, OPERATION)
      for await (const one of matches) found.push(studyOf(one))
      // Another SCU on the same association, as a pool makes it.
      await new Scu(association).echo(context(VERIFICATION), OPERATION)
      expect(association.idle).toBe(true)
    })
    return found
  }

  const pending = findResponse({ data: match('1.2') })
  it.each([
    ['none', 0, [findResponse()]],
    [
      'with a wrong message id',
      2,
      [...[0, 77].map((messageId) => findResponse({ messageId, data: match('1.2') })), findResponse()],
    ],
    ['without identifier, passed over', 1, [findResponse({ status: 0xff00 }), pending, findResponse()]],
    ['in another context', 1, [findResponse({ contextId: 1, data: match('1.2') }), findResponse({ contextId: 1 })]],
    [
      'and a final response with an identifier, which is ignored',
      1,
      [pending, findResponse({ status: 0, data: match('9') })],
    ],
    ['and a warning at the end', 1, [pending, findResponse({ status: 0xb001 })]],
  ])('matches: %s', async (_, count, answers) => {
    expect(await find(...answers)).toEqual(Array.from({ length: count }, () => '1.2'))
  })

  it('an identifier that the command does not announce is read all the same', async () => {
    const pending = message(commandSet({ '0100': 0x8020, '0120': 1, '0800': 0x0101, '0900': 0xff00 }), undefined)
    const silent = dataPdu(pdv(1, Pdv.lastData, match('1.2')))
    expect(await find(pending, silent, pending, pending, silent, findResponse())).toEqual(['1.2', '1.2'])
  })

  it('an identifier that the final response announces and that does not come is not waited for', async () => {
    const final = message(commandSet({ '0100': 0x8020, '0120': 1, '0800': 1, '0900': 0 }), undefined)
    expect(await find(findResponse({ data: match('1.2') }), final)).toEqual(['1.2'])
  })

  it('a match is read in the syntax of the context it comes in', async () => {
    const contexts = [
      { id: 1, abstractSyntax: STUDY_ROOT_FIND, transferSyntaxes: [IMPLICIT_LE] },
      { id: 3, abstractSyntax: STUDY_ROOT_FIND, transferSyntaxes: [EXPLICIT_LE] },
    ]
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(findResponse({ contextId: 3, data: hex('2000 0d00 5549 0400 312e3200') }), findResponse())
      await ends(it)
    }
    await withPeer(
      script,
      async ({ scu, context }) => {
        expect((await all(scu.find(context(STUDY_ROOT_FIND), query, OPERATION))).map(studyOf)).toEqual(['1.2'])
      },
      { contexts },
    )
  })

  it.each([
    [0xa700, 'failure'],
    [0xa900, 'failure'],
    [0xc001, 'failure'],
    [0x0122, 'failure'],
    [0xfe00, 'a cancel nobody asked for'],
    [0x7777, 'an unknown code'],
  ])('ended by %i, %s, is a StatusError behind the matches', async (status) => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(findResponse({ data: match('1.2') }), findResponse({ status }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const found: unknown[] = []
      const finding = (async () => {
        for await (const one of scu.find(context(STUDY_ROOT_FIND), query, OPERATION)) found.push(one)
      })()
      expect(await failureOf(finding)).toMatchObject({ code: 'DIMSE_STATUS', operation: 'C-FIND', status })
      expect(found).toHaveLength(1)
      expect(association.idle).toBe(true)
    })
  })

  it('with a comment and offending elements passes them on', async () => {
    const command = commandSet({
      '0100': 0x8020,
      '0120': 1,
      '0800': 0x0101,
      '0900': 0xa900,
      '0901': hex('10001000 0800 6000'),
      '0902': 'no such key',
    })
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(message(command, undefined))
      await ends(it)
    }
    await withPeer(script, async ({ scu, context }) => {
      expect(await failureOf(all(scu.find(context(STUDY_ROOT_FIND), query, OPERATION)))).toMatchObject({
        offendingElement: ['00100010', '00080060'],
      })
    })
  })

  it('ended early sends a C-CANCEL in the same context and reads to the final response', async () => {
    const script: Script = async (it) => {
      const { contextId, messageId } = await expectField(it, Field.find)
      await it.send(
        findResponse({ contextId, data: match('1.2.1') }),
        findResponse({ contextId, data: match('1.2.2') }),
      )
      const cancel = await expectField(it, Field.cancel)
      expect(cancel).toMatchObject({ contextId: 3, messageId, data: undefined })
      await it.send(findResponse({ contextId, data: match('1.2.3') }), findResponse({ contextId, status: 0xfe00 }))
      await expectField(it, Field.echo)
      await it.send(golden.echoResponse)
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      for await (const one of scu.find(context(STUDY_ROOT_FIND), query, OPERATION)) {
        expect(studyOf(one)).toBe('1.2.1')
        break
      }
      expect(association.idle).toBe(true)
      await scu.echo(context(VERIFICATION), OPERATION)
    })
  })

  it('ended early when the final response is on its way is cancelled without harm', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(Buffer.concat([findResponse({ data: match('1.2') }), findResponse()]))
      await expectField(it, Field.cancel)
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      for await (const _ of scu.find(context(STUDY_ROOT_FIND), query, OPERATION)) break
      expect(association.idle).toBe(true)
    })
  })

  it('ended early of a peer that ignores the C-CANCEL is aborted after the grace time', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      const endless = it.flood(findResponse({ data: element(0x00104000, Buffer.alloc(20_000)) }))
      const cancelled = await expectField(it, Field.cancel)
      expect(cancelled.messageId).toBe(1)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
      await endless
    }
    const early = async ({ scu, association, context }: Setup): Promise<void> => {
      const begin = performance.now()
      for await (const _ of scu.find(context(STUDY_ROOT_FIND), query, OPERATION)) break
      expect(association.idle).toBe(false)
      expect(performance.now() - begin).toBeLessThan(15_000)
    }
    await withPeer(script, early, { cancelGrace: 80 })
  })

  it('ended early of a peer that falls silent in the middle of a match is aborted after the grace time', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(
        findResponse({ data: match('1.2') }),
        findResponse({ data: match('1.2'), fragments: [1] }).subarray(0, -3),
      )
      await expectField(it, Field.cancel)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    const early = async ({ scu, association, context }: Setup): Promise<void> => {
      for await (const _ of scu.find(context(STUDY_ROOT_FIND), query, OPERATION)) break
      expect(association.idle).toBe(false)
    }
    await withPeer(script, early, { cancelGrace: 80 })
  })

  it('whose signal is aborted ends at once: C-CANCEL, and the association can be used', async () => {
    const controller = new AbortController()
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(findResponse({ data: match('1.2') }))
      controller.abort(new Error('gone'))
      await expectField(it, Field.cancel)
      await it.send(findResponse({ status: 0xfe00 }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const finding = all(scu.find(context(STUDY_ROOT_FIND), query, { ...OPERATION, signal: controller.signal }))
      await expect(finding).rejects.toThrow('gone')
      expect(association.idle).toBe(true)
    })
  })

  it('of a peer that falls silent times out: no C-CANCEL, but an A-ABORT', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(findResponse({ data: match('1.2') }))
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async ({ scu, context }) => {
      const finding = all(scu.find(context(STUDY_ROOT_FIND), query, { timeout: 60 }))
      await expect(finding).rejects.toMatchObject({ code: 'PEER_TIMEOUT', waitedFor: 'C-FIND response' })
    })
  })

  it('has its time anew with each response', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      for (let count = 0; count < 10; count++) {
        await it.wait(50)
        await it.send(findResponse({ data: match('1.2') }))
      }
      await it.send(findResponse())
      await ends(it)
    }
    await withPeer(script, async ({ scu, context }) => {
      expect(await all(scu.find(context(STUDY_ROOT_FIND), query, { timeout: 400 }))).toHaveLength(10)
    })
  })

  it.each([
    ['without any instance', 0, true],
    ['behind an instance', MAX_BARREN_MS - 10_000, false],
  ])('of a retrieve that goes on %s has an end', async (_, before, isEnded) => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(getResponse({ status: 0xff00, remaining: 1 }))
      await delay(50)
      vi.advanceTimersByTime(before)
      if (!isEnded) {
        await it.send(storeRequest({ data: hex('08001600 02000000 3100') }))
        await expectField(it, Field.storeResponse)
      }
      vi.advanceTimersByTime(isEnded ? MAX_BARREN_MS : 20_000)
      await it.send(getResponse({ status: 0xff00, remaining: 1 }))
      if (!isEnded) await it.send(getResponse({ completed: 1 }))
      await ends(it)
    }
    try {
      await withPeer(script, async ({ scu, context }) => {
        const events = all(scu.get(context(STUDY_ROOT_GET), query, { timeout: 2 * MAX_BARREN_MS }))
        if (isEnded) await expect(events).rejects.toMatchObject({ code: 'PEER_TIMEOUT', waitedFor: 'instance' })
        else expect(await events).toHaveLength(2)
      })
    } finally {
      vi.useRealTimers()
    }
  })

  it('with an identifier that is no data set fails, and the rest is cancelled', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(findResponse({ data: hex('10002000 ffffff00 31') }))
      await expectField(it, Field.cancel)
      await it.send(findResponse({ status: 0xfe00 }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const finding = all(scu.find(context(STUDY_ROOT_FIND), query, OPERATION))
      await expect(finding).rejects.toMatchObject({ code: 'MALFORMED_DATA_SET' })
      expect(association.idle).toBe(true)
    })
  })

  it('with an identifier without end fails at its bound', async () => {
    const piece = dataPdu(pdv(1, Pdv.data, Buffer.alloc(60_000)))
    const pending = message(commandSet({ '0100': 0x8020, '0120': 1, '0800': 1, '0900': 0xff00 }), undefined)
    const script: Script = async (it) => {
      await expectField(it, Field.find)
      await it.send(pending)
      const endless = it.flood(piece)
      await expectField(it, Field.cancel)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
      await endless
    }
    const find = async ({ scu, context }: Setup): Promise<void> => {
      const error = await failureOf(all(scu.find(context(STUDY_ROOT_FIND), query, OPERATION)))
      expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' })
      expect((error as Error).message).toContain(String(MAX_IDENTIFIER_BYTES))
    }
    await withPeer(script, find, { cancelGrace: 60 })
  })
})

describe('C-GET', () => {
  type Event = SubOperation | RetrieveEnd
  const CONTEXT = 7

  const instance = (sopInstance: string, data = `data of ${sopInstance}`): Buffer =>
    storeRequest({ contextId: CONTEXT, messageId: 50, sopInstance, data: Buffer.from(data), fragments: [5] })

  /** Its command and first fragments, whole PDUs. */
  const begunInstance = Buffer.concat([
    storeRequest({ contextId: CONTEXT, messageId: 50, sopInstance: '1.2.1', data: Buffer.alloc(0) }).subarray(0, -12),
    dataPdu(pdv(CONTEXT, Pdv.data, Buffer.from('data'))),
  ])

  /** Reads every body and gives back what came. */
  async function get({ scu, context }: Setup): Promise<{ bodies: string[]; end: RetrieveEnd | undefined }> {
    const bodies: string[] = []
    let end: RetrieveEnd | undefined
    for await (const event of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) {
      if (event.kind === 'end') end = event
      else bodies.push(`${event.sopInstance}: ${await bytesOf(event.body)}`)
    }
    return { bodies, end }
  }

  async function answered(it: PeerConnection, status: number, sopInstance: string): Promise<void> {
    const { contextId, command, messageId } = await expectField(it, Field.storeResponse)
    expect({ contextId, messageId, status: command.get('0900')?.readUInt16LE(0) }).toEqual({
      contextId: CONTEXT,
      messageId: 50,
      status,
    })
    expect(command.get('0002')?.toString('latin1')).toBe(`${CT}\0`)
    expect(command.get('1000')?.toString('latin1').replace('\0', '')).toBe(sopInstance)
  }

  it('gives instances as they are stored, answers each, and then its end', async () => {
    const script: Script = async (it) => {
      const { contextId, command, data } = await expectField(it, Field.get)
      expect(contextId).toBe(5)
      expect(command.get('0002')?.toString('latin1')).toBe(`${STUDY_ROOT_GET}\0`)
      expect(data).toEqual(queryBytes)
      await it.send(getResponse({ contextId, status: 0xff00, remaining: 2, completed: 0, failed: 0, warning: 0 }))
      await it.send(instance('1.2.1'))
      await answered(it, 0, '1.2.1')
      await it.send(getResponse({ contextId, status: 0xff00, remaining: 1 }), instance('1.2.2'))
      await answered(it, 0, '1.2.2')
      await it.send(getResponse({ contextId, completed: 2, failed: 0, warning: 0 }))
      await ends(it)
    }
    await withPeer(script, async (setup) => {
      const { bodies, end } = await get(setup)
      expect(bodies).toEqual(['1.2.1: data of 1.2.1', '1.2.2: data of 1.2.2'])
      expect(end).toMatchObject({ status: 0, completed: 2, failed: 0, warning: 0, failedInstances: [] })
      expect(setup.association.idle).toBe(true)
    })
  })

  it('tells class, instance and syntax of each, and streams its body', async () => {
    const more = Promise.withResolvers<undefined>()
    const whole = instance('1.2.3', 'first and second')
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(whole.subarray(0, -20))
      await more.promise
      await it.send(whole.subarray(-20))
      await answered(it, 0, '1.2.3')
      await it.send(getResponse())
      await ends(it)
    }
    await withPeer(script, async ({ scu, context }) => {
      for await (const event of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) {
        if (event.kind === 'end') continue
        expect(event).toMatchObject({ sopClass: CT, sopInstance: '1.2.3', syntax: { uid: IMPLICIT_LE } })
        let body = ''
        for await (const chunk of event.body) {
          body += Buffer.from(chunk).toString('latin1')
          more.resolve(undefined)
        }
        expect(body).toBe('first and second')
      }
    })
  })

  it('answers an instance when its last byte has come, read or not, and not before', async () => {
    const more = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<undefined>()
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(instance('1.2.3').subarray(0, -1))
      await more.promise
      await it.send(instance('1.2.3').subarray(-1))
      await answered(it, 0, '1.2.3')
      answer.resolve(undefined)
      await it.send(getResponse())
      await ends(it)
    }
    await withPeer(script, async ({ scu, context, peer }) => {
      const events = scu.get(context(STUDY_ROOT_GET), query, OPERATION)
      const first = (await events.next()).value as SubOperation
      const before = peer.received.length
      await new Promise((resolve) => setTimeout(resolve, 30))
      expect(peer.received).toHaveLength(before)
      more.resolve(undefined)
      await answer.promise
      expect(await bytesOf(first.body)).toHaveLength('data of 1.2.3'.length)
      expect((await events.next()).value).toMatchObject({ kind: 'end' })
      expect((await events.next()).done).toBe(true)
    })
  })

  it.each([
    ['not read', async (_body: AsyncIterable<Bytes>) => undefined],
    [
      'read in part',
      async (body: AsyncIterable<Bytes>) => {
        for await (const _ of body) break
      },
    ],
  ])('goes on behind an instance that was %s', async (_, read) => {
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(instance('1.2.1'))
      await answered(it, 0, '1.2.1')
      await it.send(instance('1.2.2'))
      await answered(it, 0, '1.2.2')
      await it.send(getResponse({ completed: 2 }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, context, association }) => {
      const events: Event[] = []
      for await (const event of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) {
        events.push(event)
        if (event.kind === 'instance') await (events.length === 1 ? read(event.body) : bytesOf(event.body))
      }
      expect(events.map(({ kind }) => kind)).toEqual(['instance', 'instance', 'end'])
      expect(association.idle).toBe(true)
    })
  })

  it('gives the failed instances of the final response, with its counters', async () => {
    const failed = element(0x00080058, '1.2.1\\1.2.22\0')
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(getResponse({ contextId: 5, status: 0xb000, data: failed, completed: 0, failed: 2, warning: 1 }))
      await ends(it)
    }
    await withPeer(script, async (setup) => {
      const { end } = await get(setup)
      expect(end).toMatchObject({ status: 0xb000, completed: 0, failed: 2, warning: 1 })
      expect(end?.failedInstances).toEqual(['1.2.1', '1.2.22'])
    })
  })

  it.each([
    ['broken', hex('0800 5800 ffff0000 31')],
    ['empty', Buffer.alloc(0)],
  ])('a list of failed instances that is %s is none', async (_, data) => {
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(getResponse({ contextId: 5, status: 0xb000, data }))
      await ends(it)
    }
    await withPeer(script, async (setup) => {
      expect((await get(setup)).end).toMatchObject({ status: 0xb000, failedInstances: [], completed: undefined })
      expect(setup.association.idle).toBe(true)
    })
  })

  it.each([0xa701, 0xa702, 0xa900, 0xc000, 0xfe00])('status %i is given as the end, not thrown', async (status) => {
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(getResponse({ status }))
      await ends(it)
    }
    await withPeer(script, async (setup) => {
      expect((await get(setup)).end).toMatchObject({ status, response: { type: 'C-GET-RSP' } })
    })
  })

  it.each([
    ['a C-STORE without a data set', storeRequest({ contextId: CONTEXT, data: undefined })],
    ['a C-FIND response', findResponse()],
    ['a C-ECHO request', golden.echoRequest],
    ['a C-STORE in a context that was not agreed on', storeRequest({ contextId: 99, data: Buffer.alloc(2) })],
  ])('%s is a ProtocolError', async (_, bytes) => {
    const script: Script = async (it) => {
      await expectField(it, Field.get)
      await it.send(bytes)
      expect(await it.expect()).toEqual(abort(2, 2))
      it.close()
    }
    await withPeer(script, async (setup) => {
      await expect(get(setup)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    })
  })

  describe('ended early', () => {
    it('between instances: C-CANCEL, what still comes is answered, and the association can be used', async () => {
      const script: Script = async (it) => {
        const { messageId } = await expectField(it, Field.get)
        await it.send(instance('1.2.1'))
        await answered(it, 0, '1.2.1')
        const cancel = await expectField(it, Field.cancel)
        expect(cancel).toMatchObject({ contextId: 5, messageId })
        await it.send(instance('1.2.2'))
        await answered(it, 0xa700, '1.2.2')
        await it.send(getResponse({ status: 0xfe00 }))
        await expectField(it, Field.echo)
        await it.send(golden.echoResponse)
        await ends(it)
      }
      await withPeer(script, async ({ scu, association, context }) => {
        for await (const event of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) {
          if (event.kind === 'instance') await bytesOf(event.body)
          break
        }
        expect(association.idle).toBe(true)
        await scu.echo(context(VERIFICATION), OPERATION)
      })
    })

    it('within an instance: the store is answered too, so that the peer comes to see the C-CANCEL', async () => {
      const script: Script = async (it) => {
        await expectField(it, Field.get)
        await it.send(instance('1.2.1').subarray(0, -30))
        await expectField(it, Field.cancel)
        await it.send(instance('1.2.1').subarray(-30))
        await answered(it, 0xa700, '1.2.1')
        await it.send(getResponse({ status: 0xfe00 }))
        await ends(it)
      }
      await withPeer(script, async ({ scu, association, context }) => {
        for await (const event of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) {
          if (event.kind === 'instance') for await (const _ of event.body) break
          break
        }
        expect(association.idle).toBe(true)
      })
    })

    it('by a signal, while the body of an instance is awaited', async () => {
      const controller = new AbortController()
      const script: Script = async (it) => {
        await expectField(it, Field.get)
        await it.send(instance('1.2.1').subarray(0, -30))
        controller.abort(new Error('gone'))
        await expectField(it, Field.cancel)
        await it.send(instance('1.2.1').subarray(-30))
        await answered(it, 0xa700, '1.2.1')
        await it.send(getResponse({ status: 0xfe00 }))
        await ends(it)
      }
      await withPeer(script, async ({ scu, association, context }) => {
        const operation = { ...OPERATION, signal: controller.signal }
        const getting = (async () => {
          for await (const event of scu.get(context(STUDY_ROOT_GET), query, operation)) {
            if (event.kind === 'instance') await bytesOf(event.body)
          }
        })()
        await expect(getting).rejects.toThrow('gone')
        expect(association.idle).toBe(true)
      })
    })

    it.each([
      ['stalls in an instance', async () => undefined],
      ['goes on without end', (it: PeerConnection) => it.flood(dataPdu(pdv(CONTEXT, Pdv.data, Buffer.alloc(50_000))))],
    ])('of a peer that %s is aborted after the grace time', async (_, goOn) => {
      const script: Script = async (it) => {
        await expectField(it, Field.get)
        await it.send(begunInstance)
        const going = goOn(it)
        await expectField(it, Field.cancel)
        expect(await it.expect()).toEqual(abort(0, 0))
        it.close()
        await going
      }
      const early = async ({ scu, association, context }: Setup): Promise<void> => {
        const begin = performance.now()
        for await (const _ of scu.get(context(STUDY_ROOT_GET), query, OPERATION)) break
        expect(association.idle).toBe(false)
        expect(performance.now() - begin).toBeLessThan(15_000)
      }
      await withPeer(script, early, { cancelGrace: 80 })
    })
  })

  it.each(['close', 'reset', 'abort'] as const)(
    '%s in an instance fails who reads it, and the operation',
    async (how) => {
      const script: Script = async (it) => {
        await expectField(it, Field.get)
        await it.send(begunInstance)
        await it[how]()
      }
      await withPeer(script, async (setup) => {
        const code = how === 'abort' ? 'ASSOCIATION_ABORTED' : 'CONNECTION_LOST'
        await expect(get(setup)).rejects.toMatchObject({ code })
      })
    },
  )
})

describe('C-STORE', () => {
  async function* body(...chunks: readonly string[]): AsyncGenerator<Bytes> {
    for (const chunk of chunks) {
      await Promise.resolve()
      yield Buffer.from(chunk)
    }
  }
  const instanceOf = (data: AsyncIterable<Bytes>) => ({ sopClass: CT, sopInstance: '1.2.3', body: data })

  it('sends an instance and gives back the response, whatever its status', async () => {
    const script: Script = async (it) => {
      const first = await expectField(it, Field.store)
      expect(first.contextId).toBe(7)
      expect(first.command.get('1000')?.toString('latin1')).toBe('1.2.3\0')
      expect(first.command.get('0700')?.readUInt16LE(0)).toBe(0)
      expect(first.command.has('1030')).toBe(false)
      expect(first.data?.toString()).toBe('abcdef')
      await it.send(storeResponse())
      const second = await expectField(it, Field.store)
      expect(second.command.get('1030')?.toString('latin1')).toBe('MOVER ')
      expect(second.command.get('1031')?.readUInt16LE(0)).toBe(77)
      await it.send(storeResponse({ messageId: 2, status: 0xa700 }))
      await ends(it)
    }
    await withPeer(script, async ({ scu, association, context }) => {
      const first = await scu.store(context(CT), instanceOf(body('abc', 'def')), OPERATION)
      expect(first).toMatchObject({ status: 0, affectedSopInstanceUid: '1.2.3' })
      const operation = { ...OPERATION, moveOriginatorAeTitle: 'MOVER', moveOriginatorMessageId: 77 }
      expect(await scu.store(context(CT), instanceOf(body('gh')), operation)).toMatchObject({ status: 0xa700 })
      expect(association.idle).toBe(true)
    })
  })

  it('goes on sending when the response comes early', async () => {
    const answered = Promise.withResolvers<undefined>()
    async function* slow(): AsyncGenerator<Bytes> {
      yield Buffer.alloc(20_000, 'a')
      await answered.promise
      yield Buffer.alloc(20_000, 'b')
    }
    const script: Script = async (it) => {
      await it.expect(4)
      await it.send(storeResponse({ status: 0xb000 }))
      answered.resolve(undefined)
      let last: Buffer
      do last = await it.expect(4)
      while (last[11] !== Pdv.lastData)
      expect(last.toString('latin1')).toMatch(/b$/)
      await ends(it)
    }
    await withPeer(script, async ({ scu, context, association }) => {
      expect(await scu.store(context(CT), instanceOf(slow()), OPERATION)).toMatchObject({ status: 0xb000 })
      expect(association.idle).toBe(true)
    })
  })

  it('passes on a C-CANCEL that arrives before the response', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.store)
      await it.send(message(golden.cancelRequest, undefined), storeResponse())
      await ends(it)
    }
    await withPeer(script, async ({ scu, context }) => {
      let cancels = 0
      const operation = { ...OPERATION, onCancel: () => cancels++ }
      expect(await scu.store(context(CT), instanceOf(body('ab')), operation)).toMatchObject({ status: 0 })
      expect(cancels).toBe(1)
    })
  })

  it('whose body fails: its error, and an A-ABORT in place of the last fragment', async () => {
    async function* failing(): AsyncGenerator<Bytes> {
      yield Buffer.alloc(40_000)
      await Promise.resolve()
      throw new Error('the disk is gone')
    }
    const script: Script = async (it) => {
      let last = await it.expect()
      for (; last[0] === 4; last = await it.expect()) expect(last[11]).not.toBe(Pdv.lastData)
      expect(last).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async ({ scu, context }) => {
      await expect(scu.store(context(CT), instanceOf(failing()), OPERATION)).rejects.toThrow('the disk is gone')
    })
  })

  it('answered by something else is a ProtocolError', async () => {
    const script: Script = async (it) => {
      await expectField(it, Field.store)
      await it.send(findResponse())
      expect(await it.expect()).toEqual(abort(2, 2))
      it.close()
    }
    await withPeer(script, async ({ scu, context }) => {
      const storing = scu.store(context(CT), instanceOf(body('ab')), OPERATION)
      await expect(storing).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    })
  })

  it.each([
    ['not answered', () => ({ timeout: 60 }), { code: 'PEER_TIMEOUT' }],
    ['given up', () => ({ timeout: 20_000, signal: AbortSignal.timeout(60) }), { name: 'TimeoutError' }],
  ])('that is %s ends the association', async (_, operation, error) => {
    const script: Script = async (it) => {
      await expectField(it, Field.store)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async ({ scu, context, association }) => {
      await expect(scu.store(context(CT), instanceOf(body('ab')), operation())).rejects.toMatchObject(error)
      expect(association.idle).toBe(false)
    })
  })
})
