import { PoolBusyError, PoolClosedError } from '../../../src/pacs/errors.ts'
import { CONCEDED_MS } from '../../../src/pacs/pool/concessions.ts'
import type { PoolOptions } from '../../../src/pacs/pool/pool-options.ts'
import { AssociationPool } from '../../../src/pacs/pool/pool.ts'
import type { AssociationEvent } from '../../../src/pacs/pool/association-event.ts'
import type { Lease } from '../../../src/pacs/pool/lease.ts'
import type { Proposal } from '../../../src/pacs/pool/proposal.ts'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { SopClass } from '../../../src/dicom/uids.ts'
import { Scu } from '../../../src/dimse/scu.ts'
import { AssociationRejectedError, ConnectError, PeerTimeoutError } from '../../../src/network/errors.ts'
import type { UserIdentity } from '../../../src/network/pdu.ts'
import { findProposal } from '../../../src/pacs/contexts.ts'
import { returnKey, type Query } from '../../../src/pacs/search/query.ts'
import { eventually } from '../../support/eventually.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { associateAccept, EXPLICIT_LE, findResponse, IMPLICIT_LE } from '../../support/golden.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'

failOnLeaks()

const EXTENDED_ITEM = 0x56
const IDENTITY_ITEM = 0x58

/** Proposals that cannot stand in for each other. */
const proposals: readonly Proposal[] = [EXPLICIT_LE, IMPLICIT_LE].map((syntax) => ({
  contexts: [{ id: 1, abstractSyntax: SopClass.verification, transferSyntaxes: [syntax] }],
}))
const [echo, other] = proposals as [Proposal, Proposal]

const never = { signal: new AbortController().signal }

interface Fixture extends AsyncDisposable {
  readonly archive: ScriptedArchive
  readonly pool: AssociationPool
}

async function start(
  options: {
    max?: number
    idle?: number
    queue?: number
    associate?: number
    script?: ArchiveScript
    identity?: UserIdentity
  } = {},
): Promise<Fixture> {
  const archive = await ScriptedArchive.start(options.script)
  const pool = poolTo(archive.address, options)
  return {
    archive,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.close()
      await archive[Symbol.asyncDispose]()
    },
  }
}

function poolTo(
  address: { host: string; port: number },
  options: {
    max?: number
    idle?: number
    queue?: number
    associate?: number
    connect?: number
    tls?: object
    identity?: UserIdentity
  } = {},
): AssociationPool {
  const { max = 2, idle = 60_000, queue = 5_000, associate = 5_000, connect = 5_000, tls, identity } = options
  const request: PoolOptions['request'] = {
    address,
    calledAeTitle: 'PACS',
    callingAeTitle: 'GATE',
    maxPduLength: 16384,
    timeouts: { connect, associate },
    ...(tls && { tls }),
    ...(identity && { identity }),
  }
  return new AssociationPool({ archive: 'main', maxAssociations: max, timeouts: { idle, queue }, request })
}

async function sendEcho(lease: Lease): Promise<void> {
  await new Scu(lease.association).echo([...lease.association.contexts.values()][0]!, { timeout: 5_000 })
}

/** Resolves when a condition holds. */
function until(condition: () => boolean): Promise<void> {
  return eventually(() => expect(condition()).toBe(true))
}

describe('the limit', () => {
  test('is never exceeded, as the archive counts', async () => {
    await using fixture = await start({ max: 3 })
    const { archive, pool } = fixture
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const lease = await pool.lease(proposals[index % 2]!, never)
        await sendEcho(lease)
        if (index % 3 === 0) lease.discard()
        else lease.release()
      }),
    )
    expect(archive.mostOpen).toBe(3)
    expect(pool.stats).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('holds for associations that were discarded and that the archive has yet to let go', async () => {
    await using fixture = await start({ max: 1 })
    const { archive, pool } = fixture
    for (let round = 0; round < 10; round++) {
      const lease = await pool.lease(echo, never)
      lease.discard()
    }
    expect(archive.associations).toHaveLength(10)
    expect(archive.mostOpen).toBe(1)
  })

  test('does not count an archive that ignores an abort for longer than a release may take', async () => {
    await using fixture = await start({ max: 1 })
    const { archive, pool } = fixture
    const lease = await pool.lease(echo, never)
    archive.connections[0]!.stall()
    lease.discard()
    const next = await pool.lease(echo, never)
    await sendEcho(next)
    next.release()
  })
})

describe('a queue', () => {
  test('is served in the order of arrival', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const first = await pool.lease(echo, never)
    const order: number[] = []
    const waiting = Array.from({ length: 8 }, async (_, index) => {
      const lease = await pool.lease(echo, never)
      order.push(index)
      await sendEcho(lease)
      lease.release()
    })
    await until(() => pool.stats.waiting === 8)
    first.release()
    await Promise.all(waiting)
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('is served in the order of arrival where proposals differ and associations have to be changed', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const first = await pool.lease(echo, never)
    const order: number[] = []
    const waiting = Array.from({ length: 8 }, async (_, index) => {
      const lease = await pool.lease(proposals[(index + 1) % 2]!, never)
      order.push(index)
      if (index % 3 === 2) lease.discard()
      else lease.release()
    })
    await until(() => pool.stats.waiting === 8)
    first.release()
    await Promise.all(waiting)
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test('is not overtaken by who comes at the moment of a release', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const first = await pool.lease(echo, never)
    const order: string[] = []
    const take = async (name: string): Promise<void> => {
      const lease = await pool.lease(echo, never)
      order.push(name)
      lease.release()
    }
    const early = take('early')
    await until(() => pool.stats.waiting === 1)
    first.release()
    await Promise.all([take('late'), early])
    expect(order).toEqual(['early', 'late'])
  })

  test('ends in PoolBusyError after its deadline, which what happens to others does not move', async () => {
    await using fixture = await start({ max: 1, queue: 300 })
    const { pool } = fixture
    const lease = await pool.lease(echo, never)
    const started = performance.now()
    const waiting = pool.lease(echo, never)
    const abandoned = AbortSignal.timeout(150)
    const aborted = pool.lease(echo, { signal: abandoned })
    await expect(aborted).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(waiting).rejects.toMatchObject({ code: 'POOL_BUSY', archive: 'main', milliseconds: 300 })
    await expect(waiting).rejects.toBeInstanceOf(PoolBusyError)
    expect(performance.now() - started).toBeGreaterThan(250)
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(pool.stats).toMatchObject({ open: 1, leased: 1, idle: 0, waiting: 0 })
    lease.release()
    expect(pool.stats).toMatchObject({ open: 1, leased: 0, idle: 1, waiting: 0 })
  })

  test('loses no turn to a waiter that gives up at the moment of a release', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const first = await pool.lease(echo, never)
    const controller = new AbortController()
    const gone = pool.lease(echo, { signal: controller.signal })
    const next = pool.lease(echo, never)
    await until(() => pool.stats.waiting === 2)
    controller.abort(new Error('gone'))
    first.release()
    await expect(gone).rejects.toThrow('gone')
    const lease = await next
    lease.release()
  })
})

describe('an association that is not in use', () => {
  test('is released in order when its time is over', async () => {
    await using fixture = await start({ idle: 50 })
    const { archive, pool } = fixture
    const lease = await pool.lease(echo, never)
    lease.release()
    expect(pool.stats).toMatchObject({ open: 1, leased: 0, idle: 1, waiting: 0 })
    await until(() => archive.associations[0]!.ended !== undefined)
    expect(archive.associations[0]!.ended).toBe('released')
    await until(() => pool.stats.open === 0)
  })

  test('is given up, with its place, by an archive that does not answer the release', { timeout: 10_000 }, async () => {
    await using fixture = await start({ max: 1, idle: 20, script: { release: () => Promise.resolve(false) } })
    const { pool } = fixture
    const lease = await pool.lease(echo, never)
    lease.release()
    await until(() => pool.stats.idle === 0)
    const next = await pool.lease(echo, never)
    next.discard()
  })

  test('serves again where the proposal is equal, and only there', async () => {
    await using fixture = await start({ max: 2 })
    const { archive, pool } = fixture
    const first = await pool.lease(echo, never)
    expect(first.reused).toBe(false)
    const { association } = first
    first.release()
    const same = await pool.lease(structuredClone(echo), never)
    expect(same.association).toBe(association)
    expect(same.reused).toBe(true)
    same.release()
    const different = await pool.lease(other, never)
    expect(different.association).not.toBe(association)
    expect(different.reused).toBe(false)
    different.release()
    expect(archive.associations).toHaveLength(2)
  })

  test('tells proposals apart by contexts, roles and extended negotiation', async () => {
    await using fixture = await start({ max: 4 })
    const { archive, pool } = fixture
    const variants: Proposal[] = [
      echo,
      { ...echo, roles: [{ sopClass: '1.2', scu: false, scp: true }] },
      { ...echo, roles: [{ sopClass: '1.2', scu: true, scp: true }] },
      { ...echo, extended: [{ sopClass: '1.2', information: Uint8Array.of(1) }] },
    ]
    for (const variant of [...variants, ...variants]) (await pool.lease(variant, never)).release()
    expect(archive.associations).toHaveLength(4)
  })

  test('makes room for another proposal: it is released before the other is asked for', async () => {
    await using fixture = await start({ max: 1 })
    const { archive, pool } = fixture
    const first = await pool.lease(echo, never)
    first.release()
    const second = await pool.lease(other, never)
    expect(archive.associations.map(({ ended }) => ended)).toEqual(['released', undefined])
    expect(archive.mostOpen).toBe(1)
    expect(pool.stats).toMatchObject({ open: 1, leased: 1, idle: 0, waiting: 0 })
    second.release()
  })

  test('that nobody wants any more before it stands is no failure of the archive', async () => {
    const events: AssociationEvent[] = []
    const note = (event: unknown): void => void events.push(event as AssociationEvent)
    const { promise: asked, resolve } = Promise.withResolvers<undefined>()
    const associate = (): 'silent' => {
      resolve(undefined)
      return 'silent'
    }
    await using fixture = await start({ script: { associate } })
    subscribe('dimsegate:association', note)
    const gone = new AbortController()
    const lease = fixture.pool.lease(echo, { signal: gone.signal })
    await asked
    gone.abort(new Error('left'))
    await expect(lease).rejects.toThrow('left')
    unsubscribe('dimsegate:association', note)
    expect(events.map(({ event }) => event)).toEqual(['given-up'])
  })

  test('makes room for as many as wait, not for one at a time', async () => {
    await using fixture = await start({ max: 3 })
    const { pool } = fixture
    const idle = await Promise.all([1, 2, 3].map(() => pool.lease(echo, never)))
    for (const lease of idle) lease.release()
    const leases = await Promise.all([1, 2, 3].map(() => pool.lease(other, never)))
    expect(pool.stats).toMatchObject({ open: 3, leased: 3, idle: 0, waiting: 0 })
    for (const lease of leases) lease.release()
  })

  test.each(['close', 'abort', 'reset', 'release'] as const)(
    'is forgotten when the archive ends it by %s, and a fresh one takes its place',
    async (how) => {
      await using fixture = await start({ max: 1 })
      const { archive, pool } = fixture
      const lease = await pool.lease(echo, never)
      await sendEcho(lease)
      lease.release()
      const { peer } = archive.associations[0]!
      if (how === 'close') peer.close()
      else if (how === 'abort') await peer.abort()
      else if (how === 'reset') peer.reset()
      else {
        await peer.send(Buffer.from('05000000000400000000', 'hex'))
        await peer.until(() => peer.received.at(-10) === 6, 'the release response')
        peer.close()
      }
      await until(() => pool.stats.open === 0)
      const next = await pool.lease(echo, never)
      expect(next.reused).toBe(false)
      await sendEcho(next)
      next.release()
    },
  )

  test('is not given to who wants a fresh one, and is let go for it', async () => {
    await using fixture = await start({ max: 1 })
    const { archive, pool } = fixture
    const first = await pool.lease(echo, never)
    first.release()
    const fresh = await pool.lease(echo, never, { fresh: true })
    expect(fresh.reused).toBe(false)
    expect(archive.associations.map(({ ended }) => ended)).toEqual(['released', undefined])
    const waiting = pool.lease(echo, never, { fresh: true })
    await until(() => pool.stats.waiting === 1)
    fresh.release()
    const next = await waiting
    expect(next.reused).toBe(false)
    expect(archive.associations).toHaveLength(3)
    next.release()
  })

  test('is not given out when something has arrived that nobody asked for', async () => {
    await using fixture = await start({ max: 1 })
    const { archive, pool } = fixture
    const lease = await pool.lease(echo, never)
    await sendEcho(lease)
    const { association } = lease
    lease.release()
    await archive.associations[0]!.peer.send(findResponse())
    await until(() => association.pending || !association.idle)
    const next = await pool.lease(echo, never)
    expect(next.association).not.toBe(association)
    next.release()
  })
})

describe('an archive that rejects', () => {
  test('for want of resources is asked again, some times with pauses (case 122)', async () => {
    const full = [2, 3, 2] as const
    await using fixture = await start({ script: { associate: (_, index) => (index < 2 ? full : undefined) } })
    const { archive, pool } = fixture
    const started = performance.now()
    const lease = await pool.lease(echo, never)
    expect(performance.now() - started).toBeGreaterThan(500)
    await sendEcho(lease)
    lease.release()
    expect(archive.connections).toHaveLength(3)
  })

  test('for want of resources time and again is told so at last, and the place is free (case 122)', async () => {
    await using fixture = await start({ max: 1, script: { associate: () => [2, 3, 1] } })
    const { archive, pool } = fixture
    await expect(pool.lease(echo, never)).rejects.toMatchObject({ code: 'ASSOCIATION_REJECTED', transient: true })
    expect(archive.connections).toHaveLength(4)
    await until(() => pool.stats.open === 0)
    expect(pool.stats).toMatchObject({ open: 0, leased: 0, idle: 0, waiting: 0 })
    archive.script = {}
    const lease = await pool.lease(echo, never)
    lease.release()
  })

  test('for good is not asked again (case 122)', async () => {
    await using fixture = await start({ max: 1, script: { associate: () => [1, 1, 7] } })
    const { archive, pool } = fixture
    await expect(pool.lease(echo, never)).rejects.toBeInstanceOf(AssociationRejectedError)
    expect(archive.connections).toHaveLength(1)
    await until(() => pool.stats.open === 0)
  })

  test('is left alone when the caller goes during a pause: with the reason of the signal', async () => {
    await using fixture = await start({ max: 1, script: { associate: () => [2, 3, 2] } })
    const { archive, pool } = fixture
    const controller = new AbortController()
    const lease = pool.lease(echo, { signal: controller.signal })
    await until(() => archive.connections[0]?.isOver === true)
    const reason = new Error('gone')
    controller.abort(reason)
    await expect(lease).rejects.toBe(reason)
    expect(pool.stats.open).toBe(0)
  })

  test('passes the place on to who waits', async () => {
    await using fixture = await start({
      max: 1,
      script: { associate: (_, index) => (index === 0 ? [1, 1, 1] : undefined) },
    })
    const { pool } = fixture
    const first = pool.lease(echo, never)
    const second = pool.lease(echo, never)
    await expect(first).rejects.toBeInstanceOf(AssociationRejectedError)
    const lease = await second
    lease.release()
  })
})

describe('extended negotiation', () => {
  const find = findProposal({ extendedNegotiation: true, relational: true, fuzzy: false })

  type Answer = ReturnType<NonNullable<ArchiveScript['associate']>>

  /** Notes whether it is offered; the answers are those to associations with it, in turn, the last one for good. */
  function offered(...answers: readonly Answer[]): { offers: boolean[]; associate: (request: Buffer) => Answer } {
    const offers: boolean[] = []
    let asked = 0
    const associate = (request: Buffer): Answer => {
      const isOffered = request.includes(Buffer.of(EXTENDED_ITEM, 0, 0))
      offers.push(isOffered)
      return isOffered ? answers[Math.min(asked++, answers.length - 1)] : undefined
    }
    return { offers, associate }
  }

  /** Opens associations one after the other, all without it in the end. */
  async function open(pool: AssociationPool, count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const lease = await pool.lease(find, never)
      expect(lease.association.peer.extended).toEqual([])
      lease.discard()
    }
  }

  afterEach(() => {
    vi.restoreAllMocks()
  })

  test.each([
    ['rejects', [1, 1, 1] as const, [true, false, false, false]],
    ['aborts twice', 'abort' as const, [true, false, true, false, false]],
    ['closes the connection twice', 'close' as const, [true, false, true, false, false]],
  ])('is left out for an archive that %s for it, for some minutes', async (_how, answer, expected) => {
    const { offers, associate } = offered(answer)
    const events: unknown[] = []
    const note = (event: unknown): void => void events.push(event)
    subscribe('dimsegate:association', note)
    await using fixture = await start({ max: 2, script: { associate } })
    await open(fixture.pool, 3)
    unsubscribe('dimsegate:association', note)
    expect(offers).toEqual(expected)
    expect(events.filter((event) => (event as AssociationEvent).event === 'plain')).toMatchObject([
      { archive: 'main', error: { code: expect.any(String) as unknown } },
    ])
    offers.length = 0
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + CONCEDED_MS)
    await open(fixture.pool, 1)
    expect(offers).toEqual([true, false])
  })

  test('is offered on after connections that were lost now and then', async () => {
    const { offers, associate } = offered('close', undefined, 'close', undefined)
    await using fixture = await start({ max: 2, script: { associate } })
    await open(fixture.pool, 4)
    expect(offers).toEqual([true, false, true, true, false, true])
  })

  test('is offered on after a failure that has another reason', async () => {
    const offers: boolean[] = []
    const associate: ArchiveScript['associate'] = (request, index) => {
      offers.push(request.includes(Buffer.of(EXTENDED_ITEM, 0, 0)))
      return index < 2 ? 'abort' : undefined
    }
    await using fixture = await start({ max: 1, script: { associate } })
    const { pool } = fixture
    await expect(pool.lease(find, never)).rejects.toMatchObject({ code: 'ASSOCIATION_ABORTED' })
    const lease = await pool.lease(find, never)
    lease.release()
    expect(offers).toEqual([true, false, true])
  })

  test('is not what a wrong AE title is blamed on', async () => {
    await using fixture = await start({ script: { associate: () => [1, 1, 3] } })
    const { archive, pool } = fixture
    await expect(pool.lease(find, never)).rejects.toMatchObject({ reason: 3 })
    expect(archive.connections).toHaveLength(1)
  })
})

describe('user identity', () => {
  const none = new Uint8Array(0)
  const identity: UserIdentity = {
    type: 1,
    positiveResponseRequested: false,
    primary: Buffer.from('gateway'),
    secondary: none,
  }
  const find = findProposal({ extendedNegotiation: true, relational: true, fuzzy: false })

  /** What of both is offered, as letters; the archive drops or rejects what it does not bear. */
  function bearing(
    bears: string,
    answer: Answer,
  ): { offers: string[]; associate: NonNullable<ArchiveScript['associate']> } {
    const offers: string[] = []
    const associate = (request: Buffer): Answer => {
      const isThere = (type: number): boolean => request.includes(Buffer.of(type, 0, 0))
      const offer = `${isThere(EXTENDED_ITEM) ? 'e' : ''}${isThere(IDENTITY_ITEM) ? 'i' : ''}`
      offers.push(offer)
      return ['e', 'i'].every((one) => !offer.includes(one) || bears.includes(one)) ? undefined : answer
    }
    return { offers, associate }
  }

  type Answer = ReturnType<NonNullable<ArchiveScript['associate']>>

  async function open(pool: AssociationPool, proposal: Proposal, count: number): Promise<void> {
    for (let index = 0; index < count; index++) (await pool.lease(proposal, never)).discard()
  }

  test.each(['abort', 'close'] as const)('is left out for an archive that drops it by %s', async (answer) => {
    const { offers, associate } = bearing('e', answer)
    const events: AssociationEvent[] = []
    const note = (event: unknown): void => void events.push(event as AssociationEvent)
    subscribe('dimsegate:association', note)
    await using fixture = await start({ max: 2, script: { associate }, identity })
    await open(fixture.pool, echo, 3)
    await open(fixture.pool, find, 1)
    unsubscribe('dimsegate:association', note)
    expect(offers).toEqual(['i', 'i', '', 'i', 'i', '', '', 'e'])
    expect(events.filter(({ event }) => event === 'anonymous')).toHaveLength(1)
  })

  test('and extended negotiation are left out one by one, then both', async () => {
    const { offers, associate } = bearing('', 'abort')
    await using fixture = await start({ max: 2, script: { associate }, identity })
    await open(fixture.pool, find, 3)
    expect(offers).toEqual(['ei', 'i', 'e', '', 'ei', 'i', 'e', '', ''])
  })

  test('is never left out for an archive that rejects: it may not want our user', async () => {
    const { offers, associate } = bearing('e', [1, 1, 1])
    await using fixture = await start({ max: 2, script: { associate }, identity })
    await expect(fixture.pool.lease(echo, never)).rejects.toMatchObject({ code: 'ASSOCIATION_REJECTED' })
    await expect(fixture.pool.lease(find, never)).rejects.toMatchObject({ code: 'ASSOCIATION_REJECTED' })
    expect(offers).toEqual(['i', 'ei', 'i'])
  })
})

describe('an association that stands with less than was wanted', () => {
  const find = findProposal({ extendedNegotiation: true, relational: true, fuzzy: false })

  test('is not kept for who comes next, unless the archive is known not to bear more', async () => {
    const offers: boolean[] = []
    const associate: ArchiveScript['associate'] = (request) => {
      offers.push(request.includes(Buffer.of(EXTENDED_ITEM, 0, 0)))
      return offers.at(-1) === true ? 'abort' : undefined
    }
    await using fixture = await start({ max: 1, script: { associate } })
    const use = async (): Promise<boolean> => {
      const lease = await fixture.pool.lease(find, never)
      const { reused } = lease
      lease.release()
      return reused
    }
    expect([await use(), await use(), await use()]).toEqual([false, false, true])
    expect(offers).toEqual([true, false, true, false])
  })

  test('is one drop where one event ended several that were asked for at once', async () => {
    let drops = 3
    const associate: ArchiveScript['associate'] = (request) =>
      request.includes(Buffer.of(EXTENDED_ITEM, 0, 0)) && drops-- > 0 ? 'close' : undefined
    const events: AssociationEvent[] = []
    const note = (event: unknown): void => void events.push(event as AssociationEvent)
    subscribe('dimsegate:association', note)
    await using fixture = await start({ max: 3, script: { associate } })
    const leases = await Promise.all([1, 2, 3].map(() => fixture.pool.lease(find, never)))
    for (const lease of leases) lease.release()
    unsubscribe('dimsegate:association', note)
    expect(events.map(({ event }) => event)).not.toContain('plain')
  })

  test('never lacks identity where it was refused in one turn and dropped in others', async () => {
    const identity: UserIdentity = {
      type: 1,
      positiveResponseRequested: false,
      primary: Buffer.from('gateway'),
      secondary: new Uint8Array(0),
    }
    const offers: string[] = []
    const associate: ArchiveScript['associate'] = (request) => {
      const isThere = (type: number): boolean => request.includes(Buffer.of(type, 0, 0))
      offers.push(`${isThere(EXTENDED_ITEM) ? 'e' : ''}${isThere(IDENTITY_ITEM) ? 'i' : ''}`)
      return isThere(EXTENDED_ITEM) ? 'abort' : isThere(IDENTITY_ITEM) ? [1, 1, 1] : undefined
    }
    await using fixture = await start({ max: 1, script: { associate }, identity })
    await expect(fixture.pool.lease(find, never)).rejects.toMatchObject({ code: 'ASSOCIATION_ABORTED' })
    expect(offers).toEqual(['ei', 'i'])
  })
})

describe('a place that is reserved', () => {
  test('counts like an association, waits its turn, and makes room by what is idle', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    ;(await pool.lease(echo, never)).release()
    const leave = await pool.reserve(never)
    expect(pool.stats).toMatchObject({ open: 1, leased: 0, idle: 0 })
    const waiting = pool.lease(echo, never)
    await until(() => pool.stats.waiting === 1)
    leave()
    leave()
    ;(await waiting).release()
    expect(pool.stats).toMatchObject({ open: 1, idle: 1, waiting: 0 })
  })

  test('is not had when the caller goes, nor of a pool that is closed', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const lease = await pool.lease(echo, never)
    const gone = new AbortController()
    const waiting = pool.reserve({ signal: gone.signal })
    gone.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    lease.release()
    await pool.close()
    await expect(pool.reserve(never)).rejects.toBeInstanceOf(PoolClosedError)
  })
})

describe('a caller that goes', () => {
  test('before anything has begun takes nothing', async () => {
    await using fixture = await start()
    const { archive, pool } = fixture
    const reason = new Error('gone')
    await expect(pool.lease(echo, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(archive.connections).toHaveLength(0)
    expect(pool.stats.open).toBe(0)
  })

  test('while it waits leaves the queue', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const lease = await pool.lease(echo, never)
    const controller = new AbortController()
    const waiting = pool.lease(echo, { signal: controller.signal })
    await until(() => pool.stats.waiting === 1)
    const reason = new Error('gone')
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(pool.stats).toMatchObject({ open: 1, leased: 1, idle: 0, waiting: 0 })
    lease.release()
  })

  test('while the connection is made frees the place', async () => {
    // A TLS handshake that is never answered is a connection being made.
    await using fixture = await start()
    const { archive } = fixture
    const pool = poolTo(archive.address, { max: 1, tls: { rejectUnauthorized: false } })
    const controller = new AbortController()
    archive.script = { associate: () => 'silent' }
    const lease = pool.lease(echo, { signal: controller.signal })
    await until(() => archive.connections.length === 1)
    expect(pool.stats).toMatchObject({ open: 1, leased: 1 })
    const reason = new Error('gone')
    controller.abort(reason)
    await expect(lease).rejects.toBe(reason)
    expect(pool.stats.open).toBe(0)
    await until(() => archive.connections[0]!.isOver)
  })

  test('while the association is asked for frees the place, and the archive gets an abort', async () => {
    await using fixture = await start({ max: 1, script: { associate: () => 'silent' } })
    const { archive, pool } = fixture
    const controller = new AbortController()
    const lease = pool.lease(echo, { signal: controller.signal })
    await until(() => archive.associations.length === 1)
    const reason = new Error('gone')
    controller.abort(reason)
    await expect(lease).rejects.toBe(reason)
    const { peer } = archive.associations[0]!
    await peer.until(() => peer.received.at(-10) === 7, 'an A-ABORT')
    peer.close()
    await until(() => pool.stats.open === 0)
    archive.script = {}
    const next = await pool.lease(echo, never)
    next.release()
  })
})

describe('an archive out of reach', () => {
  test('frees the place when it refuses the connection', async () => {
    const archive = await ScriptedArchive.start()
    const { address } = archive
    await archive[Symbol.asyncDispose]()
    const pool = poolTo(address, { max: 1 })
    await expect(pool.lease(echo, never)).rejects.toBeInstanceOf(ConnectError)
    await expect(pool.lease(echo, never)).rejects.toBeInstanceOf(ConnectError)
    expect(pool.stats.open).toBe(0)
  })

  test('frees the place when it does not answer in time', async () => {
    await using fixture = await start({ max: 1, associate: 100, script: { associate: () => 'silent' } })
    const { archive, pool } = fixture
    await expect(pool.lease(echo, never)).rejects.toBeInstanceOf(PeerTimeoutError)
    archive.connections[0]!.close()
    await until(() => pool.stats.open === 0)
  })
})

describe('closing', () => {
  test('releases what is idle, turns away who waits and who comes, and lets who is at work finish', async () => {
    await using fixture = await start({ max: 2 })
    const { archive, pool } = fixture
    const [busy, idle] = [await pool.lease(echo, never), await pool.lease(echo, never)]
    const waiting = pool.lease(echo, never)
    waiting.catch(() => undefined)
    await until(() => pool.stats.waiting === 1)
    const closing = (async () => {
      idle.release()
      await waiting.then((lease) => lease.release())
      const late = pool.lease(other, never)
      late.catch(() => undefined)
      await pool.close()
      await late.then(
        (lease) => lease.release(),
        () => undefined,
      )
    })()
    await closing
    expect(pool.stats).toMatchObject({ open: 1, leased: 1, idle: 0, waiting: 0 })
    await expect(pool.lease(echo, never)).rejects.toBeInstanceOf(PoolClosedError)
    await sendEcho(busy)
    busy.release()
    await until(() => pool.stats.open === 0)
    expect(archive.associations.map(({ ended }) => ended)).not.toContain('aborted')
    expect(archive.open).toBe(0)
  })

  test('turns away who waits', async () => {
    await using fixture = await start({ max: 1 })
    const { pool } = fixture
    const busy = await pool.lease(echo, never)
    const waiting = [pool.lease(echo, never), pool.lease(other, never)]
    await until(() => pool.stats.waiting === 2)
    const outcomes = Promise.allSettled(waiting)
    await pool.close()
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ reason: expect.any(PoolClosedError) as unknown })
    busy.release()
    await until(() => pool.stats.open === 0)
  })

  test('waits for associations that are being released already', async () => {
    let answer = (): void => undefined
    const script: ArchiveScript = {
      release: async () => {
        await new Promise<void>((resolve) => (answer = resolve))
        return true
      },
    }
    await using fixture = await start({ max: 1, idle: 10, script })
    const { pool } = fixture
    const lease = await pool.lease(echo, never)
    lease.release()
    await until(() => pool.stats.open === 1 && pool.stats.idle === 0)
    let closed = false
    const closing = pool.close().then(() => (closed = true))
    await delay(20)
    expect(closed).toBe(false)
    answer()
    await closing
    expect(pool.stats.open).toBe(0)
  })

  test('takes an association that comes into being meanwhile when its user is done', async () => {
    await using archive = await ScriptedArchive.start({ associate: () => 'silent' })
    const pool = poolTo(archive.address, { max: 1 })
    const coming = pool.lease(echo, never)
    await until(() => archive.associations.length === 1)
    await pool.close()
    const { peer } = archive.associations[0]!
    await peer.send(associateAccept(peer.received))
    const lease = await coming
    expect(pool.stats.leased).toBe(1)
    lease.release()
    await peer.released()
    await until(() => pool.stats.open === 0)
    peer.close()
  })
})

describe('any course of events', () => {
  type Step =
    | { kind: 'lease'; proposal: number; abortAfter: number | undefined }
    | { kind: 'release' | 'discard' | 'twice' | 'lost' | 'work'; which: number }
    | { kind: 'pause' }

  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('lease' as const),
        proposal: fc.nat({ max: 1 }),
        abortAfter: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom(
          'release' as const,
          'discard' as const,
          'twice' as const,
          'lost' as const,
          'work' as const,
        ),
        which: fc.nat({ max: 20 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'pause' as const }) },
  )

  test('of lease, release, discard, failure and abort leaves every place free, and the limit unbroken', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat({ max: 9 }), { maxLength: 3 }),
        async (steps, max, failures) => {
          const script: ArchiveScript = {
            associate: (_, index) => (failures.includes(index) ? [1, 1, 1] : undefined),
          }
          await using fixture = await start({ max, script })
          const { archive, pool } = fixture
          await play(steps, archive, pool)
          await until(() => pool.stats.leased === 0 && pool.stats.waiting === 0)
          expect(archive.mostOpen).toBeLessThanOrEqual(max)
          expect(pool.stats.open).toBeLessThanOrEqual(max)
          // No place is lost: all of them can be had at once.
          archive.script = {}
          const all = await Promise.all(
            Array.from({ length: max }, (_, index) => pool.lease(proposals[index % 2]!, never)),
          )
          expect(pool.stats).toMatchObject({ open: max, leased: max, idle: 0, waiting: 0 })
          for (const lease of all) lease.release()
          await pool.close()
          expect(pool.stats).toMatchObject({ open: 0, leased: 0, idle: 0, waiting: 0 })
          await until(() => archive.open === 0)
          expect(archive.mostOpen).toBeLessThanOrEqual(max)
        },
      ),
      { numRuns: 60 },
    )
  })

  async function play(steps: readonly Step[], archive: ScriptedArchive, pool: AssociationPool): Promise<void> {
    const held: Lease[] = []
    const pending: Promise<unknown>[] = []
    let open = true
    for (const one of steps) {
      switch (one.kind) {
        case 'lease': {
          const controller = new AbortController()
          const lease = pool.lease(proposals[one.proposal]!, { signal: controller.signal })
          pending.push(
            lease.then(
              (won) => (open ? held.push(won) : won.release()),
              () => undefined,
            ),
          )
          if (one.abortAfter === 0) controller.abort(new Error('gone'))
          else if (one.abortAfter !== undefined) setTimeout(() => controller.abort(new Error('gone')), one.abortAfter)
          break
        }
        case 'pause':
          await delay(1)
          break
        case 'lost':
          archive.connections[one.which % Math.max(1, archive.connections.length)]?.reset()
          break
        default: {
          const [lease] = held.length === 0 ? [] : held.splice(one.which % held.length, 1)
          if (!lease) break
          if (one.kind === 'work') {
            await sendEcho(lease).catch(() => lease.discard())
            lease.release()
          } else if (one.kind === 'release') lease.release()
          else if (one.kind === 'discard') lease.discard()
          else {
            lease.release()
            lease.discard()
            lease.release()
          }
        }
      }
    }
    open = false
    for (const lease of held) lease.release()
    await Promise.all(pending)
  }
})

describe('an archive that takes fewer associations than we may open', () => {
  test('serves all the same: who finds no place waits for one of those that are open', async () => {
    await using demo = await DemoArchive.start({ maxAssociations: 2 })
    await using archive = await openArchive({ host: '127.0.0.1', port: demo.port }, { maxAssociations: 6 })
    const call = { signal: new AbortController().signal }
    const query: Query = { level: 'STUDY', keys: [returnKey(Attribute.StudyInstanceUID, 'UI')] }
    const find = async (): Promise<void> => {
      for await (const _ of archive.find(query, call));
    }
    await expect(Promise.all(Array.from({ length: 12 }, find))).resolves.toHaveLength(12)
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
  })
})
