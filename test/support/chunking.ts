import fc from 'fast-check'
import type { Bytes } from '../../src/dicom/bytes.ts'

/** Chunks of one byte each. */
export function byteByByte(bytes: Bytes): Bytes[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
}

/** Chunks of a size, the last one shorter. */
export function chunksOf(bytes: Bytes, size: number): Bytes[] {
  const chunks: Bytes[] = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
  return chunks
}

/** Cut at the offsets given, which may be in any order, repeated, or beyond the end. */
export function cutAt(bytes: Bytes, offsets: readonly number[]): Bytes[] {
  const cuts = [...new Set(offsets.map((offset) => Math.min(offset, bytes.length)))].sort((a, b) => a - b)
  const edges = [0, ...cuts, bytes.length]
  return edges.slice(1).flatMap((end, index) => (end > edges[index]! ? [bytes.subarray(edges[index], end)] : []))
}

/** Offsets to cut at, for messages of up to `length` bytes. */
export function cuts(length: number): fc.Arbitrary<number[]> {
  return fc.array(fc.nat({ max: length }), { maxLength: 12 })
}
