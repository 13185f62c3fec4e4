import { describe, expect, it } from 'vitest'
import { Flight } from '../../src/cache/flight.ts'
import type { Keeper } from '../../src/cache/keeper.ts'
import { collect } from '../support/byte-stream.ts'
import { fakeSeries, FakeSource } from '../support/fake-source.ts'

const signal = new AbortController().signal
/** Has room for everything, and finds nothing. */
const keeper: Keeper = {
  admit: () => true,
  dismiss: () => undefined,
  keep: () => undefined,
  spill: () => undefined,
  passed: () => undefined,
  held: () => undefined,
}

function flightOf(fake: FakeSource): Flight {
  const selection = { study: '1.2', series: '1.2.1' }
  const allowance = { isForParts: false, maxBytes: Infinity, lingeringBytes: Infinity, hurriedBytes: Infinity }
  return new Flight(selection, (call) => fake.retrieve(selection, true, call), keeper, allowance)
}

describe('a flight', () => {
  it('tells what it brought by UIDs alone, which keep no instance alive', async () => {
    const flight = flightOf(new FakeSource(fakeSeries('1.2.1', 2, 3000)))
    await flight.over
    expect(flight.complete).toBe(true)
    expect(flight.brought).toStrictEqual([
      { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.1' },
      { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.2' },
    ])
  })

  it('counts who leaves once, however often that is said', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 3000))
    const open = Promise.withResolvers<undefined>()
    fake.gate = () => open.promise.then(() => undefined)
    const gone = new AbortController()
    const flight = flightOf(fake)
    const one = { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.1' }
    const [first, second] = await Promise.all([flight.instance(one, gone.signal), flight.instance(one, signal)])
    gone.abort()
    first!.leave()
    first!.leave()
    expect(flight.open).toBe(true)
    open.resolve(undefined)
    expect(await collect(second!.instance.bytes(0, Infinity, signal))).toEqual(fake.instances[0]!.bytes)
    second!.leave()
    await flight.over
    expect(flight.complete).toBe(true)
  })
})
