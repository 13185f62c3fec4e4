import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { SopClass } from '../../../src/dicom/uids.ts'
import type { Call, Priority } from '../../../src/pacs/call.ts'
import { PoolBusyError, PoolFullError } from '../../../src/pacs/errors.ts'
import type { Lease } from '../../../src/pacs/pool/lease.ts'
import { AssociationPool } from '../../../src/pacs/pool/pool.ts'
import type { Proposal } from '../../../src/pacs/pool/proposal.ts'
import { MAX_OVERTAKES, MAX_WAITERS } from '../../../src/pacs/pool/queue.ts'
import { eventually } from '../../support/eventually.ts'
import { EXPLICIT_LE, IMPLICIT_LE } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'

failOnLeaks()

const kept = keeper()

const proposing = (syntax: string): Proposal => ({
  contexts: [{ id: 1, abstractSyntax: SopClass.verification, transferSyntaxes: [syntax] }],
})
const query = proposing(EXPLICIT_LE)
const download = proposing(IMPLICIT_LE)

interface Started {
  readonly archive: ScriptedArchive
  readonly pool: AssociationPool
}

async function start(
  options: { max?: number; queue?: number; interactiveWait?: number; associate?: number; script?: ArchiveScript } = {},
): Promise<Started> {
  const { max = 4, queue = 5_000, interactiveWait, associate = 5_000, script } = options
  const archive = kept(await ScriptedArchive.start(script))
  const pool = new AssociationPool({
    archive: 'main',
    maxAssociations: max,
    timeouts: { idle: 60_000, queue },
    request: {
      address: archive.address,
      calledAeTitle: 'PACS',
      callingAeTitle: 'GATE',
      maxPduLength: 16_384,
      timeouts: { connect: 5_000, associate },
    },
    ...(interactiveWait !== undefined && { interactiveWait }),
  })
  kept({ [Symbol.asyncDispose]: () => pool.close() })
  return { archive, pool }
}

/** A call of its own; `wanted` counts how often it was told that others wait. */
function call(priority?: Priority, signal = new AbortController().signal): Call & { told: number } {
  const wanted = (): void => {
    one.told++
  }
  const one = { signal, told: 0, ...(priority && { priority }), wanted }
  return one
}

const waiting = (pool: AssociationPool, count: number): Promise<void> =>
  eventually(() => expect(pool.stats.waiting).toBe(count))

const busyWith = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('downloads without end', () => {
  test('leave one association to queries, which are served at once', async () => {
    const { pool } = await start({ max: 4 })
    const held = await Promise.all([1, 2, 3].map(() => pool.lease(download, call('bulk'))))
    const more = [call('bulk'), call('background')].map((one) => pool.lease(download, one))
    await waiting(pool, 2)
    for (let round = 0; round < 5; round++) (await pool.lease(query, call())).release()
    expect(pool.stats).toMatchObject({ leased: 3, waiting: 2, idle: 1 })
    for (const lease of held) lease.release()
    for (const lease of await Promise.all(more)) lease.release()
  })

  test('take the only association where there is one, and are told once that it is wanted', async () => {
    const { pool } = await start({ max: 1 })
    const slow = call('bulk')
    const held = await pool.lease(download, slow)
    expect(slow.told).toBe(0)
    const asked = [pool.lease(query, call()), pool.lease(query, call())]
    await eventually(() => expect(slow.told).toBe(1))
    held.release()
    for (const one of asked) (await one).release()
    await delay(1)
    expect(slow.told).toBe(1)
  })

  test('are waited for no longer than is named, and what is told says why', async () => {
    const { pool } = await start({ max: 1, queue: 60_000, interactiveWait: 150 })
    const held = await pool.lease(download, call('bulk'))
    const began = performance.now()
    const error = await busyWith(pool.lease(query, call()))
    expect(error).toBeInstanceOf(PoolBusyError)
    expect(error).toMatchObject({ why: 'transfers', limit: 1 })
    expect((error as PoolBusyError).milliseconds).toBeGreaterThanOrEqual(150)
    expect(performance.now() - began).toBeLessThan(2_000)
    held.release()
  })

  test('are waited for in the time of the queue where that is shorter', async () => {
    const { pool } = await start({ max: 1, queue: 100 })
    const held = await pool.lease(download, call('bulk'))
    expect(await busyWith(pool.lease(query, call()))).toMatchObject({ why: 'transfers', milliseconds: 100 })
    held.release()
  })

  test('are no reason to give up where another query has the association', async () => {
    const { pool } = await start({ max: 1, queue: 600, interactiveWait: 50 })
    const held = await pool.lease(query, call())
    const patient = pool.lease(query, call())
    await delay(200)
    held.release()
    ;(await patient).release()
    const again = await pool.lease(query, call())
    expect(await busyWith(pool.lease(query, call()))).toMatchObject({ why: 'all', milliseconds: 600 })
    again.release()
  })

  test('keep to one where the archive takes no more, as it has shown, and are told that it is wanted', async () => {
    const script: ArchiveScript = { associate: (_, index) => (index === 0 ? undefined : [2, 3, 2]) }
    const { pool } = await start({ max: 4, interactiveWait: 150, script })
    const slow = call('bulk')
    const held = await pool.lease(download, slow)
    const error = await busyWith(pool.lease(query, call()))
    expect(error).toMatchObject({ code: 'POOL_BUSY', why: 'transfers', limit: 1 })
    expect(slow.told).toBe(1)
    expect(pool.stats).toMatchObject({ limit: 1, open: 1 })
    held.release()
  })

  test('wait for each other where one more would leave none to queries', async () => {
    const { pool } = await start({ max: 2, queue: 100 })
    const held = await pool.lease(download, call('bulk'))
    const error = await busyWith(pool.lease(download, call('bulk')))
    expect(error).toMatchObject({ why: 'transfers', limit: 2, milliseconds: 100 })
    held.release()
  })

  test('wait no longer than their call allows', async () => {
    const { pool } = await start({ max: 1 })
    const held = await pool.lease(download, call('bulk'))
    const hasty = { ...call('bulk'), deadline: performance.now() + 80 }
    const error = await busyWith(pool.lease(download, hasty))
    expect(error).toMatchObject({ code: 'POOL_BUSY', why: 'transfers' })
    expect((error as PoolBusyError).milliseconds).toBeLessThan(1_000)
    held.release()
  })
})

describe('a line', () => {
  /** Who is served in which order by the one association there is. */
  async function order(pool: AssociationPool, calls: readonly (readonly [string, Call])[]): Promise<string[]> {
    const first = await pool.lease(query, call())
    const served: string[] = []
    const all = calls.map(async ([name, one]) => {
      const lease = await pool.lease(query, one)
      served.push(name)
      lease.release()
    })
    await waiting(pool, calls.length)
    first.release()
    await Promise.all(all)
    return served
  }

  test('is served in the order of arrival within a priority: interactive, bulk, background', async () => {
    const { pool } = await start({ max: 1 })
    const priorities = ['background', 'bulk', 'interactive', 'bulk', 'background', 'interactive'] as const
    const calls = priorities.map((priority, index) => [`${priority} ${index}`, call(priority)] as const)
    expect(await order(pool, calls)).toEqual([
      'interactive 2',
      'interactive 5',
      'bulk 1',
      'bulk 3',
      'background 0',
      'background 4',
    ])
  })

  test('of downloads is not starved by queries: its turn comes behind some of them', async () => {
    const { pool } = await start({ max: 1 })
    const queries = Array.from({ length: MAX_OVERTAKES * 3 }, (_, index) => [`query ${index}`, call()] as const)
    const served = await order(pool, [['first', call('bulk')], ['second', call('bulk')], ...queries])
    expect(served.indexOf('first')).toBe(MAX_OVERTAKES)
    expect(served.indexOf('second')).toBe(2 * MAX_OVERTAKES + 1)
  })

  test('of background calls ends when nobody else waits, and who holds is told when anybody does', async () => {
    const { pool } = await start({ max: 2 })
    const ahead = call('background')
    const held = await pool.lease(download, ahead)
    const other = await pool.lease(query, call())
    const later = pool.lease(download, call('background'))
    await waiting(pool, 1)
    expect(ahead.told).toBe(0)
    const asked = pool.lease(download, call('bulk'))
    await eventually(() => expect(ahead.told).toBe(1))
    held.release()
    const lease = await asked
    expect(pool.stats.waiting).toBe(1)
    lease.release()
    ;(await later).release()
    other.release()
  })

  test('of the background is left by who is asked for meanwhile: then it is a download as any', async () => {
    const { pool } = await start({ max: 2 })
    const held = await pool.lease(download, call('bulk'))
    const promotion = new AbortController()
    const ahead = { ...call('background'), promoted: promotion.signal }
    const promoted = pool.lease(download, ahead)
    const later = pool.lease(download, call('background'))
    await waiting(pool, 2)
    promotion.abort(new Error('asked for'))
    await waiting(pool, 2)
    const other = pool.lease(download, call('bulk'))
    await waiting(pool, 3)
    held.release()
    const lease = await promoted
    expect(pool.stats.waiting).toBe(2)
    lease.release()
    ;(await other).release()
    ;(await later).release()
  })

  test('of the background is not charged for the time before it was asked for', async () => {
    const { pool } = await start({ max: 2, queue: 400 })
    const held = await pool.lease(download, call('bulk'))
    const promotion = new AbortController()
    const promoted = pool.lease(download, { ...call('background'), promoted: promotion.signal })
    await delay(300)
    promotion.abort(new Error('asked for'))
    await delay(200)
    expect(pool.stats.waiting).toBe(1)
    held.release()
    ;(await promoted).release()
  })

  test('of the background is left with its reason by who gives up after it was asked for', async () => {
    const { pool } = await start({ max: 2 })
    const held = await pool.lease(download, call('bulk'))
    const [promotion, gone] = [new AbortController(), new AbortController()]
    const lost = busyWith(pool.lease(download, { ...call('background', gone.signal), promoted: promotion.signal }))
    await waiting(pool, 1)
    promotion.abort(new Error('asked for'))
    const reason = new Error('gone')
    gone.abort(reason)
    expect(await lost).toBe(reason)
    expect(pool.stats.waiting).toBe(0)
    held.release()
  })

  test('takes so many and no more; the lines of other priorities are not full by that', async () => {
    const { pool } = await start({ max: 1, queue: 60_000 })
    const held = await pool.lease(query, call())
    const gone = new AbortController()
    const all = Array.from({ length: MAX_WAITERS }, () => busyWith(pool.lease(query, call('bulk', gone.signal))))
    const error = await busyWith(pool.lease(query, call('bulk')))
    expect(error).toBeInstanceOf(PoolFullError)
    expect(error).toMatchObject({ code: 'POOL_FULL', archive: 'main', waiting: MAX_WAITERS })
    const asked = pool.lease(query, call())
    await waiting(pool, MAX_WAITERS + 1)
    held.release()
    ;(await asked).release()
    gone.abort(new Error('gone'))
    await Promise.all(all)
    expect(pool.stats.waiting).toBe(0)
  })

  test('costs the same for each who comes, however many have come', async () => {
    const cost = async (count: number): Promise<number> => {
      const { pool } = await start({ max: 4, queue: 60_000 })
      const held = await Promise.all([1, 2, 3, 4].map(() => pool.lease(query, call())))
      const began = process.cpuUsage()
      const errors = Array.from({ length: count }, (_, index) =>
        busyWith(pool.lease(index % 2 ? query : download, call())),
      )
      for (const lease of held) lease.release()
      const outcomes = await Promise.all(
        errors.map(async (one) => {
          const outcome = (await one) as Lease | PoolFullError
          if (!(outcome instanceof Error)) outcome.release()
          return outcome
        }),
      )
      const { user, system } = process.cpuUsage(began)
      expect(outcomes.filter((one) => one instanceof PoolFullError)).toHaveLength(Math.max(0, count - MAX_WAITERS))
      expect(pool.stats).toMatchObject({ leased: 0, waiting: 0 })
      return (user + system) / count
    }
    await cost(1_000)
    const few = await cost(1_000)
    expect(await cost(10_000)).toBeLessThan(few * 5)
  })
})

describe('a place', () => {
  test('of an association asked for in vain is held until its connection is gone', async () => {
    const { archive, pool } = await start({ max: 1, script: { associate: () => 'silent' } })
    const caller = new AbortController()
    const lease = busyWith(pool.lease(query, call('interactive', caller.signal)))
    await eventually(() => expect(archive.associations).toHaveLength(1))
    const { peer } = archive.associations[0]!
    caller.abort(new Error('gone'))
    expect(await lease).toMatchObject({ message: 'gone' })
    archive.script = {}
    const next = pool.lease(query, call())
    await peer.until(() => peer.received.at(-10) === 7, 'an A-ABORT')
    await delay(50)
    expect(archive.connections).toHaveLength(1)
    expect(pool.stats).toMatchObject({ open: 1, leased: 0, waiting: 1 })
    peer.close()
    ;(await next).release()
    expect(archive.connections).toHaveLength(2)
  })

  test('of an association that is not answered in time is held until its connection is gone', async () => {
    const { archive, pool } = await start({ max: 1, associate: 100, script: { associate: () => 'silent' } })
    expect(await busyWith(pool.lease(query, call()))).toMatchObject({ code: 'PEER_TIMEOUT' })
    archive.script = {}
    const next = pool.lease(query, call())
    await delay(50)
    expect(archive.connections).toHaveLength(1)
    expect(pool.stats).toMatchObject({ open: 1, leased: 0, waiting: 1 })
    archive.connections[0]!.close()
    ;(await next).release()
  })

  test('is never two connections: the one before is gone when the archive is asked again', async () => {
    const open: number[] = []
    const { archive, pool } = await start({
      max: 1,
      script: {
        associate: (_, index) => {
          open.push(archive.connections.filter(({ isOver }) => !isOver).length)
          return index < 2 ? [2, 3, 2] : undefined
        },
      },
    })
    ;(await pool.lease(query, call())).release()
    expect(open).toEqual([1, 1, 1])
  })
})

describe('a call whose association the archive has no room for', () => {
  test('keeps its turn: it is served before who came later', async () => {
    const { archive, pool } = await start({
      max: 2,
      script: { associate: (_, index) => (index === 0 ? undefined : 'silent') },
    })
    const held = await pool.lease(query, call())
    const served: string[] = []
    const take = async (name: string): Promise<void> => {
      const lease = await pool.lease(query, call())
      served.push(name)
      lease.release()
    }
    const early = take('early')
    await eventually(() => expect(archive.associations).toHaveLength(2))
    const late = take('late')
    await waiting(pool, 1)
    const { peer } = archive.associations[1]!
    await peer.send(Buffer.from([3, 0, 0, 0, 0, 4, 0, 2, 3, 2]))
    peer.close()
    await waiting(pool, 2)
    held.release()
    await Promise.all([early, late])
    expect(served).toEqual(['early', 'late'])
  })

  test('keeps its time: what it has waited counts', async () => {
    const { archive, pool } = await start({ max: 2, queue: 400, script: { associate: () => 'silent' } })
    archive.script = {}
    const [first, second] = await Promise.all([pool.lease(query, call()), pool.lease(query, call())])
    const began = performance.now()
    const third = busyWith(pool.lease(download, call()))
    await delay(300)
    archive.script = { associate: () => [2, 3, 2] }
    second.release()
    expect(await third).toMatchObject({ code: 'POOL_BUSY', milliseconds: 400 })
    expect(performance.now() - began).toBeLessThan(650)
    first.release()
  })
})
