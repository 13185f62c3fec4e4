import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { ElementReader } from '../../dicom/element-reader.ts'
import { ElementWriter } from '../../dicom/element-writer.ts'
import { tokenRuns } from '../../dicom/token-runs.ts'
import { AttributeRewriter } from './attribute-rewriter.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import type { Imaging } from '../pool/imaging.ts'
import { PixelRewriter } from './pixel-rewriter.ts'
import type { Transcoding } from './plan-transcoding.ts'

/** Output is handed on in pieces of about this size. */
const PIECE_BYTES = 65_536

/**
 * Rewrites a data set with its pixel data in another syntax as it streams, frame by frame, and the attributes that
 * describe it (PS3.5 8.2). `body` is in `from`; the plan `isStreamable`.
 * @throws CodestreamError, CodecStoppedError, MalformedDataSetError from the iteration; the signal's reason
 */
export async function* transcode(
  body: ByteStream,
  plan: Transcoding,
  pool: Imaging,
  signal: AbortSignal,
): AsyncGenerator<Bytes> {
  const reader = new ElementReader(plan.from)
  const writer = new ElementWriter(plan.to)
  const attributes = new AttributeRewriter(plan, writer)
  const pixels = new PixelRewriter(plan, writer, pool, signal)
  let depth = reader.depth
  for await (const run of tokenRuns(body, reader)) {
    for (const token of run) {
      if (pixels.isBegun && !pixels.isOver) {
        await pixels.token(token)
        // Before a frame is there nothing is given: it may turn out that there is none to give.
        if (pixels.hasFrame) yield* writer.take()
      } else if (depth === 0 && 'header' in token && token.header.tag === Attribute.PixelData) {
        attributes.end()
        pixels.begin()
        await pixels.token(token)
      } else attributes.token(token, depth)
      if (pixels.isOver && writer.pending >= PIECE_BYTES) yield* writer.take()
      depth = reader.depth
    }
  }
  if (!pixels.isOver) throw new CodestreamError('there is no pixel data')
  yield* writer.take()
}
