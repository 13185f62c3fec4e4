import { describe, expect, it } from 'vitest'
import type { Association } from '../../src/network/association.ts'
import { HIGH_WATER_BYTES, PIECE_OVERHEAD_BYTES } from '../../src/network/receive-queue.ts'
import type { Wait } from '../../src/network/waiters.ts'
import { Acceptor, failureOf, requestOf } from '../support/associations.ts'
import { byteByByte } from '../support/chunking.ts'
import { abort, associateReject, associateRequest, dataPdu, golden, pdu, pdv } from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedCaller, ScriptedPeer, type PeerConnection, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

/** Long enough never to be reached. */
const LONG: Wait = { timeout: 20_000, what: 'test' }
/** What the kernel may hold between two loopback sockets, on top of what we keep. */
const KERNEL_BYTES = 20 * 1024 * 1024

/** An association with a peer that accepts it and, once it stands, goes on with a script. */
async function withPeer(script: Script, test: (association: Association, peer: PeerConnection) => Promise<void>) {
  const stands = Promise.withResolvers<undefined>()
  await using peer = await ScriptedPeer.listen(async (it) => {
    await it.accept()
    await stands.promise
    await script(it)
  })
  const association = await requestOf(peer)
  stands.resolve(undefined)
  try {
    await test(association, peer.connection())
    await peer.finished()
  } finally {
    association.abort()
  }
}

async function textOf(association: Association): Promise<string> {
  let text = ''
  for (;;) {
    const piece = await association.read(LONG)
    if (!piece) return `${text} released`
    text += Buffer.from(piece.bytes).toString('latin1')
    if (piece.last) return text
  }
}

const text = (content: string, last = true): Buffer => dataPdu(pdv(1, last ? 2 : 0, Buffer.from(content)))
const closes: Script = async (it) => {
  await it.closed()
  it.close()
}

describe('reading', () => {
  it('gives pieces in order, however they arrive', async () => {
    const script: Script = async (it) => {
      await it.send(...byteByByte(text('one')), text('tw', false), Buffer.concat([text('o'), text('three')]))
      await closes(it)
    }
    await withPeer(script, async (association) => {
      for (const one of ['one', 'two', 'three']) expect(await textOf(association)).toBe(one)
      expect(association.idle).toBe(true)
      association.abort()
    })
  })

  it('times out, and the association is aborted: a peer that fell silent is not waited for again', async () => {
    await withPeer(closes, async (association) => {
      const error = await failureOf(association.read({ timeout: 40, what: 'message' }))
      expect(error).toMatchObject({ code: 'PEER_TIMEOUT', waitedFor: 'message', milliseconds: 40 })
      expect(await failureOf(association.read(LONG))).toMatchObject({ code: 'ASSOCIATION_ABORTED', by: 'us' })
      expect(association.idle).toBe(false)
    })
  })

  it('wakes when its signal is aborted, with the reason', async () => {
    await withPeer(closes, async (association) => {
      const controller = new AbortController()
      const read = failureOf(association.read({ ...LONG, signal: controller.signal }))
      setImmediate(() => controller.abort(new Error('gone')))
      expect(await read).toMatchObject({ message: 'gone' })
      const again = association.read({ ...LONG, signal: controller.signal })
      await expect(again).rejects.toThrow('gone')
      association.abort()
    })
  })

  it('wakes by its own signal and in its own time while others wait too', async () => {
    await withPeer(closes, async (association) => {
      const [first, second] = [new AbortController(), new AbortController()]
      const reads = [
        failureOf(association.read({ ...LONG, signal: first.signal })),
        failureOf(association.read({ ...LONG, signal: second.signal })),
        failureOf(association.read(LONG)),
        failureOf(association.read({ timeout: 60, what: 'short' })),
      ]
      first.abort(new Error('first'))
      expect(await reads[0]).toMatchObject({ message: 'first' })
      second.abort(new Error('second'))
      expect(await reads[1]).toMatchObject({ message: 'second' })
      expect(await reads[3]).toMatchObject({ waitedFor: 'short' })
      association.abort()
      expect(await reads[2]).toMatchObject({ code: 'ASSOCIATION_ABORTED', by: 'us' })
    })
  })

  it.each([
    ['an A-ABORT', (it: PeerConnection) => it.abort(2, 4), { code: 'ASSOCIATION_ABORTED', by: 'peer', reason: 4 }],
    ['a close', async (it: PeerConnection) => it.close(), { code: 'CONNECTION_LOST' }],
  ])('gives what came before %s, then fails', async (_, end, error) => {
    const script: Script = async (it) => {
      await it.send(text('be', false))
      await it.send(text('fore'), text('cut', false))
      await end(it)
    }
    await withPeer(script, async (association) => {
      await association.closed
      expect(association.idle).toBe(false)
      expect(await textOf(association)).toBe('before')
      expect(await failureOf(textOf(association))).toMatchObject(error)
      expect(await failureOf(association.read(LONG))).toMatchObject(error)
      expect(await failureOf(association.send([golden.echoRequest], LONG))).toMatchObject(error)
    })
  })

  it('fails on a reset, with the cause', async () => {
    const script: Script = async (it) => {
      await it.send(text('x'))
      await it.expect(4)
      it.reset()
    }
    await withPeer(script, async (association) => {
      expect(await textOf(association)).toBe('x')
      await association.send([golden.echoRequest], LONG)
      const error = await failureOf(association.read(LONG))
      expect(error).toMatchObject({ code: 'CONNECTION_LOST', cause: { code: 'ECONNRESET' } })
    })
  })

  it.each([
    ['A-ASSOCIATE-RQ', golden.associateRequest, 2],
    ['A-ASSOCIATE-AC', pdu(2, [Buffer.alloc(68)]), 2],
    ['A-ASSOCIATE-RJ', associateReject(1, 1, 1), 2],
    ['A-RELEASE-RP', golden.releaseResponse, 2],
    ['an unknown PDU', pdu(0x08, [Buffer.alloc(4)]), 1],
    ['a P-DATA-TF above the limit', pdu(4, [], 200_000), 6],
    ['a PDV that does not fit', dataPdu(Buffer.of(0, 0, 0, 90, 1, 2)), 6],
  ])('fails on %s, and the peer is told by A-ABORT', async (_, bytes, reason) => {
    const script: Script = async (it) => {
      await it.send(text('x'), bytes)
      expect(await it.expect()).toEqual(abort(2, reason))
      it.close()
    }
    await withPeer(script, async (association) => {
      expect(await textOf(association)).toBe('x')
      await expect(association.read(LONG)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
      await association.closed
    })
  })
})

describe('a release', () => {
  it('by the peer: what came before is read, then undefined; the answer goes out', async () => {
    const script: Script = async (it) => {
      await it.send(Buffer.concat([text('last'), golden.releaseRequest]))
      expect(await it.expect()).toEqual(golden.releaseResponse)
      it.close()
    }
    await withPeer(script, async (association) => {
      expect(await textOf(association)).toBe('last')
      expect(await association.read(LONG)).toBeUndefined()
      expect(association.idle).toBe(false)
      await expect(association.send([golden.echoRequest], LONG)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
      await association.closed
      expect(await association.read(LONG)).toBeUndefined()
    })
  })

  it('by the peer that then resets, aborts or sends rubbish is one all the same', async () => {
    for (const rubbish of [abort(0, 0), pdu(0x33, []), text('x')]) {
      const script: Script = async (it) => {
        await it.send(Buffer.concat([golden.releaseRequest, rubbish]))
        await it.expect(6)
        it.reset()
      }
      await withPeer(script, async (association) => {
        await association.closed
        expect(await association.read(LONG)).toBeUndefined()
      })
    }
  })

  it('by the peer that does not close is ended by ARTIM', async () => {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept()
      await it.send(golden.releaseRequest)
      const trickle = setInterval(() => it.socket.write(text('more')), 10)
      await it.until(() => it.isOver, 'the connection to be cut').finally(() => clearInterval(trickle))
    })
    const association = await requestOf(peer, { artim: 80 })
    expect(await association.read(LONG)).toBeUndefined()
    await association.closed
    await peer.finished()
  })

  it('by us: asked for, answered, and the connection closed by us', async () => {
    const script: Script = async (it) => {
      expect(await it.expect()).toEqual(golden.releaseRequest)
      await it.send(golden.releaseResponse)
      await it.closed()
      it.close()
    }
    await withPeer(script, async (association) => {
      await association.release(5_000)
      expect(association.idle).toBe(false)
      await association.closed
      await association.release(5_000)
      await expect(association.send([golden.echoRequest], LONG)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    })
  })

  it('by us, with data of the peer still under way: that is passed over', async () => {
    const script: Script = async (it) => {
      await it.expect(5)
      await it.send(text('too late'), golden.releaseResponse)
      await closes(it)
    }
    await withPeer(script, async (association) => {
      await association.release(5_000)
      await association.closed
      expect(association.pending).toBe(false)
    })
  })

  it('by us that is not answered ends in an A-ABORT after its time', async () => {
    const script: Script = async (it) => {
      await it.expect(5)
      expect(await it.expect()).toEqual(abort(0, 0))
      it.close()
    }
    await withPeer(script, async (association) => {
      await association.release(50)
      await association.closed
    })
  })

  it.each([
    ['aborts', (it: PeerConnection) => it.abort()],
    ['closes', async (it: PeerConnection) => it.close()],
    ['resets', async (it: PeerConnection) => it.reset()],
    ['sends what does not belong there', (it: PeerConnection) => it.send(golden.associateRequest)],
  ])('by us of a peer that %s never throws', async (_, answer) => {
    const script: Script = async (it) => {
      await it.expect(5)
      await answer(it)
      await closes(it)
    }
    await withPeer(script, async (association) => {
      await association.release(1_000)
      await association.closed
    })
  })

  // Case 121, PS3.8 9.2
  it('of both sides at once: the requestor goes by 7, 9, 11 to 1', async () => {
    const script: Script = async (it) => {
      await it.expect(5)
      await it.send(golden.releaseRequest)
      expect(await it.expect()).toEqual(golden.releaseResponse)
      await it.send(golden.releaseResponse)
      expect(await it.next()).toBeUndefined()
      it.close()
    }
    await withPeer(script, async (association) => {
      await association.release(5_000)
      await association.closed
    })
  })

  it('of both sides at once: the acceptor goes by 7, 10, 12, 13 to 1', async () => {
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(acceptor.port, async (it) => {
      await it.send(associateRequest())
      await it.expect(2)
      await it.expect(5)
      await it.send(golden.releaseRequest)
      await it.send(golden.releaseResponse)
      expect(await it.expect()).toEqual(golden.releaseResponse)
      it.close()
      expect(await it.next()).toBeUndefined()
    })
    const association = await acceptor.association()
    await association.release(5_000)
    await association.closed
    await caller.finished()
  })
})

describe('an abort of ours', () => {
  it('tells the peer, ends every wait, and may be repeated', async () => {
    const script: Script = async (it) => {
      expect(await it.expect()).toEqual(abort(0, 0))
      expect(await it.next()).toBeUndefined()
      it.close()
    }
    await withPeer(script, async (association) => {
      const read = failureOf(association.read(LONG))
      association.abort()
      expect(await read).toMatchObject({ code: 'ASSOCIATION_ABORTED', by: 'us' })
      association.abort()
      await association.closed
      association.abort()
      await expect(association.send([golden.echoRequest], LONG)).rejects.toMatchObject({ code: 'ASSOCIATION_ABORTED' })
      await association.release(5_000)
    })
  })

  it('of a peer that goes on sending keeps nothing of it, and ends by ARTIM', { timeout: 10_000 }, async () => {
    const flood = Buffer.concat(Array.from({ length: 64 }, () => dataPdu(pdv(1, 0, Buffer.alloc(1_000)))))
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept()
      await it.flood(flood)
      await it.until(() => it.isOver, 'the connection to be cut')
    })
    const association = await requestOf(peer, { artim: 400 })
    await association.read(LONG)
    // The script does not look at what comes, and so never closes for our A-ABORT.
    peer.connection().socket.removeAllListeners('end')
    const before = process.memoryUsage()
    association.abort()
    await association.closed
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64 * 1024 * 1024)
    await peer.finished()
  })
})

describe('backpressure', () => {
  it.each([
    ['large PDUs', dataPdu(pdv(1, 0, Buffer.alloc(60_000)))],
    ['PDVs of one byte', dataPdu(...Array.from({ length: 2_000 }, () => pdv(1, 0, Buffer.of(1))))],
    ['PDVs without bytes', dataPdu(...Array.from({ length: 2_000 }, () => pdv(1, 0, Buffer.of())))],
  ])('holds up a peer that sends %s faster than they are read, and lets it go on', async (_, bytes) => {
    await withPeer(
      (it) => it.flood(bytes),
      async (association, peer) => {
        const held = await settledAt(() => peer.bytesSent)
        expect(held).toBeLessThan(HIGH_WATER_BYTES + KERNEL_BYTES)
        // More than can have been waiting here.
        for (let read = 0; read < 8 * HIGH_WATER_BYTES;) {
          const piece = await association.read(LONG)
          read += piece!.bytes.length + PIECE_OVERHEAD_BYTES
        }
        association.abort()
      },
    )
  })

  it('does not keep the end of the peer from being seen, once all is read', async () => {
    const bytes = dataPdu(pdv(1, 0, Buffer.alloc(60_000)))
    const script: Script = async (it) => {
      for (let count = 0; count < 60; count++) await it.send(bytes)
      await it.send(golden.releaseRequest)
      await it.expect(6)
      it.close()
    }
    await withPeer(script, async (association) => {
      let read = 0
      for (let piece = await association.read(LONG); piece; piece = await association.read(LONG)) {
        read += piece.bytes.length
        if (read < 200_000) await new Promise(setImmediate)
      }
      expect(read).toBe(60 * 60_000)
    })
  })
})

describe('sending to a peer that does not read', () => {
  /** More than the kernel takes. */
  const much = Array.from({ length: 500 }, () => dataPdu(pdv(1, 0, Buffer.alloc(60_000))))
  const stalls: Script = async (it) => {
    it.stall()
    await it.until(() => it.isOver, 'the end')
  }

  async function stalled(
    test: (send: (wait?: Wait) => Promise<void>, association: Association, peer: PeerConnection) => Promise<void>,
  ) {
    await withPeer(stalls, async (association, peer) => {
      await test((wait = LONG) => association.send(much, wait), association, peer)
      peer.socket.destroy()
    })
  }

  it('waits until it reads on', () =>
    stalled(async (send, _, peer) => {
      let sent = false
      const sending = send().then(() => (sent = true))
      await settledAt(() => peer.socket.bytesRead)
      expect(sent).toBe(false)
      peer.resume()
      await sending
    }))

  it('ends by the signal', () =>
    stalled(async (send) => {
      const controller = new AbortController()
      const sending = failureOf(send({ ...LONG, signal: controller.signal }))
      setImmediate(() => controller.abort(new Error('gone')))
      expect(await sending).toMatchObject({ message: 'gone' })
    }))

  it('ends by time', () =>
    stalled(async (send) => {
      await expect(send({ timeout: 50, what: 'room' })).rejects.toMatchObject({
        code: 'PEER_TIMEOUT',
        waitedFor: 'room',
      })
    }))

  it('ends by an abort of ours', () =>
    stalled(async (send, association) => {
      const sending = failureOf(send())
      association.abort()
      expect(await sending).toMatchObject({ code: 'ASSOCIATION_ABORTED', by: 'us' })
    }))

  it('ends by an A-ABORT of the peer', () =>
    stalled(async (send, _, peer) => {
      const sending = failureOf(send())
      await peer.send(abort(2, 0))
      expect(await sending).toMatchObject({ code: 'ASSOCIATION_ABORTED', by: 'peer' })
    }))

  it.each(['reset', 'close'] as const)('ends by a %s of the peer, never as if all had gone', (how) =>
    stalled(async (send, _, peer) => {
      const sending = failureOf(send())
      peer[how]()
      expect(await sending).toMatchObject({ code: 'CONNECTION_LOST' })
    }),
  )

  it('does not begin when the signal is aborted already', async () => {
    await withPeer(closes, async (association, peer) => {
      const { length } = peer.received
      const send = association.send([golden.echoRequest], { ...LONG, signal: AbortSignal.abort(new Error('gone')) })
      await expect(send).rejects.toThrow('gone')
      association.abort()
      await association.closed
      expect(peer.received.subarray(length)).toEqual(abort(0, 0))
    })
  })
})

/** The value once it has not changed for 100 ms. */
async function settledAt(value: () => number): Promise<number> {
  let last = value()
  for (let same = 0; same < 10;) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    same = value() === last && last > 0 ? same + 1 : 0
    last = value()
  }
  return last
}
