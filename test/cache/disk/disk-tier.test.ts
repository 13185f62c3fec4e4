import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { constants } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { InstanceCache } from '../../../src/cache/instance-cache.ts'
import { BlockFile, DISK_PATIENCE_MS, DiskFaultError } from '../../../src/cache/disk/block-file.ts'
import { BLOCK_BYTES } from '../../../src/cache/disk/block-cipher.ts'
import { DiskTier, type DiskOptions, type DiskStats } from '../../../src/cache/disk/disk-tier.ts'
import { PARTS_WINDOW_BYTES } from '../../../src/cache/held-instance.ts'
import { collect, collectUntilError } from '../../support/byte-stream.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeSource, fakeSeries, type FakeInstance } from '../../support/fake-source.ts'
import { temporaryFolder, type TemporaryFolder } from '../../support/temporary-folder.ts'

const MB = 1024 * 1024
const call = { signal: new AbortController().signal }
const PART = { compressed: true, part: true }
const caches: InstanceCache[] = []
let dir: TemporaryFolder

beforeEach(async () => {
  dir = await temporaryFolder()
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const cache of caches.splice(0)) await cache[Symbol.asyncDispose]()
  await dir[Symbol.asyncDispose]()
})

/** A cache with 2 MB of memory and a disk. */
async function cacheOf(
  disk: Partial<DiskOptions> = {},
  { maxBytes = 2 * MB, ttl = 60_000 } = {},
): Promise<InstanceCache> {
  const tier = await DiskTier.open({ dir: dir.path, maxBytes: 64 * MB, ...disk }, ttl)
  const cache = new InstanceCache({ maxBytes, ttl }, tier)
  caches.push(cache)
  return cache
}

function diskOf(cache: InstanceCache): DiskStats {
  return cache.stats.disk!
}

const uids = ({ series, sopInstance }: FakeInstance) => ({ study: '1.2', series, sopInstance })

async function bytesOf(
  cache: InstanceCache,
  fake: FakeSource,
  one: FakeInstance,
  from = 0,
  to = Infinity,
): Promise<Buffer> {
  using instance = await cache.instance(fake, uids(one), PART, call)
  return await collect(instance.bytes(from, to))
}

async function series(cache: InstanceCache, fake: FakeSource): Promise<Buffer[]> {
  const all: Buffer[] = []
  const selection = { study: '1.2', series: fake.instances[0]!.series }
  for await (const one of cache.retrieve(fake, selection, { compressed: true, lingers: true }, call)) {
    all.push(await collect(one.body))
  }
  return all
}

/** Series of 800 KB in four instances, one archive each so that what is asked is counted for each. */
function manySeries(count: number): FakeSource[] {
  return Array.from({ length: count }, (_, n) => new FakeSource(fakeSeries(`1.2.${n}`, 4, 200_000), 65_536))
}

function same(given: readonly Buffer[], fake: FakeSource): boolean {
  return given.length === fake.instances.length && given.every((one, n) => one.equals(fake.instances[n]!.bytes))
}

/** The files on disk, of all processes. */
async function files(): Promise<string[]> {
  const folders = await readdir(dir.path)
  const names = await Promise.all(
    folders.map(async (folder) => (await readdir(join(dir.path, folder))).map((name) => join(dir.path, folder, name))),
  )
  return names.flat().filter((name) => !name.endsWith('alive'))
}

async function bytesThere(): Promise<number> {
  const sizes = await Promise.all(
    (await files()).map(async (path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

const settled = (cache: InstanceCache) => eventually(() => expect(diskOf(cache).waitingBytes).toBe(0))

/** One instance of `size` bytes, larger than memory may keep. */
function large(size: number): FakeSource {
  return new FakeSource([{ series: '1.2.9', sopInstance: '1.2.9.1', bytes: randomBytes(size) }], 65_536)
}

/** One that was written as it came. */
async function onDisk(cache: InstanceCache, fake: FakeSource): Promise<void> {
  expect((await bytesOf(cache, fake, fake.instances[0]!)).equals(fake.instances[0]!.bytes)).toBe(true)
  await eventually(() => expect(diskOf(cache).instances).toBe(1))
}

async function overwrite(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.from('damaged'), 0, 7, at)
  await file.close()
}

describe('what memory lets go', () => {
  it('is served from disk', async () => {
    const cache = await cacheOf()
    const fakes = manySeries(5)
    for (const fake of fakes) await series(cache, fake)
    await settled(cache)
    for (const fake of fakes) {
      expect(same(await series(cache, fake), fake)).toBe(true)
      expect(fake.asked).toHaveLength(1)
    }
    expect(diskOf(cache).hits).toBeGreaterThanOrEqual(10)
    expect(diskOf(cache).errors).toBe(0)
    expect(cache.stats.hits).toBe(5)
  })

  it('is never more on disk than there may be, and the oldest goes', async () => {
    const cache = await cacheOf({ maxBytes: 4 * MB })
    const fakes = manySeries(12)
    for (const fake of fakes) {
      await series(cache, fake)
      await settled(cache)
      expect(diskOf(cache).bytes).toBeLessThanOrEqual(4 * MB)
      expect(await bytesThere()).toBeLessThanOrEqual(diskOf(cache).bytes)
    }
    expect(diskOf(cache).bytes).toBeGreaterThan(3 * MB)
    for (const n of [8, 0]) await series(cache, fakes[n]!)
    expect([8, 0].map((n) => fakes[n]!.asked.length)).toEqual([1, 2])
  })

  it('stays while somebody reads it', async () => {
    const cache = await cacheOf({ maxBytes: 3 * MB })
    const [first, ...others] = manySeries(12)
    await series(cache, first!)
    for (const fake of others.slice(0, 2)) await series(cache, fake)
    await settled(cache)
    using reading = await cache.instance(first!, uids(first!.instances[0]!), PART, call)
    expect(diskOf(cache).hits).toBe(1)
    for (const fake of others) await series(cache, fake)
    await settled(cache)
    expect(diskOf(cache).bytes).toBeLessThanOrEqual(3 * MB)
    expect((await collect(reading.body)).equals(first!.instances[0]!.bytes)).toBe(true)
    expect(first!.asked).toHaveLength(1)
  })

  it('is kept no longer than it would be in memory', async () => {
    const cache = await cacheOf({}, { ttl: 400 })
    for (const fake of manySeries(5)) await series(cache, fake)
    await settled(cache)
    expect(diskOf(cache).instances).toBeGreaterThan(0)
    await eventually(async () => expect(await files()).toEqual([]))
    // Its bytes are free when the file system has said so.
    await eventually(() => expect(diskOf(cache)).toMatchObject({ instances: 0, bytes: 0, indexBytes: 0 }))
  })

  it('waits to be written within a bound, and is not taken above it', async () => {
    const cache = await cacheOf({ limits: { waitingBytes: 500_000 } })
    const gate = Promise.withResolvers<undefined>()
    const append = vi.spyOn(BlockFile.prototype, 'append').mockImplementation(() => gate.promise)
    for (const fake of manySeries(6)) {
      await series(cache, fake)
      expect(diskOf(cache).waitingBytes).toBeLessThanOrEqual(500_000)
    }
    expect(diskOf(cache).waitingBytes).toBeGreaterThan(200_000)
    gate.resolve(undefined)
    await settled(cache)
    expect(append.mock.calls.length).toBeLessThanOrEqual(2)
  })

  it.each([
    ['so many instances', { instances: 3 }, 3],
    ['so much memory for what is known of them', { indexBytes: 5_000 }, 2],
  ])('takes no more than %s', async (_, limits, most) => {
    const cache = await cacheOf({ limits })
    for (const fake of manySeries(6)) await series(cache, fake)
    await settled(cache)
    expect(diskOf(cache).instances).toBe(most)
    expect(diskOf(cache).indexBytes).toBeLessThanOrEqual(2_500 * most)
    await eventually(async () => expect(await files()).toHaveLength(most))
  })

  it('is forgotten when it is stored anew', async () => {
    const cache = await cacheOf()
    const [first, ...others] = manySeries(5)
    await series(cache, first!)
    for (const fake of others) await series(cache, fake)
    await settled(cache)
    const before = await files()
    for (const one of first!.instances) cache.forget(first!, uids(one))
    await eventually(async () => expect((await files()).length).toBe(before.length - 4))
    await bytesOf(cache, first!, first!.instances[0]!)
    expect(first!.asked).toHaveLength(2)
  })

  it('is forgotten while it is written', async () => {
    const cache = await cacheOf()
    const fakes = manySeries(5)
    const gate = Promise.withResolvers<undefined>()
    const append = vi.spyOn(BlockFile.prototype, 'append').mockImplementationOnce(() => gate.promise)
    for (const fake of fakes) await series(cache, fake)
    await eventually(() => expect(append).toHaveBeenCalled())
    for (const one of fakes.flatMap(({ instances }) => instances)) cache.forget(fakes[0]!, uids(one))
    gate.resolve(undefined)
    await settled(cache)
    await eventually(async () => expect(await files()).toEqual([]))
    expect(diskOf(cache)).toMatchObject({ instances: 0, bytes: 0 })
  })

  it('is gone when the service stops', async () => {
    const cache = await cacheOf()
    for (const fake of manySeries(5)) await series(cache, fake)
    await cache[Symbol.asyncDispose]()
    expect(await readdir(dir.path)).toEqual([])
  })
})

describe('an instance that is larger than memory may keep', () => {
  it('is read again, from any byte, without the archive', async () => {
    const cache = await cacheOf()
    const fake = large(20 * MB)
    const [one] = fake.instances
    await onDisk(cache, fake)
    for (const [from, to] of [
      [0, 1],
      [19 * MB, 20 * MB],
      [3 * MB - 7, 4 * MB + 7],
      [20 * MB - 1, Infinity],
    ] as const) {
      expect((await bytesOf(cache, fake, one!, from, to)).equals(one!.bytes.subarray(from, to))).toBe(true)
    }
    expect(fake.asked).toHaveLength(1)
    expect(cache.stats.bytes).toBe(0)
  })

  it('is not taken where it is more than half of the disk, and drives nothing out', async () => {
    const cache = await cacheOf({ maxBytes: 16 * MB })
    const fakes = manySeries(5)
    for (const fake of fakes) await series(cache, fake)
    await settled(cache)
    const before = await files()
    const fake = large(9 * MB)
    await bytesOf(cache, fake, fake.instances[0]!)
    await settled(cache)
    expect(await files()).toEqual(expect.arrayContaining(before))
    await eventually(async () => expect(await bytesThere()).toBeLessThan(9 * MB))
  })

  it('is not waited for by its readers: what the disk is too slow for is not on it', async () => {
    const cache = await cacheOf({ maxBytes: 512 * MB })
    const gate = Promise.withResolvers<undefined>()
    vi.spyOn(BlockFile.prototype, 'append').mockImplementation(() => gate.promise)
    const pixels = PARTS_WINDOW_BYTES + 16 * MB
    // Pixel Data and nothing else, since what stands in front of it would stay in memory.
    const header = Buffer.from('e07f10004f570000', 'hex')
    const length = Buffer.alloc(4)
    length.writeUInt32LE(pixels)
    const bytes = Buffer.concat([header, length, randomBytes(pixels)])
    const fake = new FakeSource([{ series: '1.2.9', sopInstance: '1.2.9.1', bytes }], 65_536)
    const [one] = fake.instances
    expect((await bytesOf(cache, fake, one!)).equals(one!.bytes)).toBe(true)
    gate.resolve(undefined)
    await eventually(async () => expect(await files()).toEqual([]))
    expect(diskOf(cache)).toMatchObject({ instances: 0, bytes: 0 })
  })

  it('is not written any more when it was stored anew', async () => {
    const cache = await cacheOf()
    const fake = large(20 * MB)
    const [one] = fake.instances
    const begun = Promise.withResolvers<undefined>()
    const gate = Promise.withResolvers<undefined>()
    fake.gate = async () => {
      begun.resolve(undefined)
      await gate.promise
    }
    const before = bytesOf(cache, fake, one!)
    await begun.promise
    cache.forget(fake, uids(one!))
    gate.resolve(undefined)
    expect((await before).equals(one!.bytes)).toBe(true)
    await settled(cache)
    expect(cache.arrivalOf(fake, uids(one!))).toBeUndefined()
    expect(await files()).toEqual([])
  })

  it('is written with others at once up to a number of them', async () => {
    const cache = await cacheOf({ limits: { spills: 1 } })
    const gate = Promise.withResolvers<undefined>()
    vi.spyOn(BlockFile.prototype, 'append').mockImplementation(() => gate.promise)
    const create = vi.spyOn(BlockFile, 'create')
    for (const n of [1, 2]) {
      const one = { series: '1.2.9', sopInstance: `1.2.9.${n}`, bytes: randomBytes(3 * MB) }
      expect(await bytesOf(cache, new FakeSource([one], 65_536), one)).toHaveLength(3 * MB)
    }
    await delay(20)
    expect(create).toHaveBeenCalledTimes(1)
    gate.resolve(undefined)
  })
})

describe('a disk that fails', () => {
  it('fails no request when it is gone', async () => {
    const cache = await cacheOf()
    for (const folder of await readdir(dir.path)) await rm(join(dir.path, folder), { recursive: true })
    const fakes = manySeries(5)
    for (const fake of [...fakes, ...fakes]) expect(same(await series(cache, fake), fake)).toBe(true)
    const one = large(20 * MB)
    expect((await bytesOf(cache, one, one.instances[0]!)).equals(one.instances[0]!.bytes)).toBe(true)
    await settled(cache)
    await eventually(() => expect(diskOf(cache).errors).toBeGreaterThan(0))
    expect(diskOf(cache)).toMatchObject({ instances: 0, bytes: 0 })
  })

  it('is asked once when it is gone, not for each of what was on it', async () => {
    const cache = await cacheOf()
    const [first, ...others] = manySeries(6)
    for (const fake of [first!, ...others]) await series(cache, fake)
    await settled(cache)
    for (const folder of await readdir(dir.path)) await rm(join(dir.path, folder), { recursive: true })
    expect(same(await series(cache, first!), first!)).toBe(true)
    expect(first!.asked.length).toBeLessThanOrEqual(3)
    expect(diskOf(cache).errors).toBe(1)
  })

  it('is tried again after a while', async () => {
    const cache = await cacheOf({ limits: { rest: 300 } })
    const append = vi.spyOn(BlockFile.prototype, 'append').mockRejectedValueOnce(new DiskFaultError('full'))
    const fake = large(5 * MB)
    await bytesOf(cache, fake, fake.instances[0]!)
    await eventually(() => expect(diskOf(cache).errors).toBe(1))
    await bytesOf(cache, fake, fake.instances[0]!)
    expect(append).toHaveBeenCalledTimes(1)
    await delay(300)
    await onDisk(cache, fake)
    expect(fake.asked).toHaveLength(3)
  })

  it('fails no request when it is full', async () => {
    const cache = await cacheOf({ limits: { rest: 0 } })
    const full = (): Promise<never> => Promise.reject(new DiskFaultError('The disk cannot be used'))
    const fake = large(20 * MB)
    let blocks = 0
    const append = Reflect.get<BlockFile, 'append'>(BlockFile.prototype, 'append')
    vi.spyOn(BlockFile.prototype, 'append').mockImplementation(function (this: BlockFile, pieces) {
      return ++blocks > 10 ? full() : append.call(this, pieces)
    })
    for (let round = 0; round < 2; round++) {
      expect((await bytesOf(cache, fake, fake.instances[0]!)).equals(fake.instances[0]!.bytes)).toBe(true)
      await eventually(() => expect(diskOf(cache)).toMatchObject({ bytes: 0, errors: round + 1 }))
    }
    expect(await files()).toEqual([])
    expect(diskOf(cache)).toMatchObject({ instances: 0, errors: 2 })
  })

  it.each([
    ['at the start', 1000],
    ['in the middle', 10 * MB],
    ['at the end', 20 * MB],
  ])('gives right bytes by a new retrieval when a file is damaged %s', async (_, at) => {
    const cache = await cacheOf()
    const fake = large(20 * MB)
    await onDisk(cache, fake)
    await overwrite((await files())[0]!, at)
    expect((await bytesOf(cache, fake, fake.instances[0]!)).equals(fake.instances[0]!.bytes)).toBe(true)
    expect(fake.asked).toHaveLength(2)
    expect(diskOf(cache).errors).toBe(1)
    await eventually(() => expect(diskOf(cache).instances).toBe(1))
    expect((await bytesOf(cache, fake, fake.instances[0]!)).equals(fake.instances[0]!.bytes)).toBe(true)
    expect(fake.asked).toHaveLength(2)
  })

  it('never joins what it gave with an instance that has become another', async () => {
    const cache = await cacheOf()
    const fake = large(20 * MB)
    await onDisk(cache, fake)
    await overwrite((await files())[0]!, 10 * MB)
    const before = fake.instances[0]!
    fake.instances[0] = { ...before, bytes: randomBytes(20 * MB) }
    using instance = await cache.instance(fake, uids(before), PART, call)
    const { bytes, error } = await collectUntilError(instance.bytes())
    expect(error).toMatchObject({ code: 'NO_LONGER_HELD' })
    expect(bytes.length).toBeGreaterThan(9 * MB)
    expect(bytes.equals(before.bytes.subarray(0, bytes.length))).toBe(true)
  })

  it('is done without when it does not answer', { timeout: 3 * DISK_PATIENCE_MS }, async () => {
    const cache = await cacheOf()
    const fake = large(3 * BLOCK_BYTES + 2 * MB)
    await onDisk(cache, fake)
    const [path] = await files()
    await rm(path!)
    // Whoever opens a pipe waits for who writes into it.
    execFileSync('mkfifo', [path!])
    const read = bytesOf(cache, fake, fake.instances[0]!)
    expect((await read).equals(fake.instances[0]!.bytes)).toBe(true)
    expect(fake.asked).toHaveLength(2)
    expect(diskOf(cache).errors).toBe(1)
    const other = await open(path!, constants.O_RDWR | constants.O_NONBLOCK).catch(() => undefined)
    await delay(10)
    await other?.close()
  })
})
