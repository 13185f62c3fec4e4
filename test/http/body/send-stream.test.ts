import { Gatherer } from '../../../src/http/body/gatherer.ts'
import { primed } from '../../../src/http/body/primed.ts'
import { validateHeaderValue } from 'node:http'
import { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Bytes, ByteStream } from '../../../src/dicom/bytes.ts'
import { MAX_UNSENT_BYTES, sendStream } from '../../../src/http/body/send-stream.ts'
import { MIN_DOWNLOAD_RATE } from '../../../src/http/body/client-pace.ts'
import type { HttpContext } from '../../../src/http/context.ts'
import { collect, streamOf } from '../../support/byte-stream.ts'
import { eventually } from '../../support/eventually.ts'

const bytes = (length: number, value = 1): Buffer => Buffer.alloc(length, value)

function gathering(): { readonly gatherer: Gatherer; readonly written: Bytes[] } {
  const written: Bytes[] = []
  return { gatherer: new Gatherer((piece) => written.push(piece)), written }
}

describe('Gatherer', () => {
  it('joins small pieces that come at once, and passes large ones on as they are', () => {
    const large = bytes(100_000)
    const { gatherer, written } = gathering()
    using _ = gatherer
    for (const piece of [bytes(10), bytes(20), large, bytes(5)]) gatherer.push(piece)
    gatherer.flush()
    expect(written.map(({ length }) => length)).toEqual([30, 100_000, 5])
    expect(written[1]).toBe(large)
  })

  it('never holds more than a piece worth writing', () => {
    const { gatherer, written } = gathering()
    using _ = gatherer
    for (let piece = 0; piece < 200; piece++) gatherer.push(bytes(1000))
    gatherer.flush()
    expect(Math.max(...written.map(({ length }) => length))).toBeLessThan(70_000)
    expect(written.reduce((sum, { length }) => sum + length, 0)).toBe(200_000)
  })

  it('does not keep a small piece waiting for one that does not come', async () => {
    const { gatherer, written } = gathering()
    using _ = gatherer
    gatherer.push(bytes(10))
    expect(written).toEqual([])
    await eventually(() => expect(written).toHaveLength(1))
    gatherer.push(bytes(20))
    await eventually(() => expect(written).toHaveLength(2))
    expect(written.map(({ length }) => length)).toEqual([10, 20])
  })

  it('writes nothing of what it holds when it is closed', async () => {
    const { gatherer, written } = gathering()
    gatherer.push(bytes(10))
    gatherer[Symbol.dispose]()
    gatherer.flush()
    await delay(60)
    expect(written).toEqual([])
  })
})

describe('primed', () => {
  it('of a short stream knows all of it', async () => {
    const { done, stream } = await primed(streamOf([bytes(10, 1), bytes(10, 2)]), 1000, 1000)
    expect(done).toBe(true)
    expect(await collect(stream)).toEqual(Buffer.concat([bytes(10, 1), bytes(10, 2)]))
  })

  it('of a long stream takes no more than was asked for, and loses none of it', async () => {
    const source = streamOf(Array.from({ length: 50 }, (_, at) => bytes(100, at)))
    const { done, stream } = await primed(source, 1000, 1000)
    expect(done).toBe(false)
    expect(source.taken).toBe(10)
    expect(await collect(stream)).toEqual(Buffer.concat(Array.from({ length: 50 }, (_, at) => bytes(100, at))))
    expect(source.closed).toBe(true)
  })

  it('ends its source when it is given up, be it before anything was taken of it', async () => {
    for (const taken of [0, 1, 3]) {
      const source = streamOf([bytes(10), bytes(10), bytes(10), bytes(10)])
      const { stream } = await primed(source, 15, 1000)
      const iterator = stream[Symbol.asyncIterator]()
      for (let n = 0; n < taken; n++) await iterator.next()
      await iterator.return?.()
      expect([taken, source.closed]).toEqual([taken, true])
      expect((await iterator.next()).done).toBe(true)
    }
  })

  it('waits for the first piece as long as it takes, and for others only so long', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    async function* slow(): AsyncGenerator<Bytes> {
      await delay(60)
      yield bytes(1, 1)
      await promise
      yield bytes(1, 2)
    }
    const { done, stream } = await primed(slow(), 1000, 20)
    expect(done).toBe(false)
    resolve(undefined)
    expect(await collect(stream)).toEqual(Buffer.of(1, 2))
  })

  it('fails as the stream does, while it is held back', async () => {
    await expect(primed(streamOf([bytes(10)], new Error('broken')), 1000, 1000)).rejects.toThrow('broken')
  })

  it('lets a failure through that comes later', async () => {
    const { stream } = await primed(streamOf([bytes(1000), bytes(1)], new Error('broken')), 500, 1000)
    await expect(collect(stream)).rejects.toThrow('broken')
  })
})

describe('sendStream', () => {
  /** A response to a client that takes `room` bytes and then reads no more. */
  class Response extends Writable {
    status: number | undefined
    readonly sent: Buffer[] = []
    /** The connection was reset, not ended. */
    wasReset = false
    readonly socket = { resetAndDestroy: () => (this.wasReset = true) }
    #room: number

    constructor(room = Infinity) {
      super({ highWaterMark: 1 })
      this.#room = room
      this.on('error', () => undefined)
    }

    setHeader(): void {
      // No header matters here.
    }

    setTimeout(milliseconds: number, stalled: () => void): void {
      const timer = setTimeout(stalled, milliseconds)
      this.once('close', () => clearTimeout(timer))
    }

    writeHead(status: number, headers: Readonly<Record<string, string>>): void {
      for (const [name, value] of Object.entries(headers)) validateHeaderValue(name, value)
      this.status = status
    }

    override _write(chunk: Buffer, _: string, done: () => void): void {
      this.sent.push(chunk)
      this.#room -= chunk.length
      if (this.#room > 0) done()
    }
  }

  function contextOf(outgoing: Response): HttpContext {
    return { env: { outgoing }, res: { headers: new Headers() } } as unknown as HttpContext
  }

  const send = (context: HttpContext, body: ByteStream, stall = 1000): Promise<unknown> =>
    sendStream(context, { status: 200, headers: {} }, body, stall)

  it('writes a body and ends it', async () => {
    const outgoing = new Response()
    await send(contextOf(outgoing), streamOf([bytes(10), bytes(20_000)]))
    expect(outgoing.status).toBe(200)
    expect(Buffer.concat(outgoing.sent)).toHaveLength(20_010)
    expect(outgoing.writableEnded).toBe(true)
  })

  it('destroys the connection of a body that fails, without ending it', async () => {
    const outgoing = new Response()
    const context = contextOf(outgoing)
    await send(context, streamOf([bytes(20_000)], new Error('broken')))
    expect(outgoing.destroyed).toBe(true)
    expect(outgoing.wasReset).toBe(true)
    expect(outgoing.writableEnded).toBe(false)
    expect(context.error).toMatchObject({ message: 'broken' })
  })

  it('takes no more from a body than may wait for the client, and gives a client up that never reads', async () => {
    const outgoing = new Response(1)
    const source = streamOf(Array.from({ length: 1000 }, () => bytes(65_536)))
    const context = contextOf(outgoing)
    await send(context, source, 100)
    expect(source.taken * 65_536).toBeLessThan(MAX_UNSENT_BYTES + 4 * 65_536)
    expect(source.closed).toBe(true)
    expect(outgoing.destroyed).toBe(true)
    expect(context.error).toMatchObject({ code: 'CLIENT_GONE' })
  })

  /** Takes what comes at so many bytes a second; Node's own timer sees that bytes leave. */
  class SlowResponse extends Response {
    readonly #rate: number

    constructor(rate: number) {
      super()
      this.#rate = rate
    }

    override setTimeout(): void {
      // It does not fire.
    }

    override _write(chunk: Buffer, _: string, done: () => void): void {
      setTimeout(
        () => {
          this.sent.push(chunk)
          done()
        },
        (chunk.length / this.#rate) * 1000,
      )
    }
  }

  it('gives a client up that takes less than the lowest rate, when it is as far behind as it may be', async () => {
    const outgoing = new SlowResponse(MIN_DOWNLOAD_RATE / 4)
    const began = performance.now()
    await send(contextOf(outgoing), streamOf([bytes(1024)]), 100)
    // At the lowest rate it would have taken 250 ms; it would take 1000.
    await eventually(() => expect(outgoing.wasReset).toBe(true), 900)
    expect(performance.now() - began).toBeGreaterThan(300)
    expect(outgoing.sent).toEqual([])
  })

  it('bears a client that takes a little more than the lowest rate', async () => {
    const outgoing = new SlowResponse(MIN_DOWNLOAD_RATE * 1.1)
    await send(contextOf(outgoing), streamOf([bytes(4096)]), 50)
    await eventually(() => expect(outgoing.writableFinished).toBe(true))
    expect(outgoing.destroyed && outgoing.wasReset).toBe(false)
  })

  it('does not count the time in which there is nothing to send', async () => {
    const outgoing = new SlowResponse(1_000_000)
    const pausing = async function* (): AsyncGenerator<Uint8Array> {
      for (let round = 0; round < 4; round++) {
        yield bytes(100)
        await delay(150)
      }
    }
    await send(contextOf(outgoing), pausing(), 50)
    await eventually(() => expect(outgoing.writableFinished).toBe(true))
    expect(Buffer.concat(outgoing.sent)).toHaveLength(400)
    expect(outgoing.wasReset).toBe(false)
  })

  it('ends the body when the client has gone, be it before the first byte', async () => {
    const outgoing = new Response()
    outgoing.destroy()
    const source = streamOf([bytes(20_000), bytes(20_000)])
    const { stream } = await primed(source, 1, 1000)
    await send(contextOf(outgoing), stream)
    expect(outgoing.status).toBeUndefined()
    expect(source.closed).toBe(true)
  })

  it.each([0, 1])('ends a body that was begun when its headers cannot be written, pieces taken: %i', async (ahead) => {
    const outgoing = new Response()
    const source = streamOf([bytes(20_000), bytes(20_000)])
    const { stream } = await primed(source, ahead * 20_000, 1000)
    const head = { status: 200, headers: { 'X-Unwritable': 'a\nb' } }
    await expect(sendStream(contextOf(outgoing), head, stream, 1000)).rejects.toMatchObject({
      code: 'ERR_INVALID_CHAR',
    })
    expect(source.closed).toBe(true)
    expect(outgoing.status).toBeUndefined()
    expect(outgoing.destroyed).toBe(false)
  })

  it('tells that headers cannot be written, also where the body then fails to end', async () => {
    const body: ByteStream = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error('unasked')),
        return: () => Promise.reject(new Error('broken')),
      }),
    }
    const head = { status: 200, headers: { 'X-Unwritable': 'a\nb' } }
    await expect(sendStream(contextOf(new Response()), head, body, 1000)).rejects.toMatchObject({
      code: 'ERR_INVALID_CHAR',
    })
  })
})
