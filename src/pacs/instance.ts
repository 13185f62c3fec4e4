import type { ByteStream } from '../dicom/bytes.ts'
import type { InstanceDescription } from '../instance/description.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Arrival } from '../instance/arrival.ts'
import type { InstanceIndex } from '../instance/instance-index.ts'
import type { InstanceUids } from '../instance/uids.ts'

/** A composite instance on its way: `body` is its data set in `syntax`, read once, before the next instance. */
export interface Instance extends InstanceDescription {
  /** What is known of the data set; it grows with what is read of the body. */
  readonly index: InstanceIndex
  readonly body: ByteStream
}

/** An instance whose data set arrives; `body` where something stands between. */
export function arriving(
  uids: InstanceUids & { readonly sopClass: Uid },
  arrival: Arrival,
  body: ByteStream = arrival,
): Instance {
  const { sopClass, study, series, sopInstance } = uids
  const { syntax, received, index } = arrival
  return { sopClass, study, series, sopInstance, syntax, received, index, body }
}
