import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from './codec-error.ts'
import type { ImageDescription } from '../image-description.ts'

const HEADER_BYTES = 64
const MAX_SEGMENTS = 15

/** Bytes of a sample, and how many there are of one colour. Single bits count in the bytes that they are packed in. */
function planeOf({ rows, columns, bitsAllocated }: ImageDescription): { length: number; sampleBytes: number } {
  return bitsAllocated === 1
    ? { length: Math.ceil((rows * columns) / 8), sampleBytes: 1 }
    : { length: rows * columns, sampleBytes: bitsAllocated / 8 }
}

/**
 * Decodes a frame (PS3.5 Annex G): samples interleaved, Little Endian.
 * @throws CodestreamError
 */
export function decodeRle(bytes: Bytes, image: ImageDescription): Bytes {
  const { length, sampleBytes } = planeOf(image)
  const segments = rleSegments(bytes, image)
  const expected = segments.length
  const out = Buffer.alloc(length * expected)
  segments.forEach(({ from, end }, segment) => {
    // The most significant byte of a sample comes first.
    const sample = Math.floor(segment / sampleBytes)
    const at = sample * sampleBytes + (sampleBytes - 1 - (segment % sampleBytes))
    unpack(bytes.subarray(from, end), out, at, expected, length)
  })
  return out
}

/** Where the segments of a frame are, by its header (PS3.5 G.3, G.5). @throws CodestreamError */
export function rleSegments(bytes: Bytes, image: ImageDescription): { readonly from: number; readonly end: number }[] {
  const expected = image.samplesPerPixel * planeOf(image).sampleBytes
  if (bytes.length < HEADER_BYTES) throw new CodestreamError('it ends within its header')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const count = view.getUint32(0, true)
  if (count !== expected || count > MAX_SEGMENTS) {
    throw new CodestreamError(`it has ${count} segments, the attributes say ${expected}`)
  }
  const offsets = Array.from({ length: count }, (_, n) => view.getUint32(4 + 4 * n, true))
  return offsets.map((from, segment) => {
    const end = offsets[segment + 1] ?? bytes.length
    if (from < HEADER_BYTES || end > bytes.length || from > end) throw new CodestreamError('its segments overlap')
    return { from, end }
  })
}

/** PS3.5 G.3.2, into every `step`th byte from `at`. */
function unpack(segment: Bytes, out: Buffer, at: number, step: number, count: number): void {
  let read = 0
  let written = 0
  while (written < count) {
    if (read >= segment.length) throw new CodestreamError('a segment ends too early')
    const n = segment[read++]!
    if (n < 128) {
      const run = Math.min(n + 1, count - written)
      if (read + run > segment.length) throw new CodestreamError('a segment ends too early')
      for (let k = 0; k < run; k++) out[at + step * written++] = segment[read + k]!
      read += n + 1
    } else if (n > 128) {
      if (read >= segment.length) throw new CodestreamError('a segment ends too early')
      const value = segment[read++]!
      const run = Math.min(257 - n, count - written)
      for (let k = 0; k < run; k++) out[at + step * written++] = value
    }
  }
}

/**
 * Encodes a frame of interleaved samples in Little Endian (PS3.5 Annex G); undefined where it has too many segments.
 */
export function encodeRle(frame: Bytes, image: ImageDescription): Bytes | undefined {
  const { length, sampleBytes } = planeOf(image)
  const count = image.samplesPerPixel * sampleBytes
  if (count > MAX_SEGMENTS) return undefined
  // Each row by itself (PS3.5 G.3.1).
  const row = image.bitsAllocated === 1 ? length : image.columns
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(count, 0)
  const parts: Bytes[] = [header]
  let offset = HEADER_BYTES
  for (let segment = 0; segment < count; segment++) {
    const sample = Math.floor(segment / sampleBytes)
    const at = sample * sampleBytes + (sampleBytes - 1 - (segment % sampleBytes))
    const plane = Buffer.alloc(length)
    for (let n = 0; n < length; n++) plane[n] = frame[at + count * n]!
    const packed = packRows(plane, row)
    header.writeUInt32LE(offset, 4 + 4 * segment)
    parts.push(packed)
    offset += packed.length
  }
  return Buffer.concat(parts)
}

function packRows(plane: Buffer, row: number): Bytes {
  // At worst one byte in 128 is added, and one to make the length even.
  const out = Buffer.alloc(plane.length + Math.ceil(row / 128) * Math.ceil(plane.length / row) + 1)
  let at = 0
  for (let start = 0; start < plane.length; start += row) at = pack(plane.subarray(start, start + row), out, at)
  return out.subarray(0, at + (at & 1))
}

function pack(line: Bytes, out: Buffer, at: number): number {
  let start = 0
  while (start < line.length) {
    let run = 1
    while (run < 128 && start + run < line.length && line[start + run] === line[start]) run++
    if (run >= 3 || start + run === line.length) {
      if (run > 1) {
        out[at++] = 257 - run
        out[at++] = line[start]!
        start += run
        continue
      }
    }
    let end = start + 1
    while (end < line.length && end - start < 128 && !isRun(line, end)) end++
    out[at++] = end - start - 1
    for (let n = start; n < end; n++) out[at++] = line[n]!
    start = end
  }
  return at
}

/** Three alike are worth a run of their own. */
function isRun(line: Bytes, at: number): boolean {
  return line[at] === line[at + 1] && line[at] === line[at + 2]
}
