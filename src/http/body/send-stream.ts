import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Bytes } from '../../dicom/bytes.ts'
import { ClientGoneError, type HttpContext } from '../context.ts'
import { MIN_DOWNLOAD_RATE } from './client-pace.ts'
import { codingOf, compressed } from './compressed.ts'
import { Gatherer } from './gatherer.ts'

/** What may wait in the socket of a client that reads slower than the archive sends. */
export const MAX_UNSENT_BYTES = 1024 * 1024
/** What is handed to the socket at once, of a larger piece: it says when each is gone. */
const HANDED_BYTES = 262_144

export interface StreamHead {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
}

/**
 * Writes a body as it is made, at the client's pace. When making it fails the connection is destroyed, with no final
 * chunk: what is cut short must never look whole. A client that reads nothing for `stallTimeout` ms, or too slowly, is
 * given up. The body is ended in every case.
 * @throws what is wrong with a header that cannot be written; nothing is sent then
 */
export async function sendStream(
  c: HttpContext,
  { status, headers }: StreamHead,
  body: AsyncIterable<Bytes>,
  stallTimeout: number,
): Promise<Response> {
  const { outgoing } = c.env
  const coding = codingOf(c, headers)
  if (!isGone(outgoing)) {
    try {
      // What middleware has set (CORS) would be on the Response that is not used here.
      for (const [name, value] of c.res.headers) outgoing.setHeader(name, value)
      // One that warns of itself does not warn of less.
      const { Warning: own = [] } = headers
      const warnings = [c.res.headers.get('Warning') ?? [], own].flat()
      if (coding) outgoing.setHeader('Content-Encoding', coding)
      outgoing.writeHead(status, { ...headers, ...(warnings.length > 0 && { Warning: warnings }) } as Record<
        string,
        string
      >)
    } catch (error) {
      await giveUp(body)
      throw error
    }
  }
  const writer = new PacedWriter(c, stallTimeout)
  try {
    // With the client gone too: what makes the body holds an association until it is told to end.
    using gatherer = new Gatherer((piece) => writer.write(piece))
    for await (const piece of coding ? compressed(body, coding) : body) {
      if (isGone(outgoing)) throw new ClientGoneError()
      for (let at = 0; at < piece.length; at += HANDED_BYTES) {
        gatherer.push(piece.length <= HANDED_BYTES ? piece : piece.subarray(at, at + HANDED_BYTES))
        if (writer.isFull) await writer.room()
      }
    }
    gatherer.flush()
    outgoing.end()
  } catch (error) {
    cut(c)
    c.error = error instanceof Error ? error : new Error('The body failed', { cause: error })
  }
  return RESPONSE_ALREADY_SENT
}

/** Ends a body that nobody reads: what makes it holds an association. */
async function giveUp(body: AsyncIterable<Bytes>): Promise<void> {
  try {
    await body[Symbol.asyncIterator]().return?.()
  } catch {
    // Why it is given up is what matters.
  }
}

/** Resets the connection: to HTTP/1.0, where the end of the connection ends a body, an orderly end would look whole. */
function cut({ env: { outgoing } }: HttpContext): void {
  outgoing.socket?.resetAndDestroy()
  outgoing.destroy()
}

/**
 * Lets MAX_UNSENT_BYTES wait in the socket before it holds the source back: what makes the body need not wait for the
 * client to take each piece of it. A client that takes not a byte for `stallTimeout` ms is cut off, also when all has
 * been written, and so is one that takes what waits more slowly than MIN_DOWNLOAD_RATE, once it is `stallTimeout` ms
 * behind. The wait for the archive is no fault of it.
 */
class PacedWriter {
  readonly #outgoing: HttpContext['env']['outgoing']
  readonly #stallTimeout: number
  readonly #giveUp: () => void
  #unsent = 0
  /** When some of it was last taken, or began to wait; by performance.now(). */
  #since = 0
  #timer: NodeJS.Timeout | undefined
  #wake: (() => void) | undefined

  constructor(c: HttpContext, stallTimeout: number) {
    this.#outgoing = c.env.outgoing
    this.#stallTimeout = stallTimeout
    this.#giveUp = () => cut(c)
    // Node's own timer of the socket: it goes on for as long as bytes leave, were they few.
    this.#outgoing.setTimeout(stallTimeout, () => {
      if (this.#unsent > 0) cut(c)
    })
    this.#outgoing.once('close', () => clearTimeout(this.#timer))
  }

  write(piece: Bytes): void {
    if (this.#unsent === 0) this.#since = performance.now()
    this.#unsent += piece.length
    this.#outgoing.write(piece, () => {
      this.#unsent -= piece.length
      this.#since = performance.now()
      if (!this.isFull) this.#wake?.()
    })
    if (this.#unsent > 0 && !this.#timer) this.#watch(this.#stallTimeout)
  }

  /** There is no room for more. */
  get isFull(): boolean {
    return this.#unsent > MAX_UNSENT_BYTES
  }

  /** Pieces that wait together may be gone together: all of them have their time, from when the last one went. */
  #watch(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#unsent === 0 || isGone(this.#outgoing)) return
      const patience = this.#stallTimeout + (this.#unsent / MIN_DOWNLOAD_RATE) * 1000
      const left = this.#since + patience - performance.now()
      if (left <= 0) this.#giveUp()
      else this.#watch(Math.ceil(left))
    }, milliseconds)
    this.#timer.unref()
  }

  /** Waits for room. @throws ClientGoneError */
  async room(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const gone = (): void => reject(new ClientGoneError())
    this.#wake = () => resolve(undefined)
    this.#outgoing.once('close', gone)
    try {
      await promise
    } finally {
      this.#wake = undefined
      this.#outgoing.off('close', gone)
    }
  }
}

function isGone(outgoing: { readonly destroyed: boolean }): boolean {
  return outgoing.destroyed
}
