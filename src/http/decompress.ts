import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import { HeadTooLargeError, readHead } from '../dicom/head.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import { planTranscoding, TRANSCODED, type Transcoding } from '../imaging/transcode/plan-transcoding.ts'
import { transcode } from '../imaging/transcode/transcode.ts'
import type { Instance } from '../pacs/instance.ts'
import { resumed } from './body.ts'
import type { HttpContext } from './environment.ts'

/** What is held of an instance before its pixel data: the functional groups of many frames are long. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024

/**
 * A data set with its pixel data converted, as soon as its first frame is there: what is damaged can be left out then.
 * @throws as transcode
 */
export async function converted(c: HttpContext, body: ByteStream, plan: Transcoding): Promise<ByteStream> {
  const { imaging, signal } = c.var
  const stream = transcode(body, plan, imaging, signal)
  const first = await stream.next()
  return resumed(first.done === true ? [] : [first.value], stream)
}

/** An instance that is to be stored, uncompressed, if archives[].store.decompress allows it and it can be done. */
export async function decompressed(c: HttpContext, instance: Instance): Promise<ByteStream | undefined> {
  const { syntax } = instance
  const { decompress } = c.var.archive.config.store
  if (decompress === 'never' || (decompress === 'lossless' && syntax.lossy)) return undefined
  const wanted = { until: Attribute.PixelData, only: TRANSCODED, maxBytes: MAX_HEADER_BYTES }
  try {
    const { head, body } = await readHead(instance.body, syntax, wanted)
    const plan = planTranscoding(head, syntax, EXPLICIT_VR_LITTLE_ENDIAN)
    return plan && (await converted(c, body, plan))
  } catch (error) {
    if (error instanceof HeadTooLargeError) return undefined
    throw error
  }
}
