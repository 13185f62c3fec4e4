import type { Bytes } from './bytes.ts'
import type { ElementToken } from './element-reader.ts'
import { ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, type Tag } from './tag.ts'
import type { TransferSyntax } from './transfer-syntax.ts'
import { MAX_SHORT_LENGTH, representation, type Vr } from './vr.ts'

const UNDEFINED_LENGTH = 0xffffffff
/** Values of at least this many bytes are passed on as views; smaller ones are gathered. */
const VIEW_BYTES = 4096
/** The stage begins small, since most of what is written is: commands, identifiers, file headers. */
const FIRST_STAGE_BYTES = 1_024
const STAGE_BYTES = 16_384
const NO_STAGE = Buffer.alloc(0)

/**
 * Tokens in, bytes out, in any native or encapsulated syntax but deflated ones (PS3.5 7.1). Sequences and items are
 * written with undefined length, since their size in the new encoding is not known while streaming.
 */
export class ElementWriter {
  readonly #explicit: boolean
  readonly #little: boolean
  #stage = NO_STAGE
  #staged = 0
  #out: Bytes[] = []
  #outBytes = 0
  #takenBytes = 0
  /** Bytes of a binary word cut by a chunk boundary, waiting for the rest. */
  #carry: Bytes | undefined
  #swap: 1 | 2 | 4 | 8 = 1
  #pad: number | undefined
  readonly #open: { kind: 'sequence' | 'empty-sequence' | 'pixel-sequence' }[] = []

  constructor(syntax: Pick<TransferSyntax, 'explicit' | 'bigEndian'>) {
    this.#explicit = syntax.explicit
    this.#little = !syntax.bigEndian
  }

  /** What has been written since the last call. */
  take(): Bytes[] {
    this.#flush()
    const out = this.#out
    this.#takenBytes += this.#outBytes
    this.#out = []
    this.#outBytes = 0
    return out
  }

  /** Bytes ready to be taken, to decide when to. */
  get pending(): number {
    return this.#staged + this.#outBytes
  }

  /** Bytes written so far, taken or not: where in the output the next one will be. */
  get offset(): number {
    return this.#takenBytes + this.pending
  }

  write(token: ElementToken): void {
    switch (token.kind) {
      case 'element': {
        const { tag: t, vr, length } = token.header
        const padded = length! + (length! & 1)
        const written = writtenVr(vr, padded)
        this.#header(t, vr, padded)
        // PS3.5 6.2.2: what is written as UN is Little Endian whatever is around it.
        const bigEndian = !this.#little && written === vr
        this.#swap = token.bigEndian === bigEndian ? 1 : representation(vr).wordBytes
        this.#pad = padded === length ? undefined : representation(vr).pad
        return
      }
      case 'value':
        this.#value(token.bytes, token.last)
        return
      case 'sequence-start': {
        const empty = token.header.length === 0
        this.#open.push({ kind: empty ? 'empty-sequence' : 'sequence' })
        this.#header(token.header.tag, 'SQ', empty ? 0 : UNDEFINED_LENGTH)
        return
      }
      case 'pixel-sequence-start':
        this.#open.push({ kind: 'pixel-sequence' })
        this.#header(token.header.tag, token.header.vr, UNDEFINED_LENGTH)
        return
      case 'fragment':
        this.#swap = 1
        this.#pad = (token.length & 1) === 1 ? 0 : undefined
        this.#delimiter(ITEM, token.length + (token.length & 1))
        return
      case 'item-start':
        this.#delimiter(ITEM, UNDEFINED_LENGTH)
        return
      case 'item-end':
        this.#delimiter(ITEM_DELIMITATION, 0)
        return
      case 'sequence-end':
        if (this.#open.pop()?.kind !== 'empty-sequence') this.#delimiter(SEQUENCE_DELIMITATION, 0)
        return
    }
  }

  /** One whole element in Little Endian form: header, value, pad. */
  element(t: Tag, vr: Vr, value: Bytes): void {
    this.write({ kind: 'element', header: { tag: t, vr, length: value.length }, bigEndian: false })
    if (value.length > 0) this.write({ kind: 'value', bytes: value, last: true })
  }

  #header(t: Tag, vr: Vr, length: number): void {
    const name = writtenVr(vr, length)
    this.#reserve(12)
    const at = this.#staged
    this.#u16(at, t >>> 16)
    this.#u16(at + 2, t & 0xffff)
    if (!this.#explicit) {
      this.#u32(at + 4, length)
      this.#staged = at + 8
      return
    }
    this.#stage[at + 4] = name.charCodeAt(0)
    this.#stage[at + 5] = name.charCodeAt(1)
    if (representation(name).lengthBytes === 2) {
      this.#u16(at + 6, length)
      this.#staged = at + 8
    } else {
      this.#u16(at + 6, 0)
      this.#u32(at + 8, length)
      this.#staged = at + 12
    }
  }

  #delimiter(t: Tag, length: number): void {
    this.#reserve(8)
    this.#u16(this.#staged, t >>> 16)
    this.#u16(this.#staged + 2, t & 0xffff)
    this.#u32(this.#staged + 4, length)
    this.#staged += 8
  }

  #value(bytes: Bytes, last: boolean): void {
    const pad = last && this.#pad !== undefined ? Uint8Array.of(this.#pad) : undefined
    if (this.#swap === 1) {
      this.#append(bytes)
      if (pad) this.#append(pad)
      return
    }
    // The pad may complete a word, and is then turned round with it.
    this.#append(this.#swapped(pad ? Buffer.concat([bytes, pad]) : bytes, last))
  }

  /** Turns the words of a value round; what is left of a word waits in `#carry`. */
  #swapped(bytes: Bytes, last: boolean): Bytes {
    const all = this.#carry === undefined ? Buffer.from(bytes) : Buffer.concat([this.#carry, bytes])
    const whole = all.length - (all.length % this.#swap)
    this.#carry = whole === all.length || last ? undefined : all.subarray(whole)
    const words = all.subarray(0, whole)
    if (this.#swap === 2) words.swap16()
    else if (this.#swap === 4) words.swap32()
    else words.swap64()
    return last ? all : words
  }

  #append(bytes: Bytes): void {
    if (bytes.length >= VIEW_BYTES) {
      this.#flush()
      this.#give(bytes)
      return
    }
    this.#reserve(bytes.length)
    this.#stage.set(bytes, this.#staged)
    this.#staged += bytes.length
  }

  #reserve(count: number): void {
    if (this.#staged + count <= this.#stage.length) return
    const size = this.#stage === NO_STAGE ? FIRST_STAGE_BYTES : STAGE_BYTES
    this.#flush()
    this.#stage = Buffer.allocUnsafe(Math.max(size, count))
  }

  /** Hands over what is staged. */
  #flush(): void {
    if (this.#staged === 0) return
    this.#give(this.#stage.subarray(0, this.#staged))
    this.#stage = this.#stage.subarray(this.#staged)
    this.#staged = 0
  }

  #give(bytes: Bytes): void {
    this.#out.push(bytes)
    this.#outBytes += bytes.length
  }

  #u16(at: number, value: number): void {
    if (this.#little) this.#stage.writeUInt16LE(value, at)
    else this.#stage.writeUInt16BE(value, at)
  }

  #u32(at: number, value: number): void {
    if (this.#little) this.#stage.writeUInt32LE(value, at)
    else this.#stage.writeUInt32BE(value, at)
  }
}

/** PS3.5 6.2.2: a value too long for its VR's length field goes out as UN. */
function writtenVr(vr: Vr, length: number): Vr {
  return representation(vr).lengthBytes === 2 && length > MAX_SHORT_LENGTH ? 'UN' : vr
}
