/** A run of bytes. Node's Buffer is one too; nothing here relies on it. */
export type Bytes = Uint8Array

/** Bytes as they arrive; one consumer, chunks of any size, never empty chunks kept by reference elsewhere. */
export type ByteStream = AsyncIterable<Bytes>

/** Bytes that are here as ones that arrive. */
export async function* once(bytes: Bytes): AsyncGenerator<Bytes> {
  yield bytes
}

/** Joins chunks into one array; a single chunk is passed on as it is. */
export function concat(chunks: readonly Bytes[]): Bytes {
  if (chunks.length === 1) return chunks[0]!
  return Buffer.concat(chunks)
}
