import type { Source } from '../../src/cache/route.ts'
import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CachedInstance } from '../../src/cache/cached-instance.ts'
import type { ByteStream } from '../../src/dicom/bytes.ts'
import { InstanceCache } from '../../src/cache/instance-cache.ts'
import { LEAD_BYTES } from '../../src/cache/pace.ts'
import { WINDOW_BYTES } from '../../src/cache/held-instance.ts'
import { NoSuchInstanceError } from '../../src/pacs/retrieve/errors.ts'
import { collect } from '../support/byte-stream.ts'
import { fakeSeries, FakeSource, type FakeInstance } from '../support/fake-source.ts'

const MB = 1024 * 1024
const call = { signal: new AbortController().signal }
const viewer = { compressed: true, lingers: true }
const download = { compressed: true, lingers: false }
const STUDY = { study: '1.2' }
const SERIES = { study: '1.2', series: '1.2.1' }

const caches: InstanceCache[] = []

afterEach(async () => {
  for (const cache of caches.splice(0)) await cache[Symbol.asyncDispose]()
})

function cacheOf(maxBytes = 100 * MB, ttl = 60_000): InstanceCache {
  const cache = new InstanceCache({ maxBytes, ttl })
  caches.push(cache)
  return cache
}

const uids = ({ series, sopInstance }: FakeInstance) => ({ study: '1.2', series, sopInstance })
const sourceOf = (fake: FakeSource): Source => fake

/** UIDs and bytes of all that a retrieve gives. */
async function all(
  cache: InstanceCache,
  fake: FakeSource,
  selection: { study: string; series?: string; instance?: string },
  options = viewer,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const instance of cache.retrieve(sourceOf(fake), selection, options, call)) {
    found.set(instance.sopInstance, await digest(instance.body))
  }
  return found
}

function expected(instances: readonly FakeInstance[]): Map<string, string> {
  return new Map(instances.map(({ sopInstance, bytes }) => [sopInstance, hash('sha256', bytes)]))
}

async function digest(body: ByteStream): Promise<string> {
  return hash('sha256', await collect(body))
}

async function frame(cache: InstanceCache, fake: FakeSource, one: FakeInstance, compressed = true): Promise<Buffer> {
  using instance = await cache.instance(sourceOf(fake), uids(one), { compressed, part: true }, call)
  return await collect(instance.body)
}

describe('a series that was fetched', () => {
  it('is served from memory, whole, in parts and one by one', async () => {
    const fake = new FakeSource([...fakeSeries('1.2.1', 5, 3500), ...fakeSeries('1.2.2', 2, 10)])
    const cache = cacheOf()
    const series = expected(fake.instances.slice(0, 5))
    expect(await all(cache, fake, SERIES)).toEqual(series)
    expect(await all(cache, fake, SERIES)).toEqual(series)
    expect(await frame(cache, fake, fake.instances[2]!)).toEqual(fake.instances[2]!.bytes)
    const { series: own, sopInstance } = fake.instances[3]!
    const one = await all(cache, fake, { study: '1.2', series: own, instance: sopInstance })
    expect([...one.keys()]).toEqual([sopInstance])
    expect(fake.asked).toHaveLength(1)
    expect(cache.stats).toMatchObject({ hits: 3, joins: 0, misses: 1, evictions: 0, instances: 5 })
  })

  it('is found in its study, and the study is not taken for the series', async () => {
    const fake = new FakeSource([...fakeSeries('1.2.1', 3, 100), ...fakeSeries('1.2.2', 2, 100)])
    const cache = cacheOf()
    await all(cache, fake, STUDY)
    expect([...(await all(cache, fake, SERIES)).keys()]).toEqual(['1.2.1.1', '1.2.1.2', '1.2.1.3'])
    expect(fake.asked).toHaveLength(1)
    const other = cacheOf()
    await all(other, fake, SERIES)
    expect((await all(other, fake, STUDY)).size).toBe(5)
    expect(fake.asked).toHaveLength(3)
  })

  it('is fetched anew after its time, or when something was stored into its study', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 2, 100))
    const cache = cacheOf(MB, 80)
    await all(cache, fake, SERIES)
    await delay(120)
    await all(cache, fake, SERIES)
    expect(fake.asked).toHaveLength(2)
    fake.instances.push({ series: '1.2.1', sopInstance: '1.2.1.3', bytes: Buffer.alloc(10, 9) })
    cache.forget(fake, { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.3' })
    expect((await all(cache, fake, SERIES)).size).toBe(3)
  })

  it('of one archive is not that of another', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 2, 100))
    const other = new FakeSource(fakeSeries('1.2.1', 3, 100))
    Object.assign(other.config, { name: 'other' })
    const cache = cacheOf()
    await all(cache, fake, SERIES)
    expect((await all(cache, other, SERIES)).size).toBe(3)
  })

  it('without compression serves who wants it decompressed, one with compression does not', async () => {
    const [native, compressed] = fakeSeries('1.2.1', 2, 100) as [FakeInstance, FakeInstance]
    const fake = new FakeSource([native, { ...compressed, syntax: '1.2.840.10008.1.2.4.70' }])
    const cache = cacheOf()
    await all(cache, fake, SERIES)
    await frame(cache, fake, native, false)
    expect(fake.asked).toHaveLength(1)
    await frame(cache, fake, compressed, false)
    expect(fake.asked.at(-1)).toMatchObject({ compressed: false })
  })
})

describe('a retrieval under way', () => {
  it('is shared by all who ask for the same, or for a part of it', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 4, 3000))
    const open = Promise.withResolvers<undefined>()
    fake.gate = () => open.promise.then(() => undefined)
    const cache = cacheOf()
    const asked = [
      all(cache, fake, SERIES),
      all(cache, fake, SERIES),
      frame(cache, fake, fake.instances[3]!),
      all(cache, fake, { ...SERIES, instance: '1.2.1.2' }),
    ] as const
    await delay(20)
    open.resolve(undefined)
    const [first, second, last, part] = await Promise.all(asked)
    expect(first).toEqual(expected(fake.instances))
    expect(second).toEqual(first)
    expect(last).toEqual(fake.instances[3]!.bytes)
    expect(part).toEqual(expected([fake.instances[1]!]))
    expect(fake.asked).toHaveLength(1)
    expect(cache.stats).toMatchObject({ misses: 1, joins: 3 })
  })

  it('does not wait for one who reads nothing, and loses nothing for it', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 40, MB / 2), 65_536)
    const cache = cacheOf()
    const slow = cache.retrieve(sourceOf(fake), SERIES, viewer, call)
    const first = (await slow.next()).value as CachedInstance
    expect(await all(cache, fake, SERIES)).toEqual(expected(fake.instances))
    const rest = new Map([[first.sopInstance, await digest(first.body)]])
    for await (const instance of slow) rest.set(instance.sopInstance, await digest(instance.body))
    expect(rest).toEqual(expected(fake.instances))
    expect(fake.asked).toHaveLength(1)
  })

  it('goes at the pace of the only one who reads', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 20, MB), 65_536)
    const reading = cacheOf().retrieve(sourceOf(fake), SERIES, download, call)
    const first = (await reading.next()).value as CachedInstance
    const bytes = first.body[Symbol.asyncIterator]()
    await bytes.next()
    await delay(50)
    expect(fake.given).toBeLessThan(LEAD_BYTES + 4 * 65_536)
    await bytes.return?.()
    await reading.return(undefined)
  })

  it('does not wait for the pixels of one that wants headers only', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 10, MB), 65_536)
    const cache = cacheOf()
    for await (const instance of cache.retrieve(sourceOf(fake), SERIES, viewer, call)) {
      for await (const _ of instance.body) break
    }
    await vi.waitFor(() => expect(cache.stats.instances).toBe(10), { timeout: 5000, interval: 5 })
    expect(await all(cache, fake, SERIES)).toEqual(expected(fake.instances))
    expect(fake.asked).toHaveLength(1)
  })

  it('ends when the last who wants it has gone, and not before', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 20, MB), 65_536)
    const cache = cacheOf()
    const one = new AbortController()
    const other = new AbortController()
    const read = async (signal: AbortSignal): Promise<void> => {
      for await (const instance of cache.retrieve(sourceOf(fake), SERIES, download, { signal })) {
        for await (const _ of instance.body) await delay(5)
      }
    }
    const [first, second] = [read(one.signal), read(other.signal)]
    await delay(30)
    one.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    await delay(30)
    expect(fake.cancelled).toBe(0)
    other.abort(new Error('gone too'))
    await expect(second).rejects.toThrow('gone too')
    await vi.waitFor(() => expect(fake.cancelled).toBe(1), { timeout: 2000, interval: 5 })
    expect(fake.asked).toHaveLength(1)
  })

  it('wakes who waits for an archive that sends nothing when the client goes', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 5000))
    fake.gate = () => new Promise(() => undefined)
    const cache = cacheOf()
    const gone = new AbortController()
    const frameRead = cache
      .instance(sourceOf(fake), uids(fake.instances[0]!), { compressed: true, part: true }, { signal: gone.signal })
      .then((instance) => collect(instance.body))
    const seriesRead = cache
      .retrieve(sourceOf(fake), { study: '1.2', series: '1.2.9' }, download, { signal: gone.signal })
      .next()
    await delay(20)
    gone.abort(new Error('gone'))
    await expect(frameRead).rejects.toThrow('gone')
    await seriesRead.catch(() => undefined)
  })

  it('that fails fails for all, behind what came before, and is not remembered', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 3, 100))
    fake.failure = new Error('the archive went away')
    const cache = cacheOf()
    const seen: string[] = []
    const reading = (async () => {
      for await (const instance of cache.retrieve(sourceOf(fake), SERIES, viewer, call)) seen.push(instance.sopInstance)
    })()
    await expect(reading).rejects.toThrow('the archive went away')
    expect(seen).toHaveLength(3)
    fake.failure = undefined
    expect((await all(cache, fake, SERIES)).size).toBe(3)
    expect(fake.asked).toHaveLength(2)
  })

  it('ends with the cache', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 3, 5000))
    fake.gate = () => new Promise(() => undefined)
    const cache = cacheOf()
    const reading = all(cache, fake, SERIES)
    await delay(10)
    await cache[Symbol.asyncDispose]()
    await expect(reading).rejects.toThrow('stopping')
    expect(fake.cancelled).toBe(1)
  })
})

describe('an instance of which a part is wanted', () => {
  it('is fetched alone, and a second one of its series brings the whole series', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 6, 2000))
    const cache = cacheOf()
    await frame(cache, fake, fake.instances[0]!)
    expect(fake.asked.at(-1)!.selection).toMatchObject({ instance: '1.2.1.1' })
    await Promise.all(fake.instances.slice(1).map((one) => frame(cache, fake, one)))
    expect(fake.asked).toHaveLength(2)
    expect(fake.asked.at(-1)!.selection).toEqual(SERIES)
  })

  it('is not fetched any more when who wanted it has gone, while its series goes on', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 3, 5000))
    fake.gate = () => new Promise(() => undefined)
    const cache = cacheOf()
    const gone = new AbortController()
    const ask = (one: FakeInstance): Promise<unknown> =>
      cache.instance(fake, uids(one), { compressed: true, part: true }, { signal: gone.signal })
    const [first, second] = [ask(fake.instances[0]!), ask(fake.instances[1]!)].map(async (asked) => {
      using instance = (await asked) as CachedInstance
      return await collect(instance.body)
    })
    await delay(20)
    gone.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    await expect(second).rejects.toThrow('gone')
    await vi.waitFor(() => expect(fake.cancelled).toBe(1), { timeout: 2000, interval: 5 })
    expect(new Set(fake.asked.map(({ selection }) => selection.instance))).toEqual(new Set(['1.2.1.1', undefined]))
  })

  it('that the archive does not have is an error of its own', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 100))
    const missing = { series: '1.2.1', sopInstance: '9.9', bytes: Buffer.alloc(0) }
    await expect(frame(cacheOf(), fake, missing)).rejects.toBeInstanceOf(NoSuchInstanceError)
  })

  it('can be read again and from the middle', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 10_000), 999)
    for (const cache of [cacheOf(), cacheOf(0)]) {
      const options = { compressed: true, part: true }
      using instance = await cache.instance(sourceOf(fake), uids(fake.instances[0]!), options, call)
      expect(await collect(instance.bytes(2_500, 7_777))).toHaveLength(5_277)
      expect(await collect(instance.bytes(9_999))).toHaveLength(1)
      expect(await collect(instance.bytes(20_000))).toHaveLength(0)
      expect(await collect(instance.body)).toEqual(fake.instances[0]!.bytes)
    }
  })
})

describe('memory', () => {
  it('never holds more than it may, and lets go of the oldest', async () => {
    const cache = cacheOf(4 * MB)
    const fakes = Array.from({ length: 6 }, (_, n) => new FakeSource(fakeSeries(`1.2.${n}`, 4, MB / 4), 65_536))
    for (const [n, fake] of fakes.entries()) {
      await all(cache, fake, { study: '1.2', series: `1.2.${n}` })
      expect(cache.stats.bytes).toBeLessThanOrEqual(4 * MB)
    }
    expect(cache.stats.evictions).toBeGreaterThanOrEqual(8)
    const before = fakes[5]!.asked.length
    await all(cache, fakes[5]!, { study: '1.2', series: '1.2.5' })
    expect(fakes[5]!.asked).toHaveLength(before)
    await all(cache, fakes[0]!, { study: '1.2', series: '1.2.0' })
    expect(fakes[0]!.asked).toHaveLength(2)
  })

  it('keeps what is there when something passes that is larger than all of it', async () => {
    const cache = cacheOf(8 * MB)
    const small = new FakeSource(fakeSeries('1.2.1', 4, 100_000), 65_536)
    const large = new FakeSource(fakeSeries('1.2.2', 40, MB), 65_536)
    await all(cache, small, SERIES)
    for (const options of [viewer, download]) {
      expect(await all(cache, large, { study: '1.2', series: '1.2.2' }, options)).toEqual(expected(large.instances))
    }
    await all(cache, small, SERIES)
    expect(small.asked).toHaveLength(1)
  })

  it('of an instance that is larger than all of it is a window', async () => {
    const size = 64 * MB
    const one = { series: '1.2.1', sopInstance: '1.2.1.1', bytes: Buffer.alloc(size, 7) }
    for (const cache of [cacheOf(4 * MB), cacheOf(0)]) {
      const fake = new FakeSource([one], 262_144)
      let read = 0
      let ahead = 0
      for await (const instance of cache.retrieve(sourceOf(fake), SERIES, download, call)) {
        for await (const chunk of instance.body) {
          read += chunk.length
          ahead = Math.max(ahead, fake.given - read)
        }
      }
      expect(read).toBe(size)
      expect(ahead).toBeLessThanOrEqual(LEAD_BYTES + 2 * 262_144)
      expect(cache.stats).toMatchObject({ bytes: 0, instances: 0 })
    }
  })

  it('is not taken by who falls behind what passes: it is fetched for him anew', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 30, MB), 262_144)
    const cache = cacheOf(64 * MB)
    const slow = cache.retrieve(sourceOf(fake), SERIES, download, call)
    const first = (await slow.next()).value as CachedInstance
    expect(await all(cache, fake, SERIES, download)).toEqual(expected(fake.instances))
    const found = new Map([[first.sopInstance, await digest(first.body)]])
    for await (const instance of slow) found.set(instance.sopInstance, await digest(instance.body))
    expect(found).toEqual(expected(fake.instances))
    expect(fake.asked.length).toBeLessThanOrEqual(3)
    expect(WINDOW_BYTES).toBeLessThan(30 * MB)
  })

  it('of 0 keeps nothing, and every request is a retrieval of its own', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 3, 5000))
    const cache = cacheOf(0)
    expect(await all(cache, fake, SERIES)).toEqual(expected(fake.instances))
    expect(await all(cache, fake, SERIES)).toEqual(expected(fake.instances))
    expect(fake.asked).toHaveLength(2)
    expect(cache.stats).toMatchObject({ hits: 0, bytes: 0, instances: 0 })
  })
})
