import { crc32 } from 'node:zlib'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'

// Numbers of sections are those of PKWARE's APPNOTE 6.3.

/** Files of one archive: what is told of each at its end is held until then. */
export const MAX_ZIP_ENTRIES = 250_000
/** Pieces of the central directory are of about so many bytes. */
const PIECE_BYTES = 65_536

/** 4.4.3.2: with ZIP64. */
const VERSION = 45
/** 4.4.4: sizes stand behind the data (bit 3); names are UTF-8 (bit 11). */
const FLAGS = 0x0808
const STORED = 0
/** 4.5.3. */
const ZIP64 = 0x0001
/** 4.4.8: the size is in the ZIP64 extra field. */
const ELSEWHERE = 0xffffffff
/** 4.4.21: the same of the number of entries. */
const MANY = 0xffff

/** More files than one archive is made of. */
export class TooManyEntriesError extends Error {
  readonly code = 'TOO_MANY_ENTRIES'
  constructor() {
    super(`A ZIP archive of more than ${MAX_ZIP_ENTRIES} files`)
    this.name = 'TooManyEntriesError'
  }
}

export interface ZipEntry {
  /** Its path, with `/` between folders. */
  readonly name: string
  readonly body: ByteStream
}

/**
 * A ZIP archive of files as they come, stored as they are (PS3.18 8.6.1.3 has it carry instances). Sizes are written behind
 * each, with 64 bits: how long it is need not be known, nor be short of 4 GiB. `date`: that of all files. Where a file fails
 * so does this, and what is given out until then has no central directory: no reader takes it for whole.
 * @throws TooManyEntriesError
 */
export async function* zip(entries: AsyncIterable<ZipEntry>, date: Date): AsyncGenerator<Bytes> {
  const at = dosTime(date)
  const directory: Bytes[] = []
  let offset = 0
  for await (const { name, body } of entries) {
    if (directory.length >= MAX_ZIP_ENTRIES) throw new TooManyEntriesError()
    const path = Buffer.from(name, 'utf8')
    const start = offset
    const header = localHeader(path, at)
    yield header
    let size = 0
    let crc = 0
    for await (const piece of body) {
      crc = crc32(piece, crc)
      size += piece.length
      yield piece
    }
    const descriptor = dataDescriptor(crc, size)
    yield descriptor
    offset += header.length + size + descriptor.length
    directory.push(directoryEntry(path, at, { crc, size, start }))
  }
  yield* inPieces(directory)
  const length = directory.reduce((sum, entry) => sum + entry.length, 0)
  yield endOfDirectory({ entries: directory.length, length, offset })
}

/** 4.3.7: sizes and CRC are not known yet; the extra field says that they will have 64 bits. */
function localHeader(path: Bytes, at: number): Bytes {
  const head = Buffer.alloc(30 + 20)
  head.writeUInt32LE(0x04034b50, 0)
  head.writeUInt16LE(VERSION, 4)
  head.writeUInt16LE(FLAGS, 6)
  head.writeUInt16LE(STORED, 8)
  head.writeUInt32LE(at, 10)
  head.writeUInt32LE(ELSEWHERE, 18)
  head.writeUInt32LE(ELSEWHERE, 22)
  head.writeUInt16LE(path.length, 26)
  head.writeUInt16LE(20, 28)
  head.writeUInt16LE(ZIP64, 30)
  head.writeUInt16LE(16, 32)
  return Buffer.concat([head.subarray(0, 30), path, head.subarray(30)])
}

/** 4.3.9. */
function dataDescriptor(crc: number, size: number): Bytes {
  const descriptor = Buffer.alloc(24)
  descriptor.writeUInt32LE(0x08074b50, 0)
  descriptor.writeUInt32LE(crc, 4)
  descriptor.writeBigUInt64LE(BigInt(size), 8)
  descriptor.writeBigUInt64LE(BigInt(size), 16)
  return descriptor
}

/** 4.3.12. */
function directoryEntry(
  path: Bytes,
  at: number,
  { crc, size, start }: { readonly crc: number; readonly size: number; readonly start: number },
): Bytes {
  const entry = Buffer.alloc(46 + 28)
  entry.writeUInt32LE(0x02014b50, 0)
  // Made by Unix, so that the mode of files counts.
  entry.writeUInt16LE((3 << 8) | VERSION, 4)
  entry.writeUInt16LE(VERSION, 6)
  entry.writeUInt16LE(FLAGS, 8)
  entry.writeUInt16LE(STORED, 10)
  entry.writeUInt32LE(at, 12)
  entry.writeUInt32LE(crc, 16)
  entry.writeUInt32LE(ELSEWHERE, 20)
  entry.writeUInt32LE(ELSEWHERE, 24)
  entry.writeUInt16LE(path.length, 28)
  entry.writeUInt16LE(28, 30)
  // A file that its owner may read and write, and others read.
  entry.writeUInt32LE((0o100644 << 16) >>> 0, 38)
  entry.writeUInt32LE(ELSEWHERE, 42)
  entry.writeUInt16LE(ZIP64, 46)
  entry.writeUInt16LE(24, 48)
  entry.writeBigUInt64LE(BigInt(size), 50)
  entry.writeBigUInt64LE(BigInt(size), 58)
  entry.writeBigUInt64LE(BigInt(start), 66)
  return Buffer.concat([entry.subarray(0, 46), path, entry.subarray(46)])
}

/** 4.3.14 to 4.3.16. */
function endOfDirectory({
  entries,
  length,
  offset,
}: {
  readonly entries: number
  readonly length: number
  readonly offset: number
}): Bytes {
  const end = Buffer.alloc(56 + 20 + 22)
  end.writeUInt32LE(0x06064b50, 0)
  end.writeBigUInt64LE(44n, 4)
  end.writeUInt16LE((3 << 8) | VERSION, 12)
  end.writeUInt16LE(VERSION, 14)
  end.writeBigUInt64LE(BigInt(entries), 24)
  end.writeBigUInt64LE(BigInt(entries), 32)
  end.writeBigUInt64LE(BigInt(length), 40)
  end.writeBigUInt64LE(BigInt(offset), 48)
  end.writeUInt32LE(0x07064b50, 56)
  end.writeBigUInt64LE(BigInt(offset + length), 64)
  end.writeUInt32LE(1, 72)
  end.writeUInt32LE(0x06054b50, 76)
  end.writeUInt16LE(Math.min(entries, MANY), 84)
  end.writeUInt16LE(Math.min(entries, MANY), 86)
  end.writeUInt32LE(Math.min(length, ELSEWHERE), 88)
  end.writeUInt32LE(Math.min(offset, ELSEWHERE), 92)
  return end
}

/** 4.4.6: MS-DOS time in the lower half, date in the upper; of 1980 to 2107, to two seconds, of no zone. */
function dosTime(date: Date): number {
  const year = Math.min(Math.max(date.getUTCFullYear(), 1980), 2107) - 1980
  const day = (year << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate()
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1)
  return ((day << 16) | time) >>> 0
}

function* inPieces(all: readonly Bytes[]): Generator<Bytes> {
  let held: Bytes[] = []
  let size = 0
  for (const one of all) {
    held.push(one)
    size += one.length
    if (size < PIECE_BYTES) continue
    yield Buffer.concat(held)
    held = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(held)
}
