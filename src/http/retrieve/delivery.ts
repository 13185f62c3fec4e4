import { notAcceptable } from '../accept.ts'
import { HOLD_BYTES, HOLD_MS, primed } from '../body/primed.ts'
import { CachedInstance } from '../../cache/cached-instance.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { closing, newBoundary, partHeader, relatedType, type PartHeaders } from '../../dicomweb/multipart/writer.ts'
import { DamagedInstanceError } from '../../instance/damage.ts'
import { IncompleteRetrieveError } from '../../pacs/retrieve/errors.ts'
import { sendStream } from '../body/send-stream.ts'
import type { HttpContext } from '../context.ts'
import { problemOf, RequestError } from '../problem.ts'
import { isOfImage } from './instance-fault.ts'
import { digestOf } from '../validators/entity-tag.ts'
import { Giving } from '../validators/giving.ts'
import type { Kept } from '../validators/kept.ts'
import type { Shortfall } from './shortfalls.ts'

/** So much of a part is here before any of it is sent: one that turns out to be damaged by then is left out. */
export const PART_HOLD_BYTES = 1024 * 1024

/** One part of a multipart body. */
export interface Part {
  readonly headers: PartHeaders
  readonly body: ByteStream
  /** What it is called as a file. */
  readonly name?: string
}

type Headers = Readonly<Record<string, string | string[]>>

/**
 * A response that is made of instances as they come. What cannot be given, or did not come, makes it a 206 as long as
 * the status line is not out. From there on a shortfall can only be told by cutting the connection, behind all that can be
 * given; it is remembered, so that the same request is then answered with 206.
 */
export class Delivery {
  readonly #c: HttpContext
  /** Of the request among those whose answers lacked something. */
  readonly #key: string
  /** The status line is out. */
  #isSaid = false
  #given = 0
  #refused = 0
  #reason: Error | undefined
  /** Some have nothing of the kind that is asked for. */
  #lacksKind = false
  /** What the answer to the same request lacked the last time. */
  readonly #foreseen: Shortfall | undefined
  /** The status line said that instances are missing, or damaged. */
  #isShortSaid = false
  #incomplete: IncompleteRetrieveError | undefined
  /** Why instances that came damaged are not given, or not all of them, by their keys. */
  readonly #damaged = new Map<string, Error>()
  /** What was left out when the status line said nothing of it. */
  #late: Error | undefined
  readonly #kept: Kept

  /** `kept`: by default what it is made of is remembered. */
  constructor(c: HttpContext, kept: Kept = new Giving(c)) {
    this.#c = c
    this.#kept = kept
    this.#key = keyOf(c)
    this.#foreseen = c.var.shortfalls.of(this.#key)
  }

  /**
   * Some instances will be left out since they have nothing of the kind: the answer is a 206 from the start, and that they
   * are missing is no failure. What has it, and cannot be given, still is one.
   */
  foresee(): void {
    this.#lacksKind = true
  }

  /**
   * Something of an instance exists in no form that the client accepts, or cannot be made for the reason told. Of one that
   * `hasImage` nobody foresaw it.
   */
  leaveOut(reason?: Error, hasImage = false): void {
    this.#refused++
    this.#reason ??= reason
    if (this.#isSaid && (hasImage || !this.#lacksKind)) this.#late ??= reason ?? notAcceptable()
  }

  /**
   * The parts that become of each instance; of one that has nothing of the kind, as a report has no pixels, none. One that
   * is damaged costs what cannot be read of it.
   */
  async *parts<T>(instances: AsyncIterable<T>, partsOf: (instance: T) => AsyncIterable<Part>): AsyncGenerator<Part> {
    try {
      for await (const instance of instances) yield* this.#partsOf(instance, partsOf)
    } catch (error) {
      if (!(error instanceof IncompleteRetrieveError)) throw error
      if (this.#given === 0 && this.#damaged.size === 0) throw error
      // What came damaged was noted when it came, as far as anything was missing for this answer.
      if (!error.isDamageOnly) this.#incomplete = error
    }
    const shortfall = this.#incomplete ?? this.#damage ?? this.#late
    if (this.#given === 0 && (shortfall || this.#refused > 0)) throw shortfall ?? this.#reason ?? notAcceptable()
    if (!shortfall) {
      if (this.#refused > 0) return
      if (this.#foreseen) this.#c.var.shortfalls.forget(this.#key)
      this.#kept.end()
      return
    }
    if (!this.#isSaid) return
    this.#c.var.shortfalls.note(this.#key, shortfall)
    if (!this.#isShortSaid) throw shortfall
  }

  /** The parts that become of one instance, in the same way. */
  partsOfOne(instance: CachedInstance, parts: AsyncIterable<Part> | Iterable<Part>): AsyncGenerator<Part> {
    async function* one(): AsyncGenerator<CachedInstance> {
      yield instance
    }
    async function* its(): AsyncGenerator<Part> {
      yield* parts
    }
    return this.parts(one(), its)
  }

  /** Answers with multipart/related, whose type is that of its first part (RFC 2387 3.1). */
  async sendMultipart(parts: AsyncIterable<Part>, headers: Headers): Promise<Response> {
    const boundary = newBoundary()
    let first: string | undefined
    async function* noted(): AsyncGenerator<Part> {
      for await (const part of parts) {
        first ??= part.headers['Content-Type'].split(';')[0]
        yield part
      }
    }
    return this.#send(multipart(noted(), boundary), () => ({
      'Content-Type': relatedType(first ?? '', boundary),
      ...headers,
    }))
  }

  /** The same with parts that come all, or none does. */
  async sendAll(parts: AsyncIterable<Part>, headers: Headers): Promise<Response> {
    const kept = this.#kept
    async function* all(): AsyncGenerator<Part> {
      yield* parts
      kept.end()
    }
    return this.sendMultipart(all(), headers)
  }

  send(body: AsyncIterable<Bytes>, headers: Headers): Promise<Response> {
    return this.#send(body, () => headers)
  }

  async *#partsOf<T>(instance: T, partsOf: (instance: T) => AsyncIterable<Part>): AsyncGenerator<Part> {
    const key = instance instanceof CachedInstance ? `${instance.series} ${instance.sopInstance}` : ''
    // Another archive may have it whole.
    const ofArchive = instance instanceof CachedInstance ? `${this.#archiveOf(instance)} ${key}` : ''
    // It has come once more, and may be whole now.
    this.#damaged.delete(key)
    if (this.#foreseen && (this.#foreseen.damaged.get(ofArchive) ?? 0) > performance.now()) {
      this.#damaged.set(key, this.#foreseen.reason)
      return
    }
    const before = this.#given
    try {
      for await (const { headers, body, name } of partsOf(instance)) {
        const { stream, done } = await primed(body, PART_HOLD_BYTES)
        try {
          yield { headers, body: done ? stream : this.#watched(stream, ofArchive), ...(name !== undefined && { name }) }
        } finally {
          // The client may have gone before anything of it was taken.
          await stream[Symbol.asyncIterator]().return?.()
        }
        this.#given++
      }
      serve(instance)
      if (instance instanceof CachedInstance) this.#kept.add(instance)
    } catch (reason) {
      if (this.#given > before) serve(instance)
      if (isDamage(reason, instance)) this.#damaged.set(key, reason)
      else if (isOfImage(reason)) this.leaveOut(reason as Error, true)
      else throw reason
    }
  }

  /** The rest of a part whose beginning is out: what is found to be damaged now cuts the answer, once. */
  async *#watched(body: AsyncIterable<Bytes>, key: string): AsyncGenerator<Bytes> {
    try {
      yield* body
    } catch (error) {
      if (error instanceof DamagedInstanceError || isOfImage(error))
        this.#c.var.shortfalls.note(this.#key, error as Error, key)
      throw error
    }
  }

  #archiveOf(instance: CachedInstance): string {
    const { cache, archive } = this.#c.var
    return (cache.archiveOf?.(instance) ?? archive.config).name
  }

  get #damage(): Error | undefined {
    const [first] = this.#damaged.values()
    return first
  }

  /** The headers are wanted when the beginning of the body is there. */
  async #send(body: AsyncIterable<Bytes>, headers: () => Headers): Promise<Response> {
    const { stream, done } = await primed(body, HOLD_BYTES, HOLD_MS)
    const lacks = this.#foreseen?.reason ?? this.#incomplete ?? this.#damage
    const isPartial = lacks !== undefined || this.#refused > 0 || (this.#lacksKind && !done)
    this.#isSaid = true
    this.#isShortSaid = lacks !== undefined
    const { archive, base } = this.#c.var
    if (!isPartial)
      return sendStream(
        this.#c,
        { status: 200, headers: { ...this.#kept.validators, ...headers() } },
        stream,
        archive.config.timeouts.stall,
      )
    if (lacks) this.#c.error = lacks
    const { Warning: others = [], ...all } = headers()
    const warning = `299 ${base}: ${this.#whyPartial(lacks)}`
    const head = { status: 206, headers: { ...all, Warning: [...[others].flat(), warning] } }
    return sendStream(this.#c, head, stream, archive.config.timeouts.stall)
  }

  #whyPartial(lacks: Error | undefined): string {
    const reason = lacks ?? this.#reason
    if (!reason) return 'What has nothing of the kind that is asked for is left out'
    // What an archive or a data set says of itself may hold anything.
    return problemOf(reason, '').problem.detail.replace(/[^\x20-\x7e]/g, '?')
  }
}

async function* multipart(parts: AsyncIterable<Part>, boundary: string): AsyncGenerator<Bytes> {
  let first = true
  for await (const { headers, body } of parts) {
    yield partHeader(boundary, headers, first)
    yield* body
    first = false
  }
  // Nothing to give is told before the status line; a body without any part is none.
  if (first) throw notFound()
  yield closing(boundary)
}

/** It need not come once more. */
function serve(instance: unknown): void {
  if (instance instanceof CachedInstance) instance.isServed = true
}

/** What is wrong with an image that came damaged is its damage. */
function isDamage(error: unknown, instance: unknown): error is Error {
  if (error instanceof DamagedInstanceError) return true
  return isOfImage(error) && instance instanceof CachedInstance && instance.isDamaged
}

/** By what is asked for, below whichever address, and the form it is wanted in. */
function keyOf({ req }: HttpContext): string {
  const { pathname, search } = new URL(req.url)
  return digestOf(pathname, search, req.header('accept') ?? '')
}

export function notFound(): RequestError {
  return new RequestError(404, 'NO_SUCH_BULK_DATA', 'The instances have no such bulk data.')
}
