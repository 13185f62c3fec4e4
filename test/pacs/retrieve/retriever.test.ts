import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { REMEMBERED_MS, UNKNOWN_MS } from '../../../src/pacs/retrieve/retriever.ts'
import { collect } from '../../support/byte-stream.ts'
import { E, MR, S, seriesFiles } from '../../support/dicom-files.ts'
import { getResponse, STUDY_ROOT_GET } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { listing, ScriptedArchive, storeAll } from '../../support/scripted-archive.ts'
import { C_MOVE_RQ, endMove, onMove, StorageCaller } from '../../support/scripted-mover.ts'
import { sliceUid, STUDY } from '../../support/slices.ts'

failOnLeaks()

const C_GET_RQ = 0x0010
const FAILED_LIST = 0x00080058
const noGet: Faults = { acceptsClass: (uid) => uid !== STUDY_ROOT_GET }
const series = seriesFiles(4)
const all = [1, 2, 3, 4].map((n) => `${E}.${n}`)

const kept = keeper()

afterEach(async () => {
  vi.useRealTimers()
})

async function archiveAt(
  address: { port: number; aeTitle?: string },
  listener: { port: number; enabled?: boolean | 'auto' },
): Promise<{ archive: Archive; destination: MoveDestination }> {
  const config = parseConfig({
    dimse: { host: '127.0.0.1', enabled: true, ...listener },
    // An association that was agreed on without C-GET is not kept: it would hide that there is C-GET now.
    archives: [{ aeTitle: 'DEMO', host: '127.0.0.1', retrieve: 'auto', timeouts: { idle: '10ms' }, ...address }],
  })
  const destination = kept(new MoveDestination(config.dimse))
  if (config.dimse.enabled === true) await destination.listen()
  return { destination, archive: kept(await Archive.open(config.archives[0]!, destination)) }
}

async function demoWith(
  faults: Faults,
  enabled: boolean | 'auto' = true,
): Promise<{ demo: DemoArchive; archive: Archive; ways: () => [number, number] }> {
  const port = await freePort()
  const demo = kept(await DemoArchive.start({ destinations: { DIMSEGATE: { host: '127.0.0.1', port } }, faults }))
  for (const file of series) await demo.put(file)
  const { archive } = await archiveAt({ port: demo.port }, { port, enabled })
  return { demo, archive, ways: () => [demo.retrievals, demo.moves] }
}

async function fetched(archive: Archive, study = S, only?: string): Promise<string[]> {
  const uids: string[] = []
  const selection = { study, ...(only !== undefined && { series: only }) }
  for await (const { sopInstance, body } of archive.retrieve(selection, true, {
    signal: new AbortController().signal,
  })) {
    await collect(body)
    uids.push(sopInstance)
  }
  // Idle associations go.
  await delay(40)
  return uids.sort()
}

describe('an archive without C-GET', () => {
  it.each([true, 'auto'] as const)(
    'is asked by C-MOVE, and for hours not otherwise (dimse.enabled %s)',
    async (enabled) => {
      const { demo, archive, ways } = await demoWith(noGet, enabled)
      vi.useFakeTimers({ toFake: ['performance'] })
      expect(await fetched(archive)).toEqual(all)
      // It has C-GET from now on, but it was told for hours that it has none.
      demo.faults = {}
      expect(await fetched(archive)).toEqual(all)
      vi.advanceTimersByTime(REMEMBERED_MS - 1_000)
      expect(await fetched(archive)).toEqual(all)
      expect(ways()).toEqual([0, 3])
      vi.advanceTimersByTime(2_000)
      expect(await fetched(archive)).toEqual(all)
      expect(ways()).toEqual([1, 3])
    },
  )

  it('that fails at C-MOVE too is asked by C-GET the next time', async () => {
    const { demo, archive, ways } = await demoWith(noGet)
    expect(await fetched(archive)).toEqual(all)
    demo.faults = { ...noGet, moveStatus: 0xa801 }
    await expect(fetched(archive)).rejects.toMatchObject({ status: 0xa801 })
    // The association that was agreed on without C-GET goes.
    await delay(40)
    demo.faults = {}
    expect(await fetched(archive)).toEqual(all)
    expect(ways()).toEqual([1, 2])
  })

  it('is not asked by C-GET again since somebody left', async () => {
    const { demo, archive, ways } = await demoWith(noGet)
    expect(await fetched(archive)).toEqual(all)
    demo.faults = {}
    const controller = new AbortController()
    const reading = archive.retrieve({ study: S }, true, { signal: controller.signal })
    await reading.next()
    controller.abort(new Error('left'))
    await expect(reading.next()).rejects.toThrow('left')
    expect(await fetched(archive)).toEqual(all)
    expect(ways()).toEqual([0, 3])
  })

  it('that does not know us either is told by what its C-MOVE says', async () => {
    const { archive } = await demoWith({ ...noGet, moveStatus: 0xa801 })
    await expect(fetched(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xa801 })
  })
})

describe('an archive that accepts C-GET and fails every sub-operation (A702)', () => {
  const failing = (demo: () => DemoArchive): Faults => ({ getFails: () => demo().moves === 0 })

  it('is asked by C-MOVE where the listener is open, and from then on at once', async () => {
    const { demo, archive, ways } = await demoWith({})
    demo.faults = failing(() => demo)
    expect(await fetched(archive)).toEqual(all)
    expect(demo.moves).toBe(1)
    const [gets] = ways()
    expect(gets).toBeGreaterThan(0)
    expect(await fetched(archive)).toEqual(all)
    expect(ways()).toEqual([gets, 2])
  })

  it('of one series, and gave others, is asked by C-GET for those', async () => {
    const { demo, archive, ways } = await demoWith({})
    const other = `${S}.77`
    for (const file of seriesFiles(2, { series: other, sopClass: MR })) await demo.put(file)
    expect(await fetched(archive, S, E)).toEqual(all)
    demo.faults = { getFails: (uid) => uid.startsWith(other) && demo.moves === 0 }
    expect(await fetched(archive, S, other)).toHaveLength(2)
    expect(demo.moves).toBe(1)
    const [gets] = ways()
    expect(await fetched(archive, S, E)).toEqual(all)
    expect(ways()).toEqual([gets + 1, 1])
    expect(archive.habits.join()).toContain('Of some SOP classes')
  })

  it.each([true, 'auto'] as const)(
    'is asked by C-MOVE, the listener opened for it (dimse.enabled %s)',
    async (enabled) => {
      const { demo, archive, ways } = await demoWith({}, enabled)
      demo.faults = failing(() => demo)
      expect(await fetched(archive)).toEqual(all)
      expect(ways()[1]).toBe(1)
    },
  )

  it('is told by A702 where the listener is switched off', async () => {
    const { demo, archive } = await demoWith({}, false)
    demo.faults = failing(() => demo)
    await expect(fetched(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xa702 })
    expect(demo.moves).toBe(0)
  })

  it('and does not know us for C-MOVE is asked for that once a minute, and no association of it is kept', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { archive, ways } = await demoWith({ getFails: () => true, moveStatus: 0xa801 })
    for (const moves of [1, 1]) {
      await expect(fetched(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS' })
      expect(ways()[1]).toBe(moves)
    }
    vi.advanceTimersByTime(UNKNOWN_MS + 1)
    await expect(fetched(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS' })
    expect(ways()[1]).toBe(2)
  })

  it('and at C-MOVE too is told by A702', async () => {
    const { archive } = await demoWith({ getFails: () => true })
    await expect(fetched(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xa702 })
  })
})

describe('an archive that cannot give a SOP class by C-GET', () => {
  it('is asked for what it has left out of it by C-MOVE at once, from then on', async () => {
    const port = await freePort()
    const [image, report] = [{ number: 1 }, { number: 2, sopClass: '1.2.840.10008.5.1.4.1.1.88.11', modality: 'SR' }]
    const scripted = kept(await ScriptedArchive.start({ find: listing([image, report]) }))
    let givesReports = false
    scripted.script.get = async (association, { contextId, messageId, identifier }) => {
      const named = identifier.strings(0x00080018)
      const wanted = [image, report].filter(({ number }) => named.length === 0 || named.includes(sliceUid(number)))
      const given = wanted.filter((shape) => shape === image || givesReports)
      await storeAll(
        association,
        given.map((shape) => ({ shape })),
      )
      const failed = wanted.length - given.length
      const data = association.encode(contextId, new Dataset().set(FAILED_LIST, failed > 0 ? [sliceUid(2)] : []))
      const status = failed > 0 ? { status: 0xb000, data } : {}
      await association.peer.send(getResponse({ contextId, messageId, completed: given.length, failed, ...status }))
    }
    scripted.script.other = onMove(async (association, message, originator) => {
      const storage = await StorageCaller.open(port, { callingAeTitle: 'DEMO' })
      await storage.store(report, { originator })
      await storage.release()
      storage.peer.socket.destroy()
      await endMove(association, message, { completed: 1, failed: 0 })
    })
    const { archive } = await archiveAt(scripted.address, { port })
    const asked = async (): Promise<[number, number]> => {
      const before = [scripted.received(C_GET_RQ).length, scripted.received(C_MOVE_RQ).length] as const
      expect(await fetched(archive, STUDY)).toEqual([sliceUid(1), sliceUid(2)])
      return [scripted.received(C_GET_RQ).length - before[0], scripted.received(C_MOVE_RQ).length - before[1]]
    }
    const [gets, moves] = await asked()
    expect(gets).toBeGreaterThan(1)
    expect(moves).toBe(1)
    expect(archive.habits).toContain('Of some SOP classes it gives nothing by C-GET: it is asked for these by C-MOVE')
    expect(await asked()).toEqual([1, 1])
    // It is still asked for the whole by C-GET, so that it is noticed when it can.
    givesReports = true
    expect(await asked()).toEqual([1, 0])
    givesReports = false
    expect((await asked())[0]).toBeGreaterThan(1)
  })
})

describe('an archive that cannot give some instances by C-GET (B000)', () => {
  it('is asked for just these by C-MOVE, and by C-GET first the next time', async () => {
    const port = await freePort()
    const shapes = [1, 2, 3, 4, 5].map((number) => ({ number }))
    const lost = [4, 5].map((n) => sliceUid(n))
    const scripted = kept(await ScriptedArchive.start({ find: listing(shapes) }))
    scripted.script.get = async (association, { contextId, messageId, identifier }) => {
      const named = identifier.strings(0x00080018)
      const wanted = shapes.filter(({ number }) => named.length === 0 || named.includes(sliceUid(number)))
      const good = wanted.filter(({ number }) => number < 4)
      await storeAll(
        association,
        good.map((shape) => ({ shape })),
      )
      const data = association.encode(contextId, new Dataset().set(FAILED_LIST, lost))
      const counts = { completed: good.length, failed: wanted.length - good.length, warning: 0 }
      await association.peer.send(getResponse({ contextId, messageId, status: 0xb000, data, ...counts }))
    }
    scripted.script.other = onMove(async (association, message, originator) => {
      const storage = await StorageCaller.open(port, { callingAeTitle: 'DEMO' })
      for (const number of [4, 5]) await storage.store({ number }, { originator })
      await storage.release()
      storage.peer.socket.destroy()
      await endMove(association, message, { completed: 2, failed: 0 })
    })
    const { archive } = await archiveAt(scripted.address, { port })
    const uids = shapes.map(({ number }) => sliceUid(number))
    expect(await fetched(archive, STUDY)).toEqual(uids)
    const moves = scripted.received(C_MOVE_RQ).map(({ identifier }) => identifier)
    expect(moves.map((identifier) => [identifier.string(0x00080052), identifier.strings(0x00080018)])).toEqual([
      ['IMAGE', lost],
    ])
    const gets = scripted.received(C_GET_RQ).length
    expect(await fetched(archive, STUDY)).toEqual(uids)
    expect(scripted.received(C_GET_RQ).length).toBeGreaterThan(gets)
  })
})
