import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ConnectError } from '../../src/network/errors.ts'
import { contexts, failureOf, requestOf } from '../support/associations.ts'
import {
  abort,
  associateAccept,
  associateReject,
  associateRequest,
  CT,
  dataPdu,
  EXPLICIT_LE,
  golden,
  IMPLICIT_LE,
  item,
  pdu,
  pdv,
  readRequest,
  STUDY_ROOT_FIND,
  u16,
  u32,
} from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { maxFragmentBytes } from '../../src/network/negotiation.ts'
import { ScriptedPeer, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

/** Answers the request with bytes, then gives back the A-ABORT that follows. */
function answering(bytes: Buffer, aborts: Buffer[]): Script {
  return async (it) => {
    await it.expect(1)
    await it.send(bytes)
    aborts.push(await it.expect(7))
    it.close()
  }
}

describe('an association that is accepted', () => {
  it('knows what was agreed on and what the peer said of itself', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept({ maxLength: 32_768, user: [item(0x55, 'SCRIPTED')] })
      await it.released()
    })
    const association = await requestOf(peer)
    expect([...association.contexts.values()]).toEqual(
      contexts.map(({ id, abstractSyntax }) => ({ id, abstractSyntax, transferSyntax: IMPLICIT_LE })),
    )
    expect(association.peer).toMatchObject({ maxLength: 32_768, implementationVersionName: 'SCRIPTED' })
    expect(association.idle).toBe(true)
    await association.release(5_000)
    await association.closed
    await peer.finished()
  })

  it('stands whatever protocol version and application context the acceptance names: both are of our request', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      const accept = associateAccept(await it.expect(1))
      accept.writeUInt16BE(2, 6)
      accept.write('1.2.840.10008.3.1.1.2', 6 + 68 + 4, 'latin1')
      await it.send(accept)
      await it.released()
    })
    const association = await requestOf(peer)
    expect(association.contexts.size).toBe(contexts.length)
    await association.release(5_000)
    await peer.finished()
  })

  it('was asked for with every item of the options', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept()
      await it.released()
    })
    const association = await requestOf(peer, {
      roles: [{ sopClass: CT, scu: false, scp: true }],
      extended: [{ sopClass: STUDY_ROOT_FIND, information: Buffer.of(1, 1, 1) }],
      identity: {
        type: 2,
        positiveResponseRequested: true,
        primary: Buffer.from('user'),
        secondary: Buffer.from('pass'),
      },
      maxPduLength: 16_384,
    })
    await association.release(5_000)
    const { received } = peer.connection()
    const request = received.subarray(0, 6 + received.readUInt32BE(2))
    expect(request.subarray(10, 42).toString('latin1')).toBe('PACS            GATE            ')
    const { contexts: offered, user } = readRequest(request)
    expect(offered).toEqual(contexts)
    const items = new Map(user.map(({ type, value }) => [type, value]))
    expect(items.get(0x51)).toEqual(u32(16_384))
    expect(items.has(0x52)).toBe(true)
    expect(item(0x54, items.get(0x54)!)).toEqual(golden.roleSelection)
    expect(item(0x58, items.get(0x58)!)).toEqual(golden.userIdentity)
    expect(items.get(0x56)).toEqual(Buffer.concat([u16(27), Buffer.from(STUDY_ROOT_FIND), Buffer.of(1, 1, 1)]))
  })

  it('holds neither contexts that are refused, missing or unknown, nor those in a syntax that was not offered', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      const request = await it.expect(1)
      const accept = (id: number, result: number, ...syntax: Buffer[]): Buffer =>
        item(0x21, Buffer.of(id, 0, result, 0), ...syntax)
      await it.send(
        pdu(2, [
          request.subarray(6, 74),
          accept(7, 0, item(0x40, IMPLICIT_LE)),
          accept(99, 0, item(0x40, IMPLICIT_LE)),
          accept(1, 3),
          accept(3, 0, item(0x40, EXPLICIT_LE)),
          item(0x50, item(0x51, u32(16_384))),
        ]),
      )
      await it.released()
    })
    const association = await requestOf(peer)
    expect([...association.contexts.keys()]).toEqual([7])
    await association.release(5_000)
  })

  it.each([
    [128, 122],
    [129, 122],
    [16_384, 16_378],
    [131_073, 131_066],
    [0, 131_066],
    [0xffffffff, 131_066],
  ])('with a peer that takes PDUs of %i bytes (0: any) sends fragments of at most %i', async (maxLength, fragment) => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept({ maxLength })
      await it.released()
    })
    const association = await requestOf(peer)
    expect(maxFragmentBytes(association.peer)).toBe(fragment)
    await association.release(5_000)
  })
})

describe('an association that does not come about', () => {
  it.each([
    [1, 1, 1, false, 'no reason given'],
    [1, 1, 2, false, 'application context not supported'],
    [1, 1, 3, false, 'calling AE title not recognized'],
    [1, 1, 7, false, 'called AE title not recognized'],
    [1, 2, 1, false, 'no reason given'],
    [1, 2, 2, false, 'protocol version not supported'],
    [2, 3, 1, true, 'temporary congestion'],
    [2, 3, 2, true, 'local limit exceeded'],
    [1, 3, 2, true, 'local limit exceeded'],
    [2, 1, 1, true, 'no reason given'],
    [1, 9, 9, false, 'source 9, reason 9'],
  ])(
    'rejected with result %i, source %i, reason %i: transient %s, %s',
    async (result, source, reason, transient, text) => {
      await using peer = await ScriptedPeer.listen(async (it) => {
        await it.expect(1)
        await it.send(associateReject(result, source, reason))
        await it.closed()
      })
      await expect(requestOf(peer)).rejects.toMatchObject({
        code: 'ASSOCIATION_REJECTED',
        result,
        source,
        reason,
        transient,
        message: `The association was rejected: ${text}`,
      })
      await peer.finished()
    },
  )

  it('aborted by the peer: source and reason', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.expect(1)
      await it.abort(2, 1)
    })
    await expect(requestOf(peer)).rejects.toMatchObject({
      code: 'ASSOCIATION_ABORTED',
      by: 'peer',
      source: 2,
      reason: 1,
    })
  })

  it.each(['close', 'reset'] as const)('%s by the peer', async (how) => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.expect(1)
      it[how]()
    })
    await expect(requestOf(peer)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  })

  it('a peer that never answers: times out, and is told by A-ABORT', async () => {
    const aborts: Buffer[] = []
    await using peer = await ScriptedPeer.listen(answering(Buffer.alloc(0), aborts))
    const error = await failureOf(requestOf(peer, { timeouts: { connect: 5_000, associate: 60 } }))
    expect(error).toMatchObject({ code: 'PEER_TIMEOUT', milliseconds: 60 })
    await peer.finished()
    expect(aborts).toEqual([abort(0, 0)])
  })

  it('a peer that does not even close then: cut by ARTIM', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.expect(1)
      await it.expect(7)
      await it.until(() => it.isOver, 'the connection to be cut')
    })
    const write = setInterval(() => peer.connections[0]?.socket.write(Buffer.of(2)), 20)
    try {
      const options = { timeouts: { connect: 5_000, associate: 50 }, artim: 100 }
      await expect(requestOf(peer, options)).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
      await peer.finished()
    } finally {
      clearInterval(write)
    }
  })

  it('no listener: ConnectError with the address and the cause', async () => {
    const peer = await ScriptedPeer.listen(async () => undefined)
    const { address } = peer
    await peer[Symbol.asyncDispose]()
    const error = (await failureOf(requestOf({ address }))) as ConnectError
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', ...address, cause: { code: 'ECONNREFUSED' } })
  })

  it('a TLS handshake that is not answered: times out, leaving nothing open', async () => {
    await using peer = await ScriptedPeer.listen((it) => it.closed())
    const options = { tls: {}, timeouts: { connect: 60, associate: 5_000 } }
    await expect(requestOf(peer, options)).rejects.toMatchObject({ code: 'PEER_TIMEOUT', waitedFor: 'connection' })
    await peer.finished()
  })

  it('a peer that does not speak TLS: ConnectError', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.send(associateReject(1, 1, 1))
      await it.closed()
    })
    await expect(requestOf(peer, { tls: {} })).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  })

  it('a signal that is aborted already: nothing is opened', async () => {
    await using peer = await ScriptedPeer.listen((it) => it.closed())
    await expect(requestOf(peer, {}, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    expect(peer.connections).toEqual([])
  })

  it.each([
    ['the handshake', { tls: {} }],
    ['the negotiation', {}],
  ])('a signal that is aborted in %s', async (_, options) => {
    const controller = new AbortController()
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.until(() => it.received.length > 0, 'the first bytes')
      controller.abort(new Error('gone'))
      await it.closed()
    })
    await expect(requestOf(peer, options, controller.signal)).rejects.toThrow('gone')
    await peer.finished()
  })

  it.each([1, 6, 7, 127])('a peer that takes PDUs of %i bytes is broken', async (maxLength) => {
    const aborts: Buffer[] = []
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept({ maxLength })
      aborts.push(await it.expect(7))
      it.close()
    })
    await expect(requestOf(peer)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    await peer.finished()
    expect(aborts).toEqual([abort(2, 6)])
  })

  it.each([
    ['A-ASSOCIATE-RQ', associateRequest(), 2],
    ['P-DATA-TF', dataPdu(pdv(1, 3, Buffer.alloc(2))), 2],
    ['A-RELEASE-RQ', golden.releaseRequest, 2],
    ['A-RELEASE-RP', golden.releaseResponse, 2],
    ['an unknown PDU', pdu(0x99, [Buffer.alloc(4)]), 1],
    ['a PDU of 4 GB', pdu(2, [], 0xffffffff), 6],
    ['an acceptance with a broken item', pdu(2, [Buffer.alloc(68), Buffer.of(0x21, 0, 9, 9)]), 6],
  ])('%s in answer: A-ABORT', async (_, bytes, reason) => {
    const aborts: Buffer[] = []
    await using peer = await ScriptedPeer.listen(answering(bytes, aborts))
    await expect(requestOf(peer)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
    await peer.finished()
    expect(aborts).toEqual([abort(2, reason)])
  })

  it('an offer that no A-ASSOCIATE-RQ can hold: its error, leaving nothing open', async () => {
    await using peer = await ScriptedPeer.listen((it) => it.closed())
    const identity = {
      type: 5,
      positiveResponseRequested: false,
      primary: Buffer.alloc(70_000),
      secondary: Buffer.of(),
    }
    await expect(requestOf(peer, { identity })).rejects.toThrow(RangeError)
    await peer.finished()
  })
})

it('an acceptance cut at every byte is never taken for one', async () => {
  const accept = associateAccept(associateRequest({ contexts }))
  const script: Script = async (it) => {
    await it.accept()
  }
  for (let cutAfter = 0; cutAfter < accept.length; cutAfter++) {
    await using peer = await ScriptedPeer.listen(script, { cutAfter, cut: cutAfter % 2 === 0 ? 'fin' : 'reset' })
    await expect(requestOf(peer)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    await delay(0)
  }
})
