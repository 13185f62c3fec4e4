import { channel } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StatusError } from '../../src/dimse/status.ts'
import type { RequestEvent } from '../../src/http/app.ts'
import { InstanceCache } from '../../src/cache/instance-cache.ts'
import { RepositoryError } from '../../src/audit/repository-error.ts'
import { Habits } from '../../src/pacs/habits.ts'
import { MAX_KINDS, MAX_LINES_A_MINUTE, SparedLines } from '../../src/telemetry/spared-lines.ts'
import { startTelemetry, type Telemetry } from '../../src/telemetry/telemetry.ts'

const event: RequestEvent = {
  method: 'GET',
  route: '/dicomweb/studies',
  archive: 'main',
  status: 200,
  milliseconds: 12.4,
  cut: false,
  error: undefined,
}

const cache = new InstanceCache({ maxBytes: 0, ttl: 1000 })
let lines: string[]

beforeEach(() => {
  lines = []
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    lines.push(String(chunk))
    return true
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

function logged(format: 'json' | 'pretty', ...events: Partial<RequestEvent>[]): string[] {
  const telemetry: Telemetry = startTelemetry(
    { level: 'trace', format },
    { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
  )
  lines = []
  for (const one of events) channel('dimsegate:request').publish({ ...event, ...one })
  telemetry.stop()
  return [...lines]
}

describe('the log', () => {
  it('says what an archive does in its own way', () => {
    const telemetry = startTelemetry(
      { level: 'info', format: 'json' },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    lines = []
    new Habits('main').learn('single-uids')
    telemetry.stop()
    expect(JSON.parse(lines[0]!)).toMatchObject({
      msg: 'habit of an archive',
      archive: 'main',
      habit: 'single-uids',
      what: 'It cannot match lists of UIDs: it is asked for one at a time',
    })
  })

  it('tells once that an archive is down, and that it is back', () => {
    const telemetry = startTelemetry(
      { level: 'info', format: 'json' },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    lines = []
    const error = Object.assign(new Error('CANARY'), { code: 'CONNECT_FAILED' })
    const states = ['closed', 'open', 'half-open', 'open', 'half-open', 'closed'] as const
    for (const [at, state] of states.slice(1).entries()) {
      channel('dimsegate:breaker').publish({ archive: 'main', previous: states[at], state, failures: 3, error })
    }
    telemetry.stop()
    const [down, back, ...others] = lines.map((line) => JSON.parse(line) as object)
    const isDown = { level: 40, archive: 'main', state: 'open', failures: 3, error: { code: 'CONNECT_FAILED' } }
    expect(down).toMatchObject({ msg: 'breaker of an archive', ...isDown })
    expect(back).toMatchObject({ level: 30, archive: 'main', state: 'closed' })
    expect(others).toEqual([])
    expect(lines.join('')).not.toContain('CANARY')
  })

  it('has a line for each request', () => {
    const [line] = logged('json', {})
    expect(JSON.parse(line!)).toMatchObject({
      level: 30,
      method: 'GET',
      route: '/dicomweb/studies',
      status: 200,
      ms: 12,
      msg: 'request',
    })
  })

  it('is for people where that is configured', () => {
    const [line] = logged('pretty', { status: 502 })
    expect(line).toMatch(
      /^\d{4}-\d{2}-\d{2}T[\d:.]+Z ERROR request method=GET route=\/dicomweb\/studies archive=main status=502 ms=12\n$/,
    )
  })

  it.each(['json', 'pretty'] as const)(
    'of an error as %s has its code, and of one without where it came from',
    (format) => {
      const coded = Object.assign(new Error('CANARY'), { code: 'CONNECT_FAILED' })
      const unknown = new TypeError('CANARY\nand CANARY again\n    at CANARY (CANARY.ts:1:1)')
      const [first, second] = logged(format, { status: 502, error: coded }, { status: 500, error: unknown })
      expect(first).toContain('CONNECT_FAILED')
      expect(second).toContain('TypeError')
      expect(second).toContain('telemetry.test.ts')
      for (const line of [first, second]) expect(line).not.toContain('CANARY')
    },
  )

  it.each(['json', 'pretty'] as const)('as %s shows control characters of a peer as escapes, in one line', (format) => {
    const telemetry = startTelemetry(
      { level: 'info', format },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    lines = []
    const controls = Array.from({ length: 0xa0 }, (_, code) => String.fromCharCode(code)).filter(
      (one) => one < ' ' || one >= '\u007f',
    )
    const callingAeTitle = `A\n2026-01-01T00:00:00.000Z INFO  forged${controls.join('')}\u2028\u2029`
    const refusal = { reason: 'unknown-caller', address: '192.0.2.1', callingAeTitle }
    channel('dimsegate:refused-store').publish(refusal)
    telemetry.stop()
    const [line] = lines
    expect(lines).toHaveLength(1)
    expect(line).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+\n$/)
    expect(line).toContain(String.raw`A\n2026`)
    expect(line).toContain(String.raw`\u001b`)
    expect(line).toContain(String.raw`\u009b`)
    if (format === 'json') expect(JSON.parse(line!)).toMatchObject(refusal)
  })

  it('says no more of one kind of refusal than it may in a minute; the metric counts all', async () => {
    const telemetry = startTelemetry(
      { level: 'info', format: 'json' },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    lines = []
    const refuse = (reason: string): void => channel('dimsegate:refused-store').publish({ reason })
    for (let n = 0; n < MAX_LINES_A_MINUTE + 5; n++) refuse('not-allowed')
    refuse('unasked')
    const { text } = await telemetry.metrics()
    telemetry.stop()
    const told = lines.map((line) => (JSON.parse(line) as { reason: string }).reason)
    expect(told.filter((reason) => reason === 'not-allowed')).toHaveLength(MAX_LINES_A_MINUTE)
    expect(told.at(-1)).toBe('unasked')
    expect(text).toContain(`dimsegate_refused_stores_total{reason="not-allowed"} ${MAX_LINES_A_MINUTE + 5}`)
  })

  it('tells apart so many kinds of lines, those of late', () => {
    const spared = new SparedLines()
    const full = (kind: string): boolean => {
      for (let n = 0; n < MAX_LINES_A_MINUTE; n++) spared.next(kind, 0)
      return spared.next(kind, 0) === undefined
    }
    expect(full('first')).toBe(true)
    for (let n = 0; n < MAX_KINDS - 1; n++) spared.next(String(n), 0)
    expect(spared.next('first', 0)).toBeUndefined()
    for (let n = 0; n < MAX_KINDS; n++) spared.next(String(n), 0)
    expect(spared.next('first', 0)).toEqual({})
  })

  it('says how many lines were spared, in the next minute', () => {
    const spared = new SparedLines()
    for (let n = 0; n < MAX_LINES_A_MINUTE; n++) expect(spared.next('a', n)).toEqual({})
    for (let n = 0; n < 3; n++) expect(spared.next('a', 59_999)).toBeUndefined()
    expect(spared.next('b', 59_999)).toEqual({})
    expect(spared.next('a', 60_000)).toEqual({ spared: 3 })
    expect(spared.next('a', 60_001)).toEqual({})
  })

  it.each([
    ['failed', 50, 'audit trail is not written'],
    ['recovered', 30, 'audit trail is written again'],
    ['dropped', 50, 'audit events are dropped'],
    ['blocked', 50, 'requests are refused until the audit trail is written'],
    ['unblocked', 30, 'requests are let in again'],
    ['refused', 50, 'audit events are refused, and given up'],
    ['lost', 50, 'audit events are lost by the stop'],
  ])('says of the audit trail that it is %s, with the status of the repository', (what, level, msg) => {
    const telemetry = startTelemetry(
      { level: 'info', format: 'json' },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    lines = []
    channel('dimsegate:audit').publish({ sink: 'fhir', path: '/a/b', what, events: 3, error: new RepositoryError(422) })
    telemetry.stop()
    expect(JSON.parse(lines[0]!)).toMatchObject({
      ...{ level, msg, sink: 'fhir', path: '/a/b', events: 3 },
      error: { code: 'AUDIT_EVENT_REFUSED', http: 422 },
    })
  })

  it('for people tells a value with spaces from other fields', () => {
    const [line] = logged('pretty', { route: 'A status=200 error="none"' })
    expect(line).toContain(String.raw`route="A status=200 error=\"none\"" archive=main`)
  })

  it('has the status of a DIMSE response, and no Error Comment', () => {
    const response = {
      type: 'C-FIND-RSP',
      messageIdBeingRespondedTo: 1,
      affectedSopClassUid: '1.2',
      hasDataSet: false,
    } as const
    const error = new StatusError({ ...response, status: 0xc001, errorComment: 'CANARY' })
    const [line] = logged('json', { status: 502, error })
    expect(JSON.parse(line!)).toMatchObject({ error: { code: 'DIMSE_STATUS', dimse: 'C001' } })
    expect(line).not.toContain('CANARY')
  })

  it('is a warning where some of what was asked for is damaged, or did not come', () => {
    const error = Object.assign(new Error('CANARY'), { code: 'DAMAGED_INSTANCE' })
    const [partial] = logged('json', { status: 206, error })
    expect(JSON.parse(partial!)).toMatchObject({ level: 40, error: { code: 'DAMAGED_INSTANCE' } })
    const [range] = logged('json', { status: 206 })
    expect(JSON.parse(range!)).toMatchObject({ level: 30 })
  })

  it('takes a client that leaves for no error of ours', () => {
    const [line] = logged('json', { cut: true, error: Object.assign(new Error('x'), { code: 'CLIENT_GONE' }) })
    expect(JSON.parse(line!)).toMatchObject({ level: 30, cut: true })
    const [other] = logged('json', { cut: true, error: Object.assign(new Error('x'), { code: 'CONNECTION_LOST' }) })
    expect(JSON.parse(other!)).toMatchObject({ level: 50, cut: true })
  })
})

describe('telemetry that has ended', () => {
  it('hears nothing any more', async () => {
    const ended = startTelemetry(
      { level: 'trace', format: 'json' },
      { archives: () => [], cache, imaging: { stats: { running: 0, waiting: 0 } } },
    )
    ended.stop()
    lines = []
    channel('dimsegate:request').publish(event)
    channel('dimsegate:association').publish({ archive: 'main', event: 'opened' })
    expect(lines).toEqual([])
    expect((await ended.metrics()).text).not.toContain('archive="main"')
  })
})
