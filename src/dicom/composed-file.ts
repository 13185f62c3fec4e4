import type { Bytes, ByteStream } from './bytes.ts'
import type { Dataset } from './dataset.ts'
import { writeElement } from './dataset-codec.ts'
import { ElementWriter } from './element-writer.ts'
import { part10Header } from './part10.ts'
import type { Tag } from './tag.ts'
import type { TransferSyntax } from './transfer-syntax.ts'
import type { Uid } from './uids.ts'
import type { Vr } from './vr.ts'

/** The longest value, of even length (PS3.5 7.1.1). */
export const MAX_VALUE_BYTES = 2 ** 32 - 2

/** A value that is not in memory. What it gives has to come to its length. */
export interface StreamedValue {
  readonly tag: Tag
  readonly vr: Vr
  /** Bytes, without padding. */
  readonly length: number
  readonly body: ByteStream
}

/** Encapsulated Pixel Data, a fragment for each frame, behind an empty Basic Offset Table (PS3.5 A.4). */
export interface StreamedFrames {
  readonly tag: Tag
  readonly frames: AsyncIterable<Bytes>
}

/** Encapsulated Pixel Data of one fragment that is not in memory: a video. */
export interface StreamedFragment {
  readonly tag: Tag
  readonly fragment: Pick<StreamedValue, 'length' | 'body'>
}

/** What is streamed into a data set. */
export type Streamed = StreamedValue | StreamedFrames | StreamedFragment

/** A value that was streamed into a data set is not as long as was said. */
export class StreamedLengthError extends Error {
  readonly code = 'STREAMED_LENGTH'
  constructor(length: number, got: number) {
    super(`A value has ${got} bytes or more where ${length} were announced`)
    this.name = 'StreamedLengthError'
  }
}

/** Bytes that are gathered before they are given on. */
const CHUNK_BYTES = 65_536

/**
 * A PS3.10 file of a data set, of which one element at the top is streamed into its place; an element of the data set
 * with its tag is passed over. Not deflated.
 * @throws StreamedLengthError, and what the stream throws
 */
export async function* composedFile(
  dataset: Dataset,
  syntax: TransferSyntax,
  { sopClass, sopInstance }: { readonly sopClass: Uid; readonly sopInstance: Uid },
  streamed?: Streamed,
): AsyncGenerator<Bytes> {
  yield part10Header(sopClass, sopInstance, syntax)
  const writer = new ElementWriter(syntax)
  let isDone = streamed === undefined
  for (const [tag, element] of dataset.entries()) {
    if (streamed && !isDone && tag >= streamed.tag) {
      yield* written(streamed, writer)
      isDone = true
    }
    if (tag !== streamed?.tag) writeElement(tag, element, writer)
    if (writer.pending >= CHUNK_BYTES) yield* writer.take()
  }
  if (streamed && !isDone) yield* written(streamed, writer)
  yield* writer.take()
}

async function* written(streamed: Streamed, writer: ElementWriter): AsyncGenerator<Bytes> {
  if ('frames' in streamed) {
    yield* writtenFrames(streamed, writer)
    return
  }
  const { tag } = streamed
  if ('fragment' in streamed) {
    const { fragment } = streamed
    beginFragments(tag, writer)
    writer.write({ kind: 'fragment', index: 1, length: fragment.length })
    yield* writtenBytes(fragment, writer)
    writer.write({ kind: 'sequence-end' })
    return
  }
  const { vr, length } = streamed
  writer.write({ kind: 'element', header: { tag, vr, length }, bigEndian: false })
  yield* writtenBytes(streamed, writer)
}

async function* writtenBytes(
  { length, body }: Pick<StreamedValue, 'length' | 'body'>,
  writer: ElementWriter,
): AsyncGenerator<Bytes> {
  let got = 0
  for await (const bytes of body) {
    if (bytes.length === 0) continue
    got += bytes.length
    if (got > length) throw new StreamedLengthError(length, got)
    writer.write({ kind: 'value', bytes, last: got === length })
    yield* writer.take()
  }
  if (got !== length) throw new StreamedLengthError(length, got)
}

/** With an empty Basic Offset Table. */
function beginFragments(tag: Tag, writer: ElementWriter): void {
  writer.write({ kind: 'pixel-sequence-start', header: { tag, vr: 'OB', length: undefined } })
  writer.write({ kind: 'fragment', index: 0, length: 0 })
}

async function* writtenFrames({ tag, frames }: StreamedFrames, writer: ElementWriter): AsyncGenerator<Bytes> {
  beginFragments(tag, writer)
  let index = 0
  for await (const bytes of frames) {
    writer.write({ kind: 'fragment', index: ++index, length: bytes.length })
    if (bytes.length > 0) writer.write({ kind: 'value', bytes, last: true })
    yield* writer.take()
  }
  writer.write({ kind: 'sequence-end' })
}
