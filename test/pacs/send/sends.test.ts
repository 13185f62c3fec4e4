import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { IMPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { parseConfig } from '../../../src/config/config.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { selectionKeys } from '../../../src/pacs/search/query.ts'
import type { Send } from '../../../src/pacs/send/send.ts'
import { MAX_SENDS_PER_CLIENT } from '../../../src/pacs/send/sends.ts'
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

interface Asking {
  readonly study?: string
  readonly client?: string
}

/** Has a study sent, or series of it, or instances of one. */
function ask(
  archive: Archive,
  series: readonly string[] = [],
  instances: readonly string[] = [],
  { study = S, client = '' }: Asking = {},
): Promise<Send> {
  const destination = { name: 'there', aeTitle: 'THERE' }
  const keys = selectionKeys(study, undefined)
  if (instances.length > 0) keys.push(...selectionKeys(undefined, E, instances))
  else if (series.length > 0) keys.push({ tag: Attribute.SeriesInstanceUID, vr: 'UI', values: series })
  const level = instances.length > 0 ? 'IMAGE' : series.length > 0 ? 'SERIES' : 'STUDY'
  return archive.sends.request({ uid: `2.25.${++uids}`, owner: '', client, destination, query: { level, keys } })
}

const SUCCESS = 0x0000
const FAILED_LIST = encodeDataset(
  new Dataset().set(Attribute.FailedSOPInstanceUIDList, ['1.2.9']),
  IMPLICIT_VR_LITTLE_ENDIAN,
)

describe('a send, by what an archive says of it', () => {
  const pending = (remaining: number, completed: number, failed = 0): ResponseOptions => ({
    ...{ status: 0xff00, remaining, completed, failed, warning: 0 },
  })
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
      'a success without counts behind some that remain',
      [pending(5, 2), { status: SUCCESS }],
      { status: 'partly', counts: { remaining: 5 } },
    ],
    [
      'a success without counts behind a failure',
      [pending(0, 2, 2), { status: SUCCESS }],
      { status: 'partly', counts: { failed: 2 } },
    ],
    [
      'a success that takes failures back',
      [pending(0, 2, 2), { status: SUCCESS, completed: 2, failed: 0, warning: 0 }],
      { status: 'partly' },
    ],
    [
      'a success of less than was counted',
      [pending(3, 5), { status: SUCCESS, completed: 2, failed: 0, warning: 0 }],
      { status: 'partly', counts: { completed: 5 } },
    ],
    [
      'a pending response that counts one too many',
      [pending(2, 2), { status: SUCCESS, completed: 3, failed: 0, warning: 0 }],
      { status: 'complete' },
    ],
    [
      'warnings alone, which are sent',
      [{ status: SUCCESS, completed: 0, failed: 0, warning: 2 }],
      { status: 'complete', counts: { warning: 2 } },
    ],
    [
      'the status of failures, with none counted',
      [{ status: 0xb000, completed: 2, failed: 0, warning: 0 }],
      { status: 'partly', dimseStatus: 0xb000 },
    ],
    [
      'a success that lists failures',
      [{ status: SUCCESS, completed: 2, failed: 0, warning: 0, data: FAILED_LIST }],
      { status: 'partly', failedInstances: ['1.2.9'] },
    ],
    [
      'a failure behind what it has sent',
      [pending(1, 2), { status: 0xa702 }],
      { status: 'partly', dimseStatus: 0xa702, counts: { completed: 2 } },
    ],
    [
      'a failure that takes it back',
      [pending(1, 2), { status: 0xa702, completed: 0, failed: 0, warning: 0 }],
      { status: 'partly', counts: { completed: 2 } },
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
    const { status, dimseStatus, counts, failedInstances } = await ask(archive)
    expect({ status, dimseStatus, counts, failedInstances }).toMatchObject(expected)
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

  it('asks for series one by one, and adds them up', async () => {
    const { archive, peer } = await started((association, message, asked) =>
      respond(association, message, { status: SUCCESS, completed: asked, failed: asked - 1, warning: 0 }),
    )
    const { status, counts } = await ask(archive, [E, '1.2.3.9'])
    expect({ status, counts }).toMatchObject({ status: 'partly', counts: { completed: 3, failed: 1 } })
    const asked = peer.received(C_MOVE_RQ).map(({ identifier }) => identifier.strings(Attribute.SeriesInstanceUID))
    expect(asked).toEqual([[E], ['1.2.3.9']])
  })

  it('is not whole where one of several was not there', async () => {
    const { archive } = await started((association, message, asked) =>
      respond(association, message, { status: SUCCESS, completed: asked === 1 ? 3 : 0, failed: 0, warning: 0 }),
    )
    expect(await ask(archive, [E, '1.2.3.9'])).toMatchObject({ status: 'partly', error: { code: 'NOTHING_TO_SEND' } })
  })

  it('goes on behind one that the archive refuses, and says so', async () => {
    const { archive, peer } = await started((association, message, asked) =>
      respond(association, message, asked === 1 ? { status: 0xa900 } : { status: SUCCESS, completed: 2 }),
    )
    const { status, error, dimseStatus } = await ask(archive, [E, '1.2.3.9'])
    expect({ status, error, dimseStatus }).toMatchObject({
      status: 'partly',
      error: { status: 0xa900 },
      dimseStatus: 0xa900,
    })
    expect(peer.received(C_MOVE_RQ)).toHaveLength(2)
  })

  it('does not where the archive does not know the destination', async () => {
    const { archive, peer } = await started((association, message) => respond(association, message, { status: 0xa801 }))
    await expect(ask(archive, [E, '1.2.3.9'])).rejects.toMatchObject({ status: 0xa801 })
    expect(peer.received(C_MOVE_RQ)).toHaveLength(1)
  })

  it.each([
    ['all of them', 3, 'complete', 1],
    ['fewer than are named', 1, 'partly', 1],
    ['none of them, and of one by one', 0, 'failed', 4],
  ])('asks for instances by a list, of which the archive sends %s', async (_, sends, expected, moves) => {
    const { archive, peer } = await started((association, message) =>
      respond(association, message, { status: SUCCESS, completed: sends, failed: 0, warning: 0 }),
    )
    peer.script = { ...peer.script, find: (association, message) => answerFind(association, message, []) }
    const asked = await ask(archive, [], ['1.1', '1.2', '1.3']).catch(() => ({ status: 'failed' }))
    expect([asked.status, peer.received(C_MOVE_RQ).length]).toEqual([expected, moves])
  })

  it('sends instances one by one where a list finds none', async () => {
    const { archive } = await started((association, message) => {
      const named = message.identifier.strings(Attribute.SOPInstanceUID).length
      return respond(association, message, { status: SUCCESS, completed: named === 1 ? 1 : 0, failed: 0, warning: 0 })
    })
    expect(await ask(archive, [], ['1.1', '1.2'])).toMatchObject({ status: 'complete', counts: { completed: 2 } })
  })

  it('counts what the archive says behind a C-CANCEL', async () => {
    let asked: { association: ArchiveAssociation; message: ArchiveMessage } | undefined
    const { archive, peer } = await started(async (association, message) => {
      asked = { association, message }
      await respond(association, message, pending(4, 1))
    })
    const { other } = peer.script
    peer.script = {
      ...peer.script,
      other: async (association, message) => {
        await other!(association, message)
        if (message.field !== C_CANCEL_RQ) return
        await respond(asked!.association, asked!.message, {
          status: 0xfe00,
          remaining: 1,
          completed: 4,
          failed: 0,
          warning: 0,
        })
      },
    }
    const answer = ask(archive)
    await eventually(() => expect(archive.sends.find('', `2.25.${uids}`)?.counts.completed).toBe(1))
    archive.sends.cancel(archive.sends.find('', `2.25.${uids}`)!)
    const { status, counts, dimseStatus } = await answer
    expect({ status, counts, dimseStatus }).toMatchObject({
      status: 'cancelled',
      counts: { completed: 4 },
      dimseStatus: 0xfe00,
    })
  })

  it('waits on where no association is free in time', async () => {
    const { archive } = await started(
      (association, message) => respond(association, message, { status: SUCCESS, completed: 1 }),
      {
        maxAssociations: 1,
        timeouts: { queue: '100ms' },
      },
    )
    const leave = await archive.reserve({ signal: new AbortController().signal })
    const send = await ask(archive)
    expect(send.status).toBe('waiting')
    leave()
    await eventually(() => expect(send.status).toBe('complete'))
  })

  it('gives its place to others as soon as it is cancelled, and clients take turns', async () => {
    const gate = Promise.withResolvers<undefined>()
    const order: string[] = []
    const { archive } = await started(
      async (association, message) => {
        order.push(message.identifier.string(Attribute.StudyInstanceUID)!)
        await gate.promise
        await respond(association, message, { status: SUCCESS, completed: 1 })
      },
      { maxAssociations: 1 },
    )
    const mine = Array.from({ length: MAX_SENDS_PER_CLIENT }, (_, n) =>
      ask(archive, [], [], { study: `1.${n}`, client: 'a' }),
    )
    await eventually(() => expect(order).toHaveLength(1))
    await expect(ask(archive, [], [], { client: 'a' })).rejects.toMatchObject({ code: 'TOO_MANY_SENDS' })
    const last = archive.sends.find('', `2.25.${uids - 1}`)!
    archive.sends.cancel(last)
    expect(last.status).toBe('cancelled')
    mine.push(ask(archive, [], [], { study: '1.99', client: 'a' }), ask(archive, [], [], { study: '2.1', client: 'b' }))
    gate.resolve(undefined)
    await Promise.all(mine)
    await eventually(() => expect(order).toHaveLength(MAX_SENDS_PER_CLIENT + 1))
    expect(order.indexOf('2.1')).toBeLessThan(3)
  }, 20_000)

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
    await eventually(() => expect(archive.sends.find('', `2.25.${uids}`)?.status).toBe('cancelled'))
  })

  it('tells no more of one that ended too long ago', async () => {
    const { archive } = await started(
      (association, message) => respond(association, message, { status: SUCCESS, completed: 1 }),
      { send: { keep: '50ms' } },
    )
    const { request } = await ask(archive)
    expect(archive.sends.find('', request.uid)).toBeDefined()
    await eventually(() => expect(archive.sends.find('', request.uid)).toBeUndefined())
  })
})
