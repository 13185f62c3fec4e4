import { NotSupportedByArchiveError } from '../../src/pacs/errors.ts'
import { describe, expect, test } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import type { Archive } from '../../src/pacs/archive.ts'
import { returnKey, type Query } from '../../src/pacs/search/query.ts'
import { eventually } from '../support/eventually.ts'
import { openArchive } from '../support/gateway-to.ts'
import { findResponse, item, readRequest, STUDY_ROOT_FIND, VERIFICATION, type AcceptBytes } from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { echoResponse, findAnswer, ScriptedArchive, type ArchiveScript } from '../support/scripted-archive.ts'

failOnLeaks()

const never = { signal: new AbortController().signal }
const query: Query = { level: 'STUDY', keys: [returnKey(Attribute.StudyInstanceUID, 'UI')] }
const oneStudy = (): Dataset[] => [new Dataset().set(Attribute.StudyInstanceUID, '1.2')]

interface Fixture extends AsyncDisposable {
  readonly scripted: ScriptedArchive
  readonly archive: Archive
}

async function start(script: ArchiveScript = {}, settings: object = {}): Promise<Fixture> {
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

async function uids(archive: Archive, call = never): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = []
  for await (const match of archive.find(query, call)) found.push(match.string(Attribute.StudyInstanceUID))
  return found
}

/** Answers for the first `count` requests of an association, then ends it when the next one comes. */
function dyingAfter(count: number, how: 'close' | 'abort' | 'reset', answer: ArchiveScript['find']): ArchiveScript {
  const served = new Map<number, number>()
  return {
    find: async (association, message) => {
      const before = served.get(association.index) ?? 0
      served.set(association.index, before + 1)
      if (before < count) return answer!(association, message)
      if (how === 'close') association.peer.close()
      else if (how === 'abort') await association.peer.abort()
      else association.peer.reset()
    },
    echo: async (association, { contextId, messageId }) => {
      const before = served.get(association.index) ?? 0
      served.set(association.index, before + 1)
      if (before < count) return association.peer.send(echoResponse(contextId, messageId))
      association.peer.close()
    },
  }
}

describe('a reused association that turns out to be dead', () => {
  test.each(['close', 'abort', 'reset'] as const)(
    'by %s is replaced once for a C-FIND without an answer yet',
    async (how) => {
      await using fixture = await start(dyingAfter(1, how, findAnswer(oneStudy)))
      const { scripted, archive } = fixture
      expect(await uids(archive)).toEqual(['1.2'])
      expect(await uids(archive)).toEqual(['1.2'])
      expect(scripted.associations).toHaveLength(2)
      expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
    },
  )

  test('is replaced once for a C-ECHO', async () => {
    await using fixture = await start(dyingAfter(1, 'close', undefined))
    const { scripted, archive } = fixture
    await archive.echo(never)
    await archive.echo(never)
    expect(scripted.associations).toHaveLength(2)
  })

  test('is not replaced twice', async () => {
    let requests = 0
    const script: ArchiveScript = {
      find: async (association, message) => {
        if (requests++ === 0) return findAnswer(oneStudy)(association, message)
        association.peer.close()
      },
    }
    await using fixture = await start(script)
    const { scripted, archive } = fixture
    await uids(archive)
    await expect(uids(archive)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    expect(scripted.associations).toHaveLength(2)
    expect(archive.stats.leased).toBe(0)
  })

  test('is not replaced when a match has come over it', async () => {
    let requests = 0
    const script: ArchiveScript = {
      find: async (association, message) => {
        if (requests++ === 0) return findAnswer(oneStudy)(association, message)
        const { contextId, messageId } = message
        const data = association.encode(contextId, oneStudy()[0]!)
        await association.peer.send(findResponse({ contextId, messageId, data }))
        association.peer.close()
      },
    }
    await using fixture = await start(script)
    const { scripted, archive } = fixture
    await uids(archive)
    await expect(uids(archive)).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    expect(scripted.associations).toHaveLength(1)
  })

  test('is not replaced for a failure that is an answer', async () => {
    let requests = 0
    const script: ArchiveScript = {
      find: async (association, message) => {
        if (requests++ === 0) return findAnswer(oneStudy)(association, message)
        await association.peer.send(
          findResponse({ contextId: message.contextId, messageId: message.messageId, status: 0xa700 }),
        )
      },
    }
    await using fixture = await start(script)
    const { scripted, archive } = fixture
    await uids(archive)
    await expect(uids(archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xa700 })
    expect(scripted.associations).toHaveLength(1)
    // A failure is an answer in order: the association goes on serving.
    expect(archive.stats).toMatchObject({ leased: 0, idle: 1 })
  })

  test('is not what a fresh one is taken for', async () => {
    await using fixture = await start(dyingAfter(0, 'abort', findAnswer(oneStudy)))
    const { scripted, archive } = fixture
    await expect(uids(archive)).rejects.toMatchObject({ code: 'ASSOCIATION_ABORTED' })
    expect(scripted.associations).toHaveLength(1)
  })

  test('is not tried again for a caller that has gone', async () => {
    const controller = new AbortController()
    let requests = 0
    const script: ArchiveScript = {
      find: async (association, message) => {
        if (requests++ === 0) return findAnswer(oneStudy)(association, message)
        controller.abort(new Error('gone'))
        association.peer.close()
      },
    }
    await using fixture = await start(script)
    const { scripted, archive } = fixture
    await uids(archive)
    await expect(uids(archive, { signal: controller.signal })).rejects.toThrow('gone')
    expect(scripted.associations).toHaveLength(1)
    expect(archive.stats.leased).toBe(0)
  })
})

describe('several reused associations that turn out to be dead', () => {
  const operations: [string, (archive: Archive) => Promise<unknown>][] = [
    ['C-FIND', (archive) => uids(archive)],
    ['C-ECHO', (archive) => archive.echo(never)],
  ]

  describe.each(operations)('are one reason to try a %s again, on a new one', (_name, operation) => {
    test.each([4, 3])('with %i places for three of them', async (maxAssociations) => {
      let forgotten = false
      const isForgotten = ({ index, peer }: Parameters<NonNullable<ArchiveScript['find']>>[0]): boolean => {
        if (!forgotten || index > 2) return false
        peer.close()
        return true
      }
      const { promise: all, resolve } = Promise.withResolvers<undefined>()
      const script: ArchiveScript = {
        find: async (association, message) => {
          if (isForgotten(association)) return
          if (association.index === 2) resolve(undefined)
          await all
          await findAnswer(oneStudy)(association, message)
        },
        echo: async (association, { contextId, messageId }) => {
          if (!isForgotten(association)) await association.peer.send(echoResponse(contextId, messageId))
        },
        release: (association) => Promise.resolve(!isForgotten(association)),
      }
      await using fixture = await start(script, { maxAssociations })
      const { scripted, archive } = fixture
      await Promise.all([uids(archive), uids(archive), uids(archive)])
      expect(archive.stats.idle).toBe(3)
      forgotten = true
      await operation(archive)
      expect(scripted.associations).toHaveLength(4)
      // What else was forgotten is not left for the next to find out.
      await eventually(() => expect(archive.stats).toMatchObject({ open: 1, leased: 0, idle: 1 }))
    })
  })
})

describe('a silent archive', () => {
  test('is given up on time, with its association', async () => {
    await using fixture = await start({ find: () => Promise.resolve() }, { timeouts: { response: '100ms' } })
    const { scripted, archive } = fixture
    const started = performance.now()
    await expect(uids(archive)).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
    expect(performance.now() - started).toBeLessThan(3_000)
    await eventually(() => expect(archive.stats.open).toBe(0))
    expect(scripted.associations[0]!.ended).toBe('aborted')
  })

  test('in the midst of a match is given up on time too', async () => {
    const script: ArchiveScript = {
      find: async (association, { contextId, messageId }) => {
        const data = association.encode(contextId, oneStudy()[0]!)
        const whole = findResponse({ contextId, messageId, data })
        await association.peer.send(whole.subarray(0, whole.length - 4))
      },
    }
    await using fixture = await start(script, { timeouts: { response: '100ms' } })
    const { archive } = fixture
    const started = performance.now()
    await expect(uids(archive)).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
    expect(performance.now() - started).toBeLessThan(3_000)
    await eventually(() => expect(archive.stats.open).toBe(0))
  })
})

describe('what an archive agrees to', () => {
  const granting = (bytes: number[]): AcceptBytes => {
    const uid = Buffer.from(STUDY_ROOT_FIND)
    return { user: [item(0x56, Buffer.of(0, uid.length), uid, Buffer.from(bytes))] }
  }

  test.each([
    [[1, 1, 1, 0, 0, 1, 1], { relational: true, fuzzy: true, emptyValue: true, multipleValue: true }],
    [[1], { relational: true, fuzzy: false, emptyValue: false, multipleValue: false }],
    [[0, 0, 1], { relational: false, fuzzy: true, emptyValue: false, multipleValue: false }],
    [[], { relational: false, fuzzy: false, emptyValue: false, multipleValue: false }],
    [[2, 2, 2, 2, 2, 2, 2], { relational: false, fuzzy: false, emptyValue: false, multipleValue: false }],
  ])('by extended negotiation bytes %j is what it can do', async (bytes, expected) => {
    await using fixture = await start({ associate: () => granting(bytes) })
    expect(await fixture.archive.queryOptions(true, never)).toEqual(expected)
  })

  test('is nothing where it leaves the item out', async () => {
    await using fixture = await start()
    const options = await fixture.archive.queryOptions(true, never)
    expect(Object.values(options)).toEqual([false, false, false, false])
  })

  test.each([{ search: { extendedNegotiation: false } }, { quirks: { noExtendedNegotiation: true } }])(
    'is not asked for under %j',
    async (settings) => {
      await using fixture = await start({}, settings)
      const { scripted, archive } = fixture
      await archive.queryOptions(true, never)
      expect(scripted.associations[0]!.items(0x56)).toEqual([])
    },
  )

  test('is told by the association that is there already', async () => {
    await using fixture = await start({ associate: () => granting([1]) })
    const { scripted, archive } = fixture
    for (let round = 0; round < 3; round++) await archive.queryOptions(false, never)
    await uids(archive)
    expect(scripted.associations).toHaveLength(1)
  })
})

describe('an archive without a service', () => {
  const without = (abstractSyntax: string): ArchiveScript => ({
    associate: (request) => {
      const { id } = readRequest(request).contexts.find((context) => context.abstractSyntax === abstractSyntax)!
      return { answers: { [id]: 3 } }
    },
  })

  test('is told to lack C-FIND', async () => {
    await using fixture = await start(without(STUDY_ROOT_FIND))
    await expect(uids(fixture.archive)).rejects.toBeInstanceOf(NotSupportedByArchiveError)
    expect(fixture.archive.stats.leased).toBe(0)
  })

  test('is told to lack C-ECHO', async () => {
    await using fixture = await start(without(VERIFICATION))
    await expect(fixture.archive.echo(never)).rejects.toBeInstanceOf(NotSupportedByArchiveError)
    expect(fixture.archive.stats.leased).toBe(0)
  })
})

describe('the end of a C-FIND', () => {
  test.each([0xa700, 0xa900, 0xc001, 0x0122, 0xfe00, 0x1234])('by status %i is a failure', async (status) => {
    await using fixture = await start({
      find: async ({ peer }, { contextId, messageId }) => peer.send(findResponse({ contextId, messageId, status })),
    })
    await expect(uids(fixture.archive)).rejects.toMatchObject({ code: 'DIMSE_STATUS', status })
  })

  test.each([0x0000, 0xb001])('by status %i is an end in order', async (status) => {
    await using fixture = await start({
      find: async ({ peer }, { contextId, messageId }) => peer.send(findResponse({ contextId, messageId, status })),
    })
    expect(await uids(fixture.archive)).toEqual([])
  })

  test('may bring an identifier, which is passed over', async () => {
    await using fixture = await start({
      find: async (association, { contextId, messageId }) => {
        const data = association.encode(contextId, oneStudy()[0]!)
        await association.peer.send(findResponse({ contextId, messageId, data, status: 0 }))
      },
    })
    const { scripted, archive } = fixture
    expect(await uids(archive)).toEqual([])
    expect(await uids(archive)).toEqual([])
    expect(scripted.associations).toHaveLength(1)
  })

  test('FF01 is a match like FF00', async () => {
    await using fixture = await start({
      find: async (association, { contextId, messageId }) => {
        const data = association.encode(contextId, oneStudy()[0]!)
        await association.peer.send(findResponse({ contextId, messageId, data, status: 0xff01 }))
        await association.peer.send(findResponse({ contextId, messageId }))
      },
    })
    expect(await uids(fixture.archive)).toEqual(['1.2'])
  })

  test('comes after a C-CANCEL when the consumer stops, and the association serves on (case 41)', async () => {
    let cancelled = -1
    let asked = -1
    const script: ArchiveScript = {
      find: async (association, message) => {
        const { contextId, messageId } = message
        if (asked >= 0) return findAnswer(oneStudy)(association, message)
        asked = messageId
        const data = association.encode(contextId, oneStudy()[0]!)
        await association.peer.send(findResponse({ contextId, messageId, data }))
      },
      other: async (association, message) => {
        cancelled = message.messageId
        await association.peer.send(findResponse({ contextId: message.contextId, messageId: asked, status: 0xfe00 }))
      },
    }
    await using fixture = await start(script)
    const { scripted, archive } = fixture
    for await (const _ of archive.find(query, never)) break
    expect(cancelled).toBe(asked)
    expect(archive.stats).toMatchObject({ leased: 0, idle: 1 })
    expect(await uids(archive)).toEqual(['1.2'])
    expect(scripted.associations).toHaveLength(1)
  })
})

describe('disposing', () => {
  test('releases every association', async () => {
    const scripted = await ScriptedArchive.start({ find: findAnswer(oneStudy) })
    const archive = await openArchive(scripted.address)
    await Promise.all([uids(archive), uids(archive), archive.echo(never)])
    await archive[Symbol.asyncDispose]()
    expect(archive.stats).toMatchObject({ open: 0, leased: 0, idle: 0, waiting: 0 })
    expect(scripted.associations.map(({ ended }) => ended)).toEqual(scripted.associations.map(() => 'released'))
    await scripted[Symbol.asyncDispose]()
  })
})
