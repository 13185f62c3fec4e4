import { beginsBitstream, SIGNATURE_BYTES } from '../dicom/bitstream-start.ts'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { DataSetSource } from '../dicom/data-set-source.ts'
import { ITEM, SEQUENCE_DELIMITATION, tag } from '../dicom/tag.ts'
import { MAX_FRAMES, type PixelLayout } from './pixel-layout.ts'

/** A fragment of encapsulated pixel data: where its bytes are in the data set. */
export interface Fragment {
  readonly offset: number
  readonly length: number
}

/** The fragments cannot be told apart into frames. */
export class CorruptFragmentsError extends Error {
  readonly code = 'CORRUPT_FRAGMENTS'
  constructor(problem: string) {
    super(`The encapsulated pixel data cannot be cut into frames: ${problem}`)
    this.name = 'CorruptFragmentsError'
  }
}

const ITEM_HEADER_BYTES = 8
/** The table of offsets among them: more is no image. */
export const MAX_FRAGMENTS = MAX_FRAMES + 1

/**
 * The items of encapsulated pixel data in their order, the Basic Offset Table first (PS3.5 A.4), by one pass over them.
 * @throws CorruptFragmentsError, and what the source throws
 */
export async function* fragmentsOf(source: DataSetSource, offset: number): AsyncGenerator<Fragment> {
  const header = Buffer.alloc(ITEM_HEADER_BYTES)
  let [filled, toSkip, count] = [0, 0, 0]
  let start = offset
  for await (const chunk of source.bytes(offset)) {
    let at = Math.min(toSkip, chunk.length)
    toSkip -= at
    while (at < chunk.length) {
      const piece = chunk.subarray(at, at + ITEM_HEADER_BYTES - filled)
      header.set(piece, filled)
      filled += piece.length
      at += piece.length
      if (filled < ITEM_HEADER_BYTES) break
      filled = 0
      const length = itemLength(header)
      if (length === undefined) return
      if (++count > MAX_FRAGMENTS) throw new CorruptFragmentsError('there is no end to the fragments')
      yield { offset: start + ITEM_HEADER_BYTES, length }
      start += ITEM_HEADER_BYTES + length
      const skipped = Math.min(length, chunk.length - at)
      at += skipped
      toSkip = length - skipped
    }
  }
  throw endsTooEarly()
}

/** The fragment whose item begins at an offset; undefined at the end of the sequence. @throws CorruptFragmentsError */
async function fragmentAt(source: DataSetSource, at: number): Promise<Fragment | undefined> {
  const header = await read(source.bytes(at, at + ITEM_HEADER_BYTES))
  if (header.length < ITEM_HEADER_BYTES) throw endsTooEarly()
  const length = itemLength(header)
  return length === undefined ? undefined : { offset: at + ITEM_HEADER_BYTES, length }
}

/** Undefined for the end of the sequence. */
function itemLength(header: Buffer): number | undefined {
  const t = tag(header.readUInt16LE(0), header.readUInt16LE(2))
  if (t === SEQUENCE_DELIMITATION) return undefined
  if (t !== ITEM) throw new CorruptFragmentsError('there is something else between them')
  return header.readUInt32LE(4)
}

function endsTooEarly(): CorruptFragmentsError {
  return new CorruptFragmentsError('they end in the middle of an item')
}

/** The bytes of runs of a data set that are in ascending order, with the number of their run, by one pass over it. */
export async function* bytesOf(
  source: DataSetSource,
  runs: readonly Fragment[],
): AsyncGenerator<readonly [bytes: Bytes, index: number]> {
  const last = runs.at(-1)
  if (!last) return
  let position = runs[0]!.offset
  let index = 0
  for await (const chunk of source.bytes(position, last.offset + last.length)) {
    const end = position + chunk.length
    for (let run = runs[index]; run && run.offset < end; run = runs[index]) {
      const piece = chunk.subarray(Math.max(0, run.offset - position), run.offset + run.length - position)
      if (piece.length > 0) yield [piece, index]
      if (run.offset + run.length > end) break
      index++
    }
    position = end
  }
}

/**
 * The fragments of one frame, counted from 1: by the Extended Offset Table, by the Basic Offset Table, else by their
 * number, else by where bitstreams begin. A table that does not fit the items is passed over.
 * @throws CorruptFragmentsError, and what the source throws
 */
export async function frameFragments(
  source: DataSetSource,
  layout: PixelLayout,
  frame: number,
): Promise<readonly Fragment[]> {
  const table = await fragmentAt(source, layout.offset)
  if (table === undefined) throw new CorruptFragmentsError('there is not even a Basic Offset Table')
  return (
    (await byExtendedTable(source, layout, frame, table).catch(orPassedOver)) ??
    (await byBasicTable(source, layout, frame, table).catch(orPassedOver)) ??
    byFragments(source, layout, frame)
  )
}

/** An offset that leads astray makes its table worthless, not the image. */
function orPassedOver(error: unknown): undefined {
  if (!(error instanceof CorruptFragmentsError)) throw error
  return undefined
}

async function byExtendedTable(
  source: DataSetSource,
  { extended }: PixelLayout,
  frame: number,
  table: Fragment,
): Promise<readonly Fragment[] | undefined> {
  const entry = extended?.[frame - 1]
  if (!entry) return undefined
  const first = endOf(table)
  const fragment = await fragmentAt(source, first + entry.offset)
  if (!fragment) return undefined
  // PS3.3 C.7.6.3.1.8: one fragment a frame, its length without the pad.
  const padding = fragment.length - entry.length
  const next = extended[frame]
  const isAlone = next
    ? first + next.offset === endOf(fragment)
    : (await fragmentAt(source, endOf(fragment))) === undefined
  return isAlone && (padding === 0 || padding === 1) ? [{ offset: fragment.offset, length: entry.length }] : undefined
}

async function byBasicTable(
  source: DataSetSource,
  layout: PixelLayout,
  frame: number,
  table: Fragment,
): Promise<readonly Fragment[] | undefined> {
  const offsets = await offsetsOf(source, layout, table)
  if (!offsets) return undefined
  const first = endOf(table)
  const next = offsets[frame]
  const end = next === undefined ? Infinity : first + next
  const fragments: Fragment[] = []
  let at = first + offsets[frame - 1]!
  for await (const fragment of fragmentsOf(source, at)) {
    fragments.push(fragment)
    at = endOf(fragment)
    if (at >= end) break
  }
  // The next frame has to begin where the table says; only the last one is followed by the end of the sequence.
  const fits = next === undefined || (at === end && (await fragmentAt(source, end)) !== undefined)
  return fragments.length > 0 && fits ? fragments : undefined
}

/** What was found out about the pixel data of an instance: a viewer asks for its frames one by one. */
interface Findings {
  /** Of the Basic Offset Table; undefined where it is of no use. */
  offsets?: readonly number[] | undefined
  /** The fragments of each frame. */
  frames?: readonly (readonly Fragment[])[]
}

const findings = new WeakMap<PixelLayout, Findings>()

function findingsOf(layout: PixelLayout): Findings {
  const known = findings.get(layout) ?? {}
  findings.set(layout, known)
  return known
}

async function offsetsOf(
  source: DataSetSource,
  layout: PixelLayout,
  table: Fragment,
): Promise<readonly number[] | undefined> {
  const { frames } = layout
  if (table.length !== 4 * frames) return undefined
  const found = findingsOf(layout)
  if ('offsets' in found) return found.offsets
  const bytes = await read(source.bytes(table.offset, endOf(table)))
  const offsets = Array.from({ length: bytes.length >> 2 }, (_, index) => bytes.readUInt32LE(4 * index))
  const isAscending = offsets.every((offset, index) => (index === 0 ? offset === 0 : offset > offsets[index - 1]!))
  found.offsets = offsets.length === frames && isAscending ? offsets : undefined
  return found.offsets
}

async function byFragments(source: DataSetSource, layout: PixelLayout, frame: number): Promise<readonly Fragment[]> {
  const found = findingsOf(layout)
  found.frames ??= await cutIntoFrames(source, layout)
  return found.frames[frame - 1]!
}

async function cutIntoFrames(
  source: DataSetSource,
  { offset, frames }: PixelLayout,
): Promise<readonly (readonly Fragment[])[]> {
  const all: Fragment[] = []
  for await (const fragment of fragmentsOf(source, offset)) all.push(fragment)
  const fragments = all.slice(1)
  if (frames === 1) return [fragments]
  if (fragments.length === frames) return fragments.map((fragment) => [fragment])
  if (fragments.length < frames) {
    throw new CorruptFragmentsError(`${fragments.length} fragments are too few for ${frames} frames`)
  }
  const starts = await bitstreamStarts(source, fragments)
  if (starts.length !== frames || starts[0] !== 0) {
    throw new CorruptFragmentsError(`${starts.length} bitstreams begin in them, there should be ${frames}`)
  }
  return starts.map((start, index) => fragments.slice(start, starts[index + 1]))
}

/** The numbers, from 0, of the fragments that begin a bitstream. */
async function bitstreamStarts(source: DataSetSource, fragments: readonly Fragment[]): Promise<number[]> {
  const heads = fragments.map(({ offset, length }) => ({ offset, length: Math.min(length, SIGNATURE_BYTES) }))
  const starts: number[] = []
  let head: Bytes[] = []
  for await (const [bytes, index] of bytesOf(source, heads)) {
    head.push(bytes)
    if (head.reduce((sum, { length }) => sum + length, 0) < heads[index]!.length) continue
    if (beginsBitstream(Buffer.concat(head), source.syntax.uid)) starts.push(index)
    head = []
  }
  return starts
}

function endOf({ offset, length }: Fragment): number {
  return offset + length
}

async function read(stream: ByteStream): Promise<Buffer> {
  const chunks: Bytes[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
