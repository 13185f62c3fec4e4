import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip, createZstdCompress, type Zlib } from 'node:zlib'
import type { Bytes } from '../../dicom/bytes.ts'
import { chooseCoding, type Coding } from '../../dicomweb/negotiate/content-coding.ts'
import type { HttpContext } from '../context.ts'
import { Gatherer } from './gatherer.ts'

/** Bodies that are compressed at once: each takes a share of Node's four threads, and up to some MB. Others go plain. */
export const MAX_COMPRESSIONS = 32
/** Window of brotli and zstd, as a power of two of bytes: what repeats in metadata repeats in the next instance. */
const WINDOW_BITS = 19
/** Levels at which text costs little more than at the lowest, measured in docs/performance.md. */
const BROTLI_QUALITY = 3
const ZSTD_LEVEL = 3
const GZIP_LEVEL = 4

type Compressor = Transform & Pick<Zlib, 'flush'>

/** How each is made, and made to give out what it holds without forgetting it. */
const compressors: Readonly<Record<Coding, { readonly make: () => Compressor; readonly flush: number }>> = {
  zstd: {
    make: () =>
      createZstdCompress({
        params: {
          [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
          [constants.ZSTD_c_windowLog]: WINDOW_BITS,
        },
      }),
    flush: constants.ZSTD_e_flush,
  },
  br: {
    make: () =>
      createBrotliCompress({
        params: {
          [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
          [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS,
          [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
        },
      }),
    flush: constants.BROTLI_OPERATION_FLUSH,
  },
  gzip: { make: () => createGzip({ level: GZIP_LEVEL }), flush: constants.Z_SYNC_FLUSH },
}

let running = 0

/** Text: pixel data is compressed by codecs of its own, or is to be as it is (PS3.5 A.4). */
const TEXT =
  /^(application\/(dicom\+)?json|text\/(html|plain)|multipart\/related; *type="?application\/dicom\+xml"?)(;|$)/i

/** How a body with these headers is to be coded for its client, if it is. */
export function codingOf(c: HttpContext, headers: Readonly<Record<string, string | string[]>>): Coding | undefined {
  // What has a length may be asked for in ranges, which are of what is not coded.
  if (!TEXT.test(String(headers['Content-Type'])) || 'Content-Length' in headers) return undefined
  if (!c.var.config.http.compression || running >= MAX_COMPRESSIONS) return undefined
  return chooseCoding(c.req.header('accept-encoding'))
}

/** A body in a content coding. Where the body fails so does this: what is given out until then has no end. */
export async function* compressed(body: AsyncIterable<Bytes>, coding: Coding): AsyncGenerator<Bytes> {
  const { make, flush } = compressors[coding]
  const compressor = make()
  const source = body[Symbol.asyncIterator]()
  running++
  void feed(source, compressor, () => compressor.flush(flush))
  try {
    yield* compressor as AsyncIterable<Bytes>
  } finally {
    running--
    compressor.destroy()
    await source.return?.()
  }
}

/** Never fails: what goes wrong comes out of the compressor. */
async function feed(source: AsyncIterator<Bytes>, compressor: Compressor, giveOut: () => void): Promise<void> {
  let taken = Promise.resolve()
  const write = (piece: Bytes): void => {
    taken = new Promise((resolve) => compressor.write(piece, () => resolve()))
  }
  // Each piece is a turn of another thread: small ones are joined. What waits inside is given out when nothing comes.
  using gatherer = new Gatherer(write, giveOut)
  try {
    while (!compressor.destroyed) {
      const { value, done } = (await source.next()) as IteratorResult<Bytes, undefined>
      if (done) break
      gatherer.push(value)
      if (compressor.writableNeedDrain) await taken
    }
    if (!compressor.destroyed) gatherer.flush()
    await taken
    // With nothing left to take: Node would end a frame of zstd with the last piece, and begin another.
    if (!compressor.destroyed) compressor.end()
  } catch (error) {
    compressor.destroy(error as Error)
  }
}
