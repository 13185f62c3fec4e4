import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { DataSetSource } from '../dicom/data-set-source.ts'
import { ITEM, SEQUENCE_DELIMITATION } from '../dicom/tag.ts'
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
/** Enough to know the start of any bitstream. */
const SNIFF_BYTES = 12

/** The items of encapsulated pixel data in their order, the Basic Offset Table first (PS3.5 A.4). */
export async function* fragmentsOf(source: DataSetSource, offset: number): AsyncGenerator<Fragment> {
  // A table of offsets and the fragments of each frame: far more is no image.
  for (let at = offset, count = 0; ; count++) {
    if (count > 16 * MAX_FRAMES) throw new CorruptFragmentsError('there is no end to the fragments')
    const fragment = await fragmentAt(source, at)
    if (fragment === undefined) return
    yield fragment
    at = fragment.offset + fragment.length
  }
}

/** The fragment whose item begins at an offset; undefined at the end of the sequence. */
async function fragmentAt(source: DataSetSource, at: number): Promise<Fragment | undefined> {
  const header = await read(source.bytes(at, at + ITEM_HEADER_BYTES), ITEM_HEADER_BYTES)
  if (header.length < ITEM_HEADER_BYTES) throw new CorruptFragmentsError('they end in the middle of an item')
  const t = ((header.readUInt16LE(0) << 16) | header.readUInt16LE(2)) >>> 0
  if (t === SEQUENCE_DELIMITATION) return undefined
  if (t !== ITEM) throw new CorruptFragmentsError('there is something else between them')
  return { offset: at + ITEM_HEADER_BYTES, length: header.readUInt32LE(4) }
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
  const first = table.offset + table.length
  return (
    (await byExtendedTable(source, layout, frame, first)) ??
    (await byBasicTable(source, layout, frame, table)) ??
    byFragments(source, layout, frame)
  )
}

async function byExtendedTable(
  source: DataSetSource,
  { extended }: PixelLayout,
  frame: number,
  first: number,
): Promise<readonly Fragment[] | undefined> {
  const entry = extended?.[frame - 1]
  if (!entry) return undefined
  const fragment = await fragmentAt(source, first + entry.offset).catch(orPassedOver)
  // PS3.3 C.7.6.3.1.8: one fragment a frame, its length without the pad.
  if (!fragment || entry.length > fragment.length) return undefined
  return [{ offset: fragment.offset, length: entry.length }]
}

async function byBasicTable(
  source: DataSetSource,
  { frames }: PixelLayout,
  frame: number,
  table: Fragment,
): Promise<readonly Fragment[] | undefined> {
  if (table.length !== 4 * frames) return undefined
  const bytes = await read(source.bytes(table.offset, table.offset + table.length), table.length)
  const offsets = Array.from({ length: bytes.length >> 2 }, (_, index) => bytes.readUInt32LE(4 * index))
  const isSound = offsets[0] === 0 && offsets.every((offset, index) => index === 0 || offset > offsets[index - 1]!)
  if (offsets.length !== frames || !isSound) return undefined
  const first = table.offset + table.length
  const end = frame < frames ? first + offsets[frame]! : Infinity
  const fragments: Fragment[] = []
  let at = first + offsets[frame - 1]!
  while (at < end) {
    const fragment = await fragmentAt(source, at).catch(orPassedOver)
    if (!fragment) break
    fragments.push(fragment)
    at = fragment.offset + fragment.length
  }
  // The next frame has to begin where the table says.
  return fragments.length > 0 && (end === Infinity || at === end) ? fragments : undefined
}

/** An offset that leads astray makes its table worthless, not the image. */
function orPassedOver(error: unknown): undefined {
  if (!(error instanceof CorruptFragmentsError)) throw error
  return undefined
}

async function byFragments(source: DataSetSource, layout: PixelLayout, frame: number): Promise<readonly Fragment[]> {
  const all: Fragment[] = []
  for await (const fragment of fragmentsOf(source, layout.offset)) all.push(fragment)
  const fragments = all.slice(1)
  const { frames } = layout
  if (frames === 1) return fragments
  if (fragments.length === frames) return [fragments[frame - 1]!]
  if (fragments.length < frames) {
    throw new CorruptFragmentsError(`${fragments.length} fragments are too few for ${frames} frames`)
  }
  const starts: number[] = []
  for (const [index, fragment] of fragments.entries()) {
    const bytes = await read(source.bytes(fragment.offset, fragment.offset + SNIFF_BYTES), SNIFF_BYTES)
    if (beginsBitstream(bytes)) starts.push(index)
  }
  if (starts.length !== frames || starts[0] !== 0) {
    throw new CorruptFragmentsError(`${starts.length} bitstreams begin in them, there should be ${frames}`)
  }
  return fragments.slice(starts[frame - 1], starts[frame])
}

/** JPEG and JPEG-LS: SOI; JPEG 2000: SOC and SIZ; JPEG XL: its codestream, or its box. */
const signatures = ['ffd8', 'ff4fff51', 'ff0a', '0000000c4a584c20'].map((hex) => Buffer.from(hex, 'hex'))

function beginsBitstream(bytes: Buffer): boolean {
  return signatures.some((signature) => bytes.subarray(0, signature.length).equals(signature))
}

async function read(stream: ByteStream, length: number): Promise<Buffer> {
  const chunks: Bytes[] = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= length) break
  }
  return Buffer.concat(chunks)
}
