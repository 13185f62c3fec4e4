import type { ByteStream } from '../dicom/bytes.ts'
import type { DataSetSource } from '../dicom/data-set-source.ts'
import type { Fragment } from './frame-table.ts'
import type { InstanceIndex } from './instance-index.ts'

/** A data set whose bytes can be read from any of them on, and what is known of them; both grow while it arrives. */
export interface ReadableDataSet extends DataSetSource {
  readonly index: InstanceIndex
  /**
   * The bytes from an offset, up to another or the end, as they come.
   * @throws what ends the arrival; NoLongerHeldError where they were let go
   */
  bytes(from?: number, to?: number): ByteStream
  /**
   * Resolves when the index is `ready`, or will not grow any more. `needs`: the first byte that is going to be read then,
   * as far as that is known; it is held meanwhile.
   * @throws what ends the arrival
   */
  until(ready: (index: InstanceIndex) => boolean, needs?: () => number | undefined): Promise<void>
  /**
   * Where an earlier reading found the fragments of a frame, once this one is seen to have them there too: where no table
   * locates frames they are certain only at the end. Undefined where there was none.
   * @throws as until
   */
  told?(frame: number): Promise<readonly Fragment[] | undefined>
}
