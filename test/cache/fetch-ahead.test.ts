import { afterEach, describe, expect, it } from 'vitest'
import { FetchAhead, MAX_AHEAD } from '../../src/cache/fetch-ahead.ts'
import { InstanceCache } from '../../src/cache/instance-cache.ts'
import { priorityOf } from '../../src/pacs/call.ts'
import { collect } from '../support/byte-stream.ts'
import { eventually } from '../support/eventually.ts'
import { fakeSeries, FakeSource } from '../support/fake-source.ts'

const call = { signal: new AbortController().signal }
const viewer = { compressed: true, lingers: true }
const STUDY = '1.2'
const [FIRST, SECOND, THIRD] = ['1.2.1', '1.2.2', '1.2.3'] as const
const SIZE = 10_000
const uids = { study: STUDY, series: FIRST, sopInstance: `${FIRST}.2` }
const COUNT = 3

const caches: InstanceCache[] = []

afterEach(async () => {
  for (const cache of caches.splice(0)) await cache[Symbol.asyncDispose]()
})

function start(maxBytes = 1_000_000) {
  const cache = new InstanceCache({ maxBytes, ttl: 60_000 })
  caches.push(cache)
  const source = new FakeSource([FIRST, SECOND, THIRD].flatMap((series) => fakeSeries(series, COUNT, SIZE)))
  return { cache, source, ahead: new FetchAhead(cache, maxBytes) }
}

/** Holds what is sent until it is opened. */
function gated(source: FakeSource): () => void {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  source.gate = async () => {
    await promise
  }
  return () => resolve(undefined)
}

async function sizes(cache: InstanceCache, source: FakeSource, series: string): Promise<number[]> {
  const found: number[] = []
  for await (const one of cache.retrieve(source, { study: STUDY, series }, viewer, call)) {
    found.push((await collect(one.body)).length)
  }
  return found
}

const asked = (source: FakeSource) => source.asked.map(({ selection }) => selection.series)
const whole = Array.from({ length: COUNT }, () => SIZE)

describe('a series that is fetched ahead', () => {
  it('is in the background, and is here for who asks for it then', async () => {
    const { cache, source, ahead } = start()
    ahead.begin('one', source, STUDY, [FIRST])
    await eventually(() => expect(cache.stats.instances).toBe(COUNT))
    expect(priorityOf(source.calls[0]!)).toBe('background')
    expect(await sizes(cache, source, FIRST)).toEqual(whole)
    expect(asked(source)).toEqual([FIRST])
  })

  it('is joined on its way, by who asks for it or for an instance of it, and is a download from then on', async () => {
    const { cache, source, ahead } = start()
    const open = gated(source)
    ahead.begin('one', source, STUDY, [FIRST])
    await eventually(() => expect(source.asked).toHaveLength(1))
    const all = sizes(cache, source, FIRST)
    const one = cache.instance(source, uids, { compressed: true, part: true }, call)
    await eventually(() => expect(priorityOf(source.calls[0]!)).toBe('bulk'))
    // It is somebody's now.
    source.calls[0]!.wanted!()
    open()
    expect(await all).toEqual(whole)
    using instance = await one
    expect(await collect(instance.body)).toHaveLength(SIZE)
    expect(asked(source)).toEqual([FIRST])
  })

  it.each([
    [
      'a part of an instance',
      (cache: InstanceCache, source: FakeSource) =>
        cache.instance(source, uids, { compressed: true, part: true }, call),
    ],
    [
      'an instance',
      async (cache: InstanceCache, source: FakeSource) => {
        const { study, series, sopInstance: instance } = uids
        for await (const one of cache.retrieve(source, { study, series, instance }, viewer, call)) return one
        throw new Error('There is none')
      },
    ],
  ])('is not waited for by who looks at %s before anything has come: that is fetched alone', async (_, look) => {
    const { cache, source, ahead } = start()
    const open = gated(source)
    ahead.begin('one', source, STUDY, [FIRST])
    await eventually(() => expect(source.asked).toHaveLength(1))
    const one = look(cache, source)
    await eventually(() => expect(source.asked).toHaveLength(2))
    expect(source.asked[1]!.selection).toEqual({ study: STUDY, series: FIRST, instance: uids.sopInstance })
    expect(priorityOf(source.calls[1]!)).toBe('interactive')
    await eventually(() => expect(source.cancelled).toBe(1))
    open()
    using _instance = await one
  })

  it('is dropped by nobody who asks another archive', async () => {
    const { cache, source, ahead } = start()
    const named = { config: { name: 'other' } as FakeSource['config'] }
    const other = Object.assign(new FakeSource(fakeSeries(FIRST, COUNT, SIZE)), named)
    const open = gated(source)
    ahead.begin('one', source, STUDY, [FIRST])
    await eventually(() => expect(source.asked).toHaveLength(1))
    for await (const one of cache.retrieve(other, { study: STUDY }, viewer, call)) await collect(one.body)
    open()
    await eventually(() => expect(cache.stats.instances).toBe(2 * COUNT))
    expect(source.cancelled).toBe(0)
  })

  it('is dropped, with what would follow, where an association is wanted', async () => {
    const { cache, source, ahead } = start()
    gated(source)
    ahead.begin('one', source, STUDY, [FIRST, SECOND])
    await eventually(() => expect(source.asked).toHaveLength(1))
    source.calls[0]!.wanted!()
    await eventually(() => expect(source.cancelled).toBe(1))
    source.gate = () => Promise.resolve()
    expect(await sizes(cache, source, FIRST)).toEqual(whole)
    expect(asked(source)).toEqual([FIRST, FIRST])
  })

  it('is dropped when its client looks at another study, unless it is asked for', async () => {
    const { cache, source, ahead } = start()
    const open = gated(source)
    ahead.begin('one', source, STUDY, [FIRST])
    ahead.begin('other', source, STUDY, [SECOND])
    await eventually(() => expect(source.asked).toHaveLength(2))
    const second = sizes(cache, source, SECOND)
    ahead.begin('one', source, '9.9', [])
    ahead.begin('other', source, '9.9', [])
    await eventually(() => expect(source.cancelled).toBe(1))
    open()
    expect(await second).toEqual(whole)
    expect(asked(source)).toEqual([FIRST, SECOND])
  })

  it('is dropped where somebody asks for the whole study, which brings it', async () => {
    const { cache, source, ahead } = start()
    gated(source)
    ahead.begin('one', source, STUDY, [FIRST])
    await eventually(() => expect(source.asked).toHaveLength(1))
    const gone = new AbortController()
    const all = cache.retrieve(source, { study: STUDY }, viewer, { signal: gone.signal })
    const next = all.next().catch(() => undefined)
    await eventually(() => expect(source.cancelled).toBe(1))
    gone.abort(new Error('gone'))
    await next
  })

  it('is not fetched where it is here, or on its way, already', async () => {
    const { cache, source, ahead } = start()
    await sizes(cache, source, FIRST)
    const open = gated(source)
    const second = sizes(cache, source, SECOND)
    ahead.begin('one', source, STUDY, [FIRST, SECOND, THIRD])
    await eventually(() => expect(source.asked).toHaveLength(3))
    open()
    expect(await second).toEqual(whole)
    expect(asked(source)).toEqual([FIRST, SECOND, THIRD])
  })

  it('is not fetched without a cache', async () => {
    const { source, ahead } = start(0)
    ahead.begin('one', source, STUDY, [FIRST])
    await new Promise(setImmediate)
    expect(source.asked).toEqual([])
  })
})

describe('series of a study', () => {
  it('follow one another, once for a client that lists them again', async () => {
    const { cache, source, ahead } = start()
    ahead.begin('one', source, STUDY, [FIRST, SECOND, THIRD])
    ahead.begin('one', source, STUDY, [FIRST, SECOND, THIRD])
    await eventually(() => expect(cache.stats.instances).toBe(3 * COUNT))
    expect(asked(source)).toEqual([FIRST, SECOND, THIRD])
  })

  it('are fetched up to the share of a viewer', async () => {
    const { cache, source, ahead } = start(3 * COUNT * SIZE)
    ahead.begin('one', source, STUDY, [FIRST, SECOND, THIRD])
    await eventually(() => expect(cache.stats.instances).toBe(COUNT))
    await new Promise(setImmediate)
    expect(asked(source)).toEqual([FIRST])
  })

  it(`are fetched for ${MAX_AHEAD} clients at once`, async () => {
    const { source, ahead } = start()
    gated(source)
    for (let n = 0; n <= MAX_AHEAD; n++) ahead.begin(`client ${n}`, source, STUDY, [`1.2.${n + 1}`])
    await new Promise(setImmediate)
    expect(source.asked).toHaveLength(MAX_AHEAD)
  })

  it('end with the first that cannot be had', async () => {
    const { source, ahead } = start()
    source.failure = new Error('not today')
    ahead.begin('one', source, STUDY, [FIRST, SECOND])
    await eventually(() => expect(source.cancelled).toBe(1))
    await new Promise(setImmediate)
    expect(asked(source)).toEqual([FIRST])
  })
})
