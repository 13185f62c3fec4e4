import { notAcceptable } from '../accept.ts'
import { HOLD_BYTES, HOLD_MS, primed } from '../body/primed.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { closing, newBoundary, partHeader, relatedType, type PartHeaders } from '../../dicomweb/multipart/writer.ts'
import { IncompleteRetrieveError } from '../../pacs/retrieve/errors.ts'
import { sendStream } from '../body/send-stream.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'

/** One part of a multipart body. */
export interface Part {
  readonly headers: PartHeaders
  readonly body: ByteStream
}

/**
 * A response that is made of instances as they come. What cannot be given, or did not come, makes it a 206 as long as
 * the status line is not out; from there on a shortfall can only be told by cutting the connection.
 */
export class Delivery {
  #committed = false
  #partial = false
  #given = 0
  #refused = 0
  #reason: Error | undefined
  #isForeseen = false
  /** What was left out when the status line said nothing of it. */
  #late: Error | undefined

  /**
   * Some instances will be left out since they have nothing of the kind: the answer is a 206 from the start, and that they
   * are missing is no failure. What has it, and cannot be given, still is one.
   */
  foresee(): void {
    this.#isForeseen = true
  }

  /**
   * Something of an instance exists in no form that the client accepts, or cannot be made for the reason told. Of one that
   * `hasImage` nobody foresaw it.
   */
  leaveOut(reason?: Error, hasImage = false): void {
    this.#refused++
    this.#reason ??= reason
    if (this.#committed && (hasImage || !this.#isForeseen)) this.#late ??= reason ?? notAcceptable()
  }

  /** The parts that become of each instance; of one that has nothing of the kind, as a report has no pixels, none. */
  async *parts<T>(instances: AsyncIterable<T>, partsOf: (instance: T) => AsyncIterable<Part>): AsyncGenerator<Part> {
    try {
      for await (const instance of instances) {
        for await (const part of partsOf(instance)) {
          yield part
          this.#given++
        }
      }
    } catch (error) {
      if (!(error instanceof IncompleteRetrieveError) || this.#committed || this.#given === 0) throw error
      this.#partial = true
    }
    if (this.#given === 0 && this.#refused > 0) throw this.#reason ?? notAcceptable()
    if (this.#late) throw this.#late
  }

  /** Answers with multipart/related, whose type is that of its first part (RFC 2387 3.1). */
  async sendMultipart(
    c: HttpContext,
    parts: AsyncIterable<Part>,
    headers: Readonly<Record<string, string | string[]>>,
  ): Promise<Response> {
    const boundary = newBoundary()
    let first: string | undefined
    async function* noted(): AsyncGenerator<Part> {
      for await (const part of parts) {
        first ??= part.headers['Content-Type'].split(';')[0]
        yield part
      }
    }
    return this.#send(c, multipart(noted(), boundary), () => ({
      'Content-Type': relatedType(first ?? '', boundary),
      ...headers,
    }))
  }

  send(
    c: HttpContext,
    body: AsyncIterable<Bytes>,
    headers: Readonly<Record<string, string | string[]>>,
  ): Promise<Response> {
    return this.#send(c, body, () => headers)
  }

  /** The headers are wanted when the beginning of the body is there. */
  async #send(
    c: HttpContext,
    body: AsyncIterable<Bytes>,
    headers: () => Readonly<Record<string, string | string[]>>,
  ): Promise<Response> {
    const { stream, done } = await primed(body, HOLD_BYTES, HOLD_MS)
    this.#committed = true
    const isPartial = this.#partial || this.#refused > 0 || (this.#isForeseen && !done)
    const status = isPartial ? 206 : 200
    return sendStream(c, { status, headers: headers() }, stream, c.var.archive.config.timeouts.stall)
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

export function notFound(): RequestError {
  return new RequestError(404, 'NO_SUCH_BULK_DATA', 'The instances have no such bulk data.')
}
