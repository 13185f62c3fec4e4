import type { Bytes } from '../dicom/bytes.ts'

/** Chunks to keep, and the memory that keeping them takes. */
export interface HeldBytes {
  readonly chunks: readonly Bytes[]
  readonly heldBytes: number
}

/** A view keeps its whole buffer alive: below this share of it in use, the bytes are copied out. */
const WORTHWHILE_SHARE = 1 / 2

/**
 * Chunks that are to stay: views of buffers that they mostly fill stay views, and count with the whole buffer; small
 * remainders are copied, so that some bytes do not pin a read buffer.
 */
export function toKeep(chunks: readonly Bytes[]): HeldBytes {
  const used = new Map<ArrayBufferLike, number>()
  for (const { buffer, length } of chunks) used.set(buffer, (used.get(buffer) ?? 0) + length)
  const isWorthwhile = ({ buffer }: Bytes): boolean => used.get(buffer)! >= buffer.byteLength * WORTHWHILE_SHARE
  let heldBytes = 0
  for (const [buffer, bytes] of used) {
    heldBytes += bytes >= buffer.byteLength * WORTHWHILE_SHARE ? buffer.byteLength : bytes
  }
  const kept: Bytes[] = []
  let run: Bytes[] = []
  const copyRun = (): void => {
    if (run.length > 0) kept.push(copied(run))
    run = []
  }
  for (const chunk of chunks) {
    if (!isWorthwhile(chunk)) run.push(chunk)
    else {
      copyRun()
      kept.push(chunk)
    }
  }
  copyRun()
  return { chunks: kept, heldBytes }
}

function copied(chunks: readonly Bytes[]): Bytes {
  // Not from Buffer's pool, which is shared: the copy is to pin nothing but itself.
  const copy = Buffer.allocUnsafeSlow(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    copy.set(chunk, at)
    at += chunk.length
  }
  return copy
}
