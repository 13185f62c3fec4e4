import { channel } from 'node:diagnostics_channel'
import type { Readable } from 'node:stream'
import type { Bytes } from '../../dicom/bytes.ts'
import { Fifo } from '../../dicom/fifo.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { MIN_UPLOAD_RATE } from './client-pace.ts'

/** What may wait to be read before the client is held back, and what is left of it when it may go on. */
export const HIGH_WATER_BYTES = 128 * 1024
const LOW_WATER_BYTES = 32 * 1024
/** What a chunk counts for beyond its bytes: a client may send them singly. */
const CHUNK_OVERHEAD_BYTES = 256

/** Bytes that the parser of HTTP has put into buffers of their own, for who collects by them: src/memory.ts. */
const buffersMade = channel('dimsegate:buffers-made')

export interface RequestBodyBounds {
  readonly maxBytes: number
  /** The setting that `maxBytes` is of, for who can change it. */
  readonly setting?: string | undefined
  /** A client may be slow, but not for ever: in each of these of our waiting it has to keep MIN_UPLOAD_RATE; in ms. */
  readonly stallTimeout: number
}

type Step = IteratorResult<Bytes, undefined>

/**
 * The body of a request in the chunks that it comes in, for one reader. Not the iteration of the stream itself, which
 * joins by copying what waits, and would end the connection that the answer is to go out on.
 * @throws RequestError 408 and 413 from the iteration, and what ends the connection
 */
export class RequestBody implements AsyncIterableIterator<Bytes> {
  readonly #source: Readable
  readonly #bounds: RequestBodyBounds
  readonly #chunks = new Fifo<Bytes>()
  #waitingBytes = 0
  #size = 0
  #begun = false
  #isPaused = false
  #isOver = false
  #failure: Error | undefined
  #reader: { readonly resolve: (step: Step) => void; readonly reject: (error: Error) => void } | undefined
  /** Left running from wait to wait: it never fires too late, and looks then whether it is time. */
  #timer: NodeJS.Timeout | undefined
  /** When the reader began to wait, by performance.now(). */
  #since = 0
  /** What the reader has waited, and what it was brought, since the rate was last kept. An archive that is slow to take it is no fault of the client. */
  #waited = 0
  #brought = 0

  constructor(source: Readable, bounds: RequestBodyBounds) {
    this.#source = source
    this.#bounds = bounds
  }

  next(): Promise<Step> {
    this.#begin()
    const chunk = this.#take()
    if (chunk) return Promise.resolve({ done: false, value: chunk })
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    const { promise, resolve, reject } = Promise.withResolvers<Step>()
    this.#reader = { resolve, reject }
    this.#since = performance.now()
    this.#watch()
    return promise
  }

  async return(): Promise<Step> {
    this.#end()
    // Not as its end: nobody is to take what is left for the whole.
    this.#reader?.reject(new Error('The request body was left'))
    this.#reader = undefined
    this.#chunks.clear()
    this.#source.pause()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    const source = this.#source
    if (source.readableEnded) {
      this.#isOver = true
      return
    }
    if (source.errored || source.closed) {
      this.#fail(source.errored ?? cutShort())
      return
    }
    source.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose)
  }

  #take(): Bytes | undefined {
    const chunk = this.#chunks.shift()
    if (!chunk) return undefined
    this.#waitingBytes -= chunk.length + CHUNK_OVERHEAD_BYTES
    this.#count(chunk)
    if (this.#isPaused && this.#waitingBytes <= LOW_WATER_BYTES && !this.#isOver) {
      this.#isPaused = false
      this.#source.resume()
    }
    return chunk
  }

  #count(chunk: Bytes): void {
    this.#brought += chunk.length
    if (this.#brought >= this.#leastBytes) this.#waited = this.#brought = 0
  }

  get #leastBytes(): number {
    return (MIN_UPLOAD_RATE * this.#bounds.stallTimeout) / 1000
  }

  readonly #onData = (chunk: Bytes): void => {
    this.#size += chunk.length
    buffersMade.publish(chunk.length)
    const { maxBytes } = this.#bounds
    if (this.#size > maxBytes) {
      this.#fail(tooLarge(this.#bounds))
      return
    }
    const reader = this.#reader
    if (reader) {
      this.#reader = undefined
      this.#waited += performance.now() - this.#since
      this.#count(chunk)
      reader.resolve({ done: false, value: chunk })
      return
    }
    this.#chunks.push(chunk)
    this.#waitingBytes += chunk.length + CHUNK_OVERHEAD_BYTES
    if (this.#waitingBytes < HIGH_WATER_BYTES || this.#isPaused) return
    this.#isPaused = true
    this.#source.pause()
  }

  readonly #onEnd = (): void => {
    this.#end()
    this.#reader?.resolve({ done: true, value: undefined })
    this.#reader = undefined
  }

  readonly #onError = (error: Error): void => this.#fail(error)

  readonly #onClose = (): void => this.#fail(cutShort())

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#failure = error
    this.#end()
    this.#source.pause()
    this.#reader?.reject(error)
    this.#reader = undefined
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    const source = this.#source
    source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    // Its error listener stays: nobody else may be there to hear why the connection ends.
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => this.#look(), this.#bounds.stallTimeout - this.#waited)
  }

  #look(): void {
    this.#timer = undefined
    if (!this.#reader) return
    const { stallTimeout } = this.#bounds
    const left = stallTimeout - this.#waited - (performance.now() - this.#since)
    // Timers may fire a fraction of a millisecond early.
    if (left > 1) this.#timer = setTimeout(() => this.#look(), left)
    else this.#fail(stalled(this.#leastBytes, stallTimeout))
  }
}

/**
 * The body of a request, of up to `bounds.maxBytes`; those of an archive's clients may stall as long as answers to them.
 * @throws RequestError 413 for what says that it is larger, 415 for what is compressed
 */
export function bodyOf(c: HttpContext, bounds: Pick<RequestBodyBounds, 'maxBytes' | 'setting'>): RequestBody {
  const encoding = c.req.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new RequestError(415, 'CONTENT_ENCODING', 'Compressed request bodies are not supported: send it as it is.')
  }
  const length = Number(c.req.header('content-length') ?? 0)
  if (length > bounds.maxBytes) throw tooLarge(bounds)
  return new RequestBody(c.env.incoming, { ...bounds, stallTimeout: c.var.archive.config.timeouts.stall })
}

function tooLarge({ maxBytes, setting }: Pick<RequestBodyBounds, 'maxBytes' | 'setting'>): RequestError {
  const by = setting === undefined ? '' : ` (${setting})`
  return new RequestError(413, 'BODY_TOO_LARGE', `The request body is larger than ${maxBytes} bytes${by}.`)
}

function stalled(leastBytes: number, milliseconds: number): RequestError {
  const detail = `The request body brought less than ${leastBytes} bytes in ${milliseconds} ms.`
  return new RequestError(408, 'BODY_STALLED', detail, { Connection: 'close' })
}

function cutShort(): Error {
  return new Error('The connection ended within the request body')
}
