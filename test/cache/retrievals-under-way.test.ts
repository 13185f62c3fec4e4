import type { Source } from '../../src/cache/route.ts'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { CachedInstance } from '../../src/cache/cached-instance.ts'
import { InstanceCache } from '../../src/cache/instance-cache.ts'
import type { InstanceUids } from '../../src/instance/uids.ts'
import { frameOf, layoutOf } from '../../src/instance/frames.ts'
import { collect } from '../support/byte-stream.ts'
import { eventually } from '../support/eventually.ts'
import { encapsulatedImage } from '../support/images.ts'
import { fakeSeries, FakeSource, type FakeInstance } from '../support/fake-source.ts'

const MB = 1024 * 1024
const PART = { compressed: true, part: true }
const ONE: InstanceUids = { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.1' }

const caches: InstanceCache[] = []

afterEach(async () => {
  for (const cache of caches.splice(0)) await cache[Symbol.asyncDispose]()
})

function cacheOf(maxBytes: number): InstanceCache {
  const cache = new InstanceCache({ maxBytes, ttl: 60_000 })
  caches.push(cache)
  return cache
}

const call = () => ({ signal: new AbortController().signal })

async function read(cache: InstanceCache, source: Source, uids = ONE, from = 0, to = Infinity): Promise<Buffer> {
  using instance = await cache.instance(source, uids, PART, call())
  return await collect(instance.bytes(from, to))
}

/** Of an image that is larger than all that stays behind a reader. */
const IMAGE_BYTES = 80 * MB

function imageOf(uids: InstanceUids, patient = 'AA'): FakeInstance {
  const name = Buffer.concat([Buffer.from([0x10, 0, 0x10, 0, 0x50, 0x4e, patient.length, 0]), Buffer.from(patient)])
  const pixels = Buffer.concat([Buffer.from('e07f10004f570000', 'hex'), Buffer.alloc(4)])
  pixels.writeUInt32LE(IMAGE_BYTES, 8)
  return { ...uids, bytes: Buffer.concat([name, pixels, Buffer.alloc(IMAGE_BYTES, 1)]) }
}

describe('a retrieval under way', () => {
  it('whose association was wanted while somebody read lets it go when nobody reads any more', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 8 * MB), 65_536)
    let wanted: (() => void) | undefined
    const source: Source = {
      config: fake.config,
      retrieve(selection, compressed, own) {
        wanted = own.wanted
        return fake.retrieve(selection, compressed, own)
      },
    }
    const cache = cacheOf(0)
    using instance = await cache.instance(source, ONE, PART, call())
    await collect(instance.bytes(0, 1000))
    wanted!()
    instance[Symbol.dispose]()
    await eventually(() => expect(fake.cancelled).toBe(1))
  })

  it('is not kept where what it brings is stored anew meanwhile', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 1, 5000))
    const gate = Promise.withResolvers<undefined>()
    const begun = Promise.withResolvers<undefined>()
    fake.gate = () => {
      begun.resolve(undefined)
      return gate.promise.then(() => undefined)
    }
    const cache = cacheOf(4 * MB)
    const before = read(cache, fake)
    await begun.promise
    cache.forget(fake, ONE)
    gate.resolve(undefined)
    await before
    const anew = Buffer.alloc(5000, 99)
    fake.instances[0] = { ...fake.instances[0]!, bytes: anew }
    expect((await read(cache, fake)).equals(anew)).toBe(true)
  })

  it('is kept but for what is stored anew meanwhile', async () => {
    const fake = new FakeSource(fakeSeries('1.2.1', 3, 5000))
    const gate = Promise.withResolvers<undefined>()
    const begun = Promise.withResolvers<undefined>()
    fake.gate = () => {
      begun.resolve(undefined)
      return gate.promise.then(() => undefined)
    }
    const cache = cacheOf(4 * MB)
    const before = (async () => {
      const selection = { study: '1.2', series: '1.2.1' }
      const given = cache.retrieve(fake, selection, { compressed: true, lingers: true }, call())
      for await (const instance of given) await collect(instance.body)
    })()
    await begun.promise
    cache.forget(fake, ONE)
    gate.resolve(undefined)
    await before
    expect(
      fake.instances.map(({ sopInstance }) => cache.arrivalOf(fake, { ...ONE, sopInstance }) !== undefined),
    ).toEqual([false, true, true])
  })

  it.each([
    ['goes on where another instance of it is', '1.2.1.2', false],
    ['fails where it is itself', '1.2.1.1', true],
  ])('of a series, read where it is no longer held, %s stored anew meanwhile', async (_, sopInstance, fails) => {
    const fake = new FakeSource([imageOf(ONE), imageOf({ ...ONE, sopInstance: '1.2.1.2' })], MB)
    const cache = cacheOf(0)
    const selection = { study: '1.2', series: '1.2.1' }
    const given = cache.retrieve(fake, selection, { compressed: true, lingers: false }, call())
    const { value: first } = (await given.next()) as IteratorYieldResult<CachedInstance>
    await collect(first.bytes(79 * MB))
    cache.forget(fake, { ...ONE, sopInstance })
    const rest = collect(first.bytes(MB, MB + 50))
    if (fails) await expect(rest).rejects.toMatchObject({ code: 'NO_LONGER_HELD' })
    else expect(await rest).toEqual(fake.instances[0]!.bytes.subarray(MB, MB + 50))
    await given.return(undefined)
  })

  it('gives who asks for an instance that of his series, though another series has its UID too', async () => {
    const of = (series: string, fill: number) => ({ series, sopInstance: '9', bytes: Buffer.alloc(1000, fill) })
    const fake = new FakeSource([of('1.2.1', 1), of('1.2.2', 2)], 100)
    const gate = Promise.withResolvers<undefined>()
    fake.gate = () => gate.promise.then(() => undefined)
    const cache = cacheOf(8 * MB)
    const whole = (async () => {
      const study = cache.retrieve(fake, { study: '1.2' }, { compressed: true, lingers: true }, call())
      for await (const instance of study) await collect(instance.body)
    })()
    const second = read(cache, fake, { study: '1.2', series: '1.2.2', sopInstance: '9' })
    gate.resolve(undefined)
    expect((await second).equals(Buffer.alloc(1000, 2))).toBe(true)
    await whole
    expect(fake.asked).toHaveLength(1)
  })

  it('that nobody waits for any more, and that has no room, leaves nothing behind in what is counted', async () => {
    const cache = cacheOf(4 * MB)
    for (let n = 1; n <= 10; n++) {
      const series = `1.2.${n}`
      const fake = new FakeSource(fakeSeries(series, 5, 700_000), 100_000)
      const given = cache.retrieve(fake, { study: '1.2', series }, { compressed: true, lingers: true }, call())
      for await (const _ of given) break
      await eventually(() => expect(fake.cancelled).toBe(1))
      for (const { sopInstance } of fake.instances) cache.forget(fake, { study: '1.2', series, sopInstance })
    }
    expect(cache.stats.bytes).toBe(0)
  })

  it('does not drive out what others are about to read for one who waits for what is far', async () => {
    const bytes = Buffer.alloc(100 * MB, 'twelve bytes')
    const fake = new FakeSource([{ ...ONE, bytes }], MB)
    fake.gate = () => setImmediate()
    const cache = cacheOf(0)
    const far = read(cache, fake, ONE, 99 * MB, 100 * MB)
    const near = read(cache, fake, ONE, 0, MB)
    expect((await near).equals(bytes.subarray(0, MB))).toBe(true)
    expect((await far).equals(bytes.subarray(99 * MB))).toBe(true)
    expect(fake.asked).toHaveLength(1)
  })
})

describe('what was learnt of an instance from one retrieval', () => {
  it('is not used for the bytes of another that differs', async () => {
    const fake = new FakeSource([imageOf(ONE, 'AA')], MB)
    const cache = cacheOf(0)
    using instance = await cache.instance(fake, ONE, PART, call())
    await collect(instance.bytes(IMAGE_BYTES))
    fake.instances[0] = imageOf(ONE, 'AABB')
    await expect(collect(instance.bytes(MB, MB + 50))).rejects.toMatchObject({ code: 'NO_LONGER_HELD' })
    expect(fake.asked).toHaveLength(2)
  })

  it('locates frames in another, where no table does, only if their fragments are there too', async () => {
    const jpeg = (size: number, fill: number): Buffer =>
      Buffer.concat([Buffer.of(0xff, 0xd8), Buffer.alloc(size - 2, fill)])
    const of = (first: number) => {
      const frames = [jpeg(first, 1), jpeg(40 * MB - first, 2), jpeg(40 * MB, 3)]
      const bytes = encapsulatedImage({ frames: 3 }, [], frames)
      return { frames, one: { ...ONE, bytes, syntax: '1.2.840.10008.1.2.4.50' } }
    }
    const [before, after] = [of(1000), of(2000)]
    const fake = new FakeSource([before.one], MB)
    const cache = cacheOf(0)
    const frame = async (number: number): Promise<Buffer> => {
      using instance = await cache.instance(fake, ONE, PART, call())
      const { bytes } = await frameOf(instance, (await layoutOf(instance))!, number)
      return await collect(bytes())
    }
    expect((await frame(3)).equals(before.frames[2]!)).toBe(true)
    await setImmediate()
    fake.instances[0] = after.one
    expect((await frame(1)).equals(after.frames[0]!)).toBe(true)
    expect((await frame(2)).equals(after.frames[1]!)).toBe(true)
  })
})
