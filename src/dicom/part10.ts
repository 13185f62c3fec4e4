import { asGiven } from './as-given.ts'
import { Attribute } from './attributes.ts'
import { concat, once, type Bytes, type ByteStream } from './bytes.ts'
import { Dataset } from './dataset.ts'
import { encodeDataset, parseDataset } from './dataset-codec.ts'
import { ElementReader } from './element-reader.ts'
import {
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
  type TransferSyntax,
} from './transfer-syntax.ts'
import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, type Uid } from './uids.ts'

/** More than any File Meta Information in use; a bound on what is held before the data set begins. */
export const MAX_META_BYTES = 65_536

const PREAMBLE_BYTES = 128
const MAGIC = 'DICM'
const PREAMBLE = Buffer.concat([Buffer.alloc(PREAMBLE_BYTES), Buffer.from(MAGIC)])
/** The element File Meta Information Group Length whole, which does not count itself. */
const GROUP_LENGTH_BYTES = 12
/** Enough of a data set to tell its encoding: tag and VR. */
const SNIFF_BYTES = 8

export class NotDicomError extends Error {
  readonly code = 'NOT_DICOM'
  constructor(problem: string, options?: ErrorOptions) {
    super(`Not a DICOM file: ${problem}`, options)
    this.name = 'NotDicomError'
  }
}

export interface Part10File {
  /** Group 0002; empty where the file has none. */
  readonly meta: Dataset
  /** How the data set is really written, which a few files misname. */
  readonly syntax: TransferSyntax
  /** The data set, from its first element on. */
  readonly body: ByteStream
}

/** The bytes before the data set of a PS3.10 file: preamble, prefix, File Meta Information (PS3.10 7.1). */
export function part10Header(sopClass: Uid, sopInstance: Uid, syntax: TransferSyntax): Bytes {
  const meta = new Dataset()
    .set(Attribute.FileMetaInformationGroupLength, 0, 'UL')
    .put(Attribute.FileMetaInformationVersion, { vr: 'OB', value: Uint8Array.of(0, 1) })
    .put(Attribute.MediaStorageSOPClassUID, { vr: 'UI', value: asGiven('UI', [sopClass]) })
    .put(Attribute.MediaStorageSOPInstanceUID, { vr: 'UI', value: asGiven('UI', [sopInstance]) })
    .set(Attribute.TransferSyntaxUID, syntax.uid)
    .set(Attribute.ImplementationClassUID, IMPLEMENTATION_CLASS_UID)
    .set(Attribute.ImplementationVersionName, IMPLEMENTATION_VERSION_NAME)
  const group = encodeDataset(meta, EXPLICIT_VR_LITTLE_ENDIAN)
  new DataView(group.buffer, group.byteOffset).setUint32(8, group.length - GROUP_LENGTH_BYTES, true)
  return Buffer.concat([PREAMBLE, group])
}

/**
 * Reads the head of a PS3.10 file and gives the rest on. Tolerates what is in the wild: no preamble, no File Meta
 * Information, a wrong group length, a meta header in Implicit VR, a transfer syntax that the data set belies.
 * @throws NotDicomError, MalformedDataSetError
 */
export async function readPart10(source: ByteStream): Promise<Part10File> {
  const iterator: AsyncIterator<Bytes, unknown> = source[Symbol.asyncIterator]()
  let head: Bytes = new Uint8Array(0)
  let ended = false
  try {
    for (;;) {
      const found = parseHead(head, ended)
      if (found) {
        const { meta, syntax, offset } = found
        return { meta, syntax, body: replay([head.subarray(offset)], iterator) }
      }
      if (head.length > MAX_META_BYTES) throw new NotDicomError('its meta information has no end')
      const { value, done } = await iterator.next()
      if (done) ended = true
      else head = head.length === 0 ? value : Buffer.concat([head, value])
    }
  } catch (error) {
    await iterator.return?.()
    throw error
  }
}

/** Chunks already read, then the rest of their source, whose end it shares. */
export async function* replay(chunks: readonly Bytes[], rest: AsyncIterator<Bytes, unknown>): AsyncGenerator<Bytes> {
  try {
    for (const chunk of chunks) if (chunk.length > 0) yield chunk
    for (;;) {
      const { value, done } = await rest.next()
      if (done) return
      yield value
    }
  } finally {
    await rest.return?.()
  }
}

interface Head {
  readonly meta: Dataset
  readonly syntax: TransferSyntax
  readonly offset: number
}

function parseHead(bytes: Bytes, ended: boolean): Head | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < PREAMBLE_BYTES + MAGIC.length + SNIFF_BYTES && !ended) return undefined
  const start =
    buffer.toString('latin1', PREAMBLE_BYTES, PREAMBLE_BYTES + 4) === MAGIC
      ? PREAMBLE_BYTES + 4
      : buffer.toString('latin1', 0, 4) === MAGIC
        ? 4
        : 0
  const metaEnd = endOfMeta(buffer, start, ended)
  if (metaEnd === undefined || (!ended && buffer.length < metaEnd + SNIFF_BYTES)) return undefined
  const meta = parseDataset(buffer.subarray(start, metaEnd), metaSyntax(buffer, start))
  if (metaEnd >= buffer.length) throw new NotDicomError('it has no data set')
  return { meta, syntax: dataSetSyntax(meta, buffer.subarray(metaEnd)), offset: metaEnd }
}

function metaSyntax(buffer: Buffer, start: number): TransferSyntax {
  return lettersAt(buffer, start + 4) ? EXPLICIT_VR_LITTLE_ENDIAN : IMPLICIT_VR_LITTLE_ENDIAN
}

/** Where group 0002 ends, by its elements and not by its length; undefined when more bytes are needed. */
function endOfMeta(buffer: Buffer, start: number, ended: boolean): number | undefined {
  if (buffer.length < start + SNIFF_BYTES || buffer.readUInt16LE(start) !== 2) return start
  const reader = new ElementReader(metaSyntax(buffer, start))
  reader.push(buffer.subarray(start))
  for (;;) {
    const at = start + reader.offset
    // What follows group 0002 may be encoded otherwise: only headers of the group itself are read.
    if (buffer.length >= at + 2 && buffer.readUInt16LE(at) !== 2) return at
    const token = reader.next()
    const end = token?.kind === 'element' ? reader.offset + token.header.length! : undefined
    if (end === undefined || buffer.length < start + end) {
      if (ended) throw new NotDicomError('it ends inside its meta information')
      return undefined
    }
    while (reader.offset < end) reader.next()
  }
}

function dataSetSyntax(meta: Dataset, data: Buffer): TransferSyntax {
  const uid = meta.string(Attribute.TransferSyntaxUID)
  const named = uid === undefined ? undefined : transferSyntax(uid)
  if (named && (named.deflated || named.encapsulated)) return named
  const seen = sniff(data)
  if (seen) return seen
  if (named) return named
  throw new NotDicomError('neither a meta header nor a data set is at its start')
}

/** Tells the native encodings apart by the first element, which is of group 0008 or below in every data set. */
function sniff(data: Buffer): TransferSyntax | undefined {
  if (data.length < SNIFF_BYTES) return undefined
  const letters = lettersAt(data, 4)
  const little = data.readUInt16LE(0)
  const big = data.readUInt16BE(0)
  if (letters && big <= 0x20 && big > 0 && little > 0x20) return EXPLICIT_VR_BIG_ENDIAN
  if (little > 0x20 || little === 0) return undefined
  return letters ? EXPLICIT_VR_LITTLE_ENDIAN : IMPLICIT_VR_LITTLE_ENDIAN
}

function lettersAt(buffer: Buffer, at: number): boolean {
  return /^[A-Z]{2}$/.test(buffer.toString('latin1', at, at + 2))
}

/**
 * A whole small file at once: its meta, and its data set as bytes. For the demo and tests.
 * @throws as readPart10
 */
export async function parsePart10(bytes: Bytes): Promise<{ meta: Dataset; syntax: TransferSyntax; data: Bytes }> {
  const { meta, syntax, body } = await readPart10(once(bytes))
  const chunks: Bytes[] = []
  for await (const chunk of body) chunks.push(chunk)
  return { meta, syntax, data: concat(chunks) }
}
