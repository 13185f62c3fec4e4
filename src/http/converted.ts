import type { ByteStream } from '../dicom/bytes.ts'
import type { Transcoding } from '../imaging/transcode/plan-transcoding.ts'
import { transcode } from '../imaging/transcode/transcode.ts'
import { resumed } from './body/resumed.ts'
import type { HttpContext } from './context.ts'

/** What frames are converted by, and for how long. */
export type Converting = Pick<HttpContext['var'], 'imaging' | 'signal'>

/**
 * A data set with its pixel data converted, as soon as its first frame is there: what is damaged can be left out then.
 * @throws as transcode
 */
export async function converted(
  { imaging, signal }: Converting,
  body: ByteStream,
  plan: Transcoding,
): Promise<ByteStream> {
  const stream = transcode(body, plan, imaging, signal)
  const first = await stream.next()
  return resumed(first.done === true ? [] : [first.value], stream)
}
