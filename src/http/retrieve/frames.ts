import { notAcceptable, acceptHeader } from '../accept.ts'
import { isVideo } from '../../dicom/transfer-syntax.ts'
import { checkFrames } from '../../instance/frames.ts'
import { negotiateBulkData } from '../../dicomweb/negotiate/negotiate-bulk.ts'
import { Delivery, type Part } from './delivery.ts'
import type { HttpContext } from '../context.ts'
import { instanceUrl, pathInstance } from '../path.ts'
import { openPixelData, type GivenPixels } from './pixel-source.ts'
import { RequestError } from '../problem.ts'
import { exactly, sendSized } from '../body/sized-body.ts'
import { ofInstance } from '../validators/giving.ts'
import { sendOnePart } from './one-part.ts'

/** Frames in one request: more than any list in a URL of 64 KiB can name twice over. */
const MAX_FRAMES_LISTED = 10_000

/** WADO-RS of frames (PS3.18 10.4): one part each, in the order asked for. */
export async function retrieveFrames(c: HttpContext): Promise<Response> {
  const frames = frameList(c.req.param('frames') ?? '')
  const uids = pathInstance(c)
  const offers = negotiateBulkData(acceptHeader(c), { single: frames.length === 1 })
  const [best] = offers
  if (!best) throw notAcceptable()
  using pixels = await openPixelData(c, uids, offers)
  const { layout, instance, representation } = pixels
  if (isVideo(instance.syntax)) {
    throw new RequestError(
      406,
      'NOT_ACCEPTABLE',
      'The frames of a video cannot be given one by one. Ask for its pixel data: .../pixeldata.',
    )
  }
  checkFrames(frames, layout.frames)
  const url = instanceUrl(c, uids)
  const [first] = frames
  if (frames.length === 1) {
    const frame = await pixels.frame(first!)
    const location = `${url}/frames/${first!}`
    if (representation.form === 'multipart') return await sendOnePart(c, instance, frame, representation, location)
    const headers = { 'Content-Type': representation.contentType, 'Content-Location': location }
    return await sendSized(c, frame, headers, { kept: ofInstance(c, instance, { freshness: 'fixed' }) })
  }
  const delivery = new Delivery(c, ofInstance(c, instance, { freshness: 'fixed', isWeak: true }))
  return await delivery.sendAll(frameParts(pixels, frames, url), {})
}

/** One part for each frame. */
export async function* frameParts(
  { frame: frameOf, representation }: Pick<GivenPixels, 'frame' | 'representation'>,
  frames: Iterable<number>,
  url: string,
): AsyncGenerator<Part> {
  for (const frame of frames) {
    const { length, bytes } = await frameOf(frame)
    const headers = {
      'Content-Type': representation.contentType,
      'Content-Length': length,
      'Content-Location': `${url}/frames/${frame}`,
    }
    yield { headers, body: exactly(bytes(), length) }
  }
}

/** A list of frame numbers from 1, each once. @throws RequestError 400 */
export function frameList(text: string): number[] {
  const items = text.split(',')
  const frames = items.map((item) => (/^[1-9]\d{0,8}$/.test(item) ? Number(item) : undefined))
  if (items.length > MAX_FRAMES_LISTED || frames.includes(undefined) || new Set(frames).size < frames.length) {
    throw new RequestError(400, 'INVALID_FRAME_LIST', 'Frames are numbers from 1, each once, with commas between them.')
  }
  return frames as number[]
}
