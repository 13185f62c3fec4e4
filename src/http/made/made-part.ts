import type { ByteStream } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'

/** One file of a store request, read once, before the next. */
export interface StorePart {
  /** Its own media type, lower case; undefined when it names none. */
  readonly type: string | undefined
  readonly body: ByteStream
  /** Which instance it is, where that is known before it is read. */
  readonly names?: { readonly sopClass: Uid; readonly sopInstance: Uid }
}

/** What was to be an instance, and could not be made one. */
export interface UnmadePart {
  /** Why: a Failure Reason. */
  readonly reason: number
  /** Which it would have been, where that can be told. */
  readonly sopClass?: Uid | undefined
  readonly sopInstance?: Uid | undefined
}
