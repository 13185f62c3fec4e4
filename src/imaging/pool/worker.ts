import { move, transferableSymbol, valueSymbol } from 'piscina'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { CodestreamError } from '../codecs/codec-error.ts'
import { decodedDescription, decodeFrame } from '../codecs/decode-frame.ts'
import { drawFrame } from '../draw/draw-frame.ts'
import { gifImage } from '../picture/gif.ts'
import type { Picture } from '../picture/picture.ts'
import type { DrawingPlan } from '../draw/drawing-plan.ts'
import { encodeFrame, FrameNotEncodedError } from '../codecs/encode-frame.ts'
import { UnusableImageError, type ImageDescription } from '../image-description.ts'

// Runs in the threads of ImagingPool. Errors lose their class between threads: faults are given back as values.

/** Work on one frame. */
export type Task =
  | { readonly kind: 'decode'; readonly frame: Bytes; readonly image: ImageDescription; readonly syntax: Uid }
  | { readonly kind: 'encode'; readonly frame: Bytes; readonly image: ImageDescription; readonly syntax: Uid }
  /** `syntax` of an encapsulated frame; undefined for a native one. */
  | { readonly kind: 'draw'; readonly frame: Bytes; readonly plan: DrawingPlan; readonly syntax: Uid | undefined }
  | { readonly kind: 'gif'; readonly picture: Picture }

export type Outcome<T> =
  { readonly result: T } | { readonly fault: 'codestream' | 'image' | 'encoding'; readonly problem: string }

/** Does a task, for ImagingPool. */
export async function run(task: Task): Promise<Outcome<Bytes | Picture>> {
  try {
    return transferred(await done(task))
  } catch (error) {
    if (error instanceof CodestreamError) return { fault: 'codestream', problem: error.problem }
    if (error instanceof UnusableImageError) return { fault: 'image', problem: error.problem }
    if (error instanceof FrameNotEncodedError) return { fault: 'encoding', problem: error.message }
    throw error
  }
}

async function done(task: Task): Promise<Bytes | Picture> {
  switch (task.kind) {
    case 'decode':
      return decodeFrame(task.frame, task.image, task.syntax)
    case 'encode':
      return encodeFrame(task.frame, task.image, task.syntax)
    case 'gif':
      return gifImage(task.picture)
    case 'draw': {
      const { frame, plan, syntax } = task
      if (syntax === undefined) return drawFrame(frame, plan)
      const native = await decodeFrame(frame, plan.image, syntax)
      return drawFrame(native, { ...plan, image: decodedDescription(plan.image, syntax) })
    }
  }
}

/** Moves the bytes to the other thread, if nothing else is in their buffer. */
function transferred(result: Bytes | Picture): Outcome<Bytes | Picture> {
  const bytes = result instanceof Uint8Array ? result : result.data
  const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes)
  const moved = { result: result instanceof Uint8Array ? own : { ...result, data: own } }
  return move({
    get [transferableSymbol]() {
      return [own.buffer]
    },
    get [valueSymbol]() {
      return moved
    },
  }) as unknown as Outcome<Bytes | Picture>
}
