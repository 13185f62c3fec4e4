import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { ModelError, utf8Of } from './model-error.ts'

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c]
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d]
const SPACES = [0x20, 0x09, 0x0a, 0x0d]

/** An object, and the bytes that it was written in. */
export interface ReadObject {
  readonly model: unknown
  readonly bytes: number
}

/**
 * The objects of a JSON array, or the one object that there is, as they come, each parsed by itself: the list may be long,
 * and none of them is.
 * @throws ModelError for one of more than `most` bytes, and for what is no JSON; what `body` throws
 */
export async function* jsonObjects(body: ByteStream, most: number): AsyncGenerator<ReadObject> {
  const splitter = new Splitter(most)
  for await (const bytes of body) yield* splitter.push(bytes)
  splitter.end()
}

class Splitter {
  readonly #most: number
  /** Of the object that is open. */
  #pieces: Bytes[] = []
  #bytes = 0
  #depth = 0
  #inText = false
  #isEscaped = false
  /** Whether an array is around the objects; undefined in front of the first sign. */
  #isList: boolean | undefined
  #isOver = false
  /** What may come at the top. */
  #expected: 'first' | 'object' | 'comma' = 'first'

  constructor(most: number) {
    this.#most = most
  }

  *push(bytes: Bytes): Generator<ReadObject> {
    let from = this.#depth > 0 ? 0 : -1
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (this.#depth === 0) {
        if (byte === OPEN_BRACE && !this.#isOver && this.#expected !== 'comma') {
          this.#isList ??= false
          this.#depth = 1
          from = at
        } else this.#atTop(byte)
        continue
      }
      if (this.#passesText(byte)) continue
      if (byte === OPEN_BRACE) this.#depth++
      else if (byte === CLOSE_BRACE && --this.#depth === 0) {
        this.#hold(bytes.subarray(from, at + 1))
        from = -1
        yield this.#parsed()
      }
    }
    if (from >= 0) this.#hold(Uint8Array.from(bytes.subarray(from)))
  }

  end(): void {
    if (this.#isOver) return
    throw new ModelError('', this.#isList === undefined ? 'is no JSON' : 'ends within its JSON')
  }

  /** Whether a byte is of a text: braces in it are none. */
  #passesText(byte: number): boolean {
    if (!this.#inText) {
      this.#inText = byte === QUOTE
      return this.#inText
    }
    if (this.#isEscaped) this.#isEscaped = false
    else if (byte === BACKSLASH) this.#isEscaped = true
    else if (byte === QUOTE) this.#inText = false
    return true
  }

  #atTop(byte: number): void {
    if (SPACES.includes(byte)) return
    if (this.#isOver) throw new ModelError('', 'goes on behind its JSON')
    if (byte === OPEN_BRACKET && this.#isList === undefined) this.#isList = true
    else if (byte === CLOSE_BRACKET && this.#isList === true && this.#expected !== 'object') this.#isOver = true
    else if (byte === COMMA && this.#expected === 'comma') this.#expected = 'object'
    else throw new ModelError('', 'is no JSON: neither a data set nor a list of them')
  }

  #hold(bytes: Bytes): void {
    this.#bytes += bytes.length
    if (this.#bytes > this.#most) throw new ModelError('', `has a data set of more than ${this.#most} bytes`)
    this.#pieces.push(bytes)
  }

  #parsed(): ReadObject {
    const text = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#bytes = 0
    this.#expected = 'comma'
    this.#isOver = this.#isList === false
    try {
      return { model: JSON.parse(utf8Of(text)) as unknown, bytes: text.length }
    } catch (cause) {
      // Its message repeats what was read.
      throw new ModelError('', 'is no JSON', { cause })
    }
  }
}
