import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { IMPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { Scu } from '../../src/dimse/scu.ts'
import type { Association } from '../../src/network/association.ts'
import type { AcceptedContext } from '../../src/network/negotiation.ts'
import { failureOf, requestOf } from '../support/associations.ts'
import { findResponse, golden, IMPLICIT_LE, moveResponse, STUDY_ROOT_MOVE } from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedPeer, type PeerConnection, type ReceivedMessage } from '../support/scripted-peer.ts'

failOnLeaks()

const CANCEL = 0x0fff
const query = new Dataset().set(Attribute.QueryRetrieveLevel, 'STUDY').set(Attribute.StudyInstanceUID, '1.2.3')
const target = { destination: 'GATE', messageId: 4711 }

interface Setup {
  readonly scu: Scu
  readonly association: Association
  readonly context: AcceptedContext
}

/** A peer that gets a C-MOVE and answers it by the script. */
async function withPeer(
  script: (peer: PeerConnection, request: ReceivedMessage) => Promise<void>,
  test: (setup: Setup) => Promise<void>,
): Promise<void> {
  await using peer = await ScriptedPeer.listen(async (it) => {
    await it.accept()
    await script(it, await it.expectMessage())
  })
  const contexts = [{ id: 1, abstractSyntax: STUDY_ROOT_MOVE, transferSyntaxes: [IMPLICIT_LE] }]
  const association = await requestOf(peer, { contexts })
  try {
    await test({ scu: new Scu(association, { cancelGrace: 150 }), association, context: association.contexts.get(1)! })
  } finally {
    association.abort()
  }
  await peer.finished()
}

const ends = async (it: PeerConnection): Promise<void> => {
  await it.closed()
  it.close()
}

describe('a C-MOVE request', () => {
  it('names its destination and the message id of the caller, and carries the identifier', async () => {
    await withPeer(
      async (it, { command, field, data }) => {
        expect(field).toBe(0x0021)
        expect(command.get('0600')?.toString('latin1')).toBe('GATE')
        expect(command.get('0110')?.readUInt16LE(0)).toBe(4711)
        expect(command.get('0002')?.toString('latin1').replace('\0', '')).toBe(STUDY_ROOT_MOVE)
        expect(data).toEqual(Buffer.from(encodeDataset(query, IMPLICIT_VR_LITTLE_ENDIAN)))
        await it.send(moveResponse({ messageId: 4711, completed: 2, failed: 1, warning: 0, status: 0xb000 }))
        await ends(it)
      },
      async ({ scu, context, association }) => {
        const end = await scu.move(context, query, target, { timeout: 5_000 })
        expect(end).toMatchObject({ kind: 'end', status: 0xb000, completed: 2, failed: 1, warning: 0 })
        expect(association.idle).toBe(true)
      },
    )
  })

  it('ends by what the final response says: the instances that failed, or no counter at all', async () => {
    const failed = new Dataset().set(Attribute.FailedSOPInstanceUIDList, ['1.2', '1.3'])
    const data = encodeDataset(failed, IMPLICIT_VR_LITTLE_ENDIAN)
    await withPeer(
      async (it) => {
        await it.send(moveResponse({ status: 0xff00 }), moveResponse({ status: 0xff01, remaining: 2, completed: 0 }))
        await it.send(moveResponse({ status: 0xa702, data }))
        await ends(it)
      },
      async ({ scu, context }) => {
        const end = await scu.move(context, query, target, { timeout: 5_000 })
        expect(end).toMatchObject({ status: 0xa702, completed: undefined, failedInstances: ['1.2', '1.3'] })
      },
    )
  })

  it.each([
    ['the answer to another operation', findResponse(), 'PROTOCOL_ERROR'],
    ['a release', golden.releaseRequest, 'CONNECTION_LOST'],
  ])('answered by %s fails', async (_, bytes, code) => {
    await withPeer(
      async (it) => {
        await it.send(bytes)
        await ends(it)
      },
      async ({ scu, context }) => {
        expect(await failureOf(scu.move(context, query, target, { timeout: 5_000 }))).toMatchObject({ code })
      },
    )
  })
})

describe('a C-MOVE that is left', () => {
  it('is cancelled by its message id, and its association serves on when the peer ends it', async () => {
    const controller = new AbortController()
    await withPeer(
      async (it) => {
        await it.send(moveResponse({ status: 0xff00 }))
        controller.abort(new Error('left'))
        const { field, messageId } = await it.expectMessage()
        expect([field, messageId]).toEqual([CANCEL, 4711])
        await it.send(moveResponse({ status: 0xff00 }), moveResponse({ status: 0xfe00, remaining: 3 }))
        await ends(it)
      },
      async ({ scu, context, association }) => {
        const moving = scu.move(context, query, target, { timeout: 5_000, signal: controller.signal })
        expect(await failureOf(moving)).toMatchObject({ message: 'left' })
        expect(association.idle).toBe(true)
      },
    )
  })

  it('by a peer that ignores the C-CANCEL is aborted after the grace time', async () => {
    const controller = new AbortController()
    await withPeer(
      async (it) => {
        controller.abort(new Error('left'))
        await it.expectMessage()
        for (let n = 0; n < 200 && !it.isOver; n++) {
          await it.send(moveResponse({ status: 0xff00 }))
          await delay(10)
        }
        expect((await it.expect(7))[0]).toBe(7)
        await ends(it)
      },
      async ({ scu, context, association }) => {
        const start = performance.now()
        const moving = scu.move(context, query, target, { timeout: 5_000, signal: controller.signal })
        expect(await failureOf(moving)).toMatchObject({ message: 'left' })
        expect(performance.now() - start).toBeLessThan(1_500)
        expect(association.idle).toBe(false)
      },
    )
  })
})

describe('a C-MOVE without an answer', () => {
  it('is given up when the peer is silent', async () => {
    await withPeer(ends, async ({ scu, context }) => {
      const moving = scu.move(context, query, target, { timeout: 150 })
      expect(await failureOf(moving)).toMatchObject({ code: 'PEER_TIMEOUT' })
    })
  })

  it('is not given up while the peer is seen at work elsewhere, and in time when it no longer is', async () => {
    await withPeer(ends, async ({ scu, context }) => {
      const start = performance.now()
      const alive = (): number => Math.min(performance.now(), start + 400)
      const moving = scu.move(context, query, target, { timeout: 150, alive })
      expect(await failureOf(moving)).toMatchObject({ code: 'PEER_TIMEOUT' })
      const took = performance.now() - start
      expect(took).toBeGreaterThan(520)
      expect(took).toBeLessThan(1_500)
    })
  })
})
