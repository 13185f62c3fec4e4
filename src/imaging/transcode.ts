import { Attribute } from '../dicom/attributes.ts'
import { concat, type Bytes, type ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { ElementReader, type ElementToken } from '../dicom/element-reader.ts'
import { ElementWriter } from '../dicom/element-writer.ts'
import { sharesChrominance } from '../dicom/photometric-interpretation.ts'
import { isGroupLength, DATA_SET_TRAILING_PADDING, type Tag } from '../dicom/tag.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Vr } from '../dicom/vr.ts'
import { BitJoiner } from './bit-joiner.ts'
import { CodestreamError } from './codec-error.ts'
import { decodedDescription, isDecodable } from './decode-frame.ts'
import { encodedDescription, isEncodable } from './encode-frame.ts'
import { FrameAssembler } from './frame-assembler.ts'
import {
  describeImage,
  DESCRIBING,
  frameBits,
  MAX_FRAME_BYTES,
  UnusableImageError,
  type ImageDescription,
} from './image-description.ts'
import type { ImagingPool } from './imaging-pool.ts'

/** How the pixel data of an instance is rewritten. */
export interface Transcoding {
  readonly from: TransferSyntax
  readonly to: TransferSyntax
  readonly frames: number
  /** As it is stored, uncompressed, and as it is given. */
  readonly stored: ImageDescription
  readonly native: ImageDescription
  readonly given: ImageDescription
}

/** The attributes that a transcoding is planned from. */
export const TRANSCODED: ReadonlySet<Tag> = new Set<Tag>([...DESCRIBING, Attribute.NumberOfFrames])

/** The length field of an element has 32 bits, and one value is not a length (PS3.5 7.1.1). */
const MAX_VALUE_BYTES = 0xfffffffe
const JPEG_METHOD = 'ISO_10918_1'
/** Frames that are in work at once: one is read while another is decoded. */
const AHEAD = 2

/**
 * Plans how an instance whose header says so goes from one syntax to another; undefined where that cannot be done.
 * `from` is encapsulated, or Explicit VR Little Endian; `to` one of the two.
 */
export function planTranscoding(header: Dataset, from: TransferSyntax, to: TransferSyntax): Transcoding | undefined {
  if (from.encapsulated && !isDecodable(from.uid)) return undefined
  let stored: ImageDescription
  try {
    stored = describeImage(header)
  } catch (error) {
    if (error instanceof UnusableImageError) return undefined
    throw error
  }
  const stated = header.number(Attribute.NumberOfFrames) ?? 1
  const frames = stated >= 1 ? Math.floor(stated) : 1
  const native = from.encapsulated ? decodedDescription(stored, from.uid) : stored
  if (to.encapsulated) {
    // Two pixels that share a sample are none to an encoder.
    const isShared = !from.encapsulated && sharesChrominance(stored.photometricInterpretation)
    if (isShared || native.planarConfiguration === 1 || !isEncodable(native, to.uid)) return undefined
    return { from, to, frames, stored, native, given: encodedDescription(native, to.uid) }
  }
  if ((frameBits(native) * frames) / 8 > MAX_VALUE_BYTES) return undefined
  return { from, to, frames, stored, native, given: native }
}

/** Whether the frames can be told apart as they come: native ones that begin within a byte cannot. */
export function isStreamable({ from, native }: Transcoding): boolean {
  return from.encapsulated || frameBits(native) % 8 === 0
}

/**
 * Rewrites a data set with its pixel data in another syntax as it streams, frame by frame, and the attributes that
 * describe it (PS3.5 8.2). `body` is in `from`; the plan `isStreamable`.
 * @throws CodestreamError, CodecStoppedError, MalformedDataSetError from the iteration; the signal's reason
 */
export async function* transcode(
  body: ByteStream,
  plan: Transcoding,
  pool: ImagingPool,
  signal: AbortSignal,
): AsyncGenerator<Bytes> {
  const reader = new ElementReader(plan.from)
  const writer = new ElementWriter(plan.to)
  const attributes = new AttributeRewriter(plan, writer)
  const pixels = new PixelRewriter(plan, writer, pool, signal)
  for await (const chunk of body) {
    reader.push(chunk)
    yield* drain()
  }
  reader.end()
  yield* drain()
  if (!pixels.isOver) throw new CodestreamError('there is no pixel data')
  yield* writer.take()

  async function* drain(): AsyncGenerator<Bytes> {
    for (;;) {
      const depth = reader.depth
      const token = reader.next()
      if (token === undefined) return
      if (pixels.isBegun && !pixels.isOver) {
        await pixels.token(token)
        // Before a frame is there nothing is given: it may turn out that there is none to give.
        if (pixels.hasFrame) yield* writer.take()
      } else if (depth === 0 && 'header' in token && token.header.tag === Attribute.PixelData) {
        attributes.end()
        pixels.begin()
        await pixels.token(token)
      } else attributes.token(token, depth)
      if (pixels.isOver && writer.pending >= PIECE_BYTES) yield* writer.take()
    }
  }
}

/** One frame as it goes from one syntax to the other. @throws as ImagingPool */
export async function convertFrame(
  frame: Bytes,
  { from, to, stored, native }: Transcoding,
  pool: ImagingPool,
  signal: AbortSignal,
): Promise<Bytes> {
  const decoded = from.encapsulated ? await pool.decode(frame, stored, from.uid, signal) : frame
  return to.encapsulated ? pool.encode(decoded, native, to.uid, signal) : decoded
}

/** Output is handed on in pieces of about this size. */
const PIECE_BYTES = 65_536

/** Passes on what is before and behind the pixel data, with the attributes that differ in their places. */
class AttributeRewriter {
  readonly #writer: ElementWriter
  readonly #changes: { readonly tag: Tag; readonly vr: Vr; readonly value: Bytes; readonly onlyIfMissing: boolean }[]
  #isDropping = false
  /** An icon may be in the syntax that the instance was in, and is for convenience only (PS3.3 C.7.6.1.1.6). */
  readonly #icon: Tag | undefined

  constructor({ from, to, given }: Transcoding, writer: ElementWriter) {
    this.#writer = writer
    this.#icon = from.encapsulated ? Attribute.IconImageSequence : undefined
    const text = (value: string): Bytes => Buffer.from(value.length % 2 === 1 ? `${value} ` : value, 'latin1')
    const change = (tag: Tag, vr: Vr, value: Bytes, onlyIfMissing = false) => ({ tag, vr, value, onlyIfMissing })
    this.#changes = [change(Attribute.PhotometricInterpretation, 'CS', text(given.photometricInterpretation))]
    if (given.samplesPerPixel > 1) {
      this.#changes.push(change(Attribute.PlanarConfiguration, 'US', Buffer.of(given.planarConfiguration, 0)))
    }
    const method = LOSSY_METHODS[to.lossy ? to.uid : from.uid]
    if (method !== undefined) {
      // PS3.3 C.7.6.1.1.5: once lost is lost for ever. What the instance says of itself holds, unless more is lost now.
      this.#changes.push(change(Attribute.LossyImageCompression, 'CS', text('01'), !to.lossy))
      this.#changes.push(change(Attribute.LossyImageCompressionMethod, 'CS', text(method), true))
    }
  }

  token(token: ElementToken, depth: number): void {
    if (depth === 0 && 'header' in token) {
      const { tag } = token.header
      this.#until(tag)
      const isChanged = this.#changes[0]?.tag === tag
      const change = isChanged ? this.#changes.shift() : undefined
      this.#isDropping = isDropped(tag) || tag === this.#icon || (change !== undefined && !change.onlyIfMissing)
      if (change && !change.onlyIfMissing) this.#writer.element(change.tag, change.vr, change.value)
    }
    if (!this.#isDropping) this.#writer.write(token)
  }

  /** Nothing comes any more before the pixel data. */
  end(): void {
    this.#until(Infinity)
    this.#isDropping = false
  }

  #until(tag: Tag): void {
    for (let next = this.#changes[0]; next && next.tag < tag; next = this.#changes[0]) {
      this.#writer.element(next.tag, next.vr, next.value)
      this.#changes.shift()
    }
  }
}

/** Syntaxes in which something is always lost, by the terms of PS3.3 C.7.6.1.1.5.1. */
const LOSSY_METHODS: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.4.50': JPEG_METHOD,
  '1.2.840.10008.1.2.4.51': JPEG_METHOD,
  '1.2.840.10008.1.2.4.81': 'ISO_14495_1',
}

/** Tables of offsets are of the pixel data as it was. */
function isDropped(tag: Tag): boolean {
  const tables: readonly Tag[] = [
    Attribute.ExtendedOffsetTable,
    Attribute.ExtendedOffsetTableLengths,
    Attribute.EncapsulatedPixelDataValueTotalLength,
  ]
  return isGroupLength(tag) || tag === DATA_SET_TRAILING_PADDING || tables.includes(tag)
}

/** The pixel data: frames in, frames out, in their order. */
class PixelRewriter {
  isBegun = false
  isOver = false
  /** A frame was written. */
  hasFrame = false
  readonly #plan: Transcoding
  readonly #writer: ElementWriter
  readonly #pool: ImagingPool
  readonly #signal: AbortSignal
  readonly #assembler: FrameAssembler
  readonly #working: Promise<Bytes>[] = []
  readonly #bits = new BitJoiner()
  #pieces: Bytes[] = []
  #held = 0
  #written = 0
  #index = 0

  constructor(plan: Transcoding, writer: ElementWriter, pool: ImagingPool, signal: AbortSignal) {
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
      this.#writer.write({ kind: 'fragment', index: this.#index++, length: 0 })
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
    if (this.#index <= frames) this.#hold(bytes)
    if (this.#held >= size) {
      const all = this.#release()
      let at = 0
      for (; at + size <= all.length && this.#index <= frames; at += size)
        await this.#frame(all.subarray(at, at + size))
      if (at < all.length) this.#hold(all.subarray(at))
    }
    if (!last) return
    if (this.#index !== frames + 1) throw new CodestreamError('the pixel data is not of whole frames')
    await this.#end()
  }

  async #frame(frame: Bytes): Promise<void> {
    this.#index++
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
