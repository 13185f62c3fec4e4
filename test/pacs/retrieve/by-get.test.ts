import type { Priority } from '../../../src/pacs/call.ts'
import type { Selection } from '../../../src/instance/uids.ts'
import { NotSupportedByArchiveError } from '../../../src/pacs/errors.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import type { Archive } from '../../../src/pacs/archive.ts'
import { MAX_USELESS } from '../../../src/pacs/retrieve/get-attempt.ts'
import { eventually } from '../../support/eventually.ts'
import { collect } from '../../support/byte-stream.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { CT, getResponse, readRequest, STUDY_ROOT_GET, storeRequest } from '../../support/golden.ts'
import { sliceDataset, sliceFile, sliceUid, SERIES, STUDY, type SliceShape } from '../../support/slices.ts'
import { listing, ScriptedArchive, storeAll, uidOf, type ArchiveScript } from '../../support/scripted-archive.ts'
import { failOnLeaks } from '../../support/leaks.ts'

failOnLeaks()

const C_FIND_RQ = 0x0020
const C_GET_RQ = 0x0010
const MR = '1.2.840.10008.5.1.4.1.1.4'
const RARE = '1.2.826.0.1.3680043.9.77'
const OTHER_SERIES = `${STUDY}.2`
const FAILED_LIST = 0x00080058

const never = { signal: new AbortController().signal }
const study: Selection = { study: STUDY }
const slices = (count: number, shape: SliceShape = {}): SliceShape[] =>
  Array.from({ length: count }, (_, index) => ({ ...shape, number: index + 1 }))

interface Got {
  readonly uids: string[]
  readonly bodies: Buffer[]
  readonly error: unknown
}

/** Everything a retrieve gives, and how it ends. */
async function retrieve(
  archive: Archive,
  selection: Selection,
  options: { compressed?: boolean; signal?: AbortSignal; priority?: Priority } = {},
): Promise<Got> {
  const { compressed = true, signal = never.signal, priority = 'interactive' } = options
  const uids: string[] = []
  const bodies: Buffer[] = []
  try {
    for await (const instance of archive.retrieve(selection, compressed, { signal, priority })) {
      bodies.push(await collect(instance.body))
      uids.push(instance.sopInstance)
    }
    return { uids, bodies, error: undefined }
  } catch (error) {
    return { uids, bodies, error }
  }
}

function getsOf(archive: ScriptedArchive): Dataset[] {
  return archive.received(C_GET_RQ).map(({ identifier }) => identifier)
}

interface Fixture extends AsyncDisposable {
  readonly scripted: ScriptedArchive
  readonly archive: Archive
}

async function start(script: ArchiveScript, settings: object = {}): Promise<Fixture> {
  const scripted = await ScriptedArchive.start(script)
  const archive = await openArchive(scripted.address, settings)
  return {
    scripted,
    archive,
    async [Symbol.asyncDispose]() {
      await archive[Symbol.asyncDispose]()
      await scripted[Symbol.asyncDispose]()
    },
  }
}

/** Stores what is listed, then ends as told. */
function giving(
  shapes: readonly SliceShape[],
  end: Parameters<typeof getResponse>[0] = {},
  listed: readonly SliceShape[] = shapes,
): ArchiveScript {
  return {
    find: listing(listed),
    get: async (association, { contextId, messageId }) => {
      const { cancelled, ended } = await storeAll(
        association,
        shapes.map((shape) => ({ shape })),
      )
      if (ended) return
      const status = cancelled ? { status: 0xfe00 } : end
      await association.peer.send(getResponse({ contextId, messageId, completed: shapes.length, failed: 0, ...status }))
    },
  }
}

const all = (count: number): string[] => slices(count).map(({ number }) => sliceUid(number!))

describe('a retrieve', () => {
  test('has low priority where nobody has asked for it yet (PS3.7 9.1.3)', async () => {
    await using fixture = await start(giving(slices(2)))
    const { scripted, archive } = fixture
    for (const priority of ['background', 'interactive', 'bulk'] as const) await retrieve(archive, study, { priority })
    const told = scripted.received(C_GET_RQ).map(({ command }) => command.get('0700')?.readUInt16LE(0))
    expect(told).toEqual([2, 0, 0])
  })

  test('asks at the level of the selection by unique keys alone', async () => {
    await using fixture = await start(giving(slices(2)))
    const { scripted, archive } = fixture
    const selections: [Selection, string, string[]][] = [
      [study, 'STUDY', [STUDY]],
      [{ study: STUDY, series: SERIES }, 'SERIES', [STUDY, SERIES]],
      [{ study: STUDY, series: SERIES, instance: sliceUid(1) }, 'IMAGE', [STUDY, SERIES, sliceUid(1)]],
    ]
    for (const [selection, level, keys] of selections) {
      await retrieve(archive, selection)
      const identifier = getsOf(scripted).at(-1)!
      expect([...identifier.entries()].map(([t]) => identifier.string(t))).toEqual(
        level === 'IMAGE' ? [sliceUid(1), level, STUDY, SERIES] : [level, ...keys],
      )
    }
  })

  test('offers each storage class as SCP, on contexts that fit what the archive holds (case 120)', async () => {
    await using fixture = await start(giving([{ sopClass: RARE, modality: 'ZZ' }]))
    const { scripted, archive } = fixture
    const { uids } = await retrieve(archive, study)
    expect(uids).toEqual([sliceUid(1)])
    const association = scripted.associations.find(({ contexts }) => contexts[0]?.abstractSyntax === STUDY_ROOT_GET)!
    const { contexts } = association
    expect(contexts.map(({ id }) => id)).toEqual(contexts.map((_, index) => 2 * index + 1))
    expect(contexts.length).toBeLessThanOrEqual(128)
    const classes = [...new Set(contexts.slice(1).map(({ abstractSyntax }) => abstractSyntax))]
    expect(classes).toContain(RARE)
    const roles = association.items(0x54).map((value) => {
      const length = value.readUInt16BE(0)
      return [value.toString('latin1', 2, 2 + length), value[2 + length], value[3 + length]]
    })
    expect(roles).toEqual(classes.map((uid) => [uid, 0, 1]))
  })

  test('gives data sets byte for byte as they came, whatever the fragments', async () => {
    const shapes = slices(3, { size: 5_001 })
    const framings = [{ fragments: [7] }, { fragments: [1000, 2, 4000], onePdu: true }, { emptyLast: true }]
    await using fixture = await start({
      find: listing(shapes),
      get: async (association, { contextId, messageId }) => {
        const list = shapes.map((shape, index) => ({ shape, framing: framings[index]! }))
        const { statuses } = await storeAll(association, list)
        expect(statuses).toEqual([0, 0, 0])
        await association.peer.send(getResponse({ contextId, messageId, completed: 3, failed: 0 }))
      },
    })
    const { bodies, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    for (const [index, shape] of shapes.entries()) {
      expect(bodies[index]!.equals(encodeDataset(sliceDataset(shape), EXPLICIT_VR_LITTLE_ENDIAN))).toBe(true)
    }
  })

  test('gives an instance that comes twice once', async () => {
    const shapes = [...slices(2), ...slices(2)]
    await using fixture = await start(giving(shapes, {}, slices(2)))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    expect(uids).toEqual(all(2))
  })

  test('goes by the UID of the data set where the command has another', async () => {
    await using fixture = await start({
      find: listing(slices(1)),
      get: async (association, { contextId, messageId }) => {
        await storeAll(association, [{ shape: { number: 1 }, sopInstance: '9.9.9' }])
        await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
      },
    })
    const { uids } = await retrieve(fixture.archive, study)
    expect(uids).toEqual([sliceUid(1)])
  })

  test('answers each C-STORE with the UIDs it was asked with, and success', async () => {
    const answers: Record<string, unknown>[] = []
    await using fixture = await start({
      find: listing(slices(1)),
      get: async (association, { contextId, messageId }) => {
        const { id } = association.context(CT)
        const data = association.encode(id, sliceDataset({ number: 1 }))
        const sopInstance = sliceUid(1)
        await association.peer.send(storeRequest({ messageId: 513, sopInstance, data, contextId: id }))
        const answer = await association.next()
        if (typeof answer === 'object') {
          const status = answer.command.get('0900')?.readUInt16LE(0)
          answers.push({
            messageId: answer.messageId,
            status,
            class: uidOf(answer, '0002'),
            uid: uidOf(answer, '1000'),
          })
        }
        await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
      },
    })
    await retrieve(fixture.archive, study)
    expect(answers).toEqual([{ messageId: 513, status: 0, class: CT, uid: sliceUid(1) }])
  })

  test('takes Pending responses between instances, with counters or without', async () => {
    await using fixture = await start({
      find: listing(slices(3)),
      get: async (association, { contextId, messageId }) => {
        for (const shape of slices(3)) {
          await storeAll(association, [{ shape }])
          await association.peer.send(getResponse({ contextId, messageId, status: 0xff00, remaining: 1 }))
          await association.peer.send(getResponse({ contextId, messageId, status: 0xff00 }))
        }
        await association.peer.send(getResponse({ contextId, messageId }))
      },
    })
    expect(await retrieve(fixture.archive, study)).toMatchObject({ uids: all(3), error: undefined })
  })
})

describe('what was not selected', () => {
  const foreign: SliceShape = { study: '9.9', series: '9.9.1', number: 7 }

  test('is never passed on, whatever the archive sends', async () => {
    await using fixture = await start(giving([foreign, ...slices(1)], {}, slices(1)))
    expect(await retrieve(fixture.archive, study)).toMatchObject({ uids: all(1), error: undefined })
  })

  test('of another series of the study is not passed on for a series (case 60)', async () => {
    const shapes = [...slices(1), { series: OTHER_SERIES, number: 1 }]
    await using fixture = await start(giving(shapes, {}, shapes))
    const { uids } = await retrieve(fixture.archive, { study: STUDY, series: OTHER_SERIES })
    expect(uids).toEqual([sliceUid(1, OTHER_SERIES)])
  })

  test('is all that comes: what the archive lists is missing', async () => {
    await using fixture = await start(giving([foreign], {}, slices(1)))
    const error = { code: 'INCOMPLETE_RETRIEVE', delivered: 0, missing: 1 }
    expect(await retrieve(fixture.archive, study)).toMatchObject({ uids: [], error })
    expect(fixture.archive.stats.leased).toBe(0)
  })

  test('without end is ended', async () => {
    let sent = 0
    await using fixture = await start({
      find: listing(slices(1)),
      get: async (association) => {
        const { id } = association.context(CT)
        const data = association.encode(id, sliceDataset(foreign))
        const request = storeRequest({ sopInstance: '9.9.1', data, contextId: id })
        for (; sent < 2 * MAX_USELESS; sent++) {
          await association.peer.send(request)
          if (typeof (await association.next()) === 'string') return
        }
      },
    })
    expect((await retrieve(fixture.archive, study)).error).toMatchObject({ code: 'PROTOCOL_ERROR' })
    expect(sent).toBeLessThan(MAX_USELESS + 10)
  })

  test('takes the place of what was: the retrieve is not whole', async () => {
    const wrong: SliceShape = { study: '9.9', series: SERIES, number: 2 }
    await using fixture = await start(giving([...slices(1), wrong], {}, slices(2)))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual(all(1))
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 1, missing: 1 })
  })
})

describe('nothing', () => {
  test('in the archive is told before a C-GET is sent (case 53)', async () => {
    await using fixture = await start({ find: listing([]) })
    const { scripted, archive } = fixture
    for (const selection of [
      study,
      { study: STUDY, series: SERIES },
      { study: STUDY, series: SERIES, instance: '1.2' },
    ]) {
      expect(await retrieve(archive, selection)).toMatchObject({ error: { code: 'NO_SUCH_INSTANCE' } })
    }
    expect(getsOf(scripted)).toEqual([])
  })

  test('from the C-GET of what C-FIND lists is a failure, however well it ends', async () => {
    await using fixture = await start({ find: listing(slices(1)) })
    const error = { code: 'INCOMPLETE_RETRIEVE', delivered: 0, missing: 1 }
    expect(await retrieve(fixture.archive, study)).toMatchObject({ uids: [], error })
  })

  test('is what an archive without C-GET can do', async () => {
    await using fixture = await start({
      find: listing(slices(1)),
      associate: (request) => {
        const { contexts } = readRequest(request)
        return contexts[0]?.abstractSyntax === STUDY_ROOT_GET ? { answers: { 1: 3 } } : {}
      },
    })
    const { error } = await retrieve(fixture.archive, study)
    expect(error).toBeInstanceOf(NotSupportedByArchiveError)
    expect(fixture.archive.stats.leased).toBe(0)
  })
})

describe('sub-operations that fail', () => {
  /** Fails the numbers given, the first `times` times it is asked. */
  function failing(count: number, failed: readonly number[], times: number, status = 0xb000): ArchiveScript {
    let round = 0
    return {
      find: listing(slices(count)),
      get: async (association, { contextId, messageId, identifier }) => {
        const asked = identifier.strings(0x00080018)
        const wanted = slices(count).filter(({ number }) => asked.length === 0 || asked.includes(sliceUid(number!)))
        const broken = round++ < times ? failed : []
        const good = wanted.filter(({ number }) => !broken.includes(number!))
        const bad = wanted.filter(({ number }) => broken.includes(number!))
        await storeAll(
          association,
          good.map((shape) => ({ shape })),
        )
        const counts = { completed: good.length, failed: bad.length, warning: 0 }
        if (bad.length === 0) return association.peer.send(getResponse({ contextId, messageId, ...counts }))
        const list = new Dataset().set(
          FAILED_LIST,
          bad.map(({ number }) => sliceUid(number!)),
        )
        const data = association.encode(contextId, list)
        await association.peer.send(getResponse({ contextId, messageId, ...counts, status, data }))
      },
    }
  }

  test('are asked for again, alone, and come in the end (case 57)', async () => {
    await using fixture = await start(failing(10, [3, 7], 1))
    const { scripted, archive } = fixture
    const { uids, error } = await retrieve(archive, study)
    expect(error).toBeUndefined()
    expect([...uids].sort()).toEqual(all(10).sort())
    const retried = getsOf(scripted).slice(1)
    expect(retried.map((identifier) => identifier.string(0x00080052))).toContain('IMAGE')
    expect(new Set(retried.flatMap((identifier) => identifier.strings(0x00080018)))).toEqual(
      new Set([sliceUid(3), sliceUid(7)]),
    )
  })

  test('are asked for again one by one where the archive cannot match lists of UIDs', async () => {
    await using fixture = await start(failing(10, [3, 7, 9], 1), { quirks: { singleUidLists: true } })
    const { scripted, archive } = fixture
    const { uids, error } = await retrieve(archive, study)
    expect(error).toBeUndefined()
    expect([...uids].sort()).toEqual(all(10).sort())
    const retried = getsOf(scripted).slice(1)
    expect(retried.map((identifier) => identifier.strings(0x00080018))).toEqual([3, 7, 9].map((n) => [sliceUid(n)]))
  })

  test('time and again are told at the end, behind what did come (case 57)', async () => {
    await using fixture = await start(failing(10, [3, 7], Infinity))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toHaveLength(8)
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 8, missing: 2, status: 0xb000 })
    expect(fixture.archive.stats.leased).toBe(0)
  })

  test('all of them end in the status of the archive (case 58)', async () => {
    await using fixture = await start(failing(2, [1, 2], Infinity, 0xa702))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual([])
    expect(error).toMatchObject({ code: 'DIMSE_STATUS', status: 0xa702, operation: 'C-GET' })
  })

  test('are found out by C-FIND where the archive gives no list of them (B000 alone)', async () => {
    let round = 0
    await using fixture = await start({
      find: listing(slices(4)),
      get: async (association, { contextId, messageId, identifier }) => {
        const asked = identifier.strings(0x00080018)
        const good = slices(4).filter(({ number }) => (round === 0 ? number! < 3 : asked.includes(sliceUid(number!))))
        const status = round++ === 0 ? 0xb000 : 0
        await storeAll(
          association,
          good.map((shape) => ({ shape })),
        )
        await association.peer.send(getResponse({ contextId, messageId, status }))
      },
    })
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    expect([...uids].sort()).toEqual(all(4).sort())
  })

  test.each([
    ['C000 in the midst of it', { status: 0xc000 }],
    ['an unsolicited end by cancellation', { status: 0xfe00 }],
    ['success that counts more than came', { status: 0, completed: 4 }],
    ['success that counts failures', { status: 0, completed: 2, failed: 2 }],
    ['an unknown status', { status: 0x1234 }],
  ])('without a word but %s are asked for again', async (_what, end) => {
    let round = 0
    await using fixture = await start({
      find: listing(slices(4)),
      get: async (association, { contextId, messageId, identifier }) => {
        const asked = identifier.strings(0x00080018)
        const first = round++ === 0
        const good = slices(4).filter(({ number }) => (first ? number! < 3 : asked.includes(sliceUid(number!))))
        await storeAll(
          association,
          good.map((shape) => ({ shape })),
        )
        const counts = { completed: good.length, failed: 0 }
        await association.peer.send(getResponse({ contextId, messageId, ...counts, ...(first && end) }))
      },
    })
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    expect([...uids].sort()).toEqual(all(4).sort())
  })

  test('for good, with success that counts more than came, never look whole', async () => {
    await using fixture = await start(giving(slices(2), { completed: 3 }, slices(3)))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual(all(2))
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 2, missing: 1 })
  })

  test('and of which nothing came, with success that counts them, are no success', async () => {
    await using fixture = await start(giving([], { completed: 3 }, slices(3)))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual([])
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 0, missing: 3 })
  })

  test('with warnings are no failure', async () => {
    await using fixture = await start(giving(slices(2), { status: 0xb000, completed: 1, failed: 0, warning: 1 }))
    const { scripted, archive } = fixture
    expect(await retrieve(archive, study)).toMatchObject({ uids: all(2), error: undefined })
    expect(getsOf(scripted)).toHaveLength(1)
  })

  test('for want of a context for their class get one (rare classes beside frequent ones)', async () => {
    const shapes: SliceShape[] = [{ number: 1 }, { number: 2, sopClass: RARE }]
    await using fixture = await start({
      find: listing(shapes),
      get: async (association, { contextId, messageId, identifier }) => {
        const asked = identifier.strings(0x00080018)
        const offered = new Set(association.contexts.map(({ abstractSyntax }) => abstractSyntax))
        const wanted = shapes.filter(({ number }) => asked.length === 0 || asked.includes(sliceUid(number!)))
        const good = wanted.filter(({ sopClass = CT }) => offered.has(sopClass))
        await storeAll(
          association,
          good.map((shape) => ({ shape })),
        )
        const failed = wanted.length - good.length
        const status = failed > 0 ? 0xb000 : 0
        await association.peer.send(getResponse({ contextId, messageId, status, completed: good.length, failed }))
      },
    })
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    expect(uids).toEqual(all(2))
  })
})

describe('an instance that is no data set', () => {
  const KIB = 1024
  /** Referenced Study Sequence with something that is no item in it, and a lot behind it. */
  const unreadable = Buffer.concat([
    Buffer.from('08001011535100000001000008001600', 'hex'),
    Buffer.alloc(300 * KIB, 0x31),
  ])
  /** A private value that keeps the UIDs out of the head. */
  const large = Buffer.concat([Buffer.from('090010104f42000000002000', 'hex'), Buffer.alloc(2 * KIB * KIB)])
  const short = Buffer.from('20000d00554920003132', 'hex')

  /** Stores slices as listed or asked for; `spoil` says what comes in the place of one. */
  function spoiling(
    count: number,
    spoil: (number: number, times: number) => Buffer | undefined,
    end: object = {},
    listed = slices(count),
  ): ArchiveScript {
    const times = new Map<number, number>()
    return {
      find: listing(listed),
      get: async (association, { contextId, messageId, identifier }) => {
        const asked = identifier.strings(0x00080018)
        const wanted = slices(count).filter(({ number }) => asked.length === 0 || asked.includes(sliceUid(number!)))
        for (const shape of wanted) {
          const number = shape.number!
          times.set(number, (times.get(number) ?? 0) + 1)
          const data = spoil(number, times.get(number)!)
          if (data) {
            const { id } = association.context(CT)
            const framing = { contextId: id, fragments: Array.from({ length: 200 }, () => 16_000) }
            await association.peer.send(storeRequest({ sopInstance: sliceUid(number), data, ...framing }))
            const answer = await association.next()
            expect(answer).toMatchObject({ field: 0x8001 })
          } else await storeAll(association, [{ shape }])
        }
        const counts = { completed: wanted.length, failed: 0, ...end }
        await association.peer.send(getResponse({ contextId, messageId, ...counts }))
      },
    }
  }

  test.each([
    ['cannot be read in its midst', unreadable, 'MALFORMED_DATA_SET'],
    ['ends inside an element', short, 'MALFORMED_DATA_SET'],
    ['does not tell its UIDs', large, 'HEAD_TOO_LARGE'],
  ])('but %s is missing, and the others come', async (_what, data, code) => {
    await using fixture = await start(spoiling(4, (number) => (number === 2 ? data : undefined)))
    const { scripted, archive } = fixture
    const { uids, error } = await retrieve(archive, study)
    expect(uids).toEqual([1, 3, 4].map((number) => sliceUid(number)))
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 3, missing: 1, cause: { code } })
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
    expect(scripted.associations.map(({ ended }) => ended)).not.toContain('aborted')
  })

  test.each([true, false])(
    'is asked for once more where it has the same fault (compressed: %j)',
    async (compressed) => {
      await using fixture = await start(spoiling(4, (number) => (number === 2 ? short : undefined)))
      const { scripted, archive } = fixture
      await retrieve(archive, study, { compressed })
      expect(getsOf(scripted).map((identifier) => identifier.strings(0x00080018))).toEqual([[], [sliceUid(2)]])
    },
  )

  test.each([true, false])('is asked for three times at most (compressed: %j)', async (compressed) => {
    const cut = (_: number, times: number): Buffer => Buffer.concat([short, Buffer.alloc(times, 0x31)])
    await using fixture = await start(spoiling(4, (number, times) => (number === 2 ? cut(number, times) : undefined)))
    const { scripted, archive } = fixture
    await retrieve(archive, study, { compressed })
    const [first, ...retries] = getsOf(scripted)
    expect(first!.strings(0x00080018)).toEqual([])
    expect(retries.map((identifier) => identifier.strings(0x00080018))).toEqual([[sliceUid(2)], [sliceUid(2)]])
  })

  test('at first comes whole when it is asked for again', async () => {
    const first = (number: number, times: number): Buffer | undefined =>
      number === 2 && times === 1 ? unreadable : undefined
    await using fixture = await start(spoiling(3, first))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(error).toBeUndefined()
    expect(uids).toEqual([1, 3, 2].map((number) => sliceUid(number)))
  })

  test.each([
    ['the archive counts nothing', { completed: undefined, failed: undefined }, slices(3)],
    ['the archive does not list it', {}, slices(2)],
  ])('is missing where %s', async (_what, end, listed) => {
    await using fixture = await start(spoiling(3, (number) => (number === 3 ? short : undefined), end, listed))
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual(all(2))
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 2, missing: 1 })
  })

  test('and the only one leaves nothing to give', async () => {
    await using fixture = await start(spoiling(1, () => short))
    const { uids, error } = await retrieve(fixture.archive, { study: STUDY, series: SERIES, instance: sliceUid(1) })
    expect(uids).toEqual([])
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 0, missing: 1 })
  })
})

describe('an association that ends', () => {
  test.each([0, 1, 3])('by an abort behind %i instances ends the retrieve with it', async (count) => {
    await using fixture = await start({
      find: listing(slices(5)),
      get: async (association) => {
        await storeAll(
          association,
          slices(count).map((shape) => ({ shape })),
        )
        await association.peer.abort()
      },
    })
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual(all(count))
    expect(error).toMatchObject({ code: 'ASSOCIATION_ABORTED' })
    await eventually(() => expect(fixture.archive.stats.leased).toBe(0))
  })

  test('in the midst of an instance ends its body by an error, never short', async () => {
    await using fixture = await start({
      find: listing(slices(1)),
      get: async (association) => {
        const { id } = association.context(CT)
        const data = association.encode(id, sliceDataset({ number: 1, size: 4_000 }))
        const whole = storeRequest({ sopInstance: sliceUid(1), data, contextId: id })
        await association.peer.send(whole.subarray(0, whole.length - 1_000))
        association.peer.close()
      },
    })
    const { uids, error } = await retrieve(fixture.archive, study)
    expect(uids).toEqual([])
    expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
  })

  test('before the first answer is replaced once if it had served before', async () => {
    let gets = 0
    const script = giving(slices(2))
    await using fixture = await start({
      ...script,
      get: async (association, message) => {
        if (gets++ === 1) {
          association.peer.close()
          return
        }
        return script.get!(association, message)
      },
    })
    const { scripted, archive } = fixture
    expect(await retrieve(archive, study)).toMatchObject({ uids: all(2), error: undefined })
    expect(await retrieve(archive, study)).toMatchObject({ uids: all(2), error: undefined })
    expect(getsOf(scripted)).toHaveLength(3)
  })

  test('before the first answer is replaced by a new one, however many others are dead too', async () => {
    const script = giving(slices(2))
    const { promise: three, resolve } = Promise.withResolvers<undefined>()
    let gets = 0
    let forgotten = 0
    await using fixture = await start(
      {
        ...script,
        get: async (association, message) => {
          if (association.index < forgotten) {
            association.peer.close()
            return
          }
          if (++gets === 3) resolve(undefined)
          await three
          await script.get!(association, message)
        },
      },
      { maxAssociations: 8 },
    )
    const { scripted, archive } = fixture
    await Promise.all([1, 2, 3].map(() => retrieve(archive, study)))
    forgotten = scripted.associations.length
    expect(await retrieve(archive, study)).toMatchObject({ uids: all(2), error: undefined })
    expect(getsOf(scripted)).toHaveLength(5)
  })

  test('before the first answer is not replaced if it is new', async () => {
    await using fixture = await start({
      find: listing(slices(2)),
      get: async (association) => association.peer.close(),
    })
    const { scripted, archive } = fixture
    expect(await retrieve(archive, study)).toMatchObject({ error: { code: 'CONNECTION_LOST' } })
    expect(getsOf(scripted)).toHaveLength(1)
  })

  test('behind an instance is not replaced', async () => {
    let gets = 0
    const script = giving(slices(2))
    await using fixture = await start({
      ...script,
      get: async (association, message) => {
        if (gets++ === 0) return script.get!(association, message)
        await storeAll(association, [{ shape: { number: 1 } }])
        association.peer.close()
      },
    })
    const { scripted, archive } = fixture
    await retrieve(archive, study)
    expect(await retrieve(archive, study)).toMatchObject({ uids: all(1), error: { code: 'CONNECTION_LOST' } })
    expect(getsOf(scripted)).toHaveLength(2)
  })
})

describe('a consumer that stops early', () => {
  test.each([
    ['before it reads a body', false],
    ['behind a body', true],
  ])('%s: the archive gets a C-CANCEL, and the association serves on', async (_when, reads) => {
    let seen: Awaited<ReturnType<typeof storeAll>> | undefined
    const script = giving(slices(50))
    await using fixture = await start({
      ...script,
      get: async (association, { contextId, messageId }) => {
        seen = await storeAll(
          association,
          slices(50, { size: 2_000 }).map((shape) => ({ shape })),
        )
        await association.peer.send(getResponse({ contextId, messageId, status: seen.cancelled ? 0xfe00 : 0 }))
      },
    })
    const { scripted, archive } = fixture
    const started = performance.now()
    for await (const instance of archive.retrieve(study, true, never)) {
      if (reads) await collect(instance.body)
      break
    }
    expect(performance.now() - started).toBeLessThan(3_000)
    expect(seen).toMatchObject({ cancelled: true, ended: false })
    expect(seen!.statuses.length).toBeLessThan(5)
    expect(archive.stats.leased).toBe(0)
    scripted.script = script
    expect((await retrieve(archive, study)).uids).toHaveLength(50)
    const associations = scripted.associations.filter(({ contexts }) => contexts[0]?.abstractSyntax === STUDY_ROOT_GET)
    expect(associations).toHaveLength(1)
  })

  test(
    'in the midst of a body that never ends: the association is aborted in the grace time',
    { timeout: 20_000 },
    async () => {
      await using fixture = await start({
        find: listing(slices(1)),
        get: async (association) => {
          const { id } = association.context(CT)
          const data = association.encode(id, sliceDataset({ number: 1, size: 4_000 }))
          const whole = storeRequest({ sopInstance: sliceUid(1), data, contextId: id, fragments: [4_000] })
          // Everything but the last fragment, then fragments without end.
          const lastPdu = whole.lastIndexOf(Buffer.of(4, 0, 0, 0))
          await association.peer.send(whole.subarray(0, lastPdu))
          const fragment = Buffer.concat([
            Buffer.from('040000003e86', 'hex'),
            Buffer.from('00003e82', 'hex'),
            Buffer.of(id, 0),
            Buffer.alloc(16_000),
          ])
          await association.peer.flood(fragment)
        },
      })
      const { archive } = fixture
      const started = performance.now()
      for await (const instance of archive.retrieve(study, true, never)) {
        for await (const _ of instance.body) break
        break
      }
      expect(performance.now() - started).toBeLessThan(8_000)
      await eventually(() => expect(archive.stats.leased).toBe(0))
    },
  )

  test('by its signal while the archive is silent: at once', async () => {
    await using fixture = await start({ find: listing(slices(1)), get: () => Promise.resolve() })
    const { scripted, archive } = fixture
    const controller = new AbortController()
    const got = retrieve(archive, study, { signal: controller.signal })
    await eventually(() => expect(getsOf(scripted)).toHaveLength(1))
    const reason = new Error('gone')
    controller.abort(reason)
    expect((await got).error).toBe(reason)
  })
})

describe('a consumer that does not read', () => {
  test('holds the archive back: memory stays bounded', async () => {
    const size = 64 * 1024 * 1024
    let sent = 0
    await using fixture = await start({
      find: listing(slices(1)),
      get: async (association) => {
        const { peer } = association
        const { id } = association.context(CT)
        const data = association.encode(id, sliceDataset({ number: 1, size: 4_000 }))
        const whole = storeRequest({ sopInstance: sliceUid(1), data, contextId: id, fragments: [4_000] })
        await peer.send(whole.subarray(0, whole.lastIndexOf(Buffer.of(4, 0, 0, 0))))
        const pdu = Buffer.concat([
          Buffer.from('040000003e86', 'hex'),
          Buffer.from('00003e82', 'hex'),
          Buffer.of(id, 0),
          Buffer.alloc(16_000),
        ])
        const gone = new Promise((resolve) => peer.socket.once('close', resolve))
        for (; sent < size && !peer.isOver; sent += pdu.length) await Promise.race([peer.send(pdu), gone])
      },
    })
    const { archive } = fixture
    const controller = new AbortController()
    const instances = archive.retrieve(study, true, { signal: controller.signal })
    expect(await instances.next()).toMatchObject({ done: false })
    // Wait until nothing goes out any more.
    for (let before = -1; before !== sent;) {
      before = sent
      await delay(100)
    }
    // What the queue of the association holds, and the buffers of the system at both ends.
    expect(sent).toBeLessThan(16 * 1024 * 1024)
    controller.abort(new Error('gone'))
    await instances.return(undefined).catch(() => undefined)
    await eventually(() => expect(archive.stats.leased).toBe(0))
  })
})

describe('from an archive that behaves', () => {
  let demo: DemoArchive
  let archive: Archive

  beforeEach(async () => {
    demo = await DemoArchive.start()
    for (const shape of slices(3)) await demo.put(sliceFile(shape))
    for (const shape of slices(2, { series: OTHER_SERIES, sopClass: MR, modality: 'MR' }))
      await demo.put(sliceFile(shape))
    archive = await openArchive({ host: '127.0.0.1', port: demo.port }, { aeTitle: 'DEMO' })
  })

  afterEach(async () => {
    await archive[Symbol.asyncDispose]()
    await demo[Symbol.asyncDispose]()
  })

  test('a study, a series, an instance come whole', async () => {
    expect((await retrieve(archive, study)).uids).toHaveLength(5)
    expect((await retrieve(archive, { study: STUDY, series: OTHER_SERIES })).uids).toHaveLength(2)
    const one = await retrieve(archive, { study: STUDY, series: SERIES, instance: sliceUid(2) })
    expect(one.uids).toEqual([sliceUid(2)])
    const dataset = parseDataset(one.bodies[0]!, EXPLICIT_VR_LITTLE_ENDIAN)
    expect(dataset.string(0x00080018)).toBe(sliceUid(2))
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('an instance under another series is not found (case 60)', async () => {
    const selection = { study: STUDY, series: OTHER_SERIES, instance: sliceUid(1) }
    expect(await retrieve(archive, selection)).toMatchObject({ error: { code: 'NO_SUCH_INSTANCE' } })
  })

  test('what fails for good is missing at the end (case 57)', async () => {
    demo.faults = { getFails: (uid) => uid === sliceUid(2) }
    const { uids, error } = await retrieve(archive, study)
    expect(uids).toHaveLength(4)
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 4, missing: 1 })
  })

  test('nothing but failures is a failure (case 58)', async () => {
    demo.faults = { getFails: () => true }
    expect(await retrieve(archive, study)).toMatchObject({ uids: [], error: { code: 'DIMSE_STATUS', status: 0xa702 } })
  })

  test('many retrieves at once take turns, and every place is free again', async () => {
    const got = await Promise.all(Array.from({ length: 12 }, () => retrieve(archive, study)))
    expect(got.map(({ uids }) => uids.length)).toEqual(Array.from({ length: 12 }, () => 5))
    expect(demo.associations).toBeLessThanOrEqual(4)
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
  })
})

test('a C-FIND precedes a C-GET over an association of its own', async () => {
  await using fixture = await start(giving(slices(1)))
  await retrieve(fixture.archive, study)
  const { scripted } = fixture
  const finds = scripted.log.filter(({ message }) => message.field === C_FIND_RQ).map(({ association }) => association)
  const gets = scripted.log.filter(({ message }) => message.field === C_GET_RQ).map(({ association }) => association)
  expect(new Set(finds)).not.toContain(gets[0])
})
