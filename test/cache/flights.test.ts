import { describe, expect, it } from 'vitest'
import type { Flight } from '../../src/cache/flight.ts'
import { Flights } from '../../src/cache/flights.ts'
import type { Route } from '../../src/cache/route.ts'
import type { Selection } from '../../src/instance/uids.ts'
import { FakeSource } from '../support/fake-source.ts'

const source = new FakeSource([])
const route: Route = { source, mode: 'stored' }
const STUDY = { study: '1.2' }
const SERIES = { study: '1.2', series: '1.2.1' }
const INSTANCE = { ...SERIES, instance: '1.2.1.1' }

function flightOf(selection: Selection, { isAhead = false, total = 0 } = {}) {
  const told: string[] = []
  const flight = {
    selection,
    open: true,
    isAhead,
    total,
    over: new Promise<void>(() => undefined),
    outdate: (uid: string) => void told.push(uid),
    dropAhead: () => void told.push('dropped'),
  }
  return { flight: flight as unknown as Flight, told }
}

describe('retrievals under way when an instance is stored', () => {
  const stored = { ...SERIES, sopInstance: '1.2.1.1' }

  it.each<[what: string, selection: Selection, own: Route, isShared: boolean, isOf: boolean]>([
    ['of its study', STUDY, route, true, true],
    ['of its series', SERIES, route, true, true],
    ['of itself', INSTANCE, route, true, true],
    ['of its series, which nobody may join', SERIES, route, false, true],
    ['of another series', { ...SERIES, series: '1.2.2' }, route, true, false],
    ['of another instance', { ...INSTANCE, instance: '1.2.1.2' }, route, true, false],
    ['in another mode', SERIES, { source, mode: 'native' }, true, false],
  ])('are out of date where they are %s', (_, selection, own, isShared, isOf) => {
    const flights = new Flights()
    const { flight, told } = flightOf(selection)
    flights.add(flight, own, isShared)
    flights.outdate(route, stored)
    expect(told).toEqual(isOf ? ['1.2.1.1'] : [])
    expect(flights.under(own, selection)).toBe(isOf || !isShared ? undefined : flight)
  })
})

describe('what was fetched ahead', () => {
  it('is joined for a series, and left alone by who looks at an instance', () => {
    const flights = new Flights()
    const { flight, told } = flightOf(SERIES, { isAhead: true, total: 1 })
    flights.add(flight, route, true)
    expect(flights.under(route, INSTANCE)).toBeUndefined()
    expect(told).toEqual([])
    expect(flights.under(route, SERIES)).toBe(flight)
  })

  it('is dropped by who looks at an instance of which nothing has come', () => {
    const flights = new Flights()
    const { flight, told } = flightOf(SERIES, { isAhead: true })
    flights.add(flight, route, true)
    expect(flights.under(route, INSTANCE)).toBeUndefined()
    expect(told).toEqual(['dropped'])
  })
})
