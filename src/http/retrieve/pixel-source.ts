import { notAcceptable } from '../accept.ts'
import type { InstanceUids } from '../../instance/uids.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { concat, type Bytes } from '../../dicom/bytes.ts'
import { isVideo } from '../../dicom/transfer-syntax.ts'
import { frameOf, layoutOf, wholePixelData, type SizedBytes } from '../../instance/frames.ts'
import {
  byWish,
  representPixelData,
  wantedSyntaxes,
  type BulkOffer,
  type Representation,
} from '../../dicomweb/negotiate/negotiate-bulk.ts'
import type { PixelLayout } from '../../instance/pixel-layout.ts'
import { BitJoiner } from '../../imaging/transcode/bit-joiner.ts'
import { CodestreamError } from '../../imaging/codecs/codec-error.ts'
import { frameBits, MAX_FRAME_BYTES } from '../../imaging/image-description.ts'
import { isDecodable } from '../../imaging/codecs/decode-frame.ts'
import { convertFrame } from '../../imaging/transcode/convert-frame.ts'
import { checkWhole, planTranscoding, type Transcoding } from '../../imaging/transcode/plan-transcoding.ts'
import { IncompleteRetrieveError } from '../../pacs/retrieve/errors.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { sizedBytes } from '../body/sized-body.ts'

/** Pixel data in the form in which it is given to the client. */
export interface GivenPixels {
  readonly representation: Representation
  /** One frame, counted from 1. @throws NoSuchFrameError, and what reading and converting it throw */
  frame(number: number): Promise<SizedBytes>
  /**
   * All of it as one value; undefined where its frames are bitstreams of their own.
   * @throws UnusableImageError, CodestreamError where all of it is not converted
   */
  value(): Promise<SizedBytes> | undefined
  /** Sees to it that there is something to give: resolves when the first frame is converted. @throws as `frame` */
  ready(): Promise<void>
}

/** The pixel data of an instance, and how it is given to the client. To be disposed of. */
export interface PixelSource extends GivenPixels, Disposable {
  readonly instance: CachedInstance
  readonly layout: PixelLayout
}

/**
 * Opens the pixel data of an instance in a form that the client accepts: as it is stored; else converted; else as the
 * archive decompresses it, where there is no decoder here; else as it is if it exists only with loss (PS3.18 8.7.3).
 * @throws RequestError 404 without pixel data, 406; what a retrieval throws
 */
export async function openPixelData(
  c: HttpContext,
  uids: InstanceUids,
  offers: readonly BulkOffer[],
): Promise<PixelSource> {
  const { archive, cache, signal } = c.var
  const open = (compressed: boolean): Promise<CachedInstance> =>
    cache.instance(archive, uids, { compressed, part: true }, { signal })
  const stored = await open(true)
  try {
    const found = await pixelSource(c, stored, offers)
    if (found) return found
    const isAsked = stored.syntax.encapsulated && !isDecodable(stored.syntax.uid) && !isVideo(stored.syntax)
    if (!isAsked) return await lossySource(c, stored, offers)
  } catch (error) {
    stored[Symbol.dispose]()
    throw error
  }
  // Nobody waits for an association while holding one.
  stored[Symbol.dispose]()
  const native = await open(false).catch(orNone)
  const asked = native && (await pixelSource(c, native, offers).catch(disposed(native)))
  if (asked) return asked
  native?.[Symbol.dispose]()
  if (!representPixelData(offers, stored.syntax, true)) throw notAcceptable()
  const again = await open(true)
  return await lossySource(c, again, offers).catch(disposed(again))
}

/** @throws RequestError 406 */
async function lossySource(c: HttpContext, stored: CachedInstance, offers: readonly BulkOffer[]): Promise<PixelSource> {
  const lossy = await pixelSource(c, stored, offers, true)
  if (lossy) return lossy
  throw notAcceptable()
}

function disposed(instance: CachedInstance): (error: unknown) => never {
  return (error) => {
    instance[Symbol.dispose]()
    throw error
  }
}

/** An archive that cannot decompress it sends nothing. */
function orNone(error: unknown): undefined {
  if (!(error instanceof IncompleteRetrieveError)) throw error
  return undefined
}

async function pixelSource(
  c: HttpContext,
  instance: CachedInstance,
  offers: readonly BulkOffer[],
  lossyToo = false,
): Promise<PixelSource | undefined> {
  const layout = await requiredLayout(instance)
  const given = givenPixels(c, instance, layout, offers, lossyToo)
  return given && { ...given, instance, layout, [Symbol.dispose]: () => instance[Symbol.dispose]() }
}

/**
 * The pixel data of an instance in the form that the client wants most; of what is wanted alike as it is stored, else in
 * the first that can be made of it.
 */
export function givenPixels(
  c: HttpContext,
  instance: CachedInstance,
  layout: PixelLayout,
  offers: readonly BulkOffer[],
  lossyToo: boolean,
): GivenPixels | undefined {
  const from = instance.syntax
  for (const alike of byWish(offers)) {
    const asStored = representPixelData(alike, instance.syntax, false)
    if (asStored) return storedPixels(instance, layout, asStored)
    for (const { syntax, ...representation } of wantedSyntaxes(alike)) {
      const plan = layout.tag === Attribute.PixelData && planTranscoding(layout, from, syntax)
      if (plan) return convertedPixels(c, instance, layout, representation, plan)
    }
  }
  const lossy = lossyToo ? representPixelData(offers, instance.syntax, true) : undefined
  return lossy && storedPixels(instance, layout, lossy)
}

function storedPixels(instance: CachedInstance, layout: PixelLayout, representation: Representation): GivenPixels {
  const isStream = isVideo(instance.syntax)
  return {
    representation,
    frame: (number) => frameOf(instance, layout, number),
    value() {
      // The frames of a video are one bitstream.
      if (layout.length !== undefined || isStream) return wholePixelData(instance, layout)
      return layout.frames === 1 ? frameOf(instance, layout, 1) : undefined
    },
    ready: () => Promise.resolve(),
  }
}

/** The bytes of one frame, for a decoder. @throws CodestreamError where it has more than any frame */
export async function gatheredFrame({ length, bytes }: SizedBytes): Promise<Bytes> {
  if (length > MAX_FRAME_BYTES) throw new CodestreamError(`a frame has over ${MAX_FRAME_BYTES} bytes`)
  const pieces: Bytes[] = []
  for await (const piece of bytes()) pieces.push(piece)
  return concat(pieces)
}

function convertedPixels(
  c: HttpContext,
  instance: CachedInstance,
  layout: PixelLayout,
  representation: Representation,
  plan: Transcoding,
): GivenPixels {
  const { imaging, signal } = c.var
  /** Kept until it is given. */
  let first: Bytes | undefined
  const converted = async (number: number): Promise<Bytes> => {
    const kept = number === 1 ? first : undefined
    if (kept) {
      first = undefined
      return kept
    }
    return convertFrame(await gatheredFrame(await frameOf(instance, layout, number)), plan, imaging, signal)
  }
  const frame = async (number: number): Promise<SizedBytes> => sizedBytes(await converted(number))
  return {
    representation,
    frame,
    value() {
      checkWhole(plan, layout.length)
      if (!plan.to.encapsulated) return Promise.resolve(joinedFrames(plan, converted))
      return plan.frames === 1 ? frame(1) : undefined
    },
    async ready() {
      first ??= await converted(1)
    },
  }
}

/** Native frames one behind the other, each made when its turn comes. */
function joinedFrames({ native, frames }: Transcoding, frame: (number: number) => Promise<Bytes>): SizedBytes {
  const bits = frameBits(native)
  const length = Math.ceil((bits * frames) / 8)
  return {
    length,
    async *bytes(from = 0, to = length) {
      const joiner = new BitJoiner()
      // Frames that begin within a byte are joined from the first one on.
      const first = bits % 8 === 0 ? Math.floor((from * 8) / bits) : 0
      let at = (first * bits) / 8
      for (let n = first; n < frames && at < to; n++) {
        const one = await frame(n + 1)
        const bytes = bits % 8 === 0 ? one : joiner.join(one, bits, n === frames - 1)
        const piece = bytes.subarray(Math.max(0, from - at), Math.max(0, to - at))
        if (piece.length > 0) yield piece
        at += bytes.length
      }
    },
  }
}

/** Where the pixel data of an image is and how it is cut. @throws RequestError 404 without pixel data, and as layoutOf */
export async function requiredLayout(instance: CachedInstance): Promise<PixelLayout> {
  const layout = await layoutOf(instance)
  if (!layout) throw new RequestError(404, 'NO_PIXEL_DATA', 'The instance has no pixel data.')
  return layout
}
