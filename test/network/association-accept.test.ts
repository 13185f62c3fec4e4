import { describe, expect, it } from 'vitest'
import type { AcceptOptions } from '../../src/network/association.ts'
import { acceptAll, Acceptor, failureOf } from '../support/associations.ts'
import { byteByByte } from '../support/chunking.ts'
import {
  abort,
  associateReject,
  associateRequest,
  CT,
  EXPLICIT_LE,
  golden,
  hex,
  IMPLICIT_LE,
  item,
  pdu,
  readItems,
  STUDY_ROOT_FIND,
  VERIFICATION,
  type RequestBytes,
} from '../support/golden.ts'
import { MAX_CONTEXTS } from '../../src/network/negotiation.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedCaller, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const context = (id: number, abstractSyntax = CT, transferSyntaxes = [IMPLICIT_LE]) => ({
  id,
  abstractSyntax,
  transferSyntaxes,
})

/** Sends bytes and gives back all PDUs that come until the acceptor closes. */
async function answersTo(bytes: Buffer, options: Partial<AcceptOptions> = {}): Promise<Buffer[]> {
  await using acceptor = await Acceptor.listen(options)
  const answers: Buffer[] = []
  await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
    await it.send(bytes)
    for (let one = await it.next(); one; one = await it.next()) answers.push(one)
    it.close()
  })
  await caller.finished()
  await acceptor.outcome().catch(() => undefined)
  return answers
}

describe('a request that is accepted', () => {
  it('is answered context by context, with the titles it came with and what is granted of its user information', async () => {
    const roleOf = (sopClass: string) => ({ sopClass, scu: false, scp: true })
    await using acceptor = await Acceptor.listen({
      maxPduLength: 40_000,
      decide: (request) => {
        expect(request).toMatchObject({ calledAeTitle: 'PACS', callingAeTitle: 'GATE' })
        return {
          choose: (abstractSyntax, offered) =>
            abstractSyntax === VERIFICATION ? 'abstract' : offered.includes(EXPLICIT_LE) ? EXPLICIT_LE : 'transfer',
          roles: ({ sopClass }) => (sopClass === CT ? roleOf(sopClass) : undefined),
          extended: ({ sopClass }) => ({ sopClass, information: Buffer.of(1) }),
        }
      },
    })
    const accepts: Buffer[] = []
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(
        associateRequest({
          contexts: [
            context(1, VERIFICATION),
            context(5),
            context(3, CT, [IMPLICIT_LE, EXPLICIT_LE]),
            context(255, CT, [EXPLICIT_LE]),
          ],
          user: [
            golden.roleSelection,
            item(0x54, hex('0003'), '1.2', Buffer.of(0, 1)),
            item(0x56, hex('001b'), STUDY_ROOT_FIND, Buffer.of(1, 1, 1)),
          ],
        }),
      )
      accepts.push(await it.expect(2))
      await it.send(golden.releaseRequest)
      await it.expect(6)
      it.close()
    })
    const association = await acceptor.association()
    expect([...association.contexts.values()]).toEqual([
      { id: 3, abstractSyntax: CT, transferSyntax: EXPLICIT_LE },
      { id: 255, abstractSyntax: CT, transferSyntax: EXPLICIT_LE },
    ])
    expect(association.requested.callingAeTitle).toBe('GATE')
    await caller.finished()

    const [accept] = accepts
    expect(accept!.subarray(10, 42).toString('latin1')).toBe('PACS            GATE            ')
    const items = readItems(accept!.subarray(74))
    const answers = items.filter(({ type }) => type === 0x21).map(({ value }) => [value[0], value[2]])
    expect(answers).toEqual([
      [1, 3],
      [5, 4],
      [3, 0],
      [255, 0],
    ])
    const user = readItems(items.at(-1)!.value)
    expect(user.find(({ type }) => type === 0x51)?.value).toEqual(hex('00009c40'))
    expect(user.filter(({ type }) => type === 0x54).map(({ value }) => item(0x54, value))).toEqual([
      golden.roleSelection,
    ])
    expect(user.find(({ type }) => type === 0x56)?.value).toEqual(
      Buffer.concat([hex('001b'), Buffer.from(STUDY_ROOT_FIND), Buffer.of(1)]),
    )
    await association.closed
  })

  it('may come in chunks of one byte', async () => {
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(...byteByByte(golden.associateRequest))
      await it.expect(2)
      await it.abort(0)
    })
    const association = await acceptor.association()
    await caller.finished()
    await association.closed
  })
})

describe('a request of as many contexts as there are ids', () => {
  it('is accepted with all of them', async () => {
    const contexts = Array.from({ length: MAX_CONTEXTS }, (_, n) => context(2 * n + 1))
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(associateRequest({ contexts }))
      await it.expect(2)
      await it.send(abort(0, 0))
      await it.closed()
      it.close()
    })
    const association = (await acceptor.outcome())!
    expect([...association.contexts.keys()]).toEqual(contexts.map(({ id }) => id))
    await association.closed
    await caller.finished()
  })
})

describe('a request of version 1 among other protocol versions', () => {
  it('is accepted, in version 1: only bit 0 is looked at', async () => {
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(associateRequest({ protocolVersion: 0xffff }))
      expect((await it.expect(2)).readUInt16BE(6)).toBe(1)
      await it.send(abort(0, 0))
      await it.closed()
      it.close()
    })
    await (await acceptor.outcome())!.closed
    await caller.finished()
  })
})

describe('a request that is rejected', () => {
  it('for a reason of ours: the peer is told', async () => {
    const wrongTitle = () => ({ result: 1, source: 1, reason: 7 })
    expect(await answersTo(associateRequest(), { decide: wrongTitle })).toEqual([associateReject(1, 1, 7)])
  })

  it.each<[string, RequestBytes, source: number, reason: number]>([
    ['another protocol version', { protocolVersion: 2 }, 2, 2],
    ['no protocol version', { protocolVersion: 0 }, 2, 2],
    ['another protocol version and a called AE title of spaces', { protocolVersion: 0xfffe, calledAeTitle: '' }, 2, 2],
    ['another application context', { applicationContext: '1.2.840.10008.3.1.1.2' }, 1, 2],
    ['no application context', { applicationContext: undefined }, 1, 2],
    ['an application context without a name', { applicationContext: '' }, 1, 2],
  ])('%s', async (_, request, source, reason) => {
    const decide = () => {
      throw new Error('must not be asked')
    }
    expect(await answersTo(associateRequest(request), { decide })).toEqual([associateReject(1, source, reason)])
  })

  it.each([
    ['an even context id', { contexts: [context(1), context(2)] }, 1],
    ['a context id of 0', { contexts: [context(0)] }, 1],
    ['a repeated context id', { contexts: [context(3), context(5), context(3)] }, 1],
    ['a called AE title of spaces', { calledAeTitle: '' }, 7],
    ['a called AE title of NULs', { calledAeTitle: '\0'.repeat(16) }, 7],
    ['a calling AE title of spaces', { callingAeTitle: '' }, 3],
    ['PDUs of 1 byte', { maxLength: 1 }, 1],
    ['PDUs of 6 bytes', { maxLength: 6 }, 1],
    ['PDUs of 127 bytes', { maxLength: 127 }, 1],
  ])('%s', async (_, request, reason) => {
    const decide = () => {
      throw new Error('must not be asked')
    }
    expect(await answersTo(associateRequest(request), { decide })).toEqual([associateReject(1, 1, reason)])
  })

  it('by an error: the peer sees an A-ABORT, the caller the error', async () => {
    await using acceptor = await Acceptor.listen({
      decide: () => {
        throw new Error('a bug')
      },
    })
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(associateRequest())
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    })
    expect(await failureOf(acceptor.outcome())).toMatchObject({ message: 'a bug' })
    await caller.finished()
  })

  it('by an error of the policy', async () => {
    const choose = () => {
      throw new Error('a bug')
    }
    expect(await answersTo(associateRequest(), { decide: () => ({ ...acceptAll, choose }) })).toEqual([abort(0, 0)])
  })
})

describe('a connection without a request', () => {
  const cutByArtim: Script = async (it) => {
    await it.until(() => it.isOver, 'the connection to be cut')
  }

  it('that stays silent is closed by ARTIM, without a word', async () => {
    await using acceptor = await Acceptor.listen({ artim: 60 })
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.closed()
      it.close()
    })
    expect(await acceptor.outcome()).toBeUndefined()
    await caller.finished()
    expect(caller.connection.received).toHaveLength(0)
  })

  it('that sends one byte at a time has no more time than any other', async () => {
    await using acceptor = await Acceptor.listen({ artim: 120 })
    const begin = performance.now()
    await using caller = await ScriptedCaller.connect(acceptor.port, (it) =>
      it.sendSlowly(byteByByte(golden.associateRequest), 15),
    )
    expect(await acceptor.outcome()).toBeUndefined()
    expect(performance.now() - begin).toBeLessThan(2_500)
    await caller.finished()
    expect(caller.connection.bytesSent).toBeLessThan(60)
  })

  it('that ends is forgotten', async () => {
    await using acceptor = await Acceptor.listen()
    for (const how of ['close', 'reset'] as const) {
      await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
        await it.send(golden.associateRequest.subarray(0, 100))
        it[how]()
      })
      await caller.finished()
    }
    expect(await acceptor.outcome(0)).toBeUndefined()
    expect(await acceptor.outcome(1)).toBeUndefined()
  })

  it('five hundred times over leaves nothing', async () => {
    await using acceptor = await Acceptor.listen()
    for (let round = 0; round < 10; round++) {
      const script: Script = async (it) => it.reset()
      const callers = await Promise.all(Array.from({ length: 50 }, () => ScriptedCaller.connect(acceptor.port, script)))
      await Promise.all(callers.map((caller) => caller[Symbol.asyncDispose]()))
    }
    for (let index = 0; index < 500; index++) expect(await acceptor.outcome(index)).toBeUndefined()
  })

  it.each([
    ['P-DATA-TF', golden.echoRequest],
    ['A-ASSOCIATE-AC', pdu(2, [Buffer.alloc(68)])],
    ['A-RELEASE-RQ', golden.releaseRequest],
    ['A-RELEASE-RP', golden.releaseResponse],
    ['an unknown PDU', pdu(0x50, [Buffer.alloc(4)])],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: pacs\r\n\r\n')],
    ['an association request of 4 GB', hex('0100ffffffff')],
    ['a P-DATA-TF of 4 GB', hex('0400ffffffff')],
    ['a request with an item beyond its end', pdu(1, [Buffer.alloc(68), Buffer.of(0x20, 0, 0xff, 0xff)])],
    ['a request without fields', pdu(1, [Buffer.alloc(10)])],
  ])('%s first: A-ABORT', async (_, bytes) => {
    expect(await answersTo(bytes)).toEqual([abort(0, 0)])
  })

  it('but with data right behind the request is aborted before it is answered', async () => {
    expect(await answersTo(Buffer.concat([associateRequest(), golden.echoRequest]))).toEqual([abort(2, 2)])
  })

  it('that is aborted by the peer is closed', async () => {
    expect(await answersTo(abort(0, 0))).toEqual([])
  })

  it('that is left open by the peer after a rejection or an abort is cut by ARTIM', async () => {
    await using acceptor = await Acceptor.listen({ artim: 60, decide: () => ({ result: 1, source: 1, reason: 1 }) })
    for (const bytes of [golden.associateRequest, golden.releaseRequest]) {
      await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
        await it.send(bytes)
        const trickle = setInterval(() => it.socket.write(Buffer.of(0)), 10)
        await cutByArtim(it).finally(() => clearInterval(trickle))
      })
      await caller.finished()
    }
  })
})

describe('an association that stands', () => {
  it.each([
    ['another A-ASSOCIATE-RQ', golden.associateRequest],
    ['A-ASSOCIATE-AC', pdu(2, [Buffer.alloc(68)])],
    ['A-ASSOCIATE-RJ', associateReject(1, 1, 1)],
    ['A-RELEASE-RP', golden.releaseResponse],
  ])('is aborted by the provider on %s', async (_, bytes) => {
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(associateRequest())
      await it.expect(2)
      await it.send(bytes)
      expect(await it.expect()).toEqual(abort(2, 2))
      it.close()
    })
    const association = await acceptor.association()
    const read = association.read({ timeout: 5_000, what: 'nothing' })
    await expect(read).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    await caller.finished()
    await association.closed
  })
})
