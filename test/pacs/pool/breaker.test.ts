import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Status, StatusError } from '../../../src/dimse/status.ts'
import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectError,
  ConnectionLostError,
  PeerTimeoutError,
} from '../../../src/network/errors.ts'
import { NotSupportedByArchiveError, PoolBusyError, type ArchiveDownError } from '../../../src/pacs/errors.ts'
import {
  Breaker,
  BURST_MS,
  FAILURES_TO_OPEN,
  FIRST_PAUSE_MS,
  JITTER,
  LONGEST_PAUSE_MS,
  type BreakerEvent,
} from '../../../src/pacs/pool/breaker.ts'

const refused = new ConnectError('127.0.0.1', 104)
const notAnswered = new PeerTimeoutError('answer to the association request', 30_000)
const statusError = new StatusError({
  type: 'C-ECHO-RSP',
  messageIdBeingRespondedTo: 1,
  status: Status.outOfResources,
  hasDataSet: false,
})

let trials: PromiseWithResolvers<undefined>[] = []
let told: ArchiveDownError[] = []
let events: BreakerEvent[] = []
const note = (event: unknown): void => void events.push(event as BreakerEvent)

beforeEach(() => {
  vi.useFakeTimers()
  trials = []
  told = []
  events = []
  subscribe('dimsegate:breaker', note)
})

afterEach(() => {
  unsubscribe('dimsegate:breaker', note)
  vi.useRealTimers()
})

function breakerOf(): Breaker {
  return new Breaker({
    archive: 'main',
    trial: () => {
      const trial = Promise.withResolvers<undefined>()
      trials.push(trial)
      return trial.promise.then(() => undefined)
    },
    opened: (error) => void told.push(error),
  })
}

/** One after another, each begun when the one before had failed. */
async function fail(breaker: Breaker, times: number, error: unknown = refused, alone = true): Promise<void> {
  for (let time = 0; time < times; time++) {
    const began = performance.now()
    await vi.advanceTimersByTimeAsync(5)
    breaker.failed(error, { began, alone })
  }
}

/** The pause until the next trial, in ms. */
async function pause(breaker: Breaker): Promise<number> {
  const { retryAfter } = breaker.refusal!
  const before = trials.length
  await vi.advanceTimersByTimeAsync(retryAfter - 2)
  expect(trials).toHaveLength(before)
  await vi.advanceTimersByTimeAsync(3)
  expect(trials).toHaveLength(before + 1)
  return retryAfter
}

async function end(trial: PromiseWithResolvers<undefined>, error?: Error): Promise<void> {
  if (error) trial.reject(error)
  else trial.resolve(undefined)
  await vi.advanceTimersByTimeAsync(0)
}

function expectPause(found: number, nominal: number): void {
  expect(found).toBeGreaterThanOrEqual(nominal * (1 - JITTER))
  expect(found).toBeLessThanOrEqual(nominal * (1 + JITTER))
}

describe('an archive counts as down', () => {
  test('behind so many failures in a row, not before', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN - 1)
    expect(breaker.state).toBe('closed')
    expect(breaker.refusal).toBeUndefined()
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
    expect(breaker.refusal).toMatchObject({ code: 'ARCHIVE_DOWN', archive: 'main', cause: refused })
    expect(told).toHaveLength(1)
  })

  test('not while associations are opened between', async () => {
    const breaker = breakerOf()
    for (let round = 0; round < 5; round++) {
      await fail(breaker, FAILURES_TO_OPEN - 1)
      breaker.succeeded()
    }
    expect(breaker.state).toBe('closed')
  })

  test('not by failures that come together: they are one', async () => {
    const breaker = breakerOf()
    const began = performance.now()
    await vi.advanceTimersByTimeAsync(BURST_MS - 1)
    for (let call = 0; call < 50; call++) breaker.failed(refused, { began, alone: true })
    await fail(breaker, FAILURES_TO_OPEN - 2)
    expect(breaker.state).toBe('closed')
    await fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  test('by those that come together when each had waited long', async () => {
    const breaker = breakerOf()
    const began = performance.now()
    await vi.advanceTimersByTimeAsync(BURST_MS)
    for (let call = 0; call < FAILURES_TO_OPEN; call++) breaker.failed(notAnswered, { began, alone: true })
    expect(breaker.state).toBe('open')
  })

  test.each([
    ['no connection', refused, true, 'open'],
    ['no connection beside others', refused, false, 'open'],
    ['no connection in time beside others', new PeerTimeoutError('connection', 1), false, 'open'],
    ['no answer', notAnswered, true, 'open'],
    ['no answer beside others: it may be full', notAnswered, false, 'closed'],
    ['lost', new ConnectionLostError(), true, 'open'],
    ['lost beside others: it may be full', new ConnectionLostError(), false, 'closed'],
    ['rejected', new AssociationRejectedError(1, 1, 7), true, 'closed'],
    ['aborted', new AssociationAbortedError('peer', 2, 0), true, 'closed'],
    ['a client that left', new DOMException('gone', 'AbortError'), true, 'closed'],
  ] as const)('%s', async (_, error, alone, state) => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN, error, alone)
    expect(breaker.state).toBe(state)
    breaker.close()
  })
})

describe('a trial', () => {
  test('is made once, behind a pause, and closes it', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    expectPause(await pause(breaker), FIRST_PAUSE_MS)
    expect(breaker.state).toBe('half-open')
    expect(breaker.refusal).toMatchObject({ retryAfter: 0 })
    await vi.advanceTimersByTimeAsync(10 * LONGEST_PAUSE_MS)
    expect(trials).toHaveLength(1)
    await end(trials[0]!)
    expect(breaker.state).toBe('closed')
    expect(breaker.refusal).toBeUndefined()
    expect(events.map(({ previous, state, failures }) => [previous, state, failures])).toEqual([
      ['closed', 'open', FAILURES_TO_OPEN],
      ['open', 'half-open', FAILURES_TO_OPEN],
      ['half-open', 'closed', 0],
    ])
  })

  test('that fails doubles the pause, up to the longest; what fails beside it changes nothing', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    const pauses: number[] = []
    for (let trial = 0; trial < 8; trial++) {
      await fail(breaker, 3)
      breaker.succeeded()
      pauses.push(await pause(breaker))
      await end(trials[trial]!, refused)
      expect(breaker.state).toBe('open')
    }
    const nominal = [1, 2, 4, 8, 16].map((factor) => factor * FIRST_PAUSE_MS).concat(Array(3).fill(LONGEST_PAUSE_MS))
    // What failed beside it took 15 ms of each.
    for (const [at, one] of pauses.entries()) expectPause(one + 15, nominal[at]!)
    expect(told).toHaveLength(1)
    expect(events.at(-1)).toMatchObject({ state: 'open', failures: FAILURES_TO_OPEN + 8, error: refused })
    breaker.close()
  })

  test.each([
    ['rejects', new AssociationRejectedError(1, 1, 3)],
    ['aborts', new AssociationAbortedError('peer', 2, 0)],
    ['answers with a failure', statusError],
    ['knows no C-ECHO', new NotSupportedByArchiveError('main', 'C-ECHO')],
  ])('closes it when the archive %s: it is there', async (_, error) => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    await pause(breaker)
    await end(trials[0]!, error)
    expect(breaker.state).toBe('closed')
  })

  test('that found no place is made again as soon', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    await pause(breaker)
    await end(trials[0]!, new PoolBusyError('main', 1, { why: 'all', limit: 1 }))
    expectPause(await pause(breaker), FIRST_PAUSE_MS)
    await end(trials[1]!)
  })

  test('comes later when the archive went down again at once', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    for (const factor of [1, 2, 4]) {
      expectPause(await pause(breaker), factor * FIRST_PAUSE_MS)
      await end(trials.at(-1)!)
      await fail(breaker, FAILURES_TO_OPEN)
    }
    await pause(breaker)
    await end(trials.at(-1)!)
    await vi.advanceTimersByTimeAsync(LONGEST_PAUSE_MS)
    await fail(breaker, FAILURES_TO_OPEN)
    expectPause(await pause(breaker), FIRST_PAUSE_MS)
  })

  test('is made no more when the pool is closed', async () => {
    const breaker = breakerOf()
    await fail(breaker, FAILURES_TO_OPEN)
    breaker.close()
    await vi.advanceTimersByTimeAsync(10 * LONGEST_PAUSE_MS)
    expect(trials).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})
