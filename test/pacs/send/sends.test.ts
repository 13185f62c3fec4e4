import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import type { Send } from '../../../src/pacs/send/send.ts'
import { E, S } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { findResponse, moveResponse } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import {
  C_CANCEL_RQ,
  ScriptedArchive,
  type ArchiveAssociation,
  type ArchiveMessage,
} from '../../support/scripted-archive.ts'

failOnLeaks()

const C_MOVE_RQ = 0x0021
const kept = keeper()

type Answer = (association: ArchiveAssociation, message: ArchiveMessage, asked: number) => Promise<void>
type ResponseOptions = NonNullable<Parameters<typeof moveResponse>[0]>

/** Sends one response to a C-MOVE. */
async function respond({ peer }: ArchiveAssociation, message: ArchiveMessage, options: ResponseOptions): Promise<void> {
  await peer.send(moveResponse({ contextId: message.contextId, messageId: message.messageId, ...options }))
}

/** Answers a C-FIND with studies. */
async function answerFind(
  association: ArchiveAssociation,
  message: ArchiveMessage,
  studies: readonly string[],
): Promise<void> {
  const { contextId, messageId } = message
  for (const study of studies) {
    const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, study))
    await association.peer.send(findResponse({ contextId, messageId, data }))
  }
  await association.peer.send(findResponse({ contextId, messageId }))
}

async function started(answer: Answer, settings: object = {}): Promise<{ peer: ScriptedArchive; archive: Archive }> {
  let asked = 0
  const peer = await ScriptedArchive.start({
    other: async (association, message) => {
      if (message.field === C_MOVE_RQ) await answer(association, message, ++asked)
    },
  })
  kept(peer)
  const config = parseConfig({ archives: [{ aeTitle: 'PEER', ...peer.address, ...settings }] })
  const destination = new MoveDestination(config.dimse)
  kept(destination)
  const archive = await Archive.open(config.archives[0]!, destination)
  kept(archive)
  return { peer, archive }
}

let uids = 0

function ask(archive: Archive, series: readonly string[] = []): Promise<Send> {
  const keys = [
    { tag: Attribute.StudyInstanceUID, vr: 'UI', values: [S] },
    { tag: Attribute.SeriesInstanceUID, vr: 'UI', values: series },
  ] as const
  const query = series.length === 0 ? { level: 'STUDY', keys: keys.slice(0, 1) } : { level: 'SERIES', keys }
  const destination = { name: 'there', aeTitle: 'THERE' }
  return archive.sends.request({ uid: `2.25.${++uids}`, owner: '', client: '', destination, query: query as never })
}

const SUCCESS = 0x0000

describe('a send, by what an archive says of it', () => {
  it.each<[string, ResponseOptions[], object]>([
    [
      'a success that counts',
      [{ status: SUCCESS, completed: 3, failed: 0, warning: 0 }],
      { status: 'complete', counts: { completed: 3 } },
    ],
    ['a success without counts', [{ status: SUCCESS }], { status: 'complete', counts: { completed: undefined } }],
    [
      'a success that counts failures',
      [{ status: SUCCESS, completed: 2, failed: 1, warning: 0 }],
      { status: 'partly', counts: { failed: 1 } },
    ],
    [
      'a success that leaves some over',
      [{ status: SUCCESS, completed: 2, failed: 0, warning: 0, remaining: 1 }],
      { status: 'partly', counts: { remaining: 1 } },
    ],
    [
      'warnings alone, which are sent',
      [{ status: SUCCESS, completed: 0, failed: 0, warning: 2 }],
      { status: 'complete', counts: { warning: 2 } },
    ],
    [
      'the status of failures, with none counted',
      [{ status: 0xb000, completed: 2, failed: 0, warning: 0 }],
      { status: 'partly' },
    ],
    [
      'a failure behind what it has sent',
      [{ status: 0xff00, remaining: 1, completed: 2, failed: 0, warning: 0 }, { status: 0xa702 }],
      { status: 'partly', dimseStatus: 0xa702, counts: { completed: 2 } },
    ],
    [
      'an end that it was not asked for',
      [{ status: 0xfe00, remaining: 1, completed: 2, failed: 0, warning: 0 }],
      { status: 'cancelled', dimseStatus: 0xfe00 },
    ],
  ])('takes %s for what it is', async (_, responses, expected) => {
    const { archive } = await started(async (association, message) => {
      for (const options of responses) await respond(association, message, options)
    })
    const { status, dimseStatus, counts } = await ask(archive)
    expect({ status, dimseStatus, counts }).toMatchObject(expected)
  })

  it.each([
    [[], 'NOTHING_TO_SEND'],
    [[S], undefined],
  ])('looks for what the archive calls sent and does not count: it lists %o', async (listed, code) => {
    const { archive, peer } = await started((association, message) =>
      respond(association, message, { status: SUCCESS, completed: 0, failed: 0, warning: 0 }),
    )
    peer.script = { ...peer.script, find: (association, message) => answerFind(association, message, listed) }
    const asked = await ask(archive).catch((error: unknown) => error)
    expect(asked).toMatchObject(
      code === undefined ? { status: 'partly', error: { code: 'SEND_NOT_COUNTED' } } : { code },
    )
  })

  it('adds up what is asked for one by one', async () => {
    const { archive, peer } = await started(
      (association, message, asked) =>
        respond(association, message, { status: SUCCESS, completed: asked, failed: asked - 1, warning: 0 }),
      { quirks: { singleUidLists: true } },
    )
    const { status, counts } = await ask(archive, [E, '1.2.3.9'])
    expect({ status, counts }).toMatchObject({ status: 'partly', counts: { completed: 3, failed: 1 } })
    const asked = peer.received(C_MOVE_RQ).map(({ identifier }) => identifier.strings(Attribute.SeriesInstanceUID))
    expect(asked).toEqual([[E], ['1.2.3.9']])
  })

  it('is not asked for again where the archive is lost within it', async () => {
    const { archive, peer } = await started(async (association, message) => {
      await respond(association, message, { status: 0xff00, remaining: 2, completed: 1, failed: 0, warning: 0 })
      association.peer.close()
    })
    const { status, error, counts } = await ask(archive)
    expect({ status, counts }).toMatchObject({ status: 'partly', counts: { completed: 1, remaining: 2 } })
    expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
    expect(peer.received(C_MOVE_RQ)).toHaveLength(1)
  })

  it('is given up where the archive says nothing for long', async () => {
    const { archive } = await started(async () => Promise.resolve(), { timeouts: { move: '100ms' } })
    await expect(ask(archive)).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
  })

  it('is ended by C-CANCEL when the service stops', async () => {
    const { archive, peer } = await started((association, message) =>
      respond(association, message, { status: 0xff00, remaining: 2, completed: 1, failed: 0, warning: 0 }),
    )
    const asked = ask(archive)
    await eventually(() => expect(peer.received(C_MOVE_RQ)).toHaveLength(1))
    archive.sends.close()
    await eventually(() => expect(peer.received(C_CANCEL_RQ)).toHaveLength(1))
    expect((await asked).status).toBe('sending')
    await peer[Symbol.asyncDispose]()
    await eventually(() => expect(archive.sends.find(`2.25.${uids}`)?.status).toBe('cancelled'))
  })

  it('tells no more of one that ended too long ago', async () => {
    const { archive } = await started(
      (association, message) => respond(association, message, { status: SUCCESS, completed: 1 }),
      { send: { keep: '50ms' } },
    )
    const { request } = await ask(archive)
    expect(archive.sends.find(request.uid)).toBeDefined()
    await eventually(() => expect(archive.sends.find(request.uid)).toBeUndefined())
  })
})
