import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { HIGH_WATER_BYTES, RequestBody } from '../../../src/http/body/request-body.ts'
import { collect } from '../../support/byte-stream.ts'
import { eventually } from '../../support/eventually.ts'
import { collectGarbage } from '../../support/garbage.ts'

const generous = { maxBytes: 1024 * 1024 * 1024, stallTimeout: 10_000 }
const bytes = (length: number, value = 1): Buffer => Buffer.alloc(length, value)

describe('a request body', () => {
  it('comes in the chunks that were sent, in their order, copied nowhere', async () => {
    const source = new PassThrough()
    const sent = [bytes(10, 1), bytes(20, 2), bytes(5, 3)]
    for (const chunk of sent) source.write(chunk)
    source.end()
    const received: Uint8Array[] = []
    for await (const chunk of new RequestBody(source, generous)) received.push(chunk)
    expect(received).toEqual(sent)
    expect(received[0]!.buffer).toBe(sent[0]!.buffer)
  })

  it('that is empty, or was over before it was asked for, is at its end', async () => {
    const source = new PassThrough()
    source.end()
    expect(await collect(new RequestBody(source, generous))).toHaveLength(0)
    expect(await collect(new RequestBody(source, generous))).toHaveLength(0)
  })

  it('holds its client back while nobody reads, and loses nothing by that', async () => {
    const source = new PassThrough()
    const body = new RequestBody(source, generous)
    const first = body.next()
    for (let n = 0; n < 64; n++) source.write(bytes(16_384, n))
    source.end()
    await first
    await eventually(() => expect(source.isPaused()).toBe(true))
    // What was taken in the meantime is bounded.
    expect(source.readableLength + source.writableLength).toBeGreaterThan(64 * 16_384 - HIGH_WATER_BYTES - 2 * 16_384)
    let size = 16_384
    let expected = 1
    for await (const chunk of body) {
      expect([chunk[0], chunk.at(-1)]).toEqual([expected, expected])
      expected++
      size += chunk.length
      await delay(0)
    }
    expect(size).toBe(64 * 16_384)
  })

  it('is let go as it is read, also where there is always more of it', async () => {
    const CHUNK = 16_384
    const source = new PassThrough()
    const body = new RequestBody(source, generous)
    const seen: WeakRef<Uint8Array>[] = []
    source.write(bytes(CHUNK))
    for (let n = 0; n < 400; n++) {
      const { value } = await body.next()
      seen.push(new WeakRef(value!))
      // Two for one until it is full, then one for one: the list never runs empty.
      source.write(Buffer.alloc(CHUNK, n))
      if (!source.isPaused()) source.write(Buffer.alloc(CHUNK, n))
      await delay(0)
    }
    await collectGarbage()
    expect(seen.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(64)
  })

  it('that comes byte by byte holds its client back sooner', async () => {
    const source = new PassThrough({ highWaterMark: 1 })
    const body = new RequestBody(source, generous)
    const first = body.next()
    let count = 0
    while (!source.isPaused() && ++count < 10_000) source.write(bytes(1))
    await first
    expect(count).toBeLessThan(600)
  })

  it('that is left while somebody waits for it does not look as if it were over', async () => {
    const body = new RequestBody(new PassThrough(), generous)
    const next = body.next()
    await body.return()
    await expect(next).rejects.toThrow('The request body was left')
  })

  it('that is cut short fails, behind what had come', async () => {
    const source = new PassThrough()
    source.write(bytes(10))
    const body = new RequestBody(source, generous)
    expect((await body.next()).value).toHaveLength(10)
    const next = body.next()
    source.destroy()
    await expect(next).rejects.toThrow('The connection ended within the request body')
    await expect(body.next()).rejects.toThrow('The connection ended within the request body')
  })

  it('that failed before it was asked for fails the same', async () => {
    const source = new PassThrough()
    source.on('error', () => undefined)
    source.destroy(new Error('reset'))
    await delay(0)
    await expect(new RequestBody(source, generous).next()).rejects.toThrow('reset')
  })

  it('above its bound is a 413 as soon as that is seen', async () => {
    const source = new PassThrough()
    source.write(bytes(600))
    source.write(bytes(600))
    const body = new RequestBody(source, { ...generous, maxBytes: 1000 })
    await expect(collect(body)).rejects.toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' })
  })

  it('that brings too little while it is waited for is a 408; time in which nobody waits does not count', async () => {
    const source = new PassThrough()
    const body = new RequestBody(source, { ...generous, stallTimeout: 150 })
    source.write(bytes(10))
    await body.next()
    await delay(200)
    source.write(bytes(10))
    expect((await body.next()).value).toHaveLength(10)
    const trickle = setInterval(() => source.write(bytes(1)), 20)
    try {
      await expect(collect(body)).rejects.toMatchObject({ status: 408, code: 'BODY_STALLED' })
    } finally {
      clearInterval(trickle)
    }
  })

  it('that is left early leaves its connection open for the answer', async () => {
    const source = new PassThrough()
    source.write(bytes(10))
    source.write(bytes(10))
    for await (const _ of new RequestBody(source, generous)) break
    expect(source.destroyed).toBe(false)
    expect(source.listenerCount('data')).toBe(0)
  })
})
