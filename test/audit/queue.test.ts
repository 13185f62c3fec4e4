import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Audit } from '../../src/audit/audit.ts'
import { AuditQueue, MAX_WAITING, MAX_WAITING_FOR_ALERTS, type AuditSinkEvent } from '../../src/audit/queue.ts'
import { MAX_SET_ASIDE } from '../../src/audit/set-aside.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { MAX_LINES_A_MINUTE, SparedLines } from '../../src/telemetry/spared-lines.ts'
import { eventually } from '../support/eventually.ts'
import { numbered, Scripted } from './scripted-sink.ts'

let told: AuditSinkEvent[]
const note = (message: unknown): void => void told.push(message as AuditSinkEvent)

beforeEach(() => {
  told = []
  subscribe('dimsegate:audit', note)
})

afterEach(() => void unsubscribe('dimsegate:audit', note))

const queries = ({ written }: Scripted): number[] => written.map(({ query }) => Number(query))

describe('events that are refused', () => {
  it('are given up when another is accepted, counted and told with the status', async () => {
    const sink = new Scripted()
    sink.refuses = ({ query }) => query === '2' || query === '3'
    const audit = new Audit([sink], 'block')
    for (const event of numbered(6)) audit.write(event)
    await eventually(() => expect(queries(sink)).toEqual([0, 1, 4, 5]))
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: 0, dropped: 2 }])
    expect(told).toMatchObject([{ what: 'refused', events: 2, error: { code: 'AUDIT_EVENT_REFUSED', http: 422 } }])
    await audit.close()
  })

  it('wait for another, where nothing else waits', async () => {
    const sink = new Scripted()
    sink.refuses = ({ query }) => query === '0'
    const audit = new Audit([sink], 'drop')
    for (const event of numbered(1)) audit.write(event)
    await eventually(() => expect(told).toMatchObject([{ what: 'failed', error: { http: 422 } }]))
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: 1, dropped: 0 }])
    for (const event of numbered(2).slice(1)) audit.write(event)
    await eventually(() => expect(queries(sink)).toEqual([1]))
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: 0, dropped: 1 }])
    await audit.close()
  })

  it.each([MAX_SET_ASIDE - 1, MAX_SET_ASIDE])(
    '%i in a row: a repository that refuses so many is tried later',
    async (count) => {
      const sink = new Scripted()
      sink.refuses = ({ query }) => Number(query) < count
      const audit = new Audit([sink], 'drop')
      for (const event of numbered(count + 3)) audit.write(event)
      await eventually(() => expect(sink.refusals).toBe(count))
      await new Promise((resolve) => setImmediate(resolve))
      const isFailure = count === MAX_SET_ASIDE
      expect(told.map(({ what }) => what)).toEqual([isFailure ? 'failed' : 'refused'])
      expect(audit.stats[0]!.dropped).toBe(isFailure ? 0 : count)
      // The next time more are tried, so that it ends.
      await eventually(() => expect(queries(sink)).toEqual([count, count + 1, count + 2]))
      expect(audit.stats[0]!.dropped).toBe(count)
      await audit.close()
    },
  )

  it('all of them: they keep their order, and none is lost', async () => {
    const sink = new Scripted()
    sink.refuses = () => true
    const audit = new Audit([sink], 'drop')
    for (const event of numbered(MAX_SET_ASIDE + 5)) audit.write(event)
    await eventually(() => expect(sink.refusals).toBe(MAX_SET_ASIDE))
    sink.refuses = () => false
    await eventually(() => expect(sink.written).toHaveLength(MAX_SET_ASIDE + 5))
    expect(queries(sink)).toEqual(Array.from({ length: MAX_SET_ASIDE + 5 }, (_, at) => at))
    expect(audit.stats[0]!.dropped).toBe(0)
    expect(told.map(({ what }) => what)).toEqual(['failed', 'recovered'])
    await audit.close()
  })
})

describe('events that cannot be written', () => {
  it('are told of at a stop, and counted', async () => {
    const sink = new Scripted()
    sink.failures = Infinity
    const queue = new AuditQueue(sink, { keepsAll: false })
    for (const event of numbered(7)) queue.add({ at: '', ...event })
    await eventually(() => expect(told).toHaveLength(1))
    await queue.close(0)
    expect(told).toMatchObject([{ what: 'failed' }, { sink: 'scripted', what: 'lost', events: 7 }])
    expect(queue.stats).toEqual({ sink: 'scripted', waiting: 0, dropped: 7 })
  })

  it('are tried at once when there is to be a stop, however long the pause was', async () => {
    const sink = new Scripted()
    sink.failures = 1
    const queue = new AuditQueue(sink, { keepsAll: false })
    for (const event of numbered(7)) queue.add({ at: '', ...event })
    await eventually(() => expect(told).toHaveLength(1))
    await queue.close(100)
    expect(sink.written).toHaveLength(7)
    expect(told.map(({ what }) => what)).toEqual(['failed', 'recovered'])
  })

  it('do not keep a stop waiting beyond its time', async () => {
    const sink = new Scripted()
    sink.write = () => new Promise(() => undefined)
    const queue = new AuditQueue(sink, { keepsAll: false })
    for (const event of numbered(1)) queue.add({ at: '', ...event })
    await queue.close(10)
    expect(told).toMatchObject([{ what: 'lost', events: 1 }])
  })

  it('are dropped by the queue that is full, alerts among them; that is told when it begins and when it is over', async () => {
    const [dead, living] = [new Scripted(), new Scripted()]
    dead.failures = Infinity
    const audit = new Audit([dead, living], 'drop')
    for (const event of numbered(MAX_WAITING_FOR_ALERTS)) audit.write(event)
    await eventually(() => expect(living.written).toHaveLength(MAX_WAITING_FOR_ALERTS))
    for (let n = 0; n < 3; n++) audit.alert({ reason: 'TOKEN_REFUSED' })
    await eventually(() => expect(living.written).toHaveLength(MAX_WAITING_FOR_ALERTS + 3))
    expect(audit.stats.map(({ dropped }) => dropped)).toEqual([3, 0])
    dead.failures = 0
    await eventually(() => expect(dead.written).toHaveLength(MAX_WAITING_FOR_ALERTS))
    expect(told.map(({ what, events }) => [what, events])).toEqual([
      ['failed', undefined],
      ['dropped', undefined],
      ['recovered', undefined],
      ['dropped', 3],
    ])
    await audit.close()
  })

  it('keep requests out, which is told when it begins and when it ends', async () => {
    const sink = new Scripted()
    sink.failures = Infinity
    const audit = new Audit([sink], 'block')
    for (const event of numbered(MAX_WAITING)) audit.write(event)
    expect(told.map(({ what }) => what)).toEqual(['blocked'])
    sink.failures = 0
    await eventually(() => expect(sink.written).toHaveLength(MAX_WAITING))
    expect(told.map(({ what }) => what)).toEqual(['blocked', 'failed', 'unblocked', 'recovered'])
    await audit.close()
  })
})

describe('a queue', () => {
  it('writes what is added when it has just come to rest', async () => {
    for (let turns = 0; turns < 6; turns++) {
      const sink = new Scripted()
      await using queue = new AuditQueue(sink, { keepsAll: false })
      const [first, second] = numbered(2).map((event) => ({ at: '', ...event })) as [AuditEvent, AuditEvent]
      queue.add(first)
      await eventually(() => expect(sink.written).toHaveLength(1))
      queue.add(first)
      // Written within these turns of the event loop, one of which is its last.
      for (let n = 0; n < turns; n++) await Promise.resolve()
      queue.add(second)
      await eventually(() => expect(sink.written).toHaveLength(3))
    }
  })

  it('tells of what comes when it is closed: that is lost', async () => {
    const sink = new Scripted()
    const queue = new AuditQueue(sink, { keepsAll: true })
    await queue.close(0)
    queue.add({ at: '', ...numbered(1)[0]! })
    expect(sink.written).toEqual([])
    expect(queue.stats.dropped).toBe(1)
    expect(told).toMatchObject([{ what: 'lost', events: 1 }])
  })
})

describe('alerts of which there were too many', () => {
  it('name no address where none was known', async () => {
    const sink = new Scripted()
    const audit = new Audit([sink], 'drop', new SparedLines())
    for (let n = 0; n < MAX_LINES_A_MINUTE + 1; n++) audit.alert({ reason: 'tls-failed' })
    await audit.close()
    expect(sink.written.at(-1)).toMatchObject({ reason: 'tls-failed', spared: 1 })
    expect(sink.written.at(-1)?.address).toBeUndefined()
  })

  it('are told at the end, where no other has told how many', async () => {
    const sink = new Scripted()
    const audit = new Audit([sink], 'drop', new SparedLines())
    for (let n = 0; n < MAX_LINES_A_MINUTE + 7; n++) audit.alert({ reason: 'TOKEN_REFUSED', address: '192.0.2.1' })
    await audit.close()
    expect(sink.written).toHaveLength(MAX_LINES_A_MINUTE + 1)
    expect(sink.written.at(-1)).toMatchObject({ reason: 'TOKEN_REFUSED', address: '192.0.2.1', spared: 7 })
  })
})
