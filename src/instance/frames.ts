import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { DamagedInstanceError } from './damage.ts'
import { CorruptFragmentsError, type Fragment } from './frame-table.ts'
import { hasHead } from './head.ts'
import type { PixelLayout } from './pixel-layout.ts'
import type { ReadableDataSet } from './readable-instance.ts'

/** The numbers of so many frames. */
export function allFrames(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n + 1)
}

/** There are fewer frames than that. */
export class NoSuchFrameError extends Error {
  readonly code = 'NO_SUCH_FRAME'
  readonly frame: number
  readonly frames: number
  constructor(frame: number, frames: number) {
    super(`There is no frame ${frame}: the instance has ${frames}`)
    this.name = 'NoSuchFrameError'
    this.frame = frame
    this.frames = frames
  }
}

/** The pixel data is too short for a frame that the attributes say there is, or they do not say how large one is. */
export class FrameCutShortError extends Error {
  readonly code = 'FRAME_CUT_SHORT'
  constructor(frame: number, { length = 0, frameBits }: Pick<PixelLayout, 'length' | 'frameBits'>) {
    super(
      frameBits === 0
        ? 'The attributes of the instance do not say how large a frame is'
        : `The pixel data has ${length} bytes, too few for frame ${frame}: each takes ${Math.ceil(frameBits / 8)}`,
    )
    this.name = 'FrameCutShortError'
  }
}

/** Whether an image of so many frames has all of these. @throws NoSuchFrameError */
export function checkFrames(frames: readonly number[], count: number): void {
  const missing = frames.find((frame) => frame > count)
  if (missing !== undefined) throw new NoSuchFrameError(missing, count)
}

/** A run of bytes whose length is known before they are read. */
export interface SizedBytes {
  readonly length: number
  /** From a byte of the run up to another. */
  readonly bytes: (from?: number, to?: number) => ByteStream
}

/**
 * Where the pixel data is and how it is cut; undefined where there is none.
 * @throws DamagedInstanceError where the data set cannot be followed as far, and what ends the arrival
 */
export async function layoutOf(source: ReadableDataSet): Promise<PixelLayout | undefined> {
  await source.until(hasHead)
  const { index } = source
  if (index.headBytes === undefined && index.fault) throw new DamagedInstanceError(index.fault)
  return index.layout
}

/**
 * One frame of an instance, counted from 1: native, in Little Endian; or its bitstream, without item headers.
 * @throws NoSuchFrameError, FrameCutShortError, DamagedInstanceError, CorruptFragmentsError, and what ends the arrival
 */
export async function frameOf(source: ReadableDataSet, layout: PixelLayout, frame: number): Promise<SizedBytes> {
  if (frame > layout.frames) throw new NoSuchFrameError(frame, layout.frames)
  if (layout.length === undefined) return joined(source, await fragmentsOf(source, frame))
  const firstBit = (frame - 1) * layout.frameBits
  const endByte = Math.ceil((firstBit + layout.frameBits) / 8)
  // A value that ends too early: the frames that are whole are given (PS3.5 8.1.1).
  if (endByte > layout.length || layout.frameBits === 0) throw new FrameCutShortError(frame, layout)
  checkReach(source, layout.offset + endByte)
  if (firstBit % 8 === 0 && layout.frameBits % 8 === 0) {
    return run(source, layout.offset + firstBit / 8, layout.frameBits / 8)
  }
  return shifted(source, layout, firstBit)
}

async function fragmentsOf(source: ReadableDataSet, frame: number): Promise<readonly Fragment[]> {
  const told = await source.told?.(frame)
  if (told) return told
  let found: readonly Fragment[] | undefined
  await source.until(
    ({ frames }) => (found = frames?.located(frame)) !== undefined,
    () => source.index.frames?.startOf(frame),
  )
  if (found === undefined) throw endsTooEarly(source)
  return found
}

/** Whether a damaged data set has its bytes up to one. @throws DamagedInstanceError */
function checkReach({ index: { cutAt = Infinity, damage } }: ReadableDataSet, end: number): void {
  if (damage && end > cutAt) throw new DamagedInstanceError(damage)
}

/**
 * The whole pixel data, or another value that is encapsulated: native, or all fragments one after the other, as of a
 * video.
 * @throws DamagedInstanceError, CorruptFragmentsError, and what ends the arrival
 */
export async function wholePixelData(source: ReadableDataSet, layout: PixelLayout): Promise<SizedBytes> {
  if (layout.length !== undefined) {
    checkReach(source, layout.offset + layout.length)
    return run(source, layout.offset, layout.length)
  }
  await source.until(
    ({ frames }) => frames?.ended === true,
    () => layout.offset,
  )
  const { frames } = source.index
  if (frames?.ended !== true) throw endsTooEarly(source)
  return joined(source, frames.fragments)
}

function endsTooEarly({ index: { fault } }: ReadableDataSet): CorruptFragmentsError {
  if (fault instanceof CorruptFragmentsError) return fault
  return new CorruptFragmentsError('they end in the middle of an item, or there is something else between them')
}

export function run(source: ReadableDataSet, offset: number, length: number): SizedBytes {
  return { length, bytes: (from = 0, to = length) => source.bytes(offset + from, offset + Math.min(to, length)) }
}

/** Fragments in ascending order, without their item headers. */
export function joined(source: ReadableDataSet, fragments: Iterable<Fragment>): SizedBytes {
  let length = 0
  for (const fragment of fragments) length += fragment.length
  return { length, bytes: (from = 0, to = length) => bytesOf(source, clipped(fragments, from, Math.min(to, length))) }
}

/** What there is of fragments from a byte of them all up to another, and where the last of it ends. */
function clipped(fragments: Iterable<Fragment>, from: number, to: number): Runs {
  let [at, start, end] = [0, Infinity, 0]
  for (const { offset, length } of fragments) {
    const [first, last] = [Math.max(from - at, 0), Math.min(to - at, length)]
    if (first < last) {
      start = Math.min(start, offset + first)
      end = offset + last
    }
    at += length
  }
  return { fragments, start, end }
}

/** Fragments in ascending order, and the bytes of the data set that are wanted of them. */
interface Runs {
  readonly fragments: Iterable<Fragment>
  readonly start: number
  readonly end: number
}

/** By one pass over the data set. */
async function* bytesOf(source: ReadableDataSet, { fragments, start, end }: Runs): AsyncGenerator<Bytes> {
  if (start >= end) return
  const runs = fragments[Symbol.iterator]()
  let run = runs.next()
  let position = start
  for await (const chunk of source.bytes(start, end)) {
    const behind = position + chunk.length
    while (!run.done && run.value.offset < behind) {
      const { offset, length } = run.value
      const piece = chunk.subarray(Math.max(0, offset - position), Math.max(0, offset + length - position))
      if (piece.length > 0) yield piece
      if (offset + length > behind) break
      run = runs.next()
    }
    position = behind
  }
}

/** PS3.5 8.1.1: frames of single bits follow each other without padding, the first pixel in the lowest bit. */
function shifted(source: ReadableDataSet, layout: PixelLayout, firstBit: number): SizedBytes {
  const length = Math.ceil(layout.frameBits / 8)
  const shift = firstBit % 8
  const start = layout.offset + Math.floor(firstBit / 8)
  const used = layout.frameBits % 8
  return {
    length,
    async *bytes(from = 0, to = length) {
      const end = Math.min(to, length)
      let at = from
      let low: number | undefined
      const packed = (high: number): number => {
        const byte = ((low! >>> shift) | (high << (8 - shift))) & 0xff
        // Bits of the next frame are not this one's.
        return at === length - 1 && used > 0 ? byte & ((1 << used) - 1) : byte
      }
      for await (const chunk of source.bytes(start + from, start + end + 1)) {
        const out = Buffer.allocUnsafe(chunk.length)
        let count = 0
        for (const byte of chunk) {
          if (low !== undefined && at < end) {
            out[count++] = packed(byte)
            at++
          }
          low = byte
        }
        if (count > 0) yield out.subarray(0, count)
      }
      // The last byte of all has none behind it.
      if (at < end) yield Uint8Array.of(packed(0))
    },
  }
}
