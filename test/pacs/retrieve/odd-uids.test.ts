import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { getResponse } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { listing, ScriptedArchive, storeAll } from '../../support/scripted-archive.ts'
import { endMove, onMove, StorageCaller } from '../../support/scripted-mover.ts'
import { SERIES, STUDY, type SliceShape } from '../../support/slices.ts'

// UIDs that an archive holds against PS3.5 9.1, below a study that is asked for.

failOnLeaks()

const call = { signal: new AbortController().signal }
const kept = keeper()

const ODD = '1.2.\xe4\xdfB 7'
const C_GET_RQ = 0x0010
const C_MOVE_RQ = 0x0021

async function retrieved(archive: Archive): Promise<{ uids: string[]; error: unknown }> {
  const uids: string[] = []
  try {
    for await (const { sopInstance, body } of archive.retrieve({ study: STUDY }, true, call)) {
      await collect(body)
      uids.push(sopInstance)
    }
    return { uids, error: undefined }
  } catch (error) {
    return { uids, error }
  }
}

/** An archive whose first C-GET brings the first instance alone; later ones what is asked for, series by series. */
async function failing(shapes: readonly SliceShape[]): Promise<{ scripted: ScriptedArchive; archive: Archive }> {
  let gets = 0
  const scripted = kept(
    await ScriptedArchive.start({
      find: listing(shapes),
      get: async (association, { contextId, messageId, identifier }) => {
        const series = identifier.string(0x0020000e)
        const asked = identifier.strings(0x00080018)
        const wanted =
          gets++ === 0
            ? shapes.slice(0, 1)
            : shapes.filter((shape) => shape.series === series && asked.includes(shape.instance ?? ''))
        await storeAll(
          association,
          wanted.map((shape) => ({ shape })),
        )
        const failed = gets === 1 ? shapes.length - 1 : 0
        const status = failed > 0 ? 0xb000 : 0
        await association.peer.send(
          getResponse({ contextId, messageId, status, completed: wanted.length, failed, warning: 0 }),
        )
      },
    }),
  )
  return { scripted, archive: kept(await openArchive(scripted.address)) }
}

describe('a retrieve by C-GET', () => {
  test('learns the class of a series whose UID is none, where its modality says too little', async () => {
    const { scripted, archive } = await failing([{ series: ODD, instance: '1.2.9', modality: 'ZZ' }])
    expect(await retrieved(archive)).toEqual({ uids: ['1.2.9'], error: undefined })
    expect(scripted.received(0x0020).map(({ identifier }) => identifier.strings(0x0020000e))).toContainEqual([ODD])
  })

  test('asks again for what is missing by UIDs that are none', async () => {
    const { scripted, archive } = await failing([
      { series: SERIES, instance: '1.2.9' },
      { series: SERIES, instance: ODD },
      { series: ODD, instance: '1.2.10' },
    ])
    expect(await retrieved(archive)).toEqual({ uids: ['1.2.9', ODD, '1.2.10'], error: undefined })
    expect(scripted.received(C_GET_RQ).map(({ identifier }) => identifier.strings(0x00080018))).toEqual([
      [],
      [ODD],
      ['1.2.10'],
    ])
  })

  test.each([
    ['an instance', { series: SERIES, instance: '1.2.*' }],
    ['a series', { series: '1.2.*', instance: '1.2.11' }],
  ])('that lacks %s it cannot ask for gives the rest, and is not whole', async (_, shape) => {
    const { scripted, archive } = await failing([
      { series: SERIES, instance: '1.2.9' },
      shape,
      { series: SERIES, instance: '1.2.10' },
    ])
    const { uids, error } = await retrieved(archive)
    expect(uids).toEqual(['1.2.9', '1.2.10'])
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 2, missing: 1 })
    const keys = [...scripted.received(C_GET_RQ), ...scripted.received(0x0020)].flatMap(({ identifier }) => [
      ...identifier.strings(0x0020000e),
      ...identifier.strings(0x00080018),
    ])
    expect(keys).not.toContain('1.2.*')
  })
})

test('a retrieve by C-MOVE asks again for what is missing of a study by UIDs that are none', async () => {
  const port = await freePort()
  const shapes = [
    { series: SERIES, instance: '1.2.9' },
    { series: SERIES, instance: ODD },
    { series: SERIES, instance: '1.2.*' },
  ]
  const scripted = kept(await ScriptedArchive.start({ find: listing(shapes) }))
  const { dimse, archives } = parseConfig({
    dimse: { host: '127.0.0.1', port },
    archives: [{ aeTitle: 'PACS', ...scripted.address, retrieve: 'move' }],
  })
  const destination = kept(new MoveDestination(dimse))
  const archive = kept(await Archive.open(archives[0]!, destination))
  scripted.script.other = onMove(async (association, message, originator) => {
    const named = message.identifier.strings(0x00080018)
    if (named.length > 0) return endMove(association, message, { completed: 0, failed: named.length, status: 0xb000 })
    const storage = kept(await StorageCaller.open(port))
    await storage.store(shapes[0]!, { originator })
    await storage.release()
    await endMove(association, message, { completed: 1, failed: 2, status: 0xb000 })
  })
  const { uids, error } = await retrieved(archive)
  expect(uids).toEqual(['1.2.9'])
  // The listener takes nothing that is named by what is no UID.
  expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 1, missing: 2 })
  const asked = scripted.received(C_MOVE_RQ).map(({ identifier }) => identifier.strings(0x00080018))
  expect(asked).toEqual([[], [ODD], [ODD]])
})
