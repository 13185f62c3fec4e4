import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { replay } from '../../dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../dicom/transfer-syntax.ts'
import { MAX_CONVERTED_FRAMES, planTranscoding } from '../../imaging/transcode/plan-transcoding.ts'
import { hasHead } from '../../instance/head.ts'
import type { Instance } from '../../pacs/instance.ts'
import { converted, type Converting } from '../converted.ts'
import type { Growth } from './growth.ts'

/** What is held of an instance before its pixel data: the functional groups of many frames are long. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024

export interface Decompression extends Converting {
  readonly decompress: 'lossless' | 'always' | 'never'
  /** Undefined: it may become as large as it is. */
  readonly growth?: Growth | undefined
}

/**
 * An instance that is to be stored, uncompressed, where that is allowed and can be done.
 * @throws RequestError 413 where it comes to more than a request may
 */
export async function decompressed(
  instance: Instance,
  { decompress, growth, ...converting }: Decompression,
): Promise<ByteStream | undefined> {
  const { syntax } = instance
  if (decompress === 'never' || (decompress === 'lossless' && syntax.lossy)) return undefined
  const body = await readToPixels(instance)
  const { layout } = instance.index
  const plan = body && layout && planTranscoding(layout, syntax, EXPLICIT_VR_LITTLE_ENDIAN)
  if (!plan || plan.frames > MAX_CONVERTED_FRAMES) return undefined
  growth?.decompress(layout)
  return converted(converting, body, plan)
}

/** The data set from its start, read as far as its pixel data; undefined where that is too far. @throws what its body throws */
async function readToPixels({ index, body }: Instance): Promise<ByteStream | undefined> {
  const iterator: AsyncIterator<Bytes, unknown> = body[Symbol.asyncIterator]()
  const held: Bytes[] = []
  let size = 0
  while (!hasHead(index)) {
    const { value, done } = await iterator.next()
    if (done) break
    held.push(value)
    size += value.length
    if (size <= MAX_HEADER_BYTES) continue
    await iterator.return?.()
    return undefined
  }
  return replay(held, iterator)
}
