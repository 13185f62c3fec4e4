import { setTimeout as sleep } from 'node:timers/promises'
import { Piscina } from 'piscina'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CodecStoppedError, CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import { UnusableImageError } from '../../../src/imaging/image-description.ts'
import {
  CLIENT_SHARE,
  ImagingBusyError,
  ImagingPool,
  MAX_WAITING_BYTES,
  MAX_WAITING_FRAMES,
} from '../../../src/imaging/pool/imaging-pool.ts'
import { GONE_MS } from '../../../src/imaging/pool/threads.ts'
import { planDrawing } from '../../../src/imaging/draw/drawing-plan.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import type { Turn } from '../../../src/imaging/picture/turn.ts'
import { imageOf } from '../real-images.ts'
import { fileOf } from '../dcmtk.ts'
import { description, noise, picture } from '../made-images.ts'

const PREFIX = '1.2.840.10008.1.2'
const [J2K, RLE] = [`${PREFIX}.4.90`, `${PREFIX}.5`]
const never = new AbortController().signal

let pool: ImagingPool | undefined
afterEach(async () => pool?.[Symbol.asyncDispose]())

function open(threads: number | null, timeout = 20_000): ImagingPool {
  return (pool = new ImagingPool({ threads, timeout }))
}

const itself = async (picture: Picture): Promise<Picture> => picture

const image = description({ rows: 40, columns: 50, bitsAllocated: 16, bitsStored: 12 })
const frame = picture(image)
/** Noise of this size takes about four seconds in JPEG 2000. */
const large = description({ rows: 4000, columns: 4000, bitsAllocated: 16 })

describe('a pool of threads', () => {
  it('encodes, decodes and draws', async () => {
    const threads = open(2)
    const encoded = await threads.encode(frame, image, J2K, never)
    expect(Buffer.compare(encoded, await encodeFrame(frame, image, J2K))).toBe(0)
    const decoded = await threads.decode(encoded, image, J2K, never)
    expect(Buffer.compare(decoded, frame)).toBe(0)
    const { dataset } = await imageOf(fileOf(image, `${PREFIX}.1`, frame), 'made')
    const drawing = planDrawing(dataset, 1, undefined)
    const drawn = await threads.draw(encoded, drawing, J2K, itself, never)
    expect(drawn).toMatchObject({ width: 50, height: 40, channels: 1 })
    expect(Buffer.compare(drawn.data, (await threads.draw(frame, drawing, undefined, itself, never)).data)).toBe(0)
    expect(new Set(drawn.data).size).toBeGreaterThan(100)
  })

  it('leaves a frame where it was', async () => {
    const threads = open(1)
    const before = Buffer.from(frame)
    const encoded = await threads.encode(frame, image, RLE, never)
    const again = Buffer.from(encoded)
    await threads.decode(encoded, image, RLE, never)
    expect(frame.equals(before)).toBe(true)
    expect(Buffer.compare(encoded, again)).toBe(0)
  })

  it('gives errors with their class', async () => {
    const threads = open(1)
    await expect(threads.decode(Buffer.alloc(9), image, RLE, never)).rejects.toThrow(CodestreamError)
    const { dataset } = await imageOf(fileOf(image, `${PREFIX}.1`, frame), 'made')
    const drawing = planDrawing(dataset, 1, undefined)
    await expect(threads.draw(Buffer.alloc(9), drawing, undefined, itself, never)).rejects.toThrow(UnusableImageError)
    await expect(threads.draw(Buffer.alloc(9), drawing, RLE, itself, never)).rejects.toThrow(CodestreamError)
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('has as many at work as threads, and the others wait', async () => {
    const threads = open(2)
    const work = Array.from({ length: 9 }, (_, n) => threads.of(String(n)).encode(frame, image, RLE, never))
    expect(threads.stats).toEqual({ running: 2, waiting: 7 })
    const all = await Promise.all(work)
    expect(new Set(all.map((one) => Buffer.from(one).toString('latin1'))).size).toBe(1)
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('with one thread does one after the other, in the order they came', async () => {
    const threads = open(1)
    const ended: number[] = []
    const frames = [large, image, image, image].map((one, n) => (n === 0 ? noise(32_000_000) : picture(one)))
    const work = frames.map(async (one, n) => {
      await threads.encode(one, n === 0 ? large : image, RLE, never)
      ended.push(n)
    })
    await Promise.all(work)
    expect(ended).toEqual([0, 1, 2, 3])
  })

  it('has a thread for each processor but one, and one at least, unless told', async () => {
    const threads = open(null)
    const work = [1, 2].map(() => threads.encode(frame, image, RLE, never))
    expect(threads.stats.running).toBeGreaterThanOrEqual(1)
    await Promise.all(work)
  })
})

describe('frames that wait', () => {
  const third = Buffer.alloc(Math.floor(MAX_WAITING_BYTES / 3))
  const small = Buffer.alloc(1)
  /** Each is another, unless told. */
  let clients = 0
  /** How it ends: it is no frame, but what counts is that it waits. */
  const waits = (threads: ImagingPool, bytes: Buffer, signal = never, client = String(clients++)): Promise<unknown> =>
    threads
      .of(client)
      .encode(bytes, image, RLE, signal)
      .then(
        () => 'done',
        (error: unknown) => error,
      )

  /** A pool whose only thread is taken until `release` is called. */
  function busy(): { threads: ImagingPool; release: () => void; first: Promise<undefined> } {
    const threads = open(1)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    return { threads, release: () => resolve(undefined), first: threads.inTurn(() => promise, never) }
  }

  it('hold so much memory together: one more is refused', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const waiting = [third, third, third].map((bytes) => waits(threads, bytes, gone.signal))
    expect(threads.stats).toEqual({ running: 1, waiting: 3 })
    expect(await waits(threads, third)).toBeInstanceOf(ImagingBusyError)
    expect(threads.stats).toEqual({ running: 1, waiting: 3 })
    gone.abort(new Error('gone'))
    release()
    await Promise.all([...waiting, first])
  })

  it('no longer hold what was given up', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const stays = waits(threads, small)
    const leaving = [third, third].map((bytes) => waits(threads, bytes, gone.signal))
    gone.abort(new Error('gone'))
    expect(await Promise.all(leaving)).toEqual([gone.signal.reason, gone.signal.reason])
    const later = [third, third].map((bytes) => waits(threads, bytes))
    expect(threads.stats).toEqual({ running: 1, waiting: 3 })
    release()
    expect(await Promise.all([first, stays, ...later])).not.toContainEqual(expect.any(ImagingBusyError))
  })

  it('no longer hold what has had its turn', async () => {
    const { threads, release, first } = busy()
    const early = [third, third].map((bytes) => waits(threads, bytes))
    release()
    await Promise.all([first, ...early])
    const again = Promise.withResolvers<undefined>()
    const second = threads.inTurn(() => again.promise, never)
    const later = [small, third, third].map((bytes) => waits(threads, bytes))
    expect(threads.stats).toEqual({ running: 1, waiting: 3 })
    again.resolve(undefined)
    expect(await Promise.all([second, ...later])).not.toContainEqual(expect.any(ImagingBusyError))
  })

  it('may be larger than that where no other does', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const alone = waits(threads, Buffer.alloc(MAX_WAITING_BYTES + 1), gone.signal)
    expect(threads.stats).toEqual({ running: 1, waiting: 1 })
    gone.abort(new Error('gone'))
    expect(await alone).toBe(gone.signal.reason)
    release()
    await first
  })

  it('of one client hold half of that', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const half = Buffer.alloc(MAX_WAITING_BYTES / CLIENT_SHARE)
    const own = [small, half.subarray(1)].map((bytes) => waits(threads, bytes, gone.signal, 'one'))
    expect(await waits(threads, small, never, 'one')).toBeInstanceOf(ImagingBusyError)
    const others = waits(threads, half, gone.signal, 'another')
    expect(threads.stats).toEqual({ running: 1, waiting: 3 })
    gone.abort(new Error('gone'))
    release()
    await Promise.all([...own, others, first])
  })

  it('are so many, and of one client half of these', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const fill = (client: string): Promise<unknown>[] =>
      Array.from({ length: MAX_WAITING_FRAMES / CLIENT_SHARE }, () => waits(threads, small, gone.signal, client))
    const waiting = fill('one')
    expect(await waits(threads, small, never, 'one')).toBeInstanceOf(ImagingBusyError)
    waiting.push(...fill('another'))
    expect(threads.stats).toEqual({ running: 1, waiting: MAX_WAITING_FRAMES })
    expect(await waits(threads, small, never, 'a third')).toBeInstanceOf(ImagingBusyError)
    gone.abort(new Error('gone'))
    release()
    await Promise.all([...waiting, first])
  })

  it('wait no longer than they may', async () => {
    const threads = (pool = new ImagingPool({ threads: 1, timeout: 20_000, queue: 50 }))
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const first = threads.inTurn(() => promise, never)
    const start = performance.now()
    expect(await waits(threads, small)).toBeInstanceOf(ImagingBusyError)
    expect(performance.now() - start).toBeGreaterThanOrEqual(49)
    resolve(undefined)
    await first
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('are not refused where there is a thread for each', async () => {
    const threads = open(3)
    const both = [third, third, third].slice(0, 2).map((bytes) => waits(threads, Buffer.concat([bytes, bytes])))
    expect(await Promise.all(both)).not.toContainEqual(expect.any(ImagingBusyError))
  })

  it('count with their overlays', async () => {
    const { threads, release, first } = busy()
    const gone = new AbortController()
    const { dataset } = await imageOf(fileOf(image, `${PREFIX}.1`, frame), 'made')
    const plane = { kind: 'bits', bits: Buffer.alloc(MAX_WAITING_BYTES / 2 + 1), skip: 0 } as const
    const overlays = [{ rows: 1, columns: 1, top: 0, left: 0, plane }]
    const drawing = { ...planDrawing(dataset, 1, undefined), overlays }
    const draws = (): Promise<unknown> =>
      threads
        .of(String(clients++))
        .draw(small, drawing, undefined, itself, gone.signal)
        .catch((error: unknown) => error)
    const waiting = draws()
    expect(await draws()).toBeInstanceOf(ImagingBusyError)
    gone.abort(new Error('gone'))
    release()
    await Promise.all([waiting, first])
  })
})

describe('a picture', () => {
  it('is finished before the next frame has its turn, and told how long that may take', async () => {
    const threads = open(1, 12_345)
    const { dataset } = await imageOf(fileOf(image, `${PREFIX}.1`, frame), 'made')
    const drawing = planDrawing(dataset, 1, undefined)
    let pictures = 0
    let most = 0
    const finish = async (_: Picture, { limit, left }: Turn): Promise<number> => {
      most = Math.max(most, ++pictures)
      await sleep(20)
      pictures--
      expect(left).toBeLessThan(limit)
      return limit
    }
    const all = Array.from({ length: 5 }, () => threads.draw(frame, drawing, undefined, finish, never))
    expect(await Promise.all(all)).toEqual([12_345, 12_345, 12_345, 12_345, 12_345])
    expect(most).toBe(1)
  })

  it('of an animation: there are as many animations at once as threads', async () => {
    const threads = open(2)
    let [running, most] = [0, 0]
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await threads.inTurn(() => sleep(10), never)
      running--
    }
    await Promise.all(Array.from({ length: 7 }, (_, n) => threads.of(String(n)).animate(work, never)))
    expect(most).toBe(2)
  })
})

describe('a frame that is not wanted any more', () => {
  it('is not begun', async () => {
    const threads = open(1)
    const reason = new Error('gone')
    await expect(threads.encode(frame, image, RLE, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('waits no longer, and the others keep their order', async () => {
    const threads = open(1)
    const gone = new AbortController()
    const reason = new Error('gone')
    const ended: string[] = []
    const first = threads.encode(frame, image, RLE, never).then(() => ended.push('first'))
    const second = threads.encode(frame, image, RLE, gone.signal)
    const third = threads.encode(frame, image, RLE, never).then(() => ended.push('third'))
    expect(threads.stats).toEqual({ running: 1, waiting: 2 })
    gone.abort(reason)
    await expect(second).rejects.toBe(reason)
    await Promise.all([first, third])
    expect(ended).toEqual(['first', 'third'])
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('that is at work comes to its end, and frees its thread', async () => {
    const threads = open(1)
    const gone = new AbortController()
    const work = threads.encode(frame, image, RLE, gone.signal)
    gone.abort()
    // It is for nobody, and ends all the same: that is cheaper than another thread.
    await expect(work).rejects.toBe(gone.signal.reason)
    expect((await threads.encode(frame, image, RLE, never)).length).toBeGreaterThan(0)
  })
})

describe('work of a client that has left', () => {
  it('is ended with its thread when it goes on', async () => {
    const threads = open(1)
    const gone = new AbortController()
    const reason = new Error('gone')
    const slow = threads.encode(noise(32_000_000), large, J2K, gone.signal)
    // Until it is in its thread.
    await sleep(300)
    const start = performance.now()
    gone.abort(reason)
    await expect(slow).rejects.toBe(reason)
    const took = performance.now() - start
    expect(took).toBeGreaterThanOrEqual(GONE_MS - 1)
    expect(took).toBeLessThan(GONE_MS + 1000)
    expect((await threads.encode(frame, image, RLE, never)).length).toBeGreaterThan(0)
  })

  it('does not go on to a picture', async () => {
    const threads = open(1)
    const gone = new AbortController()
    const { dataset } = await imageOf(fileOf(image, `${PREFIX}.1`, frame), 'made')
    const finish = vi.fn(itself)
    const drawn = threads.draw(frame, planDrawing(dataset, 1, undefined), undefined, finish, gone.signal)
    gone.abort(new Error('gone'))
    await expect(drawn).rejects.toBe(gone.signal.reason)
    expect(finish).not.toHaveBeenCalled()
  })
})

describe('an image of a GIF', () => {
  const side = 8192
  const picture: Picture = { width: side, height: side, channels: 3, data: noise(side * side * 3) }

  it('is made in the time of its frame, and no longer: its thread is ended', async () => {
    const threads = open(1, 2000)
    const start = performance.now()
    await expect(threads.inTurn((turn) => turn.gif(picture), never)).rejects.toThrow(CodecStoppedError)
    expect(performance.now() - start).toBeLessThan(3_500)
    expect((await threads.encode(frame, image, RLE, never)).length).toBeGreaterThan(0)
  })
})

describe('a frame that takes too long', () => {
  it('is stopped, and the next one is done', async () => {
    const threads = open(1, 1500)
    const start = performance.now()
    const slow = threads.encode(noise(32_000_000), large, J2K, never)
    const next = threads.encode(frame, image, RLE, never)
    await expect(slow).rejects.toThrow(CodecStoppedError)
    expect(performance.now() - start).toBeLessThan(10_000)
    // Its own time begins when its turn comes.
    expect(Buffer.compare(await next, await encodeFrame(frame, image, RLE))).toBe(0)
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })
})

describe('a pool that is disposed', () => {
  it('may never have been used', async () => {
    const threads = open(1)
    await threads[Symbol.asyncDispose]()
    expect(threads.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('does not end the process by an answer that nobody waits for', async () => {
    // Its threads tell of one by an event, and of their own faults: when, is a race that no test wins each time.
    const run = vi.spyOn(Piscina.prototype, 'run')
    try {
      await open(1).encode(frame, image, RLE, never)
      const threads = run.mock.contexts[0] as Piscina
      expect(threads).toBeInstanceOf(Piscina)
      expect(threads.emit('error', new Error('Unexpected message from Worker'))).toBe(true)
    } finally {
      run.mockRestore()
    }
  })

  it('ends what is at work in an error, and does not wait for it', async () => {
    const threads = open(1)
    await threads.encode(frame, image, RLE, never)
    const work = threads.encode(noise(32_000_000), large, J2K, never)
    const end = expect(work).rejects.toThrow(Error)
    // Until it is in its thread.
    await sleep(300)
    const start = performance.now()
    await threads[Symbol.asyncDispose]()
    await end
    expect(performance.now() - start).toBeLessThan(2_500)
    expect(threads.stats.running).toBe(0)
  })
})
