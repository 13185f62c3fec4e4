import type { Selection } from '../../../src/instance/uids.ts'
import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import type { Instance } from '../../../src/pacs/instance.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { CT, moveResponse } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { splitPart10 } from '../../support/part10.ts'
import { freePort } from '../../support/ports.ts'
import { C_CANCEL_RQ, listing, ScriptedArchive } from '../../support/scripted-archive.ts'
import { C_MOVE_RQ, endMove, onMove, StorageCaller, type MoveHandler } from '../../support/scripted-mover.ts'
import { sliceDataset, sliceUid, SERIES, STUDY, type SliceShape } from '../../support/slices.ts'

// C-MOVE as real archives do it (dimse.md 11): a scripted archive that stores over associations of its own.

failOnLeaks()

const study: Selection = { study: STUDY }
const slices = (count: number, shape: SliceShape = {}): SliceShape[] =>
  Array.from({ length: count }, (_, index) => ({ ...shape, number: index + 1 }))
const uids = (count: number): string[] => slices(count).map(({ number }) => sliceUid(number!))

const kept = keeper()

interface Fixture {
  readonly scripted: ScriptedArchive
  readonly archive: Archive
  readonly port: number
  /** A storage association of the archive. */
  readonly caller: () => Promise<StorageCaller>
}

async function moving(
  listed: readonly SliceShape[],
  handler: (fixture: Fixture) => MoveHandler,
  settings: object = {},
  other?: Parameters<typeof onMove>[1],
): Promise<Fixture> {
  const port = await freePort()
  const scripted = kept(await ScriptedArchive.start({ find: listing(listed) }))
  const config = parseConfig({
    dimse: { host: '127.0.0.1', port },
    archives: [{ aeTitle: 'PACS', ...scripted.address, retrieve: 'move', ...settings }],
  })
  const destination = kept(new MoveDestination(config.dimse))
  const archive = kept(await Archive.open(config.archives[0]!, destination))
  const fixture = { scripted, archive, port, caller: async () => kept(await StorageCaller.open(port)) }
  scripted.script.other = onMove(handler(fixture), other)
  return fixture
}

/** Everything a retrieve gives, with its digests, and how it ends. */
async function retrieve(
  archive: Archive,
  selection: Selection = study,
  signal: AbortSignal = new AbortController().signal,
): Promise<{ uids: string[]; digests: string[]; error: unknown }> {
  const found: { uids: string[]; digests: string[]; error: unknown } = { uids: [], digests: [], error: undefined }
  try {
    for await (const instance of archive.retrieve(selection, true, { signal })) {
      const digest = hash('sha256', await collect(instance.body))
      found.uids.push(instance.sopInstance)
      found.digests.push(digest)
    }
  } catch (error) {
    found.error = error
  }
  return found
}

const digestOf = (shape: SliceShape): string =>
  hash('sha256', encodeDataset(sliceDataset(shape), EXPLICIT_VR_LITTLE_ENDIAN))

/** UIDs that a C-MOVE asks for by name. */
const asked = (scripted: ScriptedArchive): string[][] =>
  scripted.received(C_MOVE_RQ).map(({ identifier }) => identifier.strings(0x00080018))

describe('a C-MOVE', () => {
  it('whose final response comes before its last instances is waited for', async () => {
    const { archive } = await moving(slices(4), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      await storage.store({ number: 1 }, { originator })
      await endMove(association, message, { completed: 4, failed: 0, warning: 0 })
      for (const number of [2, 3, 4]) {
        await delay(60)
        await storage.store({ number }, { originator })
      }
      await storage.release()
    })
    const { uids: found, digests, error } = await retrieve(archive)
    expect(error).toBeUndefined()
    expect(found).toEqual(uids(4))
    expect(digests).toEqual(slices(4).map(digestOf))
  })

  it.each([
    ['only a final response with counters', { completed: 3, failed: 0, warning: 0 }],
    ['no counters at all', {}],
    ['counters that stay at zero', { completed: 0, failed: 0, warning: 0 }],
    ['counters of warnings', { completed: 1, failed: 0, warning: 2, status: 0xb000 }],
  ])('with %s brings everything, also what comes behind it, by one request', async (_, counters) => {
    const { archive, scripted } = await moving(slices(3), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      await storage.store({ number: 1 }, { originator })
      await storage.store({ number: 2 }, { originator })
      await endMove(association, message, counters)
      await delay(100)
      await storage.store({ number: 3 }, { originator })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(3), error: undefined })
    expect(scripted.received(C_MOVE_RQ)).toHaveLength(1)
  })

  it('without counters that did not bring everything is asked for the rest, not taken for whole', async () => {
    const { archive, scripted } = await moving(slices(3), ({ caller }) => async (association, message, originator) => {
      const wanted = message.identifier.strings(0x00080018)
      const storage = await caller()
      for (const number of wanted.length === 0 ? [1] : [2, 3]) await storage.store({ number }, { originator })
      await storage.release()
      await endMove(association, message)
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(3), error: undefined })
    expect(asked(scripted)).toEqual([[], [sliceUid(2), sliceUid(3)]])
  })

  it('with Pending responses that say nothing goes on', async () => {
    const { archive } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
      const { contextId, messageId } = message
      const storage = await caller()
      for (const number of [1, 2]) {
        await association.peer.send(moveResponse({ contextId, messageId, status: 0xff00 }))
        await storage.store({ number }, { originator })
        await association.peer.send(moveResponse({ contextId, messageId: 0, status: 0xff01, remaining: 9 }))
      }
      await endMove(association, message, { completed: 2 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(2), error: undefined })
  })

  it('without any Pending response is not silent while its instances come, however long that takes', async () => {
    const timeouts = { move: '250ms' }
    const { archive } = await moving(
      slices(6),
      ({ caller }) =>
        async (association, message, originator) => {
          const storage = await caller()
          for (const { number } of slices(6)) {
            await delay(100)
            await storage.store({ number: number! }, { originator })
          }
          await endMove(association, message, { completed: 6 })
        },
      { timeouts },
    )
    expect(await retrieve(archive)).toMatchObject({ uids: uids(6), error: undefined })
  })

  it('is not timed out by a reader that takes longer than the archive may', async () => {
    const { archive } = await moving(
      slices(2),
      ({ caller }) =>
        async (association, message, originator) => {
          const storage = await caller()
          for (const number of [1, 2]) await storage.store({ number }, { originator })
          await endMove(association, message, { completed: 2 })
        },
      { timeouts: { move: '200ms' } },
    )
    const found: string[] = []
    for await (const { sopInstance, body } of archive.retrieve(study, true, { signal: new AbortController().signal })) {
      await delay(500)
      await collect(body)
      found.push(sopInstance)
    }
    expect(found).toEqual(uids(2))
  })

  it('that is silent and delivers nothing is given up in time', async () => {
    const { archive } = await moving(slices(1), () => () => Promise.resolve(), { timeouts: { move: '200ms' } })
    expect(await retrieve(archive)).toMatchObject({ uids: [], error: { code: 'PEER_TIMEOUT' } })
    await eventually(() => expect(archive.stats.leased).toBe(0))
  })

  it('over several storage associations at once brings each instance once', async () => {
    const { archive } = await moving(slices(9), ({ caller }) => async (association, message, originator) => {
      await Promise.all(
        [0, 1, 2].map(async (n) => {
          const storage = await caller()
          for (const number of [1, 2, 3]) await storage.store({ number: 3 * n + number }, { originator })
          await storage.release()
        }),
      )
      await endMove(association, message, { completed: 9, failed: 0 })
    })
    const { uids: found, digests, error } = await retrieve(archive)
    expect(error).toBeUndefined()
    expect([...found].sort()).toEqual(uids(9))
    expect([...digests].sort()).toEqual(slices(9).map(digestOf).sort())
  })

  it('that stores an instance twice gives it once', async () => {
    const { archive } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      for (const number of [1, 1, 2]) expect(await storage.store({ number }, { originator })).toBe(0)
      await endMove(association, message, { completed: 3 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(2), error: undefined })
  })

  it('that names the wrong move, or none that there is, is known by its UIDs', async () => {
    const { archive } = await moving(slices(3), ({ caller }) => async (association, message) => {
      const storage = await caller()
      const wrong = [{ aeTitle: 'DIMSEGATE', messageId: 0 }, { aeTitle: 'NOBODY', messageId: 4711 }, undefined]
      for (const [index, originator] of wrong.entries())
        await storage.store({ number: index + 1 }, originator ? { originator } : {})
      await endMove(association, message, { completed: 3 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(3), error: undefined })
  })

  it('that moves something else beside what was asked for: only that is given', async () => {
    const other: SliceShape = { study: '1.2.66', series: '1.2.66.1' }
    const statuses: unknown[] = []
    const { archive } = await moving(slices(1), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      statuses.push(await storage.store(other, { originator }), await storage.store({ number: 1 }, { originator }))
      await endMove(association, message, { status: 0xb000, completed: 1, failed: 1 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(1), error: undefined })
    expect(statuses).toEqual([0x0124, 0])
  })

  it('of an instance that moves its whole series gives the one', async () => {
    const { archive } = await moving(slices(3), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      for (const number of [1, 2, 3]) await storage.store({ number }, { originator })
      await endMove(association, message, { completed: 1, failed: 2, status: 0xb000 })
    })
    const selection = { study: STUDY, series: SERIES, instance: sliceUid(2) }
    expect(await retrieve(archive, selection)).toMatchObject({ uids: [sliceUid(2)], error: undefined })
  })
})

describe('a C-MOVE that goes wrong', () => {
  it('by a storage association that is aborted between instances is asked again for the rest', async () => {
    const { archive, scripted } = await moving(slices(5), ({ caller }) => async (association, message, originator) => {
      const wanted = message.identifier.strings(0x00080018)
      const storage = await caller()
      if (wanted.length === 0) {
        for (const number of [1, 2]) await storage.store({ number }, { originator })
        await storage.peer.abort()
        await endMove(association, message, { status: 0xb000, completed: 2, failed: 3 })
        return
      }
      for (const number of [3, 4, 5]) await storage.store({ number }, { originator })
      await endMove(association, message, { completed: 3 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(5), error: undefined })
    expect(asked(scripted)).toEqual([[], [3, 4, 5].map((n) => sliceUid(n))])
  })

  it.each([
    ['says so', { status: 0xb000, completed: 1, failed: 1 }],
    ['calls it a success', { status: 0, completed: 2, failed: 0 }],
    ['does not count', { status: 0 }],
  ])('by a storage association that breaks within an instance fails, where the archive %s', async (_, response) => {
    const { archive } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      await storage.store({ number: 1 }, { originator })
      const bytes = storage.bytes({ number: 2, size: 50_000 }, { originator, fragments: [20_000] })
      await storage.peer.send(bytes.subarray(0, 30_000))
      await delay(20)
      storage.peer.reset()
      await endMove(association, message, response)
    })
    const { uids: found, error } = await retrieve(archive)
    expect(found).toEqual(uids(1))
    expect(error).toBeInstanceOf(Error)
    expect(archive.stats.leased).toBe(0)
  })

  it.each([
    ['before it has delivered', 0],
    ['between instances', 2],
  ])('by the archive itself, %s, fails', async (_, count) => {
    const { archive } = await moving(slices(3), ({ caller }) => async (association, _message, originator) => {
      const storage = await caller()
      for (const { number } of slices(count)) await storage.store({ number: number! }, { originator })
      storage.peer.reset()
      association.peer.reset()
    })
    const { uids: found, error } = await retrieve(archive)
    expect(found).toEqual(uids(count))
    expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
    expect(archive.stats.leased).toBe(0)
  })

  it('by an archive that dies and leaves an instance half sent fails at once', async () => {
    const { archive } = await moving(slices(1), ({ caller }) => async (association, _message, originator) => {
      const storage = await caller()
      const bytes = storage.bytes({ number: 1, size: 50_000 }, { originator, fragments: [20_000] })
      await storage.peer.send(bytes.subarray(0, 30_000))
      await delay(50)
      association.peer.reset()
    })
    const start = performance.now()
    expect(await retrieve(archive)).toMatchObject({ uids: [], error: { code: 'CONNECTION_LOST' } })
    expect(performance.now() - start).toBeLessThan(3_000)
  })

  it('of an instance that ends inside an element lacks it, however whole the archive calls it', async () => {
    const statuses: unknown[] = []
    const { archive } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      statuses.push(await storage.store({ number: 1 }, { originator }))
      statuses.push(await storage.store({ number: 2, size: 5_000 }, { originator, cut: 3_000 }))
      await endMove(association, message, { completed: 2, failed: 0 })
    })
    const { uids: found, error } = await retrieve(archive)
    // It is passed on as far as it goes, and asked for again.
    expect(found).toEqual([1, 2, 2].map((n) => sliceUid(n)))
    const cause = { code: 'MALFORMED_DATA_SET' }
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 1, missing: 1, isDamageOnly: true, cause })
    await eventually(() => expect(statuses).toEqual([0, 0xc000, 0, 0xc000]))
  })

  it('is asked again for one instance at a time where the archive cannot match lists of UIDs', async () => {
    const { archive, scripted } = await moving(
      slices(4),
      ({ caller }) =>
        async (association, message, originator) => {
          const wanted = message.identifier.strings(0x00080018)
          const storage = await caller()
          const numbers = wanted.length === 0 ? [1, 2] : [3, 4].filter((n) => wanted.includes(sliceUid(n)))
          for (const number of numbers) await storage.store({ number }, { originator })
          const failed = wanted.length === 0 ? 2 : 0
          await endMove(association, message, { status: failed ? 0xb000 : 0, completed: numbers.length, failed })
        },
      { quirks: { singleUidLists: true } },
    )
    expect(await retrieve(archive)).toMatchObject({ uids: uids(4), error: undefined })
    expect(asked(scripted)).toEqual([[], [sliceUid(3)], [sliceUid(4)]])
  })

  it('by nothing but success where the archive lists instances is incomplete, and says so', async () => {
    const { archive } = await moving(
      slices(2),
      () => (association, message) => endMove(association, message, { completed: 0, failed: 0 }),
      { timeouts: { move: '200ms' } },
    )
    expect(await retrieve(archive)).toMatchObject({ uids: [], error: { code: 'INCOMPLETE_RETRIEVE', missing: 2 } })
  })

  it('by a promise of more than ever comes is asked again, then incomplete', { timeout: 40_000 }, async () => {
    const { archive, scripted } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
      const wanted = message.identifier.strings(0x00080018)
      if (wanted.length === 0) await (await caller()).store({ number: 1 }, { originator })
      await endMove(association, message, wanted.length === 0 ? { completed: 2 } : { status: 0xa702, failed: 1 })
    })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(1), error: { code: 'INCOMPLETE_RETRIEVE', missing: 1 } })
    expect(asked(scripted)).toEqual([[], [sliceUid(2)], [sliceUid(2)]])
  })
})

describe('a reader', () => {
  it('that is slow holds the archive back', async () => {
    let sent = 0
    const { archive } = await moving(slices(40), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      for (const { number } of slices(40)) {
        if ((await storage.store({ number: number!, size: 400_000 }, { originator })) !== 0) break
        sent++
      }
      await endMove(association, message, { completed: sent })
    })
    const reading = archive.retrieve(study, true, { signal: new AbortController().signal })
    const first = (await reading.next()).value as Instance
    await delay(300)
    expect(sent).toBe(0)
    await collect(first.body)
    await delay(200)
    expect(sent).toBeLessThanOrEqual(1)
    let count = 1
    for (let next = await reading.next(); !next.done; next = await reading.next()) {
      await collect(next.value.body)
      count++
    }
    expect(count).toBe(40)
  })

  it('that leaves: the archive is cancelled, what still comes is refused, and the association serves the next', async () => {
    const late: unknown[] = []
    let cancelled = 0
    const { archive, scripted } = await moving(slices(3), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      if (scripted.received(C_MOVE_RQ).length > 1) {
        for (const number of [1, 2, 3]) await storage.store({ number }, { originator })
        await endMove(association, message, { completed: 3 })
        return
      }
      await storage.store({ number: 1 }, { originator })
      const next = await association.next()
      if (typeof next === 'object' && next.field === C_CANCEL_RQ) cancelled++
      late.push(await storage.store({ number: 2 }, { originator }))
      late.push((await caller()).results)
      await endMove(association, message, { status: 0xfe00, completed: 1, remaining: 2 })
    })
    for await (const { body } of archive.retrieve(study, true, { signal: new AbortController().signal })) {
      await collect(body)
      break
    }
    expect(archive.stats.leased).toBe(0)
    expect(cancelled).toBe(1)
    expect(late).toEqual([0x0124, [3]])
    expect(await retrieve(archive)).toMatchObject({ uids: uids(3), error: undefined })
    expect(
      new Set(scripted.log.filter(({ message }) => message.field === C_MOVE_RQ).map(({ association }) => association))
        .size,
    ).toBe(1)
  })

  it.each(['between instances', 'within an instance'])(
    'that is aborted %s leaves at once, and frees the association',
    async (when) => {
      const { archive } = await moving(slices(2), ({ caller }) => async (association, message, originator) => {
        const storage = await caller()
        await storage.store({ number: 1 }, { originator })
        const bytes = storage.bytes({ number: 2, size: 50_000 }, { originator, fragments: [20_000] })
        if (when === 'within an instance') await storage.peer.send(bytes.subarray(0, 30_000))
        await association.next()
        await endMove(association, message, { status: 0xfe00 })
      })
      const controller = new AbortController()
      setTimeout(() => controller.abort(new Error('The client has gone')), 150)
      const start = performance.now()
      expect(await retrieve(archive, study, controller.signal)).toMatchObject({
        uids: uids(1),
        error: { message: 'The client has gone' },
      })
      expect(performance.now() - start).toBeLessThan(2_000)
      expect(archive.stats.leased).toBe(0)
    },
  )

  it('that leaves within an instance leaves a storage association that serves others', async () => {
    const statuses: unknown[] = []
    const { archive, scripted } = await moving(slices(2), ({ caller }) => {
      let shared: StorageCaller | undefined
      return async (association, message, originator) => {
        shared ??= await caller()
        const storage = shared
        if (scripted.received(C_MOVE_RQ).length === 1) {
          const bytes = storage.bytes({ number: 1, size: 50_000 }, { originator, fragments: [30_000] })
          await storage.peer.send(bytes.subarray(0, 40_000))
          await association.next()
          // Its last fragment, in one piece.
          await storage.peer.send(bytes.subarray(40_000))
          statuses.push((await storage.peer.expect(4)).length > 0)
          await endMove(association, message, { status: 0xfe00 })
          return
        }
        for (const number of [1, 2]) statuses.push(await storage.store({ number }, { originator }))
        await endMove(association, message, { completed: 2 })
      }
    })
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('The client has gone')), 100)
    expect((await retrieve(archive, study, controller.signal)).error).toMatchObject({ message: 'The client has gone' })
    expect(await retrieve(archive)).toMatchObject({ uids: uids(2), error: undefined })
    expect(statuses).toEqual([true, 0, 0])
  })

  it('that leaves again and again: nothing is left behind', async () => {
    const { archive, scripted } = await moving(slices(3), ({ caller }) => async (association, message, originator) => {
      const storage = await caller()
      for (const number of [1, 2, 3]) if ((await storage.store({ number }, { originator })) !== 0) break
      await storage.release()
      await endMove(association, message, { status: 0xfe00 })
    })
    for (let n = 0; n < 30; n++) {
      for await (const _ of archive.retrieve(study, true, { signal: new AbortController().signal })) break
    }
    expect(archive.stats.leased).toBe(0)
    expect(scripted.open).toBeLessThanOrEqual(2)
  })
})

describe('two archives behind one listener', () => {
  const shapes = [
    { study: '1.2.40', series: '1.2.40.1', count: 4 },
    { study: '1.2.41', series: '1.2.41.1', count: 5 },
  ] as const
  /** As they are in each archive: the same UIDs, other pixels. */
  const filesOf = (archive: number): Buffer[] =>
    shapes.flatMap(({ study, series, count }) =>
      Array.from({ length: count }, (_, n) =>
        instanceFile({
          study,
          series,
          instance: `${series}.${n + 1}`,
          sopClass: CT,
          pixelBytes: 2 * (1000 + archive * 100 + n),
        }),
      ),
    )

  it('give each of 20 retrieves of overlapping studies all of its own', async () => {
    const port = await freePort()
    const destinations = { DIMSEGATE: { host: '127.0.0.1', port } }
    const demos = await Promise.all(
      ['ONE', 'TWO'].map(async (aeTitle, n) => {
        const demo = kept(await DemoArchive.start({ aeTitle, destinations, faults: { withoutOriginator: n === 1 } }))
        for (const file of filesOf(n)) await demo.put(file)
        return demo
      }),
    )
    const config = parseConfig({
      dimse: { host: '127.0.0.1', port },
      archives: demos.map(({ aeTitle, port: at }) => ({
        name: aeTitle.toLowerCase(),
        aeTitle,
        host: '127.0.0.1',
        port: at,
        retrieve: 'move',
        maxAssociations: 6,
      })),
    })
    const destination = kept(new MoveDestination(config.dimse))
    const archives = await Promise.all(config.archives.map(async (one) => kept(await Archive.open(one, destination))))
    const results = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const [which, shape] = [n % 2, shapes[(n >> 1) % 2]!]
        const selection = n % 3 === 0 ? { study: shape.study, series: shape.series } : { study: shape.study }
        return { which, shape, found: await retrieve(archives[which]!, selection) }
      }),
    )
    for (const { which, shape, found } of results) {
      expect(found.error).toBeUndefined()
      const wanted = filesOf(which)
        .map((file) => splitPart10(file))
        .filter(({ sopInstance }) => sopInstance.startsWith(`${shape.series}.`))
      expect(new Map(found.uids.map((uid, at) => [uid, found.digests[at]]))).toEqual(
        new Map(wanted.map(({ sopInstance, data }) => [sopInstance, hash('sha256', data)])),
      )
      expect(found.uids).toHaveLength(shape.count)
    }
    expect(archives.map(({ stats }) => [stats.leased, stats.waiting])).toEqual([
      [0, 0],
      [0, 0],
    ])
  })
})
