import type { ByteStream } from './bytes.ts'
import type { TransferSyntax } from './transfer-syntax.ts'

/** A data set that can be read from any byte, as often as wanted. */
export interface DataSetSource {
  readonly syntax: TransferSyntax
  /** The bytes from an offset, up to another or the end. */
  bytes(from?: number, to?: number): ByteStream
}
