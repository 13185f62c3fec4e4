import { describe, expect, it } from 'vitest'
import { step, type Event, type State } from '../../src/network/state-machine.ts'

// Table 9-10 once more, from the standard's text and in another shape: for each state what can happen in it, written as
// `event action` or `event action>next state`. Where no next state is given it is that of the action (PS3.8 9.2.1).

/** Evt3, 4, 6, 10, 12, 13 and 19: what the peer may send, sensible or not, but for A-ABORT. */
const PDUS = [3, 4, 6, 10, 12, 13, 19]

const NEXT: Readonly<Record<string, number>> = {
  'AA-1': 13,
  'AA-2': 1,
  'AA-3': 1,
  'AA-4': 1,
  'AA-5': 1,
  'AA-6': 13,
  'AA-7': 13,
  'AA-8': 13,
}

/** The peer breaks the protocol by every PDU but those listed, aborts, or closes; we may abort. */
function established(...expected: readonly string[]): string[] {
  const listed = new Set(expected.map((line) => Number(line.split(' ')[0])))
  const breaches = PDUS.filter((event) => !listed.has(event)).map((event) => `${event} AA-8`)
  return [...expected, ...breaches, '15 AA-1', '16 AA-3', '17 AA-4']
}

const STATES: Readonly<Record<State, readonly string[]>> = {
  1: ['1 AE-1>4', '5 AE-5>2'],
  2: ['3 AA-1', '4 AA-1', '6 AE-6>3', '10 AA-1', '12 AA-1', '13 AA-1', '16 AA-2', '17 AA-5', '18 AA-2', '19 AA-1'],
  3: established('7 AE-7>6', '8 AE-8>13'),
  4: ['2 AE-2>5', '15 AA-2', '17 AA-4'],
  5: established('3 AE-3>6', '4 AE-4>1'),
  6: established('9 DT-1>6', '10 DT-2>6', '11 AR-1>7', '12 AR-2>8'),
  7: established('10 AR-6>7', '12 AR-8>collision', '13 AR-3>1'),
  8: established('9 AR-7>8', '14 AR-4>13'),
  9: established('14 AR-9>11'),
  10: established('13 AR-10>12'),
  11: established('13 AR-3>1'),
  12: established('14 AR-4>13'),
  13: ['3 AA-6', '4 AA-6', '6 AA-7', '10 AA-6', '12 AA-6', '13 AA-6', '16 AA-2', '17 AR-5>1', '18 AA-2', '19 AA-7'],
}

const EVENTS = Array.from({ length: 19 }, (_, index) => index + 1)

function expected(state: State, event: number, requestor: boolean): { action: string; next: number } | undefined {
  const line = STATES[state].find((one) => one.startsWith(`${event} `))
  if (line === undefined) return undefined
  const [action = '', next] = line.split(' ')[1]!.split('>')
  if (next === 'collision') return { action, next: requestor ? 9 : 10 }
  return { action, next: next === undefined ? NEXT[action]! : Number(next) }
}

const states = Object.keys(STATES).map((state) => Number(state) as State)

describe('table 9-10', () => {
  const pairs = states.flatMap((state) => EVENTS.map((event) => [state, event] as const))

  it.each(pairs)('Sta%i, Evt%i', (state, event) => {
    for (const requestor of [true, false]) {
      expect(step(state, `Evt${event}` as Event, requestor)).toEqual(expected(state, event, requestor))
    }
  })

  it('has 123 cells that are not empty', () => {
    const filled = pairs.filter(([state, event]) => step(state, `Evt${event}` as Event, true) !== undefined)
    expect(filled).toHaveLength(123)
  })
})

describe('paths', () => {
  it.each([
    ['a requestor that releases', true, 1, [1, 2, 3, 9, 10, 11, 13], [4, 5, 6, 6, 6, 7, 1]],
    ['an acceptor that is released', false, 1, [5, 6, 7, 10, 9, 12, 14, 17], [2, 3, 6, 6, 6, 8, 13, 1]],
    ['the requestor of a release collision', true, 6, [11, 12, 14, 13], [7, 9, 11, 1]],
    ['the acceptor of a release collision', false, 6, [11, 12, 13, 14, 17], [7, 10, 12, 13, 1]],
    ['an acceptor that rejects', false, 1, [5, 6, 8, 17], [2, 3, 13, 1]],
  ] as const)('%s', (_, requestor, start, events, path) => {
    let state: State = start
    const taken = events.map((event) => (state = step(state, `Evt${event}`, requestor)!.next))
    expect(taken).toEqual(path)
  })
})
