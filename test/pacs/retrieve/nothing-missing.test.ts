import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import type { Selection } from '../../../src/instance/uids.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { HabitualArchive, type ArchiveHabits } from '../../support/habitual-archive.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { published } from '../../support/published.ts'
import { C_MOVE_RQ } from '../../support/scripted-mover.ts'
import { SERIES, sliceUid, STUDY, type SliceShape } from '../../support/slices.ts'

// A retrieve ends well only when nothing is missing by whatever the archive has said: counts, lists, numbers.

failOnLeaks()

const C_GET_RQ = 0x0010
const OTHER = `${STUDY}.2`
const learnt = published('dimsegate:habit')

/** Slices in one series, or the last of them in another. */
function slices(count: number, ofOther = 0): SliceShape[] {
  return Array.from({ length: count }, (_, n) => ({ number: n + 1, series: n < count - ofOther ? SERIES : OTHER }))
}

const uidOf = ({ number, series }: SliceShape): string => sliceUid(number!, series)

type Way = 'get' | 'move' | 'auto'

interface Fixture extends AsyncDisposable {
  readonly habitual: HabitualArchive
  readonly archive: Archive
}

async function start(habits: ArchiveHabits, retrieve: Way, settings: object = {}, straggler = 60): Promise<Fixture> {
  const port = await freePort()
  const habitual = await HabitualArchive.start(habits, port)
  const config = parseConfig({
    dimse: { host: '127.0.0.1', port },
    archives: [{ aeTitle: 'PACS', ...habitual.scripted.address, retrieve, timeouts: { move: '400ms' }, ...settings }],
  })
  const destination = new MoveDestination(config.dimse, { limits: { straggler } })
  const archive = await Archive.open(config.archives[0]!, destination)
  return {
    habitual,
    archive,
    async [Symbol.asyncDispose]() {
      await archive[Symbol.asyncDispose]()
      await destination[Symbol.asyncDispose]()
      await habitual[Symbol.asyncDispose]()
    },
  }
}

/** What a retrieve of the study gives, and how it ends. */
async function retrieve(
  { archive }: Fixture,
  selection: Selection = { study: STUDY },
): Promise<{ uids: string[]; error: unknown }> {
  const uids: string[] = []
  try {
    for await (const { sopInstance, body } of archive.retrieve(selection, true, {
      signal: new AbortController().signal,
    })) {
      await collect(body)
      uids.push(sopInstance)
    }
    return { uids: uids.sort(), error: undefined }
  } catch (error) {
    return { uids: uids.sort(), error }
  }
}

const asked = ({ habitual }: Fixture, field: number): number => habitual.scripted.received(field).length
const all = (shapes: readonly SliceShape[]): string[] => shapes.map(uidOf).sort()

describe.each(['get', 'move'] as const)('by C-%s, what does not come though the archive calls it a success', (way) => {
  it.each([
    ['completed 2, where the series has 3', { counts: 'right', numbers: 'series' }],
    ['completed 2, where the study has 3', { counts: 'right', numbers: 'study' }],
    ['completed 2, where 3 are listed', { counts: 'right', numbers: 'none' }],
    ['no counts, where 3 are listed', { counts: 'none', numbers: 'none' }],
    ['completed 3', { counts: 'all', numbers: 'none' }],
  ] as const)('is asked for again: %s', async (_, habits) => {
    const holds = slices(3)
    await using fixture = await start({ holds, sends: [0, 2], ...habits }, way)
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
  })

  it.each([
    ['the number of the series', { numbers: 'series', listsAtMost: 3 }],
    ['the number of the study', { numbers: 'study', listsAtMost: 3 }],
    ['its own count', { numbers: 'none', counts: 'all', listsAtMost: 3 }],
    ['a failed list, the listing being capped', { numbers: 'none', tellsFailures: true, listsAtMost: 3 }],
    ['the listing, that is ended by FE00', { numbers: 'none', listsAtMost: 4, listEnd: 0xfe00 }],
  ] as const)('is missing by %s', async (_, habits) => {
    const holds = slices(4)
    await using fixture = await start({ holds, keeps: [3], ...habits }, way)
    const { uids, error } = await retrieve(fixture)
    expect(uids).toEqual(all(holds.slice(0, 3)))
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 3, missing: 1 })
  })
})

describe('what is counted and not listed', () => {
  it('is asked for by its series, once more', async () => {
    const holds = slices(4, 2)
    await using fixture = await start({ holds, keeps: [3], numbers: 'series', listsAtMost: 1 }, 'get')
    expect((await retrieve(fixture)).error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', missing: 1 })
    const series = fixture.habitual.scripted.received(C_GET_RQ).map(({ identifier }) => identifier.string(0x0020000e))
    expect(series).toEqual([undefined, OTHER])
  })

  it('is asked for the other way, then given up', async () => {
    const holds = slices(3)
    await using fixture = await start({ holds, keeps: [2], numbers: 'study', listsAtMost: 2 }, 'auto')
    expect((await retrieve(fixture)).error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', missing: 1 })
    expect([asked(fixture, C_GET_RQ), asked(fixture, C_MOVE_RQ)]).toEqual([2, 1])
  })

  it('is not believed of an archive whose counts are wrong (quirks.wrongCounts)', async () => {
    const holds = slices(3)
    const habits: ArchiveHabits = { holds: slices(4), keeps: [3], numbers: 'both', counts: 'all', listsAtMost: 3 }
    await using fixture = await start(habits, 'get', { quirks: { wrongCounts: true } })
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
  })
})

describe('an archive that bears out what it sent', () => {
  it.each(['get', 'move'] as const)('is asked once by C-%s, and for no list of instances', async (way) => {
    const holds = slices(5, 2)
    await using fixture = await start({ holds }, way)
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect([asked(fixture, C_GET_RQ), asked(fixture, C_MOVE_RQ)]).toEqual(way === 'get' ? [1, 0] : [0, 1])
    expect(fixture.habitual.named.size).toBe(0)
  })

  it('by nothing at all is believed, which is told once', async () => {
    const holds = slices(2)
    const habits: ArchiveHabits = { holds, counts: 'none', numbers: 'none', listsAtMost: 0, listEnd: 0xa900 }
    await using fixture = await start(habits, 'get')
    for (let n = 0; n < 2; n++) expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect(learnt).toEqual([{ archive: 'pacs', habit: 'uncounted' }])
  })
})

describe('an archive that says odd things and gives everything', () => {
  const ways = ['get', 'move'] as const

  it.each(ways)('holding an instance twice, is asked once by C-%s', async (way) => {
    const [first, ...others] = slices(3)
    await using fixture = await start({ holds: [first!, first!, ...others], doubled: true }, way)
    expect(await retrieve(fixture)).toEqual({ uids: all([first!, ...others]), error: undefined })
    expect(asked(fixture, way === 'get' ? C_GET_RQ : C_MOVE_RQ)).toBe(1)
  })

  it.each(ways)('passing over keys of a C-FIND, gives by C-%s what was asked for and nothing else', async (way) => {
    const holds = slices(4, 2)
    for (const numbers of ['both', 'none'] as const) {
      await using fixture = await start({ holds, ignoresKeys: true, numbers }, way)
      const series = { study: STUDY, series: SERIES }
      expect(await retrieve(fixture, series)).toEqual({ uids: all(holds.slice(0, 2)), error: undefined })
      expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
      expect(asked(fixture, way === 'get' ? C_GET_RQ : C_MOVE_RQ)).toBe(2)
    }
  })

  it.each([
    ['get', { level: 'IMAGE', status: 0x0122 }],
    ['move', { level: 'IMAGE', status: 0x0122 }],
    ['move', { status: 0x0110 }],
    ['move', { status: 0xa900 }],
  ] as const)('by C-%s, refusing searches (%o), is believed', async (way, findStatus) => {
    const holds = slices(2)
    await using fixture = await start({ holds, numbers: 'none', findStatus }, way)
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
  })

  it('counting one more as remaining than there is, is asked once', async () => {
    const holds = slices(2)
    await using fixture = await start({ holds, pendingMore: 1 }, 'get')
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect(asked(fixture, C_GET_RQ)).toBe(1)
  })

  it('but silently never an instance it lists, is not waited for as one that delivers late', async () => {
    const holds = slices(3)
    for (const selection of [{ study: STUDY }, { study: STUDY, series: SERIES, instance: sliceUid(3) }]) {
      const habits: ArchiveHabits = { holds, keeps: [2], numbers: 'none' }
      await using fixture = await start(habits, 'move', { timeouts: { move: '10s' } })
      const began = performance.now()
      expect((await retrieve(fixture, selection)).error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', missing: 1 })
      expect(performance.now() - began).toBeLessThan(5_000)
    }
  })
})

describe('a C-MOVE that is answered before it is done', () => {
  it.each([
    ['completed 1', 'one'],
    ['all completed', 'all'],
    ['no counts', 'none'],
  ] as const)('brings everything, by one request, with %s', async (_, counts) => {
    const holds = slices(6)
    await using fixture = await start({ holds, counts, late: 200 }, 'move')
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect(asked(fixture, C_MOVE_RQ)).toBe(1)
  })

  it('holds no association meanwhile', async () => {
    await using fixture = await start({ holds: slices(1), late: 250 }, 'move')
    const end = retrieve(fixture)
    await expect.poll(() => asked(fixture, C_MOVE_RQ)).toBe(1)
    await expect.poll(() => fixture.archive.stats.leased).toBe(0)
    expect((await end).error).toBeUndefined()
  })

  it('brings what comes after it was asked again, too', async () => {
    // Longer than timeouts.move: by then it is asked for what is listed.
    const holds = slices(3)
    await using fixture = await start({ holds, late: 600 }, 'move')
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect(asked(fixture, C_MOVE_RQ)).toBeGreaterThan(1)
  })
})

/** Archives of up to five instances in two series, with whatever habits. */
const habits: fc.Arbitrary<ArchiveHabits & { total: number }> = fc
  .record({
    total: fc.integer({ min: 1, max: 5 }),
    ofOther: fc.integer({ min: 0, max: 2 }),
    sends: fc.option(fc.uniqueArray(fc.integer({ min: 0, max: 4 })), { nil: undefined }),
    keeps: fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { maxLength: 2 }),
    counts: fc.constantFrom('right', 'none', 'one', 'all'),
    tellsFailures: fc.boolean(),
    listsAtMost: fc.constantFrom(Infinity, Infinity, 0, 1, 2),
    listEnd: fc.constantFrom(0, 0xfe00, 0xa700, 0xa900, 0xc001),
    numbers: fc.constantFrom('both', 'series', 'study', 'none'),
    repeats: fc.boolean(),
    backwards: fc.boolean(),
    late: fc.constantFrom(undefined, undefined, 0, 30),
  })
  .map(({ total, ofOther, sends, tellsFailures, ...habits }) => ({
    ...habits,
    total,
    // Otherwise it counts what failed twice: more than it has.
    tellsFailures: tellsFailures && habits.counts !== 'all',
    holds: slices(total, Math.min(ofOther, total)),
    ...(sends && { sends }),
  })) as fc.Arbitrary<ArchiveHabits & { total: number }>

/** What is asked for: the study, its first series, or its first instance. */
const selections: fc.Arbitrary<Selection> = fc.constantFrom(
  { study: STUDY },
  { study: STUDY },
  { study: STUDY, series: SERIES },
  { study: STUDY, series: SERIES, instance: sliceUid(1) },
)

describe('whatever an archive does', () => {
  it.each(['get', 'move', 'auto'] as const)(
    'no retrieve (%s) ends well that lacks what was named or counted, and none fails that could be whole',
    { timeout: 120_000 },
    async (way) => {
      await fc.assert(
        fc.asyncProperty(habits, selections, async (habit, selection) => {
          // Far longer than it takes to deliver, on a busy machine too.
          await using fixture = await start(habit, way, { timeouts: { move: '500ms' } }, 300)
          const { uids, error } = await retrieve(fixture, selection)
          const { named, numbered } = fixture.habitual
          const { series, instance } = selection
          const wanted = habit.holds.filter(
            (shape) => (series ?? shape.series) === shape.series && (instance ?? uidOf(shape)) === uidOf(shape),
          )
          const isWanted = (uid: string): boolean => wanted.some((shape) => uidOf(shape) === uid)
          expect(new Set(uids).size).toBe(uids.length)
          expect(uids.filter((uid) => !isWanted(uid))).toEqual([])
          if (error === undefined) {
            expect([...named].filter((uid) => isWanted(uid) && !uids.includes(uid))).toEqual([])
            if (series === undefined) expect(uids.length).toBeGreaterThanOrEqual(numbered)
            expect(uids.length).toBeGreaterThan(0)
          }
          const canBeWhole = wanted.length > 0 && habit.keeps!.every((index) => index >= habit.total)
          // An instance that it says it does not have is not asked for.
          const isDenied = instance !== undefined && habit.listsAtMost === 0
          const isListed = !isDenied && (habit.listsAtMost === Infinity || habit.sends === undefined)
          if (canBeWhole && isListed) expect({ uids, error }).toEqual({ uids: all(wanted), error: undefined })
        }),
        { numRuns: 80 },
      )
    },
  )
})

describe.each(['get', 'move'] as const)('an archive that cannot match lists of UIDs, by C-%s', (way) => {
  it('is asked for each instance alone, and the next time at once', async () => {
    const holds = slices(3)
    await using fixture = await start({ holds, sends: [0], numbers: 'none', refusesLists: true }, way)
    const named = (): string[][] =>
      fixture.habitual.scripted
        .received(way === 'get' ? C_GET_RQ : C_MOVE_RQ)
        .map(({ identifier }) => identifier.strings(0x00080018))
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    const before = named().length
    expect(named().slice(-2)).toEqual([[sliceUid(2)], [sliceUid(3)]])
    expect(await retrieve(fixture)).toEqual({ uids: all(holds), error: undefined })
    expect(named().slice(before)).toEqual([[], [sliceUid(2)], [sliceUid(3)]])
  })
})
