import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, expect, test, vi } from 'vitest'
import { encapsulatedSyntaxes } from '../../../src/dicom/transfer-syntax.ts'
import { ContextLimit, LIMITED_MS } from '../../../src/pacs/pool/context-limit.ts'
import type { AssociationEvent } from '../../../src/pacs/pool/association-event.ts'
import { ConnectionLostError } from '../../../src/network/errors.ts'
import { collect } from '../../support/byte-stream.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { getResponse, readRequest } from '../../support/golden.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { listing, ScriptedArchive, storeAll, type ArchiveScript } from '../../support/scripted-archive.ts'
import { sliceUid, STUDY } from '../../support/slices.ts'

failOnLeaks()

const call = { signal: new AbortController().signal }

afterEach(() => {
  vi.restoreAllMocks()
})

type Answer = ReturnType<NonNullable<ArchiveScript['associate']>>

/** Bears `most` contexts; `counts` are those of each association that was asked for with C-GET in it. */
function limited(most: number, answer: Answer): { counts: number[]; script: ArchiveScript } {
  const counts: number[] = []
  const script: ArchiveScript = {
    associate(request) {
      const { length } = readRequest(request).contexts
      if (length > 2) counts.push(length)
      return length > most ? answer : undefined
    },
    find: listing([{ number: 1 }]),
    get: async (association, { contextId, messageId }) => {
      await storeAll(association, [{ shape: { number: 1 } }])
      await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
    },
  }
  return { counts, script }
}

test.each([
  ['rejects', [1, 1, 1] as const, [128, 64, 32, 32]],
  ['aborts', 'abort' as const, [128, 64, 32, 128, 64, 32, 32]],
  ['drops', 'close' as const, [128, 64, 32, 128, 64, 32, 32]],
])('an archive that %s what has more than 40 contexts is asked with fewer', async (_how, answer, expected) => {
  const { counts, script } = limited(40, answer)
  const events: AssociationEvent[] = []
  const note = (event: unknown): void => void events.push(event as AssociationEvent)
  subscribe('dimsegate:association', note)
  await using scripted = await ScriptedArchive.start(script)
  const settings = { timeouts: { idle: '1ms' }, retrieve: 'get' }
  await using archive = await openArchive(scripted.address, settings)
  const retrieveOne = async (): Promise<void> => {
    const found: string[] = []
    for await (const { sopInstance, body } of archive.retrieve({ study: STUDY }, true, call)) {
      await collect(body)
      found.push(sopInstance)
    }
    expect(found).toEqual([sliceUid(1)])
    await vi.waitFor(() => expect(archive.stats.open).toBe(0))
  }
  for (let n = 0; n < (answer === 'abort' || answer === 'close' ? 3 : 2); n++) await retrieveOne()
  unsubscribe('dimsegate:association', note)
  expect(counts).toEqual(expected)
  expect(events.filter(({ event }) => event === 'fewer-contexts')).toMatchObject([{ archive: 'main' }])
  counts.length = 0
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + LIMITED_MS)
  await retrieveOne()
  expect(counts[0]).toBe(128)
})

test('an archive that rejects for another reason is not asked again with fewer', async () => {
  const { counts, script } = limited(40, [1, 1, 3])
  await using scripted = await ScriptedArchive.start(script)
  await using archive = await openArchive(scripted.address, { retrieve: 'get' })
  const retrieved = archive.retrieve({ study: STUDY }, true, call).next()
  await expect(retrieved).rejects.toMatchObject({ code: 'ASSOCIATION_REJECTED', reason: 3 })
  expect(counts).toEqual([128])
})

test('an archive that bears none is told by what became of the most, and nothing is remembered', async () => {
  const { counts, script } = limited(2, 'abort')
  await using scripted = await ScriptedArchive.start(script)
  await using archive = await openArchive(scripted.address, { retrieve: 'get' })
  for (let n = 0; n < 2; n++) {
    const retrieved = archive.retrieve({ study: STUDY }, true, call).next()
    await expect(retrieved).rejects.toMatchObject({ code: 'ASSOCIATION_ABORTED' })
  }
  expect(counts).toEqual([128, 64, 32, 16, 128, 64, 32, 16])
})

test('now and then a lost connection changes nothing', async () => {
  const limit = new ContextLimit(128)
  const plan = (maxContexts: number) => ({
    contexts: Array.from({ length: maxContexts }, (_, n) => ({
      id: 2 * n + 1,
      abstractSyntax: '',
      transferSyntaxes: [],
    })),
  })
  for (let n = 0; n < 3; n++) {
    let isLost = false
    const losing = (): Promise<void> => {
      if (isLost) return Promise.resolve()
      isLost = true
      return Promise.reject(new ConnectionLostError('gone'))
    }
    await limit.open(plan, losing, call)
    expect(limit.size).toBe(128)
    await limit.open(plan, () => Promise.resolve(), call)
  }
})

test('of what there is no room for at first, each syntax is proposed in the end', async () => {
  const syntax = '1.2.840.10008.1.2.4.203'
  const proposed = new Set<string>()
  const script: ArchiveScript = {
    associate(request) {
      for (const { transferSyntaxes } of readRequest(request).contexts)
        transferSyntaxes.forEach((uid) => proposed.add(uid))
      return undefined
    },
    find: listing([{ number: 1 }]),
    get: async (association, { contextId, messageId }) => {
      await association.peer.send(getResponse({ contextId, messageId, status: 0xb000, completed: 0, failed: 1 }))
    },
  }
  await using scripted = await ScriptedArchive.start(script)
  await using archive = await openArchive(scripted.address, { retrieve: 'get', quirks: { maxContexts: 8 } })
  const retrieved = archive.retrieve({ study: STUDY }, true, call).next()
  await expect(retrieved).rejects.toMatchObject({ code: 'INCOMPLETE_RETRIEVE' })
  expect(proposed).toContain(syntax)
  for (const { uid } of encapsulatedSyntaxes) expect(proposed).toContain(uid)
})

test('what is configured is never passed', async () => {
  const limit = new ContextLimit(20)
  const sizes: number[] = []
  const plan = (maxContexts: number) => ({
    contexts: Array.from({ length: maxContexts }, (_, n) => ({
      id: 2 * n + 1,
      abstractSyntax: '',
      transferSyntaxes: [],
    })),
  })
  await limit.open(plan, async ({ contexts }) => sizes.push(contexts.length), call)
  expect(sizes).toEqual([20])
  const drops = limit.open(
    plan,
    ({ contexts }) => {
      sizes.push(contexts.length)
      return Promise.reject(new ConnectionLostError('gone'))
    },
    call,
  )
  await expect(drops).rejects.toBeInstanceOf(ConnectionLostError)
  expect(sizes).toEqual([20, 20, 16])
})
