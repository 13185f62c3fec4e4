import type { ByteStream } from '../dicom/bytes.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'

/** A composite instance on its way: `body` is its data set in `syntax`, read once, before the next instance. */
export interface Instance {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly syntax: TransferSyntax
  readonly body: ByteStream
}

/** What to retrieve: a study, one of its series, or one instance of that (PS3.18 10.4.1). */
export interface Selection {
  readonly study: Uid
  readonly series?: Uid
  readonly instance?: Uid
}
