import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Experience, MAX_LIST_AGE_MS } from '../../src/cache/experience.ts'
import type { Route } from '../../src/cache/route.ts'
import { FakeSource } from '../support/fake-source.ts'

const route: Route = { source: new FakeSource([]), mode: 'stored' }
const [STUDY, SERIES, OTHER] = ['1.2', '1.2.1', '1.2.2'] as const
const listOf = (series: string, count: number) =>
  Array.from({ length: count }, (_, n) => ({ study: STUDY, series, sopInstance: `${series}.${n}` }))

let experience: Experience
let now: number

beforeEach(() => {
  now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  experience = new Experience(60 * 60_000)
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** What a cache takes for now it keeps for a millisecond. */
const pass = (ms: number): Promise<void> => {
  now += ms
  return delay(3)
}
const known = (): number | undefined => experience.listOf(route, { study: STUDY, series: SERIES })?.length

describe('the list of a series', () => {
  it.each([
    ['brought by itself', { study: STUDY, series: SERIES }, listOf(SERIES, 3)],
    ['brought with its study', { study: STUDY }, [...listOf(SERIES, 3), ...listOf(OTHER, 2)]],
  ])('is known for a minute, and for as long again where its number is confirmed: %s', async (_, selection, list) => {
    experience.brought(route, selection, list)
    await pass(59_000)
    expect(known()).toBe(3)
    experience.confirm(route, { study: STUDY, series: SERIES }, 3)
    await pass(59_000)
    expect(known()).toBe(3)
  })

  it('is forgotten in the end, however often its number is confirmed: one may have taken the place of another', async () => {
    experience.brought(route, { study: STUDY, series: SERIES }, listOf(SERIES, 3))
    for (let at = 0; at < MAX_LIST_AGE_MS - 10_000; at += 10_000) {
      await pass(10_000)
      experience.confirm(route, { study: STUDY, series: SERIES }, 3)
      expect(known()).toBe(3)
    }
    await pass(10_001)
    experience.confirm(route, { study: STUDY, series: SERIES }, 3)
    expect(known()).toBeUndefined()
  })

  it.each([
    ['by itself', { study: STUDY, series: SERIES }],
    ['with its study', { study: STUDY }],
  ])('is not believed any more where there are more by now: brought %s', (_, selection) => {
    experience.brought(route, selection, listOf(SERIES, 3))
    experience.confirm(route, { study: STUDY, series: SERIES }, 4)
    expect(known()).toBeUndefined()
  })

  it('has an instance once that came once more, since it was damaged', () => {
    const list = listOf(SERIES, 3)
    experience.brought(route, { study: STUDY, series: SERIES }, [...list, list[1]!])
    expect(known()).toBe(3)
    experience.confirm(route, { study: STUDY, series: SERIES }, 4)
    expect(known()).toBeUndefined()
  })

  it('is that which was brought last, by itself or with its study', async () => {
    experience.brought(route, { study: STUDY }, listOf(SERIES, 3))
    await pass(1_000)
    experience.brought(route, { study: STUDY, series: SERIES }, listOf(SERIES, 4))
    expect(known()).toBe(4)
    await pass(1_000)
    experience.brought(route, { study: STUDY }, listOf(SERIES, 5))
    expect(known()).toBe(5)
    // The one of its study goes alone.
    experience.confirm(route, { study: STUDY, series: SERIES }, 5)
    expect(known()).toBe(5)
  })

  it('of a study goes where one of its series has more by now, whatever is known of that by itself', () => {
    experience.brought(route, { study: STUDY }, [...listOf(SERIES, 3), ...listOf(OTHER, 2)])
    experience.brought(route, { study: STUDY, series: SERIES }, listOf(SERIES, 4))
    experience.confirm(route, { study: STUDY, series: SERIES }, 4)
    expect(known()).toBe(4)
    expect(experience.listOf(route, { study: STUDY })).toBeUndefined()
  })

  it('is forgotten with that of its study when something was stored in it, and no other', () => {
    experience.brought(route, { study: STUDY }, listOf(SERIES, 3))
    for (const series of [SERIES, OTHER]) experience.brought(route, { study: STUDY, series }, listOf(series, 3))
    experience.forget(route, { study: STUDY, series: SERIES, sopInstance: '9' })
    expect(known()).toBeUndefined()
    expect(experience.listOf(route, { study: STUDY })).toBeUndefined()
    expect(experience.listOf(route, { study: STUDY, series: OTHER })).toHaveLength(3)
  })

  it('is neither forgotten nor confirmed by a number that is behind', async () => {
    experience.brought(route, { study: STUDY, series: SERIES }, listOf(SERIES, 3))
    await pass(59_000)
    experience.confirm(route, { study: STUDY, series: SERIES }, 2)
    expect(known()).toBe(3)
    await pass(1_001)
    expect(known()).toBeUndefined()
  })
})
