import type { Bytes, ByteStream } from '../../src/dicom/bytes.ts'

/** A stream that tells what became of it. */
export interface WatchedStream extends ByteStream {
  /** Chunks taken so far. */
  readonly taken: number
  /** Left early or run out: nothing more is held open. */
  readonly closed: boolean
}

/** The chunks, each after a turn of the event loop's queue, and in the end `failure` where it is given. */
export function streamOf(chunks: readonly Bytes[], failure?: Error): WatchedStream {
  const state = { taken: 0, closed: false }
  async function* stream(): AsyncGenerator<Bytes> {
    try {
      for (const chunk of chunks) {
        await Promise.resolve()
        state.taken++
        yield chunk
      }
      if (failure) throw failure
    } finally {
      state.closed = true
    }
  }
  return {
    [Symbol.asyncIterator]: stream,
    get taken() {
      return state.taken
    },
    get closed() {
      return state.closed
    },
  }
}

/** Everything a stream gives, joined. */
export async function collect(stream: ByteStream): Promise<Buffer> {
  const chunks: Bytes[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** What a stream gives, and the error it ends in, if any. */
export async function collectUntilError(stream: ByteStream): Promise<{ bytes: Buffer; error: unknown }> {
  const chunks: Bytes[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk)
    return { bytes: Buffer.concat(chunks), error: undefined }
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error }
  }
}
