import { checkBoundary } from './boundary.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { ByteWindow } from './byte-window.ts'
import { maxPaddingBytes, sight, sightLineEnd, type Sighting } from './delimiter-line.ts'
import { MultipartError, type MultipartErrorCode } from './error.ts'
import { defaultMultipartLimits, type MultipartLimits } from './limits.ts'
import { parsePartHeaders } from './part-headers.ts'

/** One part of a body that is read. */
export interface ReceivedPart {
  /** Names in lower case, folded lines joined; a repeated field is one comma list. */
  readonly headers: ReadonlyMap<string, string>
  /** One consumer. Ends cleanly only at the part's delimiter; unreadable once the next part was asked for. */
  readonly body: ByteStream
}

/**
 * Reads a multipart body (RFC 2046 5.1.1) part by part, as it arrives. Part bodies are views of the incoming chunks;
 * only a possible delimiter at a chunk's end is held back, and copied. One part is alive at a time: asking for the next
 * drops what is unread of the one before.
 *
 * The end of the iteration means the closing delimiter was seen and the body read to its end. Leaving early closes
 * `body`; leaving a part's body early does not, it only gives up that part.
 *
 * @throws MultipartError from the parts, and from the body of the part it befalls. What `body` throws passes unchanged.
 */
export async function* readMultipart(
  body: ByteStream,
  boundary: string,
  limits: MultipartLimits = defaultMultipartLimits,
): AsyncGenerator<ReceivedPart, void, undefined> {
  const reader = new Reader(body, checkBoundary(boundary), limits)
  try {
    for (;;) {
      const part = await reader.nextPart()
      if (part === undefined) return
      yield part
    }
  } finally {
    await reader.close()
  }
}

const CR = 0x0d
const LF = 0x0a

class Reader {
  readonly #limits: MultipartLimits
  readonly #dashBoundary: Buffer
  readonly #crlfDelimiter: Buffer
  readonly #lfDelimiter: Buffer

  readonly #window: ByteWindow
  #started = false
  #failed = false
  #failure: unknown
  #turn: Promise<unknown> = Promise.resolve()

  #part = -1
  #partBytes = 0
  #inBody = false
  #atBodyStart = false
  #closingSeen = false
  /** What ends the current part: set by the line end of the delimiter line that opened it. */
  #delimiter: Buffer

  constructor(body: ByteStream, boundary: string, limits: MultipartLimits) {
    this.#window = new ByteWindow(body)
    this.#limits = limits
    this.#dashBoundary = Buffer.from(`--${boundary}`, 'latin1')
    this.#crlfDelimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
    this.#lfDelimiter = Buffer.from(`\n--${boundary}`, 'latin1')
    this.#delimiter = this.#crlfDelimiter
  }

  nextPart(): Promise<ReceivedPart | undefined> {
    return this.#inTurn(() => this.#guarded(() => this.#openPart()))
  }

  async close(): Promise<void> {
    if (!this.#failed) this.#fail(new Error('The multipart reader was closed'))
    await this.#window.close()
  }

  /** Not a generator: one that is passed over would end as if the part were whole. */
  #bodyOf(part: number): ByteStream {
    let ended = false
    const done = { done: true, value: undefined } as const
    const iterator: AsyncIterableIterator<Bytes> = {
      next: () =>
        this.#inTurn(async () => {
          if (ended) return done
          if (this.#part !== part) throw new Error('The part was passed over')
          const value = await this.#guarded(() => this.#readBody())
          if (value !== undefined) return { done: false, value }
          ended = true
          return done
        }),
      return: async () => {
        ended = true
        return done
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** One read at a time, whoever asks: a part's consumer may still be waiting when the next part is asked for. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work)
    this.#turn = result
    return result
  }

  /** What went wrong once goes wrong for everyone who asks again. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failed) throw this.#failure
    try {
      return await work()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #fail(error: unknown): void {
    this.#failed = true
    this.#failure = error
  }

  async #openPart(): Promise<ReceivedPart | undefined> {
    if (!this.#started) {
      this.#started = true
      await this.#skipPreamble()
    }
    while (this.#inBody) await this.#readBody()
    this.#part += 1
    if (this.#closingSeen) {
      await this.#skipEpilogue()
      return undefined
    }
    if (this.#part >= this.#limits.maxParts) {
      throw this.#error('MULTIPART_TOO_MANY_PARTS', `More than ${this.#limits.maxParts} parts`)
    }
    const headers = await this.#readHeaders()
    this.#partBytes = 0
    this.#inBody = true
    this.#atBodyStart = true
    return { headers, body: this.#bodyOf(this.#part) }
  }

  async #skipPreamble(): Promise<void> {
    let atLineStart = true
    for (;;) {
      if (atLineStart) {
        const sighting = this.#sight(this.#window.position, this.#dashBoundary)
        if (sighting.kind === 'delimiter') {
          this.#passDelimiter(sighting)
          return
        }
        if (sighting.kind === 'open') {
          if (await this.#window.more()) continue
          if (sighting.closing) {
            this.#passClosingAtEnd()
            return
          }
          throw this.#error('MULTIPART_TRUNCATED', 'The body ended before its first delimiter')
        }
      }
      const lf = this.#window.bytes.indexOf(LF, this.#window.position)
      atLineStart = lf >= 0
      this.#window.position = atLineStart ? lf + 1 : this.#window.bytes.length
      if (this.#window.offset > this.#limits.maxPreambleBytes) {
        throw this.#error('MULTIPART_MALFORMED', `No delimiter in the first ${this.#limits.maxPreambleBytes} bytes`)
      }
      if (!atLineStart && !(await this.#window.more())) {
        throw this.#error('MULTIPART_TRUNCATED', 'The body ended before its first delimiter')
      }
    }
  }

  /** To the very end: a request left half read costs the connection, and with it the answer. */
  async #skipEpilogue(): Promise<void> {
    const start = this.#window.offset
    for (;;) {
      this.#window.position = this.#window.bytes.length
      if (this.#window.offset - start > this.#limits.maxEpilogueBytes) {
        throw this.#error('MULTIPART_MALFORMED', `More than ${this.#limits.maxEpilogueBytes} bytes after the last part`)
      }
      if (!(await this.#window.more())) return
    }
  }

  /** RFC 2046 5.1: the block may be empty, a blank line at once. */
  async #readHeaders(): Promise<ReadonlyMap<string, string>> {
    const { maxHeaderBytes } = this.#limits
    const start = this.#window.offset
    const lines: string[] = []
    for (;;) {
      let searched = 0
      let lf: number
      while ((lf = this.#window.bytes.indexOf(LF, this.#window.position + searched)) < 0) {
        searched = this.#window.bytes.length - this.#window.position
        if (this.#window.offset + searched - start >= maxHeaderBytes) break
        if (!(await this.#window.more())) throw this.#error('MULTIPART_TRUNCATED', "The body ended in a part's headers")
      }
      if (lf < 0 || this.#window.base + lf + 1 - start > maxHeaderBytes) {
        throw this.#error('MULTIPART_HEADER_TOO_LARGE', `Part headers of more than ${maxHeaderBytes} bytes`)
      }
      const end = lf > this.#window.position && this.#window.bytes[lf - 1] === CR ? lf - 1 : lf
      const line = this.#window.bytes.toString('latin1', this.#window.position, end)
      if (this.#sight(this.#window.position, this.#dashBoundary).kind === 'delimiter') {
        throw this.#error('MULTIPART_MALFORMED', 'A delimiter before the blank line that ends the part headers')
      }
      this.#window.position = lf + 1
      if (line === '') return this.#parseHeaders(lines)
      lines.push(line)
    }
  }

  #parseHeaders(lines: readonly string[]): ReadonlyMap<string, string> {
    const headers = parsePartHeaders(lines)
    if (typeof headers === 'string') throw this.#error('MULTIPART_MALFORMED', headers)
    return headers
  }

  /** The next run of the part's body, undefined at its end. */
  async #readBody(): Promise<Bytes | undefined> {
    for (;;) {
      const start = this.#window.position
      const { found, at } = this.#findDelimiter()
      // What is in front of it may be at fault before it.
      if (at === start) this.#checked(found)
      else {
        this.#atBodyStart = false
        this.#window.position = at
        this.#partBytes += at - start
        if (this.#partBytes > this.#limits.maxPartBytes) {
          throw this.#error('MULTIPART_PART_TOO_LARGE', `A part of more than ${this.#limits.maxPartBytes} bytes`)
        }
        return this.#window.bytes.subarray(start, at)
      }
      if (found.kind === 'delimiter') {
        this.#inBody = false
        this.#passDelimiter(found)
        return undefined
      }
      if (await this.#window.more()) continue
      if (found.kind === 'open' && found.closing) {
        this.#inBody = false
        this.#passClosingAtEnd()
        return undefined
      }
      throw this.#error('MULTIPART_TRUNCATED', 'The body ended without its closing delimiter')
    }
  }

  /** Where the current part's data stops in the window, and why: a delimiter, what may become one, or the chunk's end. */
  #findDelimiter(): { found: Sighting; at: number } {
    const buffer = this.#window.bytes
    const delimiter = this.#delimiter
    let from = this.#window.position
    if (this.#atBodyStart) {
      // An empty body's delimiter shares its line break with the blank line (RFC 2046 5.1.1: body-part).
      const found = sight(buffer, from, this.#dashBoundary)
      if (found.kind !== 'data') return { found, at: from }
    }
    for (;;) {
      const at = buffer.indexOf(delimiter, from)
      if (at < 0) break
      const found = sightLineEnd(buffer, at + delimiter.length)
      if (found.kind !== 'data') return { found, at }
      from = at + delimiter.length
    }
    // The delimiter's first byte occurs in it only once, so only its last occurrence here can begin one.
    const first = delimiter[0]
    const earliest = Math.max(from, buffer.length - delimiter.length + 1)
    for (let at = buffer.length - 1; at >= earliest; at -= 1) {
      if (buffer[at] !== first) continue
      const found = sight(buffer, at, delimiter)
      return found.kind === 'data' ? { found, at: buffer.length } : { found, at }
    }
    return { found: { kind: 'data' }, at: buffer.length }
  }

  #sight(at: number, delimiter: Buffer): Sighting {
    return this.#checked(sight(this.#window.bytes, at, delimiter))
  }

  #checked(found: Sighting): Sighting {
    if (found.kind !== 'padded') return found
    throw this.#error('MULTIPART_MALFORMED', `Padding of more than ${maxPaddingBytes} bytes after a delimiter`)
  }

  #passDelimiter(sighting: Extract<Sighting, { kind: 'delimiter' }>): void {
    this.#window.position = sighting.end
    this.#closingSeen = sighting.closing
    this.#delimiter = sighting.lf ? this.#lfDelimiter : this.#crlfDelimiter
  }

  /** The final line end is often missing. */
  #passClosingAtEnd(): void {
    this.#window.position = this.#window.bytes.length
    this.#closingSeen = true
  }

  #error(code: MultipartErrorCode, message: string): MultipartError {
    return new MultipartError(code, message, {
      offset: this.#window.offset,
      part: this.#part < 0 ? undefined : this.#part,
    })
  }
}
