import { Attribute } from '../../dicom/attributes.ts'
import { concat, type Bytes } from '../../dicom/bytes.ts'
import type { ElementToken } from '../../dicom/element-reader.ts'
import type { ElementWriter } from '../../dicom/element-writer.ts'
import { BitJoiner } from './bit-joiner.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { convertFrame } from './convert-frame.ts'
import { FrameAssembler } from './frame-assembler.ts'
import { frameBits, MAX_FRAME_BYTES } from '../image-description.ts'
import type { Imaging } from '../pool/imaging.ts'
import type { Transcoding } from './plan-transcoding.ts'

/** Frames that are in work at once: one is read while another is decoded. */
const AHEAD = 2

/** The pixel data: frames in, frames out, in their order. */
export class PixelRewriter {
  isBegun = false
  isOver = false
  /** A frame was written. */
  hasFrame = false
  readonly #plan: Transcoding
  readonly #writer: ElementWriter
  readonly #pool: Imaging
  readonly #signal: AbortSignal
  readonly #assembler: FrameAssembler
  readonly #working: Promise<Bytes>[] = []
  readonly #bits = new BitJoiner()
  #pieces: Bytes[] = []
  #held = 0
  /** Frames, so far. */
  #read = 0
  #written = 0

  constructor(plan: Transcoding, writer: ElementWriter, pool: Imaging, signal: AbortSignal) {
    this.#plan = plan
    this.#writer = writer
    this.#pool = pool
    this.#signal = signal
    this.#assembler = new FrameAssembler(plan.from, plan.frames)
  }

  begin(): void {
    this.isBegun = true
    const { to, native, frames } = this.#plan
    if (to.encapsulated) {
      this.#writer.write({
        kind: 'pixel-sequence-start',
        header: { tag: Attribute.PixelData, vr: 'OB', length: undefined },
      })
      // No table: where frames begin is not known before they are encoded (PS3.5 A.4).
      this.#writer.write({ kind: 'fragment', index: 0, length: 0 })
      return
    }
    const length = Math.ceil((frameBits(native) * frames) / 8)
    const vr = native.bitsAllocated > 8 ? 'OW' : 'OB'
    this.#writer.write({ kind: 'element', header: { tag: Attribute.PixelData, vr, length }, bigEndian: false })
  }

  async token(token: ElementToken): Promise<void> {
    switch (token.kind) {
      case 'fragment':
        if (token.length === 0) await this.#fragment(new Uint8Array(0))
        return
      case 'value':
        if (!this.#plan.from.encapsulated) {
          await this.#native(token.bytes, token.last)
          return
        }
        this.#hold(token.bytes)
        if (token.last) await this.#fragment(this.#release())
        return
      case 'sequence-end': {
        const last = this.#assembler.end()
        if (last) await this.#frame(last)
        await this.#end()
        return
      }
      default:
        // The header of the pixel data itself.
        if ('header' in token && token.header.length === 0) throw new CodestreamError('there is no pixel data')
    }
  }

  #hold(bytes: Bytes): void {
    this.#held += bytes.length
    if (this.#held > 2 * MAX_FRAME_BYTES) throw new CodestreamError(`a frame has over ${MAX_FRAME_BYTES} bytes`)
    this.#pieces.push(bytes)
  }

  #release(): Bytes {
    const bytes = concat(this.#pieces)
    this.#pieces = []
    this.#held = 0
    return bytes
  }

  async #fragment(bytes: Bytes): Promise<void> {
    const frame = this.#assembler.push(bytes)
    if (frame) await this.#frame(frame)
  }

  /** Cuts native pixel data into frames. */
  async #native(bytes: Bytes, last: boolean): Promise<void> {
    const { native, frames } = this.#plan
    const size = frameBits(native) / 8
    // What is behind the last frame is of no frame.
    if (this.#read < frames) this.#hold(bytes)
    if (this.#held >= size) {
      const all = this.#release()
      let at = 0
      for (; at + size <= all.length && this.#read < frames; at += size) await this.#frame(all.subarray(at, at + size))
      if (at < all.length) this.#hold(all.subarray(at))
    }
    if (!last) return
    if (this.#read !== frames) throw new CodestreamError('the pixel data is not of whole frames')
    await this.#end()
  }

  async #frame(frame: Bytes): Promise<void> {
    this.#read++
    const work = convertFrame(frame, this.#plan, this.#pool, this.#signal)
    // A failure is seen when its turn comes.
    work.catch(() => undefined)
    this.#working.push(work)
    if (this.#working.length >= AHEAD) this.#write(await this.#working.shift()!)
  }

  #write(frame: Bytes): void {
    const { to, native } = this.#plan
    this.#written++
    this.hasFrame = true
    if (to.encapsulated) {
      this.#writer.write({ kind: 'fragment', index: this.#written, length: frame.length })
      this.#writer.write({ kind: 'value', bytes: frame, last: true })
      return
    }
    const isLast = this.#written === this.#plan.frames
    const bytes = frameBits(native) % 8 === 0 ? frame : this.#bits.join(frame, frameBits(native), isLast)
    this.#writer.write({ kind: 'value', bytes, last: isLast })
  }

  async #end(): Promise<void> {
    for (const work of this.#working.splice(0)) this.#write(await work)
    if (this.#plan.to.encapsulated) this.#writer.write({ kind: 'sequence-end' })
    this.isOver = true
  }
}
